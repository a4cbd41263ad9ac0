/** What the `sqlite3` shell is fed to take part: a burst of transactions, each acknowledged on its standard output. */

import { execFileSync } from "node:child_process";
import { entryAsSql, EntryMaker } from "./ledger.ts";
import type { RandomNumbers } from "./random.ts";

/** The version of the shell on the path. */
export function shellVersion(): string {
  return execFileSync("sqlite3", ["--version"], { encoding: "utf8" }).split(" ")[0]!;
}

/**
 * Whether a version may checkpoint beside others. Until 3.51.3 SQLite had a race between a checkpoint and a commit that
 * restarts the log (https://sqlite.org/wal.html#walresetbug), which would be found here as a fault of ours.
 */
export function mayCheckpoint(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  return major * 1e6 + minor * 1e3 + patch >= 3_051_003;
}

/** A script for one process. The shell ends at the first error, and flushes what it says before it reads a line. */
export function shellScript(
  random: RandomNumbers,
  writer: number,
  largest: number,
  checkpoints: boolean,
  timeout: number,
): string {
  const maker = new EntryMaker(random, writer, largest);
  const lines = [".bail on", `.timeout ${timeout}`, `PRAGMA wal_autocheckpoint = ${checkpoints ? 20 : 0};`];
  let seq = 0;
  for (let left = random.between(20, 120); left > 0; left--) {
    const undone = random.once(20);
    const entry = maker.make(seq + 1);
    lines.push("BEGIN IMMEDIATE;", ...entryAsSql(entry), undone ? "ROLLBACK;" : "COMMIT;");
    if (!undone) lines.push(`SELECT 'a ${++seq} ${entry.checksum}';`);
    lines.push("SELECT 'violation: torn: balances sum to ' || sum(amount) FROM balance HAVING sum(amount) <> 0;");
    if (checkpoints && random.once(15)) {
      lines.push(`PRAGMA wal_checkpoint(${random.pick(["PASSIVE", "RESTART", "TRUNCATE"])});`);
    }
  }
  return `${lines.join("\n")}\n`;
}
