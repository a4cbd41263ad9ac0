/**
 * When the requests of one database were last used, and what they take: of all of them where they are few, of some
 * thousand where they are many. To weigh a million would take a minute, whenever room is to be made.
 *
 * Keys are hashes, so those next to evenly spaced points are a fair sample. Of each request that is weighed a few pages
 * are read, which lie anywhere.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Key } from "../store.ts";
import { AgeHistogram } from "./age_histogram.ts";
import type { Connection } from "./connection.ts";
import { WEIGHT, weightOf } from "./eviction.ts";

/** Into so many parts the keys are divided, and so many requests are weighed of each. */
const PARTS = 256;
const OF_EACH = 8;
/** How long weighing goes on in one slice. */
const LONGEST: Milliseconds = 3;

const WEIGH_SOME =
  `SELECT ${WEIGHT} WHERE found.key >= ? AND found.key < ? GROUP BY found.key ORDER BY found.key LIMIT ${OF_EACH}`;

/** A sample of one database's requests. */
export class RequestSample {
  /** Bytes of those that were weighed, by the age of their last use. */
  readonly ages: AgeHistogram;
  /** Whether these are all, once all is done. */
  isWhole = true;
  #part = 0;

  /** Ages are measured from `now`. */
  constructor(now: Milliseconds) {
    this.ages = new AgeHistogram(now);
  }

  /**
   * Weighs some; returns whether there is more to weigh.
   *
   * @throws SqliteError
   */
  some(connection: Connection): boolean {
    const { clock } = connection;
    connection.enterReading(clock.now());
    const end = clock.monotonic() + LONGEST;
    do {
      const rows = connection.statement(WEIGH_SOME).all(startOf(this.#part), startOf(this.#part + 1));
      for (const row of rows) {
        const { used, bytes } = weightOf(row);
        this.ages.add(used, bytes);
      }
      if (rows.length === OF_EACH) this.isWhole = false;
      this.#part++;
    } while (this.#part < PARTS && clock.monotonic() <= end);
    return this.#part < PARTS;
  }
}

/** Before the first key of a part, and after the last of the one before. */
function startOf(part: number): Key {
  if (part === 0) return new Uint8Array(0);
  if (part === PARTS) return new Uint8Array(33).fill(0xff);
  const start = new Uint8Array(4);
  new DataView(start.buffer).setUint32(0, part * (2 ** 32 / PARTS));
  return start;
}
