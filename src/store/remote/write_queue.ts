/**
 * Answers on their way to the server: in order, many together, one message at a time. What cannot be sent now waits here,
 * up to a bound: an answer that was paid for is not lost to an outage that the process outlives. One of which nobody knows
 * whether it arrived is sent again, marked so, and stored once all the same.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { Key, StoreFault } from "../store.ts";
import { Lateness, LATENESS_AT } from "./calls.ts";
import type { Link, Outcome } from "./link.ts";
import { FRAME_BYTES, MOST_MESSAGE_BYTES, START_BYTES } from "./message.ts";
import { Unreachable } from "./unreachable.ts";

/** So many are sent together, and so many bytes. */
const MOST_TOGETHER = 64;
const MOST_BYTES = 4 * 1024 * 1024;
const SHORTEST_PAUSE: Milliseconds = 50;
/** A write of so many bytes may be what breaks the connection: something on the way does not let it through. */
const LONG = 1024 * 1024;
/** So often it is tried all the same. */
const MOST_ATTEMPTS = 5;

const TRIED = "store an answer";
const AWAY = "the server is away";

/** Something to be written. */
export interface Write {
  readonly model: string;
  readonly key: Key;
  /** The call, whose lateness is set when it is sent. */
  readonly payload: Uint8Array;
}

interface Waiting extends Write {
  /** Whether its caller was told that it will be there; else he waits. */
  isKept: boolean;
  /** Whether it has been waiting for the server. */
  isLate: boolean;
  /** How often it was sent, and nobody knows what became of it. */
  attempts: number;
  why: string;
  resolve(): void;
  reject(error: unknown): void;
}

/** Writes in order. */
export class WriteQueue {
  /** Hears of what was acknowledged, and will not be there. */
  onFault: (fault: StoreFault) => void = () => {};
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #most: number;
  readonly #waiting = new Set<Waiting>();
  readonly #end = new AbortController();
  /** Bytes of what is kept. */
  #bytes = 0;
  /** How many are sent together at most; fewer once together they were too long. */
  #together = MOST_TOGETHER;
  #flushing: Promise<void> | undefined;

  constructor(link: Link, clock: Clock, most: number) {
    this.#link = link;
    this.#clock = clock;
    this.#most = most;
  }

  /**
   * Writes, now or as soon as the server is back.
   *
   * @throws CacheError `unavailable` when there is no room to wait, `closed`, and what the server's store fails with.
   */
  write(write: Write): Promise<void> {
    if (this.#end.signal.aborted) return Promise.reject(closed());
    const most = MOST_MESSAGE_BYTES - START_BYTES - FRAME_BYTES;
    if (write.payload.byteLength > most) {
      const reason = `it takes ${write.payload.byteLength} bytes, and a message has ${most} at most`;
      return Promise.reject(this.#link.unavailable(TRIED, reason));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { ...write, isKept: false, isLate: false, attempts: 0, why: "", resolve, reject };
    this.#waiting.add(waiting);
    if (this.#link.isUp) void this.flush();
    else this.#keep(waiting, AWAY);
    return promise;
  }

  /** Sends what waits, if anything does. Never rejects. */
  flush(): Promise<void> {
    return this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
      // Something may have come while it ended.
      if (this.#waiting.size > 0 && this.#link.isUp && !this.#end.signal.aborted) return this.flush();
    });
  }

  /**
   * Waits until what waits now has been sent, of the writes that matter.
   *
   * @throws CacheError `unavailable` when the server is away.
   */
  async settle(tried: string, matters: (write: Write) => boolean): Promise<void> {
    const before = [...this.#waiting].filter(matters);
    if (before.length === 0) return;
    await this.#link.whileExpected();
    await this.flush();
    const left = before.filter((waiting) => this.#waiting.has(waiting));
    if (left.length === 0) return;
    const reason = `${left.length} answers that were put before wait to be stored: ${left[0]!.why}`;
    throw this.#link.unavailable(tried, reason);
  }

  /** Has the callers of all that waits go on: the server is not expected back. */
  keepAll(): void {
    for (const waiting of [...this.#waiting]) this.#keep(waiting, waiting.why || AWAY);
  }

  /** Ends: what still waits after `patience` is given up, and reported, each. */
  async close(patience: Milliseconds): Promise<void> {
    const until = this.#clock.monotonic() + patience;
    while (this.#waiting.size > 0 && this.#clock.monotonic() < until) {
      await this.#link.settle(until - this.#clock.monotonic());
      const flushed = new AbortController();
      const late = this.#clock.sleep(Math.max(until - this.#clock.monotonic(), 0), { signal: flushed.signal })
        .catch(() => {});
      await Promise.race([this.flush(), late]);
      flushed.abort();
      if (this.#waiting.size > 0) await this.#clock.sleep(Math.min(SHORTEST_PAUSE, patience));
    }
    this.#end.abort();
    for (const waiting of [...this.#waiting]) {
      this.#giveUp(waiting, this.#link.unavailable(`${TRIED} before closing`, waiting.why));
    }
  }

  /** Has a write wait, and its caller go on, unless the server will be back before he minds. */
  #keep(waiting: Waiting, why: string): void {
    waiting.why = why;
    waiting.isLate = true;
    if (waiting.isKept || this.#link.isExpected) return;
    const { byteLength } = waiting.payload;
    if (this.#bytes + byteLength > this.#most) {
      const reason = `${why}, and there is no room for it to wait: it takes ${byteLength} bytes, and ${this.#bytes} ` +
        `bytes of answers wait already (queueBytes: ${this.#most})`;
      return this.#giveUp(waiting, this.#link.unavailable(TRIED, reason));
    }
    waiting.isKept = true;
    this.#bytes += byteLength;
    waiting.resolve();
  }

  async #flush(): Promise<void> {
    // What is put in one turn goes together.
    await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
    while (this.#link.isUp && !this.#end.signal.aborted) {
      const batch = this.#nextBatch();
      if (batch.length === 0) return;
      await this.#send(batch);
    }
    // Whoever brings the line up calls again.
    this.keepAll();
  }

  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const waiting of this.#waiting) {
      bytes += waiting.payload.byteLength + FRAME_BYTES;
      if (batch.length === this.#together || (batch.length > 0 && bytes > MOST_BYTES)) break;
      batch.push(waiting);
    }
    return batch;
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    let outcomes: readonly Outcome[];
    try {
      outcomes = await this.#link.send(batch.map(marked));
    } catch (error) {
      return this.#sentInVain(batch, error);
    }
    this.#together = MOST_TOGETHER;
    for (const [index, waiting] of batch.entries()) this.#settleOne(waiting, outcomes[index]!);
    // A server that is stopping, or a line that changes bytes, is not hurried.
    const isSettled = batch.some((waiting) => !this.#waiting.has(waiting));
    if (!isSettled) await this.#clock.sleep(SHORTEST_PAUSE, { signal: this.#end.signal }).catch(() => {});
  }

  #sentInVain(batch: readonly Waiting[], error: unknown): void {
    if (error instanceof Unreachable && error.isTooLong) {
      if (batch.length > 1) this.#together = 1;
      else this.#giveUp(batch[0]!, this.#link.unavailable(TRIED, error.message, error));
      return;
    }
    const why = (error as Error).message;
    for (const waiting of batch) {
      waiting.attempts++;
      const isHopeless = waiting.payload.byteLength > LONG && waiting.attempts >= MOST_ATTEMPTS;
      if (isHopeless) this.#giveUp(waiting, this.#link.unavailable(TRIED, why, error));
      else this.#keep(waiting, why);
    }
  }

  #settleOne(waiting: Waiting, outcome: Outcome): void {
    if (outcome.type === "done") {
      this.#drop(waiting);
      return waiting.resolve();
    }
    const isOver = outcome.type === "failed" ? outcome.code !== "closed" : outcome.type === "refused";
    try {
      this.#link.granted(TRIED, outcome);
    } catch (error) {
      if (isOver) return this.#giveUp(waiting, error);
      // The reply to what was stored may be what was damaged.
      waiting.attempts++;
      this.#keep(waiting, (error as Error).message);
    }
  }

  #giveUp(waiting: Waiting, error: unknown): void {
    this.#drop(waiting);
    if (!waiting.isKept) return waiting.reject(error);
    const fault = error instanceof CacheError ? error : this.#link.unavailable(TRIED, (error as Error).message, error);
    this.onFault({ type: "write_failed", model: waiting.model, error: fault });
  }

  #drop(waiting: Waiting): void {
    if (this.#waiting.delete(waiting) && waiting.isKept) this.#bytes -= waiting.payload.byteLength;
  }
}

/** A write as it is sent now. */
function marked({ payload, attempts, isLate }: Waiting): Uint8Array {
  payload[LATENESS_AT] = attempts > 0 ? Lateness.AGAIN : isLate ? Lateness.WAITED : Lateness.NONE;
  return payload;
}

function closed(): CacheError {
  return new CacheError("closed", `Cannot ${TRIED}: the store was closed`);
}
