/**
 * What the two text endpoints differ in: how a request is read, and what an answer looks like, whole or in chunks.
 * {@link ./answer.ts} does the rest.
 *
 * @module
 */

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
  /** The chunks of a stored answer. */
  replay(answer: StoredAnswer): Iterable<object>;
  /** The chunk with the usage that ends a stream on request. */
  usageChunk(head: AnswerHead, usage: Usage): object;
}

/** As much of a stored answer as a replay needs; the choices are the endpoint's own. */
export interface StoredAnswer extends AnswerHead {
  readonly choices: readonly Record<string, unknown>[];
  readonly usage: Usage;
}

/** The head of a stored answer. */
export function headOf({ id, created, model, system_fingerprint }: StoredAnswer): AnswerHead {
  return { id, created, model, system_fingerprint };
}

/** OpenAI's value for what is too unlikely to have a number; JSON has no infinity. */
const UNLIKELY = -9999;

/** A log-probability as JSON can carry it. */
export function finiteLogprob(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : UNLIKELY;
}
