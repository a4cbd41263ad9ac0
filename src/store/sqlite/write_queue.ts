/**
 * What waits to be written to one model's database. Writes of one turn of the event loop share a transaction, and with it
 * what a transaction costs; what does not fit waits for the next turn. The queue outlives the connection: it may be
 * closed to make room for another, break, or find its file gone, and what is queued goes to the one opened next.
 *
 * What takes time though nobody else is kept from writing by it, such as compressing, is done before a transaction begins.
 *
 * A group that fails is tried again in halves, until the write that spoils it stands alone: its neighbours do not fail
 * with it. A database that somebody else has locked is tried again until each write's time is up.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { isBusy } from "../../sqlite/error.ts";
import { CacheError } from "../error.ts";
import type { MaybePromise } from "../store.ts";
import { stillBusy, toCacheError } from "./failure.ts";
import type { ModelDatabase, Write } from "./model_database.ts";
import { nextWait } from "./patience.ts";

/** Where a queue's writes go. */
export interface WriteTarget {
  readonly clock: Clock;
  /** How long to try while somebody else has the database locked. */
  readonly lockTimeout: Milliseconds;
  /** Where the database lies, for messages. */
  readonly path: string;
  /**
   * Runs `use` on the database, opened and made if need be.
   *
   * @throws CacheError when it cannot be opened; whatever `use` throws.
   */
  use<T>(use: (database: ModelDatabase) => T): MaybePromise<T>;
  /** Does what should be done between two transactions, in turns of the event loop of its own. */
  keepUp(): Promise<void>;
  /** Called when nothing is left to do. */
  onIdle(): void;
}

/** More than a transaction has time for. */
const MOST_AT_ONCE = 1024;
/** Getting writes ready goes on for so long in one turn of the event loop, and has one of its own if it takes so long. */
const LONGEST_READYING: Milliseconds = 4;
const LONG_READYING: Milliseconds = 1;

interface Waiting {
  readonly write: Write<unknown>;
  readonly resolve: (result: unknown) => void;
  readonly reject: (reason: CacheError) => void;
  /** How long it may still wait for the lock. */
  left: Milliseconds;
}

/** The writes to one model's database. Ends with {@link WriteTarget.onIdle}; the next write needs a new one. */
export class WriteQueue {
  /** Resolves once nothing is left to do. */
  readonly idle: Promise<void>;
  readonly #target: WriteTarget;
  #waiting: Waiting[] = [];
  /** How many of them, from the first on, can be written now. */
  #ready = 0;
  /** How many to try in one transaction. */
  #most = MOST_AT_ONCE;
  #lastWait: Milliseconds = 0;

  constructor(target: WriteTarget) {
    this.#target = target;
    this.idle = this.#work();
  }

  /** Resolves, with what it returned, when it is committed. Writes are committed in the order in which they are added. */
  add<T>(write: Write<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = resolve as (result: unknown) => void;
      this.#waiting.push({ write, resolve: settle, reject, left: this.#target.lockTimeout });
    });
  }

  async #work(): Promise<void> {
    do {
      await this.#turn();
      if (this.#getReady() > LONG_READYING) await this.#turn();
      if (this.#ready > 0) await this.#commitSome();
      await this.#target.keepUp();
    } while (this.#waiting.length > 0);
    this.#target.onIdle();
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#target.clock.afterTurn(resolve));
  }

  /** Finds out how much the next writes will write, unless enough of them are ready; returns how long that took. */
  #getReady(): Milliseconds {
    const { clock } = this.#target;
    const began = clock.monotonic();
    let took: Milliseconds = 0;
    while (this.#ready < Math.min(this.#most, this.#waiting.length) && took < LONGEST_READYING) {
      try {
        void this.#waiting[this.#ready]!.write.bytes;
        this.#ready++;
      } catch (error) {
        this.#reject(this.#waiting.splice(this.#ready, 1), () => toCacheError(error));
      }
      took = clock.monotonic() - began;
    }
    return took;
  }

  /** Takes the first ones out. */
  #take(count: number): Waiting[] {
    this.#ready = Math.max(0, this.#ready - count);
    return this.#waiting.splice(0, count);
  }

  /** One transaction, if it works. */
  async #commitSome(): Promise<void> {
    let tried = 0;
    try {
      const { results, doubt } = await this.#target.use((database) => {
        const group = this.#waiting.slice(0, Math.min(this.#most, this.#ready));
        tried = group.length;
        return database.writeSome(group.map(({ write }) => write));
      });
      const done = this.#take(results.length);
      if (doubt) return this.#reject(done, () => doubt);
      this.#lastWait = 0;
      this.#most = Math.min(this.#most * 2, MOST_AT_ONCE);
      for (const [index, { resolve }] of done.entries()) resolve(results[index]);
    } catch (error) {
      if (isBusy(error)) await this.#wait(error);
      // It cannot be opened, which all of them would only find out one after the other.
      else if (error instanceof CacheError) this.#reject(this.#take(this.#waiting.length), () => error);
      else if (tried > 1) this.#most = tried >> 1;
      else this.#reject(this.#take(1), () => toCacheError(error));
    }
  }

  /** Gives up those whose time is up and waits for the others. */
  async #wait(error: unknown): Promise<void> {
    const { clock, lockTimeout, path } = this.#target;
    const late = this.#waiting.filter(({ left }) => left <= 0);
    this.#reject(late, ({ purpose }) => stillBusy(`${purpose} in ${path}`, lockTimeout, error));
    this.#waiting = this.#waiting.filter(({ left }) => left > 0);
    // Those that are ready will be found to be so.
    this.#ready = 0;
    if (this.#waiting.length === 0) return;
    // The first of them has waited longest. Those who come while the others sleep have not waited yet.
    const waiting = this.#waiting.slice();
    this.#lastWait = nextWait(this.#lastWait);
    const wait = Math.min(this.#lastWait, waiting[0]!.left);
    await clock.sleep(wait);
    for (const each of waiting) each.left -= wait;
  }

  #reject(writes: readonly Waiting[], reasonFor: (write: Write<unknown>) => CacheError): void {
    for (const { write, reject } of writes) reject(reasonFor(write));
  }
}
