/**
 * Keeps a directory of databases below a number of bytes. Answers are stored at once while there is room for them as far
 * as is known; what they write is estimated high, and now and then measured. Before it is full, room is made for more:
 * logs are moved into their databases, the least recently used requests are removed, files are cut off. Whoever comes
 * when it is full waits for that, and is refused where it does not help.
 *
 * Several processes may do so at once: each measures anew while it goes on, and removes nothing that was used later than
 * what it found to be too much.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { Clearance } from "./clearance.ts";
import type { Databases, DatabasesSettings } from "./databases.ts";
import { DiskUse } from "./disk_use.ts";
import { toCacheError } from "./failure.ts";
import { longLog } from "./log.ts";
import { sum } from "./sum.ts";

/** Nobody writes when so much of the limit is taken: making room takes some, too. */
const FULL = 0.94;
/** Room is made when so much is taken, down to so much; requests are removed where logs alone do not help. */
const HIGH = 0.925;
const MIDDLE = 0.915;
const LOW = 0.9;
/** A put writes its bytes into the log, from where they are moved into the database, … */
const COPIES = 2;
/** … and some pages of tables and indexes. */
const PAGES_BYTES = 64 * 1024;
/** It is measured anew once so much may have been written: others may write as much meanwhile. */
const MEASURED_PART = 1 / 128;
/** What did not help is tried again so much later, while somebody waits, and once he was refused not for so long. */
const BETWEEN_TRIES: Milliseconds = 50;
const STUCK: Milliseconds = 1000;

/** A put that waits for room. */
interface Waiting {
  readonly cost: number;
  readonly start: () => void;
  readonly reject: (reason: CacheError) => void;
}

/** The room in a directory. */
export class Room {
  readonly #settings: DatabasesSettings;
  readonly #maxBytes: number;
  readonly #use: DiskUse;
  readonly #clearance: Clearance;
  /** What all databases take, with what was written since, as far as is known. */
  #expected = 0;
  /** What was begun to be written since it was last begun to measure. */
  #started = 0;
  readonly #waiting: Waiting[] = [];
  readonly #writing = new Map<Promise<unknown>, number>();
  #making: Promise<void> | undefined;
  #measuring: Promise<void> = Promise.resolve();
  #isLooking = false;
  #stuckUntil: Milliseconds = -Infinity;

  constructor(databases: Databases, settings: DatabasesSettings, maxBytes: number) {
    this.#settings = settings;
    this.#maxBytes = maxBytes;
    this.#use = new DiskUse(databases, settings);
    this.#clearance = new Clearance(databases, settings, {
      use: this.#use,
      longLog: longLog(maxBytes),
      measure: () => this.#measure(),
      onSlice: () => this.#look(),
    });
    databases.onUpkeep = () => this.#makeRoom();
  }

  /**
   * Lets everybody in who waits, since the store is being closed: somebody has paid for these answers. What is too much is
   * removed when it is opened again.
   */
  open(): void {
    for (const { start } of this.#waiting.splice(0)) start();
  }

  /** Measures, and begins to make room where there is too little. */
  async check(): Promise<void> {
    await this.#measure();
    if (this.#use.taken > this.#maxBytes * HIGH) this.#makeRoom();
  }

  /**
   * Runs `write`, which stores an answer of so many bytes, at once or when there is room.
   *
   * @throws CacheError `unavailable` when there is none to be had.
   */
  admit(bytes: number, write: () => Promise<void>): Promise<void> {
    const cost = COPIES * bytes + PAGES_BYTES;
    if (cost > this.#maxBytes * LOW) return Promise.reject(this.#tooLarge(bytes));
    if (this.#waiting.length === 0 && this.#expected + cost <= this.#maxBytes * FULL) return this.#start(cost, write);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ cost, start: () => void this.#start(cost, write).then(resolve, reject), reject });
      this.#makeRoom();
    });
  }

  #start(cost: number, write: () => Promise<void>): Promise<void> {
    this.#expected += cost;
    this.#started += cost;
    const writing = write().finally(() => this.#writing.delete(writing));
    this.#writing.set(writing, cost);
    if (this.#expected > this.#maxBytes * HIGH) this.#makeRoom();
    this.#look();
    return writing;
  }

  #makeRoom(): void {
    this.#making ??= this.#make().finally(() => this.#making = undefined);
  }

  async #make(): Promise<void> {
    const { clock } = this.#settings.runtime;
    // Who writes in this turn of the event loop is measured too.
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    try {
      for (let waited = 0;;) {
        await this.#measure();
        this.#startWaiting();
        const first = this.#waiting[0];
        if (!first && this.#use.taken <= this.#maxBytes * HIGH) return;
        if (first && this.#writing.size > 0 && this.#use.taken + first.cost <= this.#maxBytes * FULL) {
          await Promise.allSettled(this.#writing.keys());
          continue;
        }
        const isStuck = clock.monotonic() < this.#stuckUntil;
        if (!isStuck && await this.#free(first?.cost ?? 0)) {
          waited = 0;
        } else if (first && !isStuck && waited < this.#settings.lockTimeout) {
          // Somebody else may be making room, or keep us from it for a while.
          await clock.sleep(BETWEEN_TRIES);
          waited += BETWEEN_TRIES;
        } else {
          if (!isStuck) this.#stuckUntil = clock.monotonic() + STUCK;
          if (!first) return;
          // Unless it was let in meanwhile.
          if (first === this.#waiting[0]) this.#waiting.shift()!.reject(this.#full());
        }
      }
    } catch (error) {
      for (const { reject } of this.#waiting.splice(0)) reject(toCacheError(error));
    }
  }

  /** Makes room, for an answer that costs so much too; returns whether that helped. */
  #free(cost: number): Promise<boolean> {
    const wanted = this.#maxBytes * FULL - cost;
    return this.#clearance.clear(Math.min(this.#maxBytes * MIDDLE, wanted), Math.min(this.#maxBytes * LOW, wanted));
  }

  #startWaiting(): void {
    while (this.#waiting.length > 0 && this.#expected + this.#waiting[0]!.cost <= this.#maxBytes * FULL) {
      this.#waiting.shift()!.start();
    }
  }

  /** Measures anew when much was begun to be written, whatever else goes on. */
  #look(): void {
    if (this.#isLooking || this.#started <= this.#maxBytes * MEASURED_PART) return;
    this.#isLooking = true;
    this.#measure()
      .then(() => {
        if (this.#use.taken > this.#maxBytes * HIGH) this.#makeRoom();
      })
      // Whoever waits for room hears of it.
      .catch(() => {})
      .finally(() => this.#isLooking = false);
  }

  /** One after the other, since each starts to count anew what is begun to be written. */
  #measure(): Promise<void> {
    return this.#measuring = this.#measuring.catch(() => {}).then(() => this.#measureNow());
  }

  async #measureNow(): Promise<void> {
    // What is being written now, and what is until the end, may be measured or not.
    const writing = sum(this.#writing.values());
    this.#started = 0;
    await this.#use.measure();
    this.#expected = this.#use.taken + writing + this.#started;
  }

  #tooLarge(bytes: number): CacheError {
    return new CacheError(
      "unavailable",
      `Cannot store an answer in ${this.#settings.directory}: it has ${bytes} bytes, which is too much for maxBytes ` +
        `${this.#maxBytes} (being stored it takes up to ${COPIES} times its bytes); raise maxBytes`,
    );
  }

  #full(): CacheError {
    return new CacheError(
      "unavailable",
      `Cannot store an answer in ${this.#settings.directory}: it takes ${this.#use.taken} bytes of maxBytes ` +
        `${this.#maxBytes}, and nothing more can be removed; raise maxBytes, or end other programs that use it`,
    );
  }
}
