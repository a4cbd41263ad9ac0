/**
 * Streams for callers: read along with one that is being bought, or made from what is stored, in the form that is asked
 * for.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { Answered, Call, Supplier } from "../flow/answering.ts";
import { readJson } from "../answer/answer.ts";
import type { CacheCallOptions, Plan } from "../call_options.ts";
import type { Entry } from "../answer/entry.ts";
import { sharedBytes } from "../answer/shared_bytes.ts";
import { encodeText, isJsonObject, type JsonObject } from "../json.ts";
import { type CacheRequest, isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import { END_MARK } from "./assembler.ts";
import { chunkOf, eventOf, isStream, iteratorOf, type LiveStream, type StreamSource } from "./live_stream.ts";
import type { StreamProtocol, StreamWishes } from "./protocol.ts";
import { Reading, type Seat } from "./reading.ts";
import { recordedEvents, replay } from "./recording.ts";
import { formatEvent, type SseEvent } from "./sse.ts";
import { streamedAnswers } from "./stream_supplier.ts";
import { type ProduceContext, wholeAnswers } from "../flow/supplier.ts";

/** How to get a stream. */
export interface StreamOptions extends CacheCallOptions {
  /**
   * A stored stream comes `at_once` (the default), or at the pace at which it was `recorded`. What was stored as JSON
   * has no pace and comes at once.
   */
  readonly pace?: "at_once" | "recorded";
}

/** The names of the options that only streams have. */
export const STREAM_OPTIONS: readonly string[] = ["pace"];

/** Calls for `count` choices; `undefined` for as many as the request says. */
type Producer = (count: number | undefined, context: ProduceContext) => Promise<unknown>;

/** What a stream is made of. */
export interface StreamParts {
  readonly read: ReadRequest;
  /** How the endpoint streams; `undefined` when nobody here knows how. */
  readonly protocol: StreamProtocol | undefined;
  readonly plan: Plan;
  readonly options: StreamOptions;
  readonly clock: Clock;
  readonly produce: Producer;
  /**
   * The same with a copy of the request, for when the caller has been answered already.
   *
   * @throws TypeError when it is no longer the one that was looked up.
   */
  readonly detached: () => Producer;
  readonly answer: (plan: Plan, supplier: Supplier, onLive: NonNullable<Call["onLive"]>) => Promise<Answered>;
}

/** What callers read. */
interface Form<T> {
  /** What their own function gives, as it gives it. */
  own(stream: LiveStream): Seat<T> | undefined;
  /** What is made for them. */
  made(events: AsyncIterable<SseEvent>): AsyncGenerator<T>;
}

const CHUNKS: Form<JsonObject> = {
  own: (stream) => stream.chunks(),
  async *made(events) {
    for await (const event of events) {
      const chunk = chunkOf(event);
      if (chunk !== undefined) yield chunk;
    }
  },
};

const BYTES: Form<Uint8Array> = {
  own: (stream) => stream.bytes(),
  async *made(events) {
    for await (const event of events) yield encodeText(formatEvent(event));
  },
};

/** Text of events that is read at once; then others have their turn. */
const SLICE = 64 * 1024;

/** Characters of an answer whose readers share what they read. */
const LONG = 128 * 1024;

/** As {@link ../response_cache.ts ResponseCache.wrapStream}. */
export async function streamChunks(parts: StreamParts): Promise<AsyncIterable<JsonObject>> {
  const { signal } = parts.plan;
  const source = await open(parts, CHUNKS);
  if (source instanceof Reading) return source;
  const { untouched } = source;
  if (signal === undefined && Symbol.asyncIterator in untouched) return untouched as AsyncIterable<JsonObject>;
  const items = iteratorOf(untouched) as AsyncIterator<JsonObject>;
  return new Reading({ items, leave: () => void leave(items) }, { signal });
}

/** As {@link ../response_cache.ts ResponseCache.wrapEvents}. */
export async function streamEvents(parts: StreamParts): Promise<ReadableStream<Uint8Array>> {
  const { plan: { signal }, protocol } = parts;
  const source = await open(parts, BYTES);
  if (source instanceof Reading) return readable(source);
  const { untouched } = source;
  if (signal === undefined && untouched instanceof ReadableStream) {
    return untouched as ReadableStream<Uint8Array>;
  }
  const items = iteratorOf(untouched);
  return readable(new Reading({ items: asBytes(items, protocol), leave: () => void leave(items) }, { signal }));
}

/** Finds out where the answer comes from. A live stream is joined at once: unread, it would be given up. */
async function open<T>(parts: StreamParts, form: Form<T>): Promise<Reading<T> | { readonly untouched: StreamSource }> {
  const { read: { request, current }, protocol, options: { pace = "at_once" }, plan, clock, produce } = parts;
  if (pace !== "at_once" && pace !== "recorded") {
    throw new TypeError(`Cannot replay at a pace (it is "at_once" or "recorded"): ${pace}`);
  }
  const { signal } = plan;
  signal?.throwIfAborted();
  if (!isKeyed(request) || protocol === undefined) {
    return sourceOf(await parts.answer(plan, untouchedAnswers(parts), () => false), parts, form);
  }
  const begun = Promise.withResolvers<Reading<T>>();
  // Only until it has begun does this caller's patience end the call: after that he is one of its readers.
  const patience = new AbortController();
  const lose = (): void => patience.abort(signal?.reason);
  signal?.addEventListener("abort", lose);
  const onLive = (stream: LiveStream, isOwn: boolean): boolean => {
    if (stream.samples !== request.shape.samples) return false;
    const seat = isOwn ? form.own(stream) : seatOf(stream.events(), protocol, request, form);
    if (seat === undefined) return false;
    signal?.removeEventListener("abort", lose);
    begun.resolve(new Reading(seat, { signal, landed }));
    return true;
  };
  const supplier: Supplier = {
    ...streamedAnswers({ clock, check: () => void current(), produce, protocol }),
    detached: () => streamedAnswers({ clock, check: () => {}, produce: parts.detached(), protocol }),
  };
  const answered = parts.answer({ ...plan, signal: signal && patience.signal }, supplier, onLive);
  const landed = answered.catch(() => {});
  const settled = answered.then((answered) => sourceOf(answered, parts, form));
  // Once it has begun, what goes wrong is in the stream.
  settled.catch(() => {});
  try {
    return await Promise.race([begun.promise, settled]);
  } finally {
    signal?.removeEventListener("abort", lose);
  }
}

/** A place among those who read along with another's call. */
function seatOf<T>(
  seat: Seat<SseEvent> | undefined,
  protocol: StreamProtocol,
  { body }: CacheRequest,
  form: Form<T>,
): Seat<T> | undefined {
  return seat && { ...seat, items: form.made(kept(seat.items, keeperOf(protocol, wishesOf(body)))) };
}

/** What there is to read of an answer. */
function sourceOf<T>(
  { settled: { samples, produced }, entry }: Answered,
  { read: { request }, protocol, options: { pace = "at_once" }, plan: { signal }, clock }: StreamParts,
  form: Form<T>,
): Reading<T> | { readonly untouched: StreamSource } {
  if (entry === undefined) {
    const value = produced?.value;
    if (isStream(value)) return { untouched: value };
    const name = Object(value).constructor?.name ?? typeof value;
    throw new TypeError(`Cannot make a stream of what produce answered (a stream or JSON is needed): ${name}`);
  }
  const wishes = wishesOf(request.body);
  const recording = entry.samples === 1 ? samples[0]?.recording : undefined;
  const left = new AbortController();
  const events = recording === undefined || protocol === undefined
    ? eventsOf(entry, protocol, wishes)
    : replay(sharedBytes(recording.body), { pace, clock, trim: keeperOf(protocol, wishes), signal: left.signal });
  const items = form.made(inSlices(withEnd(events, protocol), clock));
  return new Reading({ items, leave: () => left.abort() }, { signal });
}

/** The events that would have brought an answer. Those of a long one are many objects, which each reader would have. */
function eventsOf(entry: Entry, protocol: StreamProtocol | undefined, wishes: StreamWishes): Iterable<SseEvent> {
  const data = entry.text();
  const events = disassembled(data, protocol, wishes);
  return data.length < LONG ? events : eventsIn(sharedBytes(encodeText(events.map(formatEvent).join(""))));
}

function* eventsIn(recording: Uint8Array): Generator<SseEvent> {
  for (const { event } of recordedEvents(recording)) yield event;
}

/** What is no answer of its protocol, an error, comes as one chunk. */
function disassembled(data: string, protocol: StreamProtocol | undefined, wishes: StreamWishes): SseEvent[] {
  const answer = JSON.parse(data) as JsonObject;
  try {
    if (protocol !== undefined) return protocol.disassemble(answer, wishes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return [{ ...eventOf(answer), data }];
}

/** What a request wishes of a stream. */
function wishesOf({ stream_options }: JsonObject): StreamWishes {
  const { include_usage } = Object(stream_options) as { include_usage?: unknown };
  return { includeUsage: include_usage === true };
}

function keeperOf(protocol: StreamProtocol, wishes: StreamWishes): (event: SseEvent) => boolean {
  return (event) => protocol.trim?.(event, wishes) ?? true;
}

/** Buys what goes round the cache. Nobody else has part in it, so it is this caller's to give up. */
function untouchedAnswers({ clock, produce, plan }: StreamParts): Supplier {
  return wholeAnswers({
    clock,
    check: () => {},
    produce: (count, { signal }) => produce(count, { signal: plan.signal ?? signal }),
    read: (value, shape, stamp) => isStream(value) ? undefined : readJson(value, shape, stamp),
  });
}

async function* kept(
  events: AsyncIterator<SseEvent>,
  keeps: (event: SseEvent) => boolean,
): AsyncGenerator<SseEvent> {
  for (let next = await events.next(); !next.done; next = await events.next()) {
    if (keeps(next.value)) yield next.value;
  }
}

/** The events with the mark that ends them, where the protocol has one: an SDK keeps it to itself. */
async function* withEnd(
  events: Iterable<SseEvent> | AsyncIterable<SseEvent>,
  protocol: StreamProtocol | undefined,
): AsyncGenerator<SseEvent> {
  let last: SseEvent | undefined;
  for await (const event of events) yield last = event;
  if (protocol?.ending === "mark" && last?.data !== END_MARK) yield { data: END_MARK };
}

/** The events, with a turn for everybody else now and then: a long answer that is all there would take a while. */
async function* inSlices(events: AsyncIterable<SseEvent>, clock: Clock): AsyncGenerator<SseEvent> {
  let length = 0;
  for await (const event of events) {
    length += event.data.length;
    if (length > SLICE) {
      length = 0;
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
    }
    yield event;
  }
}

/** What a caller's function gave, as the bytes of its text. */
async function* asBytes(
  items: AsyncIterator<unknown>,
  protocol: StreamProtocol | undefined,
): AsyncGenerator<Uint8Array> {
  let areChunks = false;
  for (let next = await items.next(); !next.done; next = await items.next()) {
    const { value } = next;
    areChunks = !(value instanceof Uint8Array);
    if (value instanceof Uint8Array) yield value;
    else if (isJsonObject(value)) yield encodeText(formatEvent(eventOf(value)));
    else throw new TypeError(`Cannot pass a stream on (bytes or JSON objects are needed): ${typeof value}`);
  }
  if (areChunks && protocol?.ending === "mark") yield encodeText(formatEvent({ data: END_MARK }));
}

/** Leaves a source, however it takes that. */
async function leave(items: AsyncIterator<unknown>): Promise<void> {
  try {
    await items.return?.();
  } catch {
    // Nobody reads it any more.
  }
}

function readable(source: Reading<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await source.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await source.return();
    },
  }, { highWaterMark: 0 });
}
