/**
 * Answers on their way to Redis. What cannot be written now, because the server is away or says that it will do so later,
 * waits here in order, up to a bound: an answer that was paid for is not lost to an outage that the process outlives. An
 * answer of which nobody knows whether it arrived is sent again, marked so, and stored once all the same.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { StoreFault } from "../store.ts";
import type { Argument, Reply } from "./driver.ts";
import type { Link, Run } from "./link.ts";
import { NONSENSE } from "./link.ts";
import { Refusal } from "./refusal.ts";
import type { Script } from "./scripts.ts";

/** So many are sent together, and so many bytes. */
const MOST_TOGETHER = 64;
const MOST_BYTES = 4 * 1024 * 1024;
const SHORTEST_PAUSE: Milliseconds = 50;
const LONGEST_PAUSE: Milliseconds = 2000;
/** A failover takes seconds. A server that was given as a replica stays one. */
const REPLICA_PATIENCE: Milliseconds = 60_000;

/** A write of so many bytes may be what breaks the connection: something on the way does not let it through. */
const LONG = 1024 * 1024;
/** So often it is tried all the same. */
const MOST_ATTEMPTS = 5;

/** How late a write is: sent at once, after it had to wait, or for another time, since nobody knows what became of it. */
export type Lateness = "" | "waited" | "again";

/** Something to be written. */
export interface Write {
  readonly model: string;
  readonly route: string;
  readonly key: string;
  /** Bytes it takes while it waits, about. */
  readonly bytes: number;
  /** The arguments to the script. */
  args(lateness: Lateness): readonly Argument[];
}

interface Waiting {
  readonly write: Write;
  readonly since: Milliseconds;
  /** How often it was sent, and nobody knows what became of it. */
  attempts: number;
  why: string;
}

const TRIED = "store an answer";

/** Writes in order, by key. */
export class WriteQueue {
  /** Hears of what was acknowledged, and will not be there. */
  onFault: (fault: StoreFault) => void = () => {};
  readonly #link: Link;
  readonly #clock: Clock;
  readonly #script: Script;
  readonly #most: number;
  readonly #waiting = new Set<Waiting>();
  readonly #waitingKeys = new Map<string, number>();
  /** What is being sent for the first time. */
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #end = new AbortController();
  #bytes = 0;
  #flushing: Promise<void> | undefined;

  constructor(link: Link, clock: Clock, script: Script, most: number) {
    this.#link = link;
    this.#clock = clock;
    this.#script = script;
    this.#most = most;
  }

  /**
   * Writes, now or as soon as the server is back.
   *
   * @throws CacheError `unavailable` when the server refuses for a reason that does not pass, or too much waits already;
   * `closed`.
   */
  async write(write: Write): Promise<void> {
    if (this.#end.signal.aborted) throw new CacheError("closed", `Cannot ${TRIED} in Redis: the store was closed`);
    if (this.#waitingKeys.has(write.key) || !this.#link.isUp(write.route)) {
      return this.#keep(write, 0, "it is away");
    }
    let reply: Reply | Refusal;
    const sending = this.#link.run(TRIED, [this.#runOf(write, "")]);
    this.#underWay.add(sending);
    try {
      [reply] = await sending as [Reply | Refusal];
    } catch (error) {
      return this.#keep(write, 1, (error as CacheError).message);
    } finally {
      this.#underWay.delete(sending);
    }
    if (isDone(reply)) return;
    if (!(reply instanceof Refusal)) reply = NONSENSE;
    if (!reply.passes) throw reply.toError(TRIED, this.#link.location);
    this.#keep(write, 0, reply.toError(TRIED, this.#link.location).message);
  }

  /** Sends what waits, if anything does. Never rejects. */
  flush(): Promise<void> {
    return this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
      // Something may have come while it ended.
      if (!this.#end.signal.aborted && this.#nextBatch().length > 0) return this.flush();
    });
  }

  /**
   * Waits until what waits now has been sent, of the writes that matter.
   *
   * @throws CacheError `unavailable` when none of it can be sent for a while.
   */
  async settle(tried: string, matters: (write: Write) => boolean, patience: Milliseconds): Promise<void> {
    let left = [...this.#waiting].filter(({ write }) => matters(write));
    while (left.length > 0) {
      const before = left.length;
      const late = new AbortController();
      const { signal } = late;
      // A flush that has just been put off needs its pause, too.
      const pause = this.#clock.sleep(patience + LONGEST_PAUSE, { signal, background: true }).catch(() => {});
      await Promise.race([this.flush(), pause]);
      late.abort();
      left = left.filter((waiting) => this.#waiting.has(waiting));
      if (left.length < before) continue;
      const message =
        `Cannot ${tried} in Redis at ${this.#link.location}: ${before} answers that were put before wait to ` +
        `be stored: ${left[0]!.why}`;
      throw new CacheError("unavailable", message);
    }
  }

  /** Ends: what still waits after `patience` is given up, and reported, each. */
  async close(patience: Milliseconds): Promise<void> {
    const until = this.#clock.monotonic() + patience;
    await Promise.allSettled([...this.#underWay]);
    while (this.#waiting.size > 0 && this.#clock.monotonic() < until) {
      await this.#link.settle(until - this.#clock.monotonic());
      // What the server puts off again and again would take longer than there is time.
      const flushed = new AbortController();
      const late = this.#clock.sleep(Math.max(until - this.#clock.monotonic(), 0), { signal: flushed.signal });
      await Promise.race([this.flush(), late]);
      flushed.abort();
      if (this.#waiting.size > 0) await this.#clock.sleep(SHORTEST_PAUSE);
    }
    this.#end.abort();
    for (const { write: { model }, why } of this.#waiting) {
      const message = `Cannot ${TRIED} in Redis at ${this.#link.location} before closing: ${why}`;
      this.onFault({ type: "write_failed", model, error: new CacheError("unavailable", message) });
    }
    this.#waiting.clear();
  }

  #keep(write: Write, attempts: number, why: string): void {
    if (this.#end.signal.aborted) throw new CacheError("closed", `Cannot ${TRIED} in Redis: the store was closed`);
    if (this.#bytes + write.bytes > this.#most) {
      throw new CacheError(
        "unavailable",
        `Cannot ${TRIED} in Redis at ${this.#link.location}: ${why}, and there is no room for it to wait: it takes ` +
          `${write.bytes} bytes, and ${this.#bytes} bytes of answers wait already (queueBytes: ${this.#most})`,
      );
    }
    this.#waiting.add({ write, attempts, why, since: this.#clock.monotonic() });
    this.#waitingKeys.set(write.key, (this.#waitingKeys.get(write.key) ?? 0) + 1);
    this.#bytes += write.bytes;
    if (this.#link.isUp(write.route)) void this.flush();
  }

  #drop(waiting: Waiting): void {
    const { key, bytes } = waiting.write;
    if (!this.#waiting.delete(waiting)) return;
    this.#bytes -= bytes;
    const others = this.#waitingKeys.get(key)! - 1;
    if (others === 0) this.#waitingKeys.delete(key);
    else this.#waitingKeys.set(key, others);
  }

  async #flush(): Promise<void> {
    let pause = SHORTEST_PAUSE;
    while (!this.#end.signal.aborted) {
      const batch = this.#nextBatch();
      // Whoever brings the line up calls again.
      if (batch.length === 0) return;
      if (await this.#send(batch)) {
        pause = SHORTEST_PAUSE;
        continue;
      }
      await this.#clock.sleep(pause, { signal: this.#end.signal, background: true }).catch(() => {});
      pause = Math.min(2 * pause, LONGEST_PAUSE);
    }
  }

  /** The first, of models whose server is there. They arrive in this order, since they go by one connection. */
  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let bytes = 0;
    for (const waiting of this.#waiting) {
      const { route, bytes: more } = waiting.write;
      if (batch.length === MOST_TOGETHER || (batch.length > 0 && bytes + more > MOST_BYTES)) break;
      if (!this.#link.isUp(route)) continue;
      bytes += more;
      batch.push(waiting);
    }
    return batch;
  }

  /** Sends some; whether any of them need not wait any longer. */
  async #send(batch: readonly Waiting[]): Promise<boolean> {
    let replies: readonly (Reply | Refusal)[];
    try {
      replies = await this.#link.run(
        TRIED,
        batch.map(({ write, attempts }) => this.#runOf(write, attempts > 0 ? "again" : "waited")),
      );
    } catch (error) {
      for (const waiting of batch) {
        waiting.attempts++;
        waiting.why = (error as CacheError).message;
        if (waiting.write.bytes > LONG && waiting.attempts >= MOST_ATTEMPTS) this.#giveUp(waiting, error as CacheError);
      }
      return false;
    }
    let moved = false;
    for (const [index, waiting] of batch.entries()) {
      let reply = replies[index]!;
      if (!isDone(reply)) {
        if (!(reply instanceof Refusal)) reply = NONSENSE;
        const error = reply.toError(TRIED, this.#link.location);
        waiting.why = error.message;
        if (reply.passes && !this.#isHopeless(reply, waiting)) continue;
        this.#giveUp(waiting, error);
      }
      this.#drop(waiting);
      moved = true;
    }
    return moved;
  }

  #giveUp(waiting: Waiting, error: CacheError): void {
    // Closing has given up all that still waited.
    if (this.#waiting.has(waiting)) this.onFault({ type: "write_failed", model: waiting.write.model, error });
    this.#drop(waiting);
  }

  #isHopeless(reply: Refusal, { since }: Waiting): boolean {
    return reply.isMisplaced && this.#clock.monotonic() - since > REPLICA_PATIENCE;
  }

  #runOf(write: Write, lateness: Lateness): Run {
    return { script: this.#script, route: write.route, keys: [write.key], args: write.args(lateness) };
  }
}

/** Whether the script says that it has stored an answer, now or before. */
function isDone(reply: Reply | Refusal): boolean {
  return reply === 1 || reply === 0;
}
