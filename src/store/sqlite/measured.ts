/**
 * How much a database holds, counted row by row in slices: whoever else uses it, here or in another process, is served
 * in between.
 *
 * @module
 */

import type { SqlDriver } from "../../sqlite/driver.ts";
import type { StoreSize } from "../store.ts";

/** Rows that are measured at once: 2 ms of work, more where they are read from the disk. */
const AT_ONCE = 2048;

const SUMS = "SELECT count(*), total(size), total(stored), max(id) FROM " +
  "(SELECT rowid AS id, size, length(body) AS stored FROM entry WHERE rowid > ? ORDER BY rowid LIMIT ?)";

/** How much some rows hold. */
export interface Measured extends Omit<StoreSize, "totalBytes"> {
  /** What to go on after; `undefined` when there is no more. */
  readonly last: number | undefined;
}

/** Measures the rows that come after one, 0 for the first, as many as can be without keeping others waiting. */
export function measureSome(driver: SqlDriver, after: number): Measured {
  const statement = driver.prepare(SUMS);
  try {
    const [entries, bodyBytes, storedBytes, last] = statement.get(after, AT_ONCE) as number[];
    const more = entries === AT_ONCE;
    return { entries: entries!, bodyBytes: bodyBytes!, storedBytes: storedBytes!, last: more ? last : undefined };
  } finally {
    statement.finalize();
  }
}
