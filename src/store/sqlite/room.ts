/**
 * Keeps a directory of databases below a number of bytes. Answers are stored at once while there is room for them as far
 * as is known; what they write is estimated high, and now and then measured. Before it is full, room is made for more:
 * logs are moved into their databases, the least recently used requests are removed, files are cut off. Whoever comes
 * when it is full waits for that, and is refused where it does not help.
 *
 * Several processes may do so at once: each begins to write a part of the free room only before it measures anew what the
 * others have left of it, and removes nothing that was used later than what it found to be too much.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { Clearance } from "./clearance.ts";
import type { Databases, DatabasesSettings } from "./databases.ts";
import { DiskUse } from "./disk_use.ts";
import { toCacheError } from "./failure.ts";
import { sum } from "./sum.ts";

/** Nobody writes when so much of the limit is taken: making room takes some, too. */
const FULL = 0.94;
/** Room is made when so much is taken, down to so much; requests are removed where logs alone do not help. */
const HIGH = 0.925;
const MIDDLE = 0.915;
const LOW = 0.9;
/** No more than that is made at once: whoever waits waits for so many requests to be removed, however large the cache. */
const BITE_BYTES = 8 * 1024 * 1024;
/** A put writes its bytes into the log, from where they are moved into the database, … */
const COPIES = 2;
/** … and some pages of tables and indexes. */
const PAGES_BYTES = 64 * 1024;
/** It is measured anew once so much may have been written: others may write as much meanwhile. */
const MEASURED_PART = 1 / 128;
/** No more than such a part of the free room, or of all, is begun to be written until it is, whatever others write. */
const FREE_PART = 1 / 16;
const STARTED_PART = 1 / 64;
/** What did not help is tried again so much later, while somebody waits, and once he was refused not for so long. */
const BETWEEN_TRIES: Milliseconds = 50;
const STUCK: Milliseconds = 1000;

/** How much a put will write: at most, known at once, and really, to be found out. */
export interface PutSize {
  readonly most: number;
  readonly bytes: number;
}

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
  /** What was being written when it was last begun to measure, or was begun since: it may not be measured. */
  #started = 0;
  readonly #waiting: Waiting[] = [];
  readonly #writing = new Map<Promise<unknown>, number>();
  #making: Promise<void> | undefined;
  #measuring: Promise<void> = Promise.resolve();
  #isLooking = false;
  /** Until then whoever waits is refused at once, and nothing is tried while nobody waits. */
  #stuckUntil: Milliseconds = -Infinity;
  #restUntil: Milliseconds = -Infinity;

  constructor(databases: Databases, settings: DatabasesSettings, maxBytes: number) {
    this.#settings = settings;
    this.#maxBytes = maxBytes;
    this.#use = new DiskUse(databases, settings);
    this.#clearance = new Clearance(databases, settings, {
      use: this.#use,
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
  admit(size: PutSize, write: () => Promise<void>): Promise<void> {
    const most = this.#maxBytes * LOW;
    let cost = costOf(size.most);
    if (cost > most) cost = costOf(size.bytes);
    if (cost > most) return Promise.reject(this.#tooLarge(size.bytes));
    if (this.#waiting.length === 0 && this.#hasRoom(cost)) return this.#start(cost, write);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ cost, start: () => void this.#start(cost, write).then(resolve, reject), reject });
      this.#makeRoom();
    });
  }

  /** Whether so much can be begun to be written before it is measured anew. */
  #hasRoom(cost: number): boolean {
    const full = this.#maxBytes * FULL;
    if (this.#expected + cost > full) return false;
    const most = Math.max((full - this.#use.taken) * FREE_PART, this.#maxBytes * STARTED_PART);
    return this.#started === 0 || this.#started + cost <= most;
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
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
      // Who came after the last look and before this has not been seen.
      if (this.#waiting.length > 0) this.#makeRoom();
    });
  }

  async #make(): Promise<void> {
    const { clock } = this.#settings.runtime;
    // Who writes in this turn of the event loop is measured too.
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    try {
      for (let waited = 0, taken = Infinity;;) {
        await this.#measure();
        // Others make room, too.
        if (this.#use.taken < taken) waited = 0;
        taken = this.#use.taken;
        this.#startWaiting();
        const first = this.#waiting[0];
        if (!first && this.#use.taken <= this.#maxBytes * HIGH) return;
        if (first && this.#writing.size > 0 && this.#use.taken + first.cost <= this.#maxBytes * FULL) {
          await Promise.allSettled(this.#writing.keys());
          continue;
        }
        const isStuck = clock.monotonic() < (first ? this.#stuckUntil : this.#restUntil);
        if (!isStuck && await this.#free(first?.cost ?? 0)) {
          waited = 0;
        } else if (!first) {
          if (!isStuck) this.#restUntil = clock.monotonic() + STUCK;
          // Somebody may have come to wait meanwhile.
          if (this.#waiting.length === 0) return;
        } else if (!isStuck && waited < this.#settings.lockTimeout) {
          // Somebody else may be making room, or keep us from it for a while.
          await clock.sleep(BETWEEN_TRIES);
          waited += BETWEEN_TRIES;
        } else {
          if (!isStuck) this.#stuckUntil = clock.monotonic() + STUCK;
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
    const target = Math.max(this.#maxBytes * LOW, this.#use.taken - BITE_BYTES);
    return this.#clearance.clear(Math.min(this.#maxBytes * MIDDLE, wanted), Math.min(target, wanted));
  }

  #startWaiting(): void {
    while (this.#waiting.length > 0 && this.#hasRoom(this.#waiting[0]!.cost)) {
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
    this.#started = sum(this.#writing.values());
    await this.#use.measure();
    this.#expected = this.#use.taken + this.#started;
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

function costOf(bytes: number): number {
  return COPIES * bytes + PAGES_BYTES;
}
