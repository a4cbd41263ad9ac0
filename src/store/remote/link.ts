/**
 * The line to the server: knows whether it is there, and fails at once while it is not, so that an outage makes misses
 * and never makes anybody wait. Calls that are made in one turn of the event loop go together.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError, type CacheErrorCode } from "../error.ts";
import { BadBytes, ByteReader, ByteWriter } from "./bytes.ts";
import { Call, Reply } from "./calls.ts";
import { byPlace, MEDIA_TYPE, readMessage, writeMessage } from "./message.ts";
import type { Settings } from "./options.ts";
import { bytesOf, Silence, within } from "./reply_bytes.ts";
import { refusalOf, Unreachable } from "./unreachable.ts";
import { readCode } from "./values.ts";

/** How long to wait before the server is tried again: doubled each time, up to the second. */
const SHORTEST_WAIT: Milliseconds = 50;
const LONGEST_WAIT: Milliseconds = 2000;
/** So many calls are sent together, and so many bytes. */
const MOST_TOGETHER = 256;
const MOST_BYTES = 4 * 1024 * 1024;
/** Bytes per millisecond that any line carries. */
const SLOWEST = 100;
/** How long what looks at the whole store may take. */
const LONG: Milliseconds = 60_000;

/** What became of a call. */
export type Outcome =
  | { readonly type: "done"; readonly reader: ByteReader }
  | { readonly type: "failed"; readonly code: CacheErrorCode; readonly why: string | undefined }
  | { readonly type: "refused"; readonly message: string }
  | { readonly type: "damaged" }
  | { readonly type: "later" };

interface Waiting {
  readonly payload: Uint8Array;
  resolve(outcome: Outcome): void;
  reject(error: unknown): void;
}

/** A line that is made again whenever it breaks. */
export class Link {
  /** Hears that calls can be made again. */
  onUp: () => void = () => {};
  /** Hears that nobody waits for the server any longer. */
  onAway: () => void = () => {};
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #checksum: Checksum;
  readonly #end = new AbortController();
  #waiting: Waiting[] = [];
  #isUp = false;
  #renewing = false;
  /** Stands for an absence for as long as calls wait for its end. */
  #absence: object | undefined;
  readonly #expecting = new Set<() => void>();
  #reason = "not reached yet";

  constructor(settings: Settings, clock: Clock, checksum: Checksum) {
    this.#settings = settings;
    this.#clock = clock;
    this.#checksum = checksum;
  }

  /** Where it leads, for people. */
  get location(): string {
    return this.#settings.location;
  }

  /** Whether calls can be made. */
  get isUp(): boolean {
    return this.#isUp;
  }

  /** Whether it is away, and its return is being waited for. */
  get isExpected(): boolean {
    return this.#absence !== undefined;
  }

  /**
   * Reaches for the server for the first time. One that is away is no error: it is tried again from then on.
   *
   * @throws CacheError `unavailable` when the server will not have us.
   */
  async open(): Promise<void> {
    try {
      await this.#greet();
      this.#isUp = true;
    } catch (error) {
      if (error instanceof Unreachable && error.isForGood) {
        this.#end.abort();
        throw this.unavailable("open a store", error.message);
      }
      this.#lose(error);
    }
  }

  /**
   * Makes a call, together with what else is called in this turn.
   *
   * @throws CacheError `unavailable` while the server is away and not expected back, or when nobody knows what became of
   * it; with the code that the server's store failed with; RangeError when it was refused.
   */
  async call(tried: string, payload: Uint8Array): Promise<ByteReader> {
    if (!this.#isUp) await this.#wait(tried);
    const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
    if (this.#waiting.push({ payload, resolve, reject }) === 1) this.#clock.afterTurn(() => this.#sendWaiting());
    try {
      return this.granted(tried, await promise);
    } catch (error) {
      throw this.#asCacheError(tried, error);
    }
  }

  /**
   * Makes a call that may take its time, by itself.
   *
   * @throws as {@link call} does.
   */
  async longCall(tried: string, payload: Uint8Array): Promise<ByteReader> {
    if (!this.#isUp) await this.#wait(tried);
    const patience = Math.max(LONG, this.#settings.timeout);
    try {
      const [outcome] = await this.#exchange([payload], patience);
      return this.granted(tried, outcome!);
    } catch (error) {
      throw this.#asCacheError(tried, error);
    }
  }

  /**
   * Sends calls in one message; what became of each.
   *
   * @throws Unreachable when nobody knows.
   */
  async send(payloads: readonly Uint8Array[]): Promise<Outcome[]> {
    try {
      return await this.#exchange(payloads, this.#patienceFor(payloads));
    } catch (error) {
      if (!(error instanceof Unreachable && error.isTooLong)) this.#lose(error);
      throw error;
    }
  }

  /**
   * Begins a reply that comes in parts, and how long each may take.
   *
   * @throws CacheError `unavailable`
   */
  async begin(tried: string, payload: Uint8Array): Promise<{
    readonly response: Response;
    readonly sum: bigint;
    readonly patience: Milliseconds;
  }> {
    if (!this.#isUp) await this.#wait(tried);
    const { bytes, sums } = writeMessage([payload], byPlace, this.#checksum);
    const patience = Math.max(LONG, this.#settings.timeout);
    try {
      return { response: await this.#post(this.#settings.listUrl, bytes, patience), sum: sums[0]!, patience };
    } catch (error) {
      throw this.#asCacheError(tried, error);
    }
  }

  /**
   * What a call gave.
   *
   * @throws as {@link call} does.
   */
  granted(tried: string, outcome: Outcome): ByteReader {
    switch (outcome.type) {
      case "done":
        return outcome.reader;
      case "failed":
        throw this.failure(tried, outcome.code, outcome.why);
      case "refused":
        throw new RangeError(`Cannot ${tried} at ${this.location}: ${this.#settings.withoutKey(outcome.message)}`);
      case "damaged":
        throw this.unavailable(tried, "what arrived is not what was sent");
      case "later":
        throw this.unavailable(tried, "it is longer than a message may be");
    }
  }

  /** The server's store failed; `why`, where it says so. */
  failure(tried: string, code: CacheErrorCode, why = `its store says ${code}; see the server's log`): CacheError {
    // A server that is stopping is as good as gone; we are not closed.
    const said = code === "closed" ? "unavailable" : code;
    return new CacheError(said, `Cannot ${tried} at ${this.location}: ${why}`);
  }

  /** It cannot be done, at least now. */
  unavailable(tried: string, reason: string, cause?: unknown): CacheError {
    return new CacheError("unavailable", `Cannot ${tried} at ${this.location}: ${reason}`, { cause });
  }

  /** Waits until the server is there, but not longer than `patience`. */
  async settle(patience: Milliseconds): Promise<void> {
    const until = this.#clock.monotonic() + patience;
    while (!this.#isUp && this.#clock.monotonic() < until) await this.#clock.sleep(Math.min(SHORTEST_WAIT, patience));
  }

  /** Lets go. What is under way is given up. */
  close(): void {
    this.#isUp = false;
    this.#reason = "the store was closed";
    this.#end.abort();
    this.#wake();
  }

  /** Waits until the server is back, or no longer expected. */
  async whileExpected(): Promise<void> {
    while (this.isExpected) await new Promise<void>((resolve) => this.#expecting.add(resolve));
  }

  /**
   * Waits for the server, where it is expected back.
   *
   * @throws CacheError `unavailable`
   */
  async #wait(tried: string): Promise<void> {
    await this.whileExpected();
    if (!this.#isUp) throw this.unavailable(tried, `the server is away: ${this.#reason}`);
  }

  /** Has those who wait for the server go on. */
  #wake(): void {
    this.#absence = undefined;
    const expecting = [...this.#expecting];
    this.#expecting.clear();
    for (const goOn of expecting) goOn();
  }

  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (let first = 0; first < waiting.length;) {
      let [next, bytes] = [first, 0];
      while (next < waiting.length && next - first < MOST_TOGETHER) {
        bytes += waiting[next]!.payload.byteLength;
        if (next > first && bytes > MOST_BYTES) break;
        next++;
      }
      void this.#sendTogether(waiting.slice(first, next));
      first = next;
    }
  }

  async #sendTogether(calls: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#sendTwice(calls.map(({ payload }) => payload));
      for (const [index, { type }] of outcomes.entries()) {
        // There was no room for it beside the others.
        if (type === "later" && calls.length > 1) void this.#sendTogether([calls[index]!]);
        else calls[index]!.resolve(outcomes[index]!);
      }
    } catch (error) {
      for (const { reject } of calls) reject(error);
    }
  }

  /**
   * {@link send}, and once more at once: a connection that was kept may have been closed by the other side meanwhile, and
   * nobody is to pay for an answer again because of that.
   */
  async #sendTwice(payloads: readonly Uint8Array[]): Promise<Outcome[]> {
    try {
      return await this.#exchange(payloads, this.#patienceFor(payloads));
    } catch (error) {
      const isRepeatable = payloads.every(([call]) => call !== Call.RECORD_FAILURE);
      const isBroken = error instanceof Unreachable && error.isBroken;
      if (isRepeatable && isBroken) return await this.send(payloads);
      if (!(error instanceof Unreachable && error.isTooLong)) this.#lose(error);
      throw error;
    }
  }

  async #exchange(payloads: readonly Uint8Array[], patience: Milliseconds): Promise<Outcome[]> {
    const { bytes, sums } = writeMessage(payloads, byPlace, this.#checksum);
    const response = await this.#post(this.#settings.callsUrl, bytes, patience);
    try {
      const reply = await bytesOf(response, patience, this.#clock);
      const frames = readMessage(reply, (index) => sums[index] ?? 0n, this.#checksum);
      if (frames.length !== payloads.length) throw new BadBytes(`${frames.length} replies to ${payloads.length} calls`);
      return frames.map(({ payload, isIntact }) => isIntact ? outcomeOf(payload) : { type: "damaged" });
    } catch (error) {
      throw new Unreachable(`its reply cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }

  async #post(url: string, body: Uint8Array<ArrayBuffer>, patience: Milliseconds): Promise<Response> {
    const { fetch, headers, withoutKey } = this.#settings;
    const gone = new AbortController();
    const end = (): void => gone.abort();
    this.#end.signal.addEventListener("abort", end);
    let response: Response;
    try {
      this.#end.signal.throwIfAborted();
      response = await within(
        fetch(url, {
          method: "POST",
          headers: { ...headers, "Content-Type": MEDIA_TYPE },
          body,
          signal: gone.signal,
          redirect: "manual",
        }),
        patience,
        this.#clock,
      );
    } catch (error) {
      gone.abort();
      throw new Unreachable(withoutKey(messageOf(error)), { cause: error, isBroken: !(error instanceof Silence) });
    } finally {
      this.#end.signal.removeEventListener("abort", end);
    }
    if (response.status === 200) return response;
    throw await refusalOf(response, patience, this.#clock, withoutKey);
  }

  async #greet(): Promise<void> {
    await this.#exchange([new ByteWriter().byte(Call.HELLO).done()], this.#settings.timeout);
  }

  #patienceFor(payloads: readonly Uint8Array[]): Milliseconds {
    return this.#settings.timeout + payloads.reduce((sum, { byteLength }) => sum + byteLength, 0) / SLOWEST;
  }

  #lose(error: unknown): void {
    this.#reason = messageOf(error);
    if (this.#isUp) void this.#expect();
    this.#isUp = false;
    if (!this.#renewing) void this.#renew();
  }

  /** Has calls wait for the server for a while. Never rejects. */
  async #expect(): Promise<void> {
    const { patience } = this.#settings;
    if (patience === 0) return;
    const absence = this.#absence = {};
    await this.#clock.sleep(patience, { signal: this.#end.signal }).catch(() => {});
    // It may have come back, and have gone away once more.
    if (this.#absence !== absence) return;
    this.#wake();
    this.onAway();
  }

  /** Tries until the server is there again. Never rejects. */
  async #renew(): Promise<void> {
    this.#renewing = true;
    for (let wait = SHORTEST_WAIT; !this.#end.signal.aborted; wait = Math.min(2 * wait, LONGEST_WAIT)) {
      try {
        await this.#clock.sleep(wait, { signal: this.#end.signal, background: true });
        await this.#greet();
        this.#isUp = !this.#end.signal.aborted;
        break;
      } catch (error) {
        if (!this.#end.signal.aborted) this.#reason = messageOf(error);
      }
    }
    this.#renewing = false;
    if (!this.#isUp) return;
    this.#wake();
    this.onUp();
  }

  #asCacheError(tried: string, error: unknown): unknown {
    return error instanceof Unreachable ? this.unavailable(tried, error.message, error) : error;
  }
}

function outcomeOf(payload: Uint8Array): Outcome {
  const reader = new ByteReader(payload);
  const reply = reader.byte();
  switch (reply) {
    case Reply.DONE:
      return { type: "done", reader };
    case Reply.FAILED:
      return { type: "failed", code: readCode(reader), why: reader.isAtEnd ? undefined : reader.text() };
    case Reply.REFUSED:
      return { type: "refused", message: reader.text() };
    case Reply.DAMAGED:
      return { type: "damaged" };
    case Reply.LATER:
      return { type: "later" };
    default:
      throw new BadBytes(`the reply ${reply} is not known here`);
  }
}
