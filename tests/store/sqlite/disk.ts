/** What a store takes on the disk, and whether what it left there is sound. */

import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Bytes of all databases in a folder, with their logs. */
export function bytesIn(directory: string): number {
  let bytes = 0;
  for (const name of readdirSync(directory)) {
    // It may go while it is looked at.
    if (/\.sqlite(?:-wal|-shm)?$/.test(name)) {
      bytes += statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0;
    }
  }
  return bytes;
}

/** Asserts that a database that nobody uses is whole, and knows nothing of requests that have no answer. */
export function assertSound(path: string): void {
  const native = new DatabaseSync(path);
  try {
    assert.deepEqual(native.prepare("PRAGMA integrity_check").all().map((row) => ({ ...row })), [
      { integrity_check: "ok" },
    ]);
    for (const table of ["request", "tag", "access"]) {
      const lonely = `SELECT count(*) AS rows FROM ${table} WHERE key NOT IN (SELECT key FROM entry)`;
      assert.equal(native.prepare(lonely).get()!.rows, 0, `${table} of no answer`);
    }
    const orphans = "SELECT count(*) AS rows FROM entry WHERE key NOT IN (SELECT key FROM request)";
    assert.equal(native.prepare(orphans).get()!.rows, 0, "answers to no request");
    const late = "SELECT count(*) AS rows FROM sketch WHERE last > (SELECT ifnull(max(rowid), 0) FROM request)";
    assert.equal(native.prepare(late).get()!.rows, 0, "blocks of sketches beyond the last request");
  } finally {
    native.close();
  }
}

/** How many rows a table of a database that nobody writes holds. */
export function rowsIn(path: string, table: string): number {
  const native = new DatabaseSync(path, { readOnly: true });
  try {
    return native.prepare(`SELECT count(*) AS rows FROM ${table}`).get()!.rows as number;
  } finally {
    native.close();
  }
}
