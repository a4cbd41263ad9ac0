/** Many processes at once on a directory that is not there yet: whoever is first makes the database, and only one asks. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { openCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { pathOf } from "../house/module_graph.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const PROCESSES = 16;
const WORKER = pathOf("tests/compose/opening_worker.ts");

describe("16 processes that open a cache at the same time", () => {
  it("all open it, lose nothing, and buy once what all of them want", { timeout: 120_000 }, async (context) => {
    if (!requireRangeLocks(context, await loadRuntime())) return;
    const command = requireRuntime(context, HERE);
    if (command === undefined) return;
    const directory = join(await temporaryFolder(), "cache");
    const [program, ...args] = command;
    const children: ChildProcess[] = [];
    try {
      const reports = Array.from({ length: PROCESSES }, (_, index) => {
        const child = spawn(program, [...args, WORKER, directory, `${index}`], { stdio: ["pipe", "pipe", "inherit"] });
        children.push(child);
        const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
        return { child, lines };
      });
      for (const { lines } of reports) assert.equal((await lines.next()).value, "ready");
      for (const { child } of reports) child.stdin!.write("go\n");
      const told = await Promise.all(reports.map(async ({ child, lines }) => {
        const exited = child.exitCode === null ? once(child, "exit") : undefined;
        const report = JSON.parse((await lines.next()).value ?? "null") as Record<string, unknown>;
        await exited;
        return report;
      }));
      const [{ said }] = told as [Record<string, unknown>];
      for (const report of told) {
        assert.deepEqual(report, { said, failedWrites: 0, failedLookups: 0, unclaimed: 0, lastError: null });
      }
      const cache = await openCache({ directory });
      assert.equal((await cache.stats()).store.entries, PROCESSES + 1);
      await cache.close();
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
  });
});
