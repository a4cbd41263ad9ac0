/**
 * Compares a database with what was acknowledged apart from it. Every row is read and its content checked, without
 * trusting an index.
 */

import type { SqlDriver } from "../../src/sqlite/driver.ts";
import type { Acknowledgements } from "./acknowledgements.ts";
import { checksum, Ledger, Violation } from "./ledger.ts";

/** What an audit found. */
export interface Audit {
  readonly rows: number;
  /** Rows that nobody acknowledged because their process was killed in between, or was told that COMMIT failed. */
  readonly inFlight: number;
  /** What is wrong, each beginning with `lost`, `torn`, `doubled`, `foreign`, `damaged` or `corrupt`. */
  readonly violations: readonly string[];
}

/** Audits a database that nobody else is using. */
export function audit(driver: SqlDriver, acknowledged: ReadonlyMap<number, Acknowledgements>): Audit {
  const violations: string[] = [];
  const all = (sql: string) => {
    const statement = driver.prepare(sql);
    try {
      return statement.all();
    } finally {
      statement.finalize();
    }
  };
  const integrity = all("PRAGMA integrity_check").map(([line]) => line);
  if (integrity.length !== 1 || integrity[0] !== "ok") violations.push(`corrupt: ${integrity.slice(0, 5).join("; ")}`);

  const [n = -1, removed = -1] = all("SELECT n, removed FROM counter")[0]?.map(Number) ?? [];
  const seen = new Set<string>();
  const pages = new Map<number, number>();
  let rows = 0;
  let inFlight = 0;
  for (
    const [id, w, s, page, sum, content] of all(
      "SELECT id, writer, seq, page, checksum, content FROM log NOT INDEXED ORDER BY id",
    )
  ) {
    const [writer, seq] = [Number(w), Number(s)];
    const name = `row ${id} of ${writer}:${seq}`;
    rows++;
    if (Number(id) !== removed + rows) violations.push(`torn: row ${removed + rows} is ${id}`);
    if (seen.has(`${writer}:${seq}`)) violations.push(`doubled: ${name} is there again`);
    seen.add(`${writer}:${seq}`);
    if (sum !== checksum(writer, seq, content as Uint8Array)) violations.push(`damaged: ${name} has another's content`);
    if (Number(page) >= 0) pages.set(Number(page), Number(id));
    const own = acknowledged.get(writer);
    const promised = own?.committed.get(seq);
    if (promised !== undefined) {
      if (promised !== sum) violations.push(`damaged: ${name} has checksum ${sum}, acknowledged was ${promised}`);
      continue;
    }
    inFlight++;
    const wasInFlight = own !== undefined && !own.ended && seq === own.committed.size + own.uncertain.size + 1;
    if (!wasInFlight && own?.uncertain.get(seq) !== sum) violations.push(`foreign: nobody wrote ${name}`);
  }
  if (rows !== n - removed) violations.push(`torn: the counter says ${n} less ${removed}, there are ${rows} rows`);
  for (const [writer, { committed }] of acknowledged) {
    for (const seq of committed.keys()) if (!seen.has(`${writer}:${seq}`)) violations.push(`lost: ${writer}:${seq}`);
  }

  for (const [page, version] of all("SELECT page, version FROM page")) {
    const newest = pages.get(Number(page));
    if (newest === undefined ? Number(version) > removed : Number(version) !== newest) {
      violations.push(`torn: page ${page} is of ${version}, last overwritten by ${newest ?? "nobody"}`);
    }
  }
  const ledger = new Ledger(driver);
  try {
    for (let page = 0; page < 32; page++) ledger.check(page);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violations.push(error.message);
  } finally {
    ledger.finalize();
  }
  return { rows, inFlight, violations };
}
