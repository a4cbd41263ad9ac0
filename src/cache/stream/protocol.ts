/**
 * What it takes to understand a stream. A stream and the JSON that a call without streaming gets are two forms of one
 * answer; a protocol turns each into the other, so that either serves both kinds of caller.
 *
 * @module
 */

import type { JsonObject } from "../json.ts";
import type { Assembler, Expected } from "./assembler.ts";
import type { SseEvent } from "./sse.ts";

export type { Assembler, Expected } from "./assembler.ts";

/** What a caller wants of a stream. */
export interface StreamWishes {
  /** OpenAI's `stream_options.include_usage`. Other protocols always tell the usage. */
  readonly includeUsage: boolean;
}

/** How one kind of endpoint streams. */
export interface StreamProtocol {
  /**
   * What says that nothing more comes: an `event` of its own kinds; the `mark` `[DONE]`, which SDKs keep to themselves; or
   * only the `close` of the connection, so that what seems complete may yet go on.
   */
  readonly ending: "event" | "mark" | "close";
  /** For one stream that has to bring so many choices. */
  assembler(expected: Expected): Assembler;
  /**
   * The events of a stream that would have brought this answer, its texts in pieces of a few words. Assembled, they give
   * the answer again (where usage is not wished for, without it).
   *
   * @throws TypeError when the answer is not of this protocol, or numbers in it cannot be written as they were.
   */
  disassemble(answer: JsonObject, wishes: StreamWishes): SseEvent[];
  /** Whether an event of a recorded stream is for a caller with these wishes. Absent where every event is. */
  trim?(event: SseEvent, wishes: StreamWishes): boolean;
}
