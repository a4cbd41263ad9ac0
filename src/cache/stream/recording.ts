/**
 * The form in which a stream is stored. It is an event stream itself, so that it can be sent as it lies there: the
 * provider's events, their data untouched, line ends LF, comments dropped. Before each stands a comment of ours with the
 * milliseconds since the call began, so that the stream can be sent again at the pace at which it came.
 *
 * ```text
 * : warmcache 412
 * data: {"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[…]}
 * ```
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import { encodeText, type JsonObject } from "../json.ts";
import type { Expected, StreamProtocol } from "./protocol.ts";
import { concatenate, formatEvent, type SseEvent, SseParser } from "./sse.ts";

/** Media type of a recorded stream. */
export const RECORDED_MEDIA_TYPE = "text/event-stream";

/** An event, and when it came. */
export interface RecordedEvent {
  readonly event: SseEvent;
  /** Since the call began. */
  readonly at: Milliseconds;
}

/** How to send a recorded stream again. */
export interface ReplayOptions {
  /** `at_once`, or at the pace at which it came. */
  readonly pace: "at_once" | "recorded";
  readonly clock: Clock;
  /** Ends the replay, with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Which events to send; all of them by default. See {@link StreamProtocol.trim}. */
  readonly trim?: (event: SseEvent) => boolean;
}

/** Records a stream while it comes. */
export class Recorder {
  readonly #pieces: Uint8Array[] = [];
  #byteLength = 0;
  #last = 0;

  /** Bytes of the recording so far. */
  get byteLength(): number {
    return this.#byteLength;
  }

  /** Takes the next event, and when it came: milliseconds since the call began, which never go back. */
  add(event: SseEvent, at: Milliseconds): void {
    this.#last = Math.max(this.#last, Math.round(at));
    const piece = encodeText(`: ${MARK} ${this.#last}\n${formatEvent(event)}`);
    this.#pieces.push(piece);
    this.#byteLength += piece.length;
  }

  /** The recording. */
  bytes(): Uint8Array {
    return concatenate(this.#pieces, this.#byteLength);
  }
}

/**
 * Sends a recorded stream again.
 *
 * @throws CacheError `corrupt` as {@link recordedEvents} does; the signal's reason when it is aborted.
 */
export async function* replay(
  bytes: Uint8Array,
  { pace, clock, signal, trim = () => true }: ReplayOptions,
): AsyncGenerator<SseEvent, void, undefined> {
  const began = clock.monotonic();
  for (const { event, at } of recordedEvents(bytes)) {
    signal?.throwIfAborted();
    if (!trim(event)) continue;
    const wait = pace === "recorded" ? began + at - clock.monotonic() : 0;
    if (wait > 0) await clock.sleep(wait, signal && { signal });
    yield event;
  }
}

/**
 * The answer that a call without streaming would have had.
 *
 * @throws CacheError `corrupt` when the recording is not that of a complete answer.
 */
export function recordedAnswer(bytes: Uint8Array, protocol: StreamProtocol, expected: Expected): JsonObject {
  const assembler = protocol.assembler(expected);
  for (const { event } of recordedEvents(bytes)) assembler.add(event);
  const answer = assembler.answer();
  if (answer !== undefined) return answer;
  throw unreadable(assembler.failure ?? "it has no end");
}

const MARK = "warmcache";
const TIME = new RegExp(`^ ?${MARK} (\\d{1,15})$`);

// Read a little at a time: the first event is sent before the last one is parsed, and no turn takes long.
const SLICE = 64 * 1024;

/**
 * The events of a recording. One without a time of its own came with the one before it.
 *
 * @throws CacheError `corrupt` when the bytes are no event stream in UTF-8.
 */
export function* recordedEvents(bytes: Uint8Array): Generator<RecordedEvent, void, undefined> {
  const times = new Map<number, Milliseconds>();
  const parser = new SseParser({
    onComment(text, index) {
      const time = TIME.exec(text)?.[1];
      if (time !== undefined) times.set(index, Number(time));
    },
  });
  let index = 0;
  let at: Milliseconds = 0;
  for (let start = 0; start <= bytes.length; start += SLICE) {
    const isLast = start + SLICE > bytes.length;
    const events = parser.push(bytes.subarray(start, start + SLICE));
    if (isLast) events.push(...parser.end());
    if (!parser.isWellFormed) throw unreadable("it is not in UTF-8");
    for (const event of events) {
      at = times.get(index++) ?? at;
      yield { event, at };
    }
  }
}

function unreadable(why: string): CacheError {
  return new CacheError("corrupt", `Cannot read a recorded stream: ${why}; delete the entry`);
}
