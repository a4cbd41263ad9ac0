/**
 * When the upkeep of open databases is done: in quiet moments, in slices with pauses in between, until somebody uses the
 * store again; and when answers expire, though nobody uses it. It keeps no process alive.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { ModelDatabase } from "./model_database.ts";

/** Nobody asked for anything for so long: a quiet moment. */
const IDLE: Milliseconds = 500;
/** Under steady load work is done all the same, every so many times {@link IDLE}, in so many rounds at most. */
const MOST_POSTPONED = 20;
const MOST_ROUNDS = 16;
/** It is looked for what is due this often at least, since clocks are set, and this seldom. */
const LONGEST_ALARM: Milliseconds = 60 * 60 * 1000;
const SHORTEST_ALARM: Milliseconds = 1000;
/** The event loop belongs to others for at least so long after each slice. */
const PAUSE: Milliseconds = 4;

/** What is maintained, and with what. */
export interface MaintenanceParts {
  readonly clock: Clock;
  /** Aborted when the store is closed. */
  readonly signal: AbortSignal;
  /** The open databases, by model. */
  databases(): readonly (readonly [model: string, database: ModelDatabase])[];
  /** Closes a database that can no longer be trusted. */
  giveUp(model: string): void;
  /** Called when some was done. */
  onDone(): void;
}

/** The upkeep of a store. */
export class Maintenance {
  readonly #parts: MaintenanceParts;
  #running = false;
  #used = false;
  /** When it is looked next for what is due. */
  #alarm: Milliseconds = Infinity;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
  }

  /** Somebody uses a database, and may have given it work. */
  notice(database: ModelDatabase): void {
    this.#used = true;
    if (this.#running || !database.connection.isChanged) return;
    database.connection.isChanged = false;
    this.look(database);
  }

  /** Begins if a database has work, and sees to what it will have. */
  look(database: ModelDatabase): void {
    if (database.hasWork) this.start();
    else this.#watch(database.due);
  }

  /** Begins to wait for a quiet moment, unless it does so already. */
  start(): void {
    if (!this.#running && !this.#parts.signal.aborted) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    try {
      for (let postponed = 0; this.#hasWork;) {
        this.#used = false;
        await this.#sleep(IDLE);
        if (this.#used && ++postponed < MOST_POSTPONED) continue;
        postponed = 0;
        await this.#tidyUp();
        this.#parts.onDone();
      }
    } catch {
      // The store was closed.
    } finally {
      this.#running = false;
      for (const [, database] of this.#parts.databases()) this.#watch(database.due);
    }
  }

  get #hasWork(): boolean {
    return this.#parts.databases().some(([, database]) => database.hasWork);
  }

  /** Sees to it that work begins when it is due, unless it is looked for it before. */
  #watch(due: Milliseconds): void {
    const { clock, signal } = this.#parts;
    // Most of what is put is due later than what was put before.
    if (due > this.#alarm - SHORTEST_ALARM || due === Infinity || signal.aborted) return;
    const now = clock.now();
    const alarm = this.#alarm = Math.min(Math.max(due, now + SHORTEST_ALARM), now + LONGEST_ALARM);
    this.#sleep(alarm - now).then(() => {
      // Another is sooner, or was and has rung.
      if (this.#alarm !== alarm) return;
      this.#alarm = Infinity;
      if (this.#hasWork) return this.start();
      for (const [, database] of this.#parts.databases()) this.#watch(database.due);
    }, () => {
      // The store was closed.
    });
  }

  /** Does what there is to do: all of it where it is quiet, some of each kind where it is not. */
  async #tidyUp(): Promise<void> {
    const isQuiet = !this.#used;
    // What fails is left alone until the next quiet moment.
    const failed = new Set<ModelDatabase>();
    for (let round = 0, worked = true; worked && (isQuiet || round < MOST_ROUNDS); round++) {
      worked = false;
      for (const [model, database] of this.#parts.databases()) {
        for (const job of database.upkeep) {
          if (database.closed || failed.has(database) || !job.hasWork) continue;
          try {
            job.work();
            worked = true;
          } catch {
            failed.add(database);
          }
          if (database.broken) this.#parts.giveUp(model);
          await this.#sleep(PAUSE);
          if (isQuiet && this.#used) return;
        }
      }
    }
    const databases = this.#parts.databases();
    for (const [, database] of databases) database.fitPageCache(databases.length);
  }

  #sleep(duration: Milliseconds): Promise<void> {
    return this.#parts.clock.sleep(duration, { signal: this.#parts.signal, background: true });
  }
}
