/**
 * What the two text endpoints differ in: how a request is read, and what an answer looks like, whole or in chunks.
 * {@link ./answer.ts} does the rest.
 *
 * @module
 */

import type * as z from "zod";
import type { Choice, ChoiceEvent, Usage } from "./generation.ts";
import type { TextRequest } from "./request_fields.ts";

/** The fields every answer and every chunk of it carry. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** The content identity of model and adapter, shortened. */
  readonly system_fingerprint: string;
}

/** One of OpenAI's text endpoints. */
export interface TextEndpoint {
  /** The path, which is also the endpoint in the cache's scope. */
  readonly path: string;
  readonly idPrefix: string;
  /** What {@link read} checks a body with. */
  readonly schema: z.ZodObject;
  /** The names of all fields that it knows, those that it refuses too. */
  readonly fields: readonly string[];
  /**
   * Reads a parsed body.
   *
   * @throws ApiError 400 with the field at fault.
   */
  read(body: Record<string, unknown>): TextRequest;
  /** The answer as one object. */
  answer(head: AnswerHead, request: TextRequest, choices: readonly Choice[], usage: Usage): object;
  /** Turns the events of a running generation into chunks. */
  chunker(head: AnswerHead, request: TextRequest): (event: ChoiceEvent) => object[];
  /** The chunk with the usage, which ends a stream. */
  usageChunk(head: AnswerHead, usage: Usage): object;
}

/** OpenAI's value for what is too unlikely to have a number; JSON has no infinity. */
const UNLIKELY = -9999;

/** A log-probability as JSON can carry it. */
export function finiteLogprob(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : UNLIKELY;
}
