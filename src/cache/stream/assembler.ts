/**
 * From a stream to the answer that a call without streaming would have had. What all protocols share is here: events
 * hold JSON objects, an error may come in the middle, and whatever does not fit makes the stream a failure. Half an
 * answer that passes for a whole one would be served for ever.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import type { SseEvent } from "./sse.ts";

/** How many choices a stream has to bring; a {@link ../answer/samples.ts SampleShape} will do. */
export interface Expected {
  /** The request's `n`. */
  readonly samples: number;
  /** Prompts answered together. */
  readonly prompts: number;
}

/** Puts the events of one stream together. */
export interface Assembler {
  /** Takes the next event. After a failure, and after the stream's own end mark, it changes nothing. */
  add(event: SseEvent): void;
  /**
   * Everything that must come has come. It may be so before the stream's end: usage comes after the last choice is
   * finished, so whoever stores the answer asks once the stream has ended.
   */
  readonly isComplete: boolean;
  /** Why there is no answer and will be none: in the provider's words where it sent an error, else in ours. */
  readonly failure: string | undefined;
  /** The answer as JSON; `undefined` unless {@link isComplete}. It is not to be changed. */
  answer(): JsonObject | undefined;
}

/** What a protocol makes of its chunks. Each method throws when what it is given does not fit. */
export interface Assembly {
  /** Takes the next chunk; `type` is the chunk's own, else the event's. */
  add(chunk: JsonObject, type: string | undefined): void;
  /** Takes the end mark. */
  end(): void;
  readonly isComplete: boolean;
  /** Called only when complete. */
  answer(): JsonObject;
}

/** What OpenAI, and who follows it, sends as the last event. */
export const END_MARK = "[DONE]";

/** An assembler for a protocol whose chunks are JSON objects. */
export function assemblerOf(assembly: Assembly): Assembler {
  return new JsonAssembler(assembly);
}

class JsonAssembler implements Assembler {
  readonly #assembly: Assembly;
  #failure: string | undefined;
  #hasEnded = false;

  constructor(assembly: Assembly) {
    this.#assembly = assembly;
  }

  get isComplete(): boolean {
    return this.#failure === undefined && this.#assembly.isComplete;
  }

  get failure(): string | undefined {
    return this.#failure;
  }

  add(event: SseEvent): void {
    if (this.#failure !== undefined || this.#hasEnded) return;
    try {
      this.#take(event);
    } catch (error) {
      // A chunk that overflows the stack is as little an answer as one that is no JSON.
      this.#failure = messageOf(error);
    }
  }

  answer(): JsonObject | undefined {
    return this.isComplete ? this.#assembly.answer() : undefined;
  }

  #take({ event, data }: SseEvent): void {
    if (data === END_MARK) {
      this.#hasEnded = true;
      return this.#assembly.end();
    }
    const chunk = parseChunk(data);
    const type = typeof chunk.type === "string" ? chunk.type : event;
    if (isError(chunk.error)) this.#failure = errorWords(chunk.error);
    else if (type === "error") this.#failure = errorWords(chunk);
    else this.#assembly.add(chunk, type);
  }
}

function parseChunk(data: string): JsonObject {
  let chunk: unknown;
  try {
    chunk = JSON.parse(data);
  } catch {
    // The engine's message would quote the answer.
  }
  if (isJsonObject(chunk)) return chunk;
  throw new TypeError(`Cannot put a stream together: an event of ${data.length} characters is no JSON object`);
}

function isError(error: unknown): boolean {
  return error !== undefined && error !== null && error !== "";
}

/** What a provider says went wrong. */
export function errorWords(error: unknown): string {
  if (typeof error === "string") return error;
  if (isJsonObject(error) && typeof error.message === "string") return error.message;
  return JSON.stringify(error).slice(0, MAX_WORDS);
}

// Enough to tell what happened; an error may quote the whole request.
const MAX_WORDS = 500;
