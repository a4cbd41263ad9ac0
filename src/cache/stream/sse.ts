/**
 * Server-sent events, read and written (WHATWG HTML, "Server-sent events",
 * https://html.spec.whatwg.org/multipage/server-sent-events.html). The bytes of a stream come cut anywhere, in the middle
 * of a character too, and what is made of them must not depend on where.
 *
 * Two things differ from a browser's `EventSource`. An event counts even without the blank line after it when the
 * connection ends there, because providers end streams so. And `id` and `retry` are passed over: they serve to connect
 * again, and nobody connects to an answer again.
 *
 * @module
 */

import { CacheError } from "../../store/error.ts";

/** An event of a stream. */
export interface SseEvent {
  /** What kind of event the sender calls it; absent where it does not say. */
  readonly event?: string;
  /** The data; lines are separated by LF. */
  readonly data: string;
}

/** How a parser is to go about it. */
export interface SseParserOptions {
  /**
   * Called with each comment line's text after the colon, and with how many events came before it: the one of that index
   * follows.
   */
  readonly onComment?: (text: string, index: number) => void;
}

/**
 * Bytes an event may have at most, for what has no end must not fill the memory. Of lines that have ended, the UTF-16
 * code units are counted instead.
 */
export const MAX_EVENT_BYTES: number = 64 * 1024 * 1024;

const LF = 0x0a;
const CR = 0x0d;
const LINE_END = /\r\n|\r|\n/;
const BYTE_ORDER_MARK = "\ufeff";

const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenientDecoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Bytes in, events out. One parser reads one stream. */
export class SseParser {
  readonly #onComment: ((text: string, index: number) => void) | undefined;
  /** The line that has not ended yet. Only whole lines are decoded, so no character is ever split. */
  #line: Uint8Array[] = [];
  #lineBytes = 0;
  #isFirstLine = true;
  #afterCr = false;
  #isWellFormed = true;
  #event = "";
  #data: string[] = [];
  #dataLength = 0;
  #eventCount = 0;

  /** A parser at the beginning of a stream. */
  constructor({ onComment }: SseParserOptions = {}) {
    this.#onComment = onComment;
  }

  /** `false` once the bytes were no UTF-8: every client reads U+FFFD there, but the answer is not what was sent. */
  get isWellFormed(): boolean {
    return this.#isWellFormed;
  }

  /**
   * Takes the next bytes, which stay the caller's. Returns the events that ended in them.
   *
   * @throws CacheError `corrupt` when an event has more than {@link MAX_EVENT_BYTES}.
   */
  push(bytes: Uint8Array): SseEvent[] {
    const events: SseEvent[] = [];
    const start = this.#afterCr && bytes[0] === LF ? 1 : 0;
    if (bytes.length > 0) this.#afterCr = bytes[bytes.length - 1] === CR;
    const end = Math.max(bytes.lastIndexOf(LF), bytes.lastIndexOf(CR));
    const rest = Math.max(start, end + 1);
    if (end >= start) {
      const isCrLf = bytes[end] === LF && bytes[end - 1] === CR && end > start;
      this.#hold(bytes.subarray(start, isCrLf ? end - 1 : end));
      this.#endLines(events);
    }
    if (rest < bytes.length) this.#hold(bytes.slice(rest));
    this.#limit(this.#lineBytes);
    return events;
  }

  /** The stream has ended. Returns the event that was not ended by a blank line, if there is one. */
  end(): SseEvent[] {
    const events: SseEvent[] = [];
    if (this.#lineBytes > 0) this.#endLines(events);
    this.#dispatch(events);
    return events;
  }

  #hold(piece: Uint8Array): void {
    this.#line.push(piece);
    this.#lineBytes += piece.length;
  }

  #limit(length: number): void {
    if (length + this.#dataLength <= MAX_EVENT_BYTES) return;
    throw new CacheError(
      "corrupt",
      `Cannot read an event stream (an event may have ${MAX_EVENT_BYTES} bytes at most): more came without its end; ` +
        "call without the cache if the provider means it",
    );
  }

  /** What is held are whole lines, but for the end of the last one. */
  #endLines(events: SseEvent[]): void {
    let text = this.#decode(this.#line.length === 1 ? this.#line[0]! : concatenate(this.#line, this.#lineBytes));
    this.#line = [];
    this.#lineBytes = 0;
    if (this.#isFirstLine && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1);
    this.#isFirstLine = false;
    for (const line of text.includes("\r") ? text.split(LINE_END) : text.split("\n")) {
      if (line === "") this.#dispatch(events);
      else this.#field(line);
    }
  }

  #decode(bytes: Uint8Array): string {
    try {
      return strictDecoder.decode(bytes);
    } catch {
      this.#isWellFormed = false;
      return lenientDecoder.decode(bytes);
    }
  }

  #field(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return this.#onComment?.(line.slice(1), this.#eventCount);
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line.charAt(colon + 1) === " " ? colon + 2 : colon + 1);
    if (name === "event") this.#event = value;
    if (name === "data") {
      this.#data.push(value);
      this.#dataLength += value.length + 1;
      this.#limit(0);
    }
  }

  #dispatch(events: SseEvent[]): void {
    if (this.#data.length > 0) {
      const data = this.#data.join("\n");
      events.push(this.#event === "" ? { data } : { event: this.#event, data });
      this.#eventCount++;
    }
    this.#event = "";
    this.#data = [];
    this.#dataLength = 0;
  }
}

/** The text of an event, the blank line after it included. Its line ends are LF. */
export function formatEvent({ event, data }: SseEvent): string {
  const lines = data.split(LINE_END).map((line) => `data: ${line}\n`).join("");
  return `${event === undefined ? "" : `event: ${event}\n`}${lines}\n`;
}

/** Puts pieces of `length` bytes together. */
export function concatenate(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
