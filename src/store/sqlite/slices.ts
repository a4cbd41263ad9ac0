/**
 * Uses databases for long work without keeping others waiting: a slice at a time, and in between the event loop turns.
 * Where a database is shared, processes that wait to write to it get as much time as a slice has taken. A log that the
 * work has made too long is cut off before it goes on.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { Databases } from "./databases.ts";
import type { ModelDatabase } from "./model_database.ts";

/** Who waits for less than this is not kept waiting. */
const LONG: Milliseconds = 1;

/** Does work in slices. */
export class Slices {
  readonly #databases: Databases;
  readonly #clock: Clock;

  constructor(databases: Databases, clock: Clock) {
    this.#databases = databases;
    this.#clock = clock;
  }

  /**
   * One slice of the work on a model's database: resolves after others had their turn, with what `use` returned;
   * `undefined` when there is no database. `purpose` is for messages.
   *
   * @throws CacheError
   */
  async use<T>(model: string, purpose: string, use: (database: ModelDatabase) => T): Promise<T | undefined> {
    let took: Milliseconds = 0;
    let isLonger = false;
    const result = await this.#databases.read(model, purpose, (database) => {
      const began = this.#clock.monotonic();
      const before = database.log.length;
      const result = use(database);
      isLonger = database.log.length > before;
      took = this.#clock.monotonic() - began;
      return result;
    });
    const isShared = this.#databases.peek(model)?.isExclusive === false;
    if (isShared && took >= LONG) await this.#clock.sleep(took);
    else await this.#turn();
    if (isLonger && this.#databases.peek(model)?.log.isTooLong) {
      await this.#cutLog(model);
      await this.#turn();
    }
    return result;
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => this.#clock.afterTurn(resolve));
  }

  async #cutLog(model: string): Promise<void> {
    try {
      await this.#databases.cutLog(model);
    } catch {
      // It is as long as it is: what was done is done.
    }
  }
}
