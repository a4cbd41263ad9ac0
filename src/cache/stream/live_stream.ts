/**
 * A stream that is being bought: read by whoever asks for it while it comes, recorded once, and judged when it has ended.
 * What the caller's function gives may be the bytes of an event stream or the chunks that an SDK has made of them; each
 * reader gets the form he asks for.
 *
 * It is read on when its fastest reader wants more, and given up when the last one leaves. One who neither reads nor
 * leaves is waited for a while only: others, here and in other processes, wait for the answer, and no provider keeps a
 * connection open for ever.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import { encodeText, isJsonObject, type JsonObject } from "../json.ts";
import { END_MARK } from "./assembler.ts";
import { Broadcast, type Finished } from "./broadcast.ts";
import type { Assembler, Expected, StreamProtocol } from "./protocol.ts";
import type { Seat } from "./reading.ts";
import { Recorder } from "./recording.ts";
import { formatEvent, type SseEvent, SseParser } from "./sse.ts";

/** A stream as callers give it. */
export type StreamSource = AsyncIterable<unknown> | ReadableStream<unknown>;

/** What came of a stream at a time: bytes of its text, or a chunk. */
export type StreamItem = Uint8Array | StreamChunk;

/** A chunk, and the event in which it is sent: whoever has the chunk may change it. */
export interface StreamChunk {
  readonly chunk: JsonObject;
  readonly event: SseEvent;
}

/** What became of a stream: the answer that it brought, and the stream as it is stored; or why there is none. */
export type StreamEnd =
  | { readonly answer: JsonObject; readonly recording: Uint8Array }
  | { readonly error: unknown };

/** How to listen to a stream. */
export interface ListenOptions {
  readonly protocol: StreamProtocol;
  readonly expected: Expected;
  readonly clock: Clock;
  /** When the call began, by {@link Clock.monotonic}. */
  readonly started: Milliseconds;
  /** Aborted when the stream is given up. */
  readonly controller: AbortController;
  /** Called when something has come for the first time. */
  readonly onBegin: () => void;
}

/** Longer ones are not stored. */
const LONGEST_STORED = 64 * 1024 * 1024;
/** What a stream may take in memory: it is kept until it has ended, for those who come late. */
const LONGEST_READ = 16 * LONGEST_STORED;
/** For so long a stream waits for readers that do not read, and what follows an answer that is complete is waited for. */
const PATIENCE: Milliseconds = 10_000;

/** A stream under way. */
export class LiveStream {
  /** How many samples it brings. */
  readonly samples: number;
  /**
   * Settles, and is never rejected, as soon as what it brings is there, or it is known that there will be none. It may go
   * on: not every provider closes the connection after the end mark.
   */
  readonly ended: Promise<StreamEnd>;
  readonly #broadcast: Broadcast<StreamItem>;
  readonly #clock: Clock;
  readonly #recorder = new Recorder();
  readonly #assembler: Assembler;
  readonly #ending: StreamProtocol["ending"];
  readonly #age: () => Milliseconds;
  readonly #onBegin: () => void;
  readonly #parser = new SseParser();
  /** Aborted when it has ended. */
  readonly #over = new AbortController();
  /** Aborted when the last reader has left. */
  readonly #deserted = new AbortController();
  /** Aborted when there will be no answer. */
  readonly #broken = new AbortController();
  readonly #conclusion = Promise.withResolvers<StreamEnd>();
  #isConcluded = false;
  #sawEndMark = false;
  #readers = 0;
  #pulls = 0;
  #isPulled = false;
  #isReadOut = false;
  #wasJoined = false;

  /** @throws what the source throws when it is to be read. */
  constructor(source: StreamSource, options: ListenOptions) {
    const { protocol, expected, clock, started, controller, onBegin } = options;
    this.samples = expected.samples;
    this.#clock = clock;
    this.#assembler = protocol.assembler(expected);
    this.#ending = protocol.ending;
    this.#age = () => clock.monotonic() - started;
    this.#onBegin = onBegin;
    this.#broadcast = new Broadcast(this.#tap(pumped(iteratorOf(source)), controller), {
      sizeOf,
      maxSize: LONGEST_READ,
      controller,
    });
    this.ended = this.#conclusion.promise;
    this.#broadcast.finished.then((finished) => this.#conclude(this.#judge(finished)));
    // Aborted, nobody has to be waited for any more.
    this.#watch().catch(() => {});
  }

  /**
   * The stream as it comes, from its beginning, as chunks, for the one whose function gave it: he gets the very ones.
   * `undefined` when it was given up.
   */
  chunks(): Seat<JsonObject> | undefined {
    return this.#seat((items) => originalChunks(items));
  }

  /** As {@link LiveStream.chunks}, as bytes. */
  bytes(): Seat<Uint8Array> | undefined {
    return this.#seat((items) => this.#originalBytes(items));
  }

  /** The stream from its beginning, as events, for anybody else; `undefined` when it was given up. */
  events(): Seat<SseEvent> | undefined {
    return this.#seat((items) => this.#events(items));
  }

  /** Keeps the stream going to its end, whoever else leaves, until `signal` is aborted. */
  hold(signal?: AbortSignal): void {
    const items = this.#join();
    if (items === undefined) return;
    const leave = (): void => void items.return?.();
    const drain = async (): Promise<void> => {
      for await (const _ of items);
    };
    if (signal?.aborted || this.#broken.signal.aborted) return leave();
    this.#broken.signal.addEventListener("abort", leave);
    signal?.addEventListener("abort", leave);
    // What goes wrong is in `ended`.
    drain().catch(() => {}).then(() => signal?.removeEventListener("abort", leave));
  }

  /** Whether anybody ever joined it. Until somebody does, it stands still. */
  get wasJoined(): boolean {
    return this.#wasJoined;
  }

  #join(): AsyncIterableIterator<StreamItem> | undefined {
    this.#wasJoined = true;
    return this.#broadcast.join();
  }

  #seat<T>(read: (items: AsyncIterable<StreamItem>) => AsyncIterator<T>): Seat<T> | undefined {
    const items = this.#join();
    if (items === undefined) return undefined;
    this.#readers++;
    const leave = (): void => {
      void items.return?.();
      if (--this.#readers === 0) this.#deserted.abort();
    };
    return { items: read(items), leave, isConcluded: () => this.#isConcluded };
  }

  async *#originalBytes(items: AsyncIterable<StreamItem>): AsyncGenerator<Uint8Array> {
    let areChunks = false;
    for await (const item of items) {
      areChunks = !(item instanceof Uint8Array);
      yield item instanceof Uint8Array ? item.slice() : encodeText(formatEvent(item.event));
    }
    if (areChunks) { for (const mark of this.#missingEnd()) yield encodeText(formatEvent(mark)); }
  }

  async *#events(items: AsyncIterable<StreamItem>): AsyncGenerator<SseEvent> {
    const parser = new SseParser();
    for await (const item of items) {
      if (item instanceof Uint8Array) yield* parser.push(item);
      else yield item.event;
    }
    yield* parser.end();
    yield* this.#missingEnd();
  }

  /** The mark that ends the stream, where an SDK has kept it to itself. */
  #missingEnd(): SseEvent[] {
    const isMissing = this.#ending === "mark" && !this.#sawEndMark && this.#assembler.isComplete;
    return isMissing ? [{ data: END_MARK }] : [];
  }

  /** What passes is recorded. */
  #tap(source: AsyncIterator<unknown>, controller: AbortController): AsyncIterableIterator<StreamItem> {
    const items: AsyncIterableIterator<StreamItem> = {
      next: async () => {
        this.#isPulled = true;
        const { done, value } = await source.next();
        this.#isPulled = false;
        if (this.#pulls++ === 0) this.#onBegin();
        try {
          if (!done) return { done: false, value: this.#take(value) };
          this.#add(this.#parser.end());
          return { done, value: undefined };
        } catch (error) {
          controller.abort(error);
          source.return?.().catch(() => {});
          throw error;
        }
      },
      return: async () => {
        await source.return?.();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => items,
    };
    return items;
  }

  #take(item: unknown): StreamItem {
    if (item instanceof Uint8Array) {
      // Whoever gave it may use it again.
      const bytes = new Uint8Array(item);
      this.#add(this.#parser.push(bytes));
      return bytes;
    }
    if (!isJsonObject(item)) {
      throw new TypeError(`Cannot read a stream (bytes or JSON objects are needed): ${typeof item}`);
    }
    const event = eventOf(item);
    this.#add([event]);
    return { chunk: item, event };
  }

  #add(events: readonly SseEvent[]): void {
    if (this.#isConcluded) return;
    for (const event of events) {
      this.#recorder.add(event, this.#age());
      this.#assembler.add(event);
      this.#sawEndMark ||= event.data === END_MARK;
    }
    const failure = this.#assembler.failure ?? (this.#parser.isWellFormed ? undefined : "it is not in UTF-8");
    if (failure !== undefined) return this.#conclude({ error: brokenOff(failure) });
    if (this.#recorder.byteLength > LONGEST_STORED) return this.#conclude({ error: tooLong() });
    const answer = this.#assembler.answer();
    if (answer === undefined) return;
    if (this.#sawEndMark || this.#ending === "event") {
      return this.#conclude({ answer, recording: this.#recorder.bytes() });
    }
    if (this.#isReadOut) return;
    this.#isReadOut = true;
    this.#readOut().catch(() => {});
  }

  #conclude(end: StreamEnd): void {
    if (this.#isConcluded) return;
    this.#isConcluded = true;
    this.#over.abort();
    if ("error" in end) this.#broken.abort();
    this.#conclusion.resolve(end);
  }

  /** Reads what comes after a complete answer, usage and end mark: many who read leave with the last word. */
  async #readOut(): Promise<void> {
    const waited = new AbortController();
    this.hold(waited.signal);
    await this.#clock.sleep(PATIENCE, { signal: this.#over.signal, background: true });
    waited.abort();
  }

  /** Reads on when nobody has for a while, though somebody is there. */
  async #watch(): Promise<void> {
    for (let seen = -1; this.#isPulled || seen !== this.#pulls;) {
      seen = this.#pulls;
      await this.#clock.sleep(PATIENCE, { signal: this.#over.signal, background: true });
    }
    this.hold(this.#deserted.signal);
  }

  #judge({ outcome, error }: Finished<StreamItem>): StreamEnd {
    if (outcome === "failed") return { error };
    const answer = this.#assembler.answer();
    const mayGoOn = this.#ending === "close" && outcome !== "complete";
    if (answer !== undefined && !mayGoOn) return { answer, recording: this.#recorder.bytes() };
    if (outcome === "complete") return { error: brokenOff("it ended before the answer was complete") };
    return { error: new DOMException("Nobody reads the stream any more", "AbortError") };
  }
}

/** Whether a value is a stream. */
export function isStream(value: unknown): value is StreamSource {
  return typeof value === "object" && value !== null &&
    (Symbol.asyncIterator in value || value instanceof ReadableStream);
}

/**
 * What comes out of a stream. Not every browser can iterate over a `ReadableStream`, and none can cancel one so while it
 * waits.
 *
 * @throws TypeError when somebody else reads it.
 */
export function iteratorOf(source: StreamSource): AsyncIterator<unknown> {
  if (!(source instanceof ReadableStream)) return source[Symbol.asyncIterator]();
  const reader = source.getReader();
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

/**
 * Asks a source from where this is called, whoever asks for the next item: what it calls to get that is then known to be
 * part of making this answer ({@link ../flow/production.ts}).
 */
function pumped<T>(source: AsyncIterator<T>): AsyncIterator<T> {
  let asked = Promise.withResolvers<void>();
  let given = Promise.withResolvers<IteratorResult<T>>();
  const pump = async (): Promise<never> => {
    for (;;) {
      await asked.promise;
      asked = Promise.withResolvers();
      const { resolve, reject } = given;
      try {
        resolve(await source.next());
      } catch (error) {
        reject(error);
      }
    }
  };
  void pump();
  return {
    next() {
      given = Promise.withResolvers();
      asked.resolve();
      return given.promise;
    },
    return: async () => await source.return?.() ?? { done: true, value: undefined },
  };
}

/** A chunk as the event that it was sent in: who names the kinds of his events names them in the chunk as well. */
export function eventOf(chunk: JsonObject): SseEvent {
  const data = JSON.stringify(chunk);
  return typeof chunk.type === "string" ? { event: chunk.type, data } : { data };
}

/** The chunk in an event; `undefined` for an end mark, which is none. */
export function chunkOf({ data }: SseEvent): JsonObject | undefined {
  return data === END_MARK ? undefined : JSON.parse(data);
}

async function* originalChunks(items: AsyncIterable<StreamItem>): AsyncGenerator<JsonObject> {
  const parser = new SseParser();
  for await (const item of items) {
    if (item instanceof Uint8Array) yield* chunksOf(parser.push(item));
    else yield item.chunk;
  }
  yield* chunksOf(parser.end());
}

function* chunksOf(events: readonly SseEvent[]): Generator<JsonObject> {
  for (const event of events) {
    const chunk = chunkOf(event);
    if (chunk !== undefined) yield chunk;
  }
}

function brokenOff(why: string): CacheError {
  return new CacheError("call_failed", `Cannot get an answer (the stream broke off): ${why}`);
}

function tooLong(): CacheError {
  const most = `a stream may have ${LONGEST_STORED} bytes at most`;
  return new CacheError("unavailable", `Cannot store an answer (${most}): more came; call without the cache`);
}

function sizeOf(item: StreamItem): number {
  // About: what a chunk takes in memory is nobody's to say exactly.
  return item instanceof Uint8Array ? item.byteLength : item.event.data.length;
}
