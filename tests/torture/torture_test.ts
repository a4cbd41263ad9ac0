/**
 * One minute of torture: real processes on one database, killed at random. `long.ts` is the same for as long as one
 * likes, and says what the figures mean.
 */

import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe as suite, it, type TestContext } from "node:test";
import { requirePart } from "../support/parts.ts";
import { HERE, requireRuntime, RUNTIMES } from "../support/runtimes.ts";
import { onSmallDisk } from "../support/small_disk.ts";
import { type Report, torture, type TortureOptions } from "./conductor.ts";
import { fullDisk, readOnlyDirectory } from "./obstacle.ts";
import { readers, writers } from "./parts.ts";
import { describe } from "./report.ts";
import type { Fault } from "./worker.ts";

const TIMEOUT = 600_000;
// The processes would be the same ones on the other runtimes.
const skip = HERE !== "deno";

function isEverythingThere(context: TestContext): boolean {
  return RUNTIMES.every((runtime) => requireRuntime(context, runtime)) && requirePart(context, "sqlite3");
}

function options(folder: string, transactions: number): TortureOptions {
  return {
    transactions,
    seed: 4,
    folder,
    writers,
    readers,
    processes: 6,
    killEvery: 500,
    settleEvery: transactions / 2,
  };
}

/** Tortures in a new folder, which is kept when something is wrong. */
async function inFolder<T extends Report | undefined>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "warmcache-torture-"));
  const report = await run(folder);
  if (!report?.violations.length) await rm(folder, { recursive: true });
  else console.log(`Everything is kept in ${folder}`);
  return report;
}

function assertRight(report: Report): void {
  assert.deepEqual(report.violations, [], describe(report));
}

suite("processes on one database, killed at random", { skip }, () => {
  it("lose nothing that was acknowledged and see no half transaction", { timeout: TIMEOUT }, async (context) => {
    if (!isEverythingThere(context)) return;
    const report = await inFolder((folder) => torture({ ...options(folder, 16_000), settleEvery: 4000 }));
    assertRight(report);
    assert.ok(report.transactions >= 16_000);
    assert.ok(report.kills > 0);
    for (const kind of new Set([...writers, ...readers])) assert.ok(report.byKind.has(kind), `${kind} took part`);
  });

  it("lose nothing on a disk that is full now and then, and go on", { timeout: TIMEOUT }, async (context) => {
    if (!isEverythingThere(context)) return;
    const report = await inFolder(async (folder) => {
      let report: Report | undefined;
      // Larger than all logs of the run together: no SQLite gets out of a disk that its own log has filled.
      await onSmallDisk(context, join(folder, "disk"), async (directory) => {
        const obstacle = fullDisk(directory);
        report = await torture({ ...options(folder, 8000), largest: 8000, reopenOnceIn: 30, obstacle });
        if (report.violations.length > 0) await cp(directory, join(folder, "data"), { recursive: true });
      }, "128m");
      return report;
    });
    if (report === undefined) return;
    assertRight(report);
    assert.ok(report.obstructions > 0);
  });

  it("lose nothing in a directory that is read-only now and then, and go on", { timeout: TIMEOUT }, async (context) => {
    if (!isEverythingThere(context)) return;
    if (process.getuid?.() === 0 && !requirePart(context, "setpriv")) return;
    const report = await inFolder((folder) => {
      const obstacle = readOnlyDirectory(join(folder, "data"));
      return torture({ ...options(folder, 8000), reopenOnceIn: 30, obstacle });
    });
    assertRight(report);
    assert.ok(report.obstructions > 0);
  });
});

suite("a fault that is planted into one process is found", { skip }, () => {
  const faults: [Fault, what: string][] = [
    ["no-locks", "locks that are never refused"],
    ["lost-index", "a wal-index of which some writes go missing"],
    ["half", "half a transaction"],
    ["liar", "an acknowledgement of what was undone"],
  ];
  for (const [fault, what] of faults) {
    it(what, { timeout: TIMEOUT }, async (context) => {
      if (!isEverythingThere(context)) return;
      const folder = await mkdtemp(join(tmpdir(), "warmcache-torture-"));
      const report = await torture({ ...options(folder, 20_000), fault });
      await rm(folder, { recursive: true });
      assert.notDeepEqual(report.violations, []);
    });
  }
});
