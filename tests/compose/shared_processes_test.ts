/** Processes on all runtimes that share a cache as users do: same requests, several samples each, and some are killed. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { openCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { requireRuntime, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { contentsOf, requestFor } from "./shared_requests.ts";

const WORKER = fileURLToPath(new URL("./shared_worker.ts", import.meta.url));
const TOPICS = 12;
const ASKED = 100;
/** A dozen processes start in turn, which a busy machine takes its time for. */
const TIMEOUT = 120_000;

interface Line {
  readonly topic?: number;
  readonly kept?: readonly string[];
  readonly seen?: readonly string[];
  readonly failures?: number;
  readonly lastError?: unknown;
}

describe("processes that share a cache", () => {
  it(
    "keep every answer that any of them was told is kept, and get each other's",
    { timeout: TIMEOUT },
    async (context) => {
      if (!requireRangeLocks(context, await loadRuntime())) return;
      const commands = RUNTIMES.map((runtime) => requireRuntime(context, runtime)).filter((found) =>
        found !== undefined
      );
      const directory = await temporaryFolder();
      const known = Array.from({ length: TOPICS }, () => new Set<string>());
      const children = new Set<ChildProcess>();

      /** Runs one process to its end, or kills it once it has told of so many answers. */
      const run = async ([program, ...args]: readonly [string, ...string[]], killAfter: number): Promise<void> => {
        const child = spawn(program, [...args, WORKER, directory, String(ASKED), String(TOPICS)], {
          stdio: ["ignore", "pipe", "inherit"],
        });
        children.add(child);
        const exited = once(child, "exit");
        let lines = 0;
        let last: Line = {};
        for await (const text of createInterface({ input: child.stdout! })) {
          last = JSON.parse(text) as Line;
          for (const content of [...last.kept ?? [], ...last.seen ?? []]) known[last.topic!]!.add(content);
          if (++lines === killAfter) child.kill("SIGKILL");
        }
        const [code, signal] = await exited;
        if (signal === "SIGKILL") return;
        assert.equal(code, 0);
        assert.deepEqual(last, { failures: 0, lastError: null });
      };

      try {
        await Promise.all(commands.flatMap((command, index) => [
          run(command, Infinity),
          run(command, 20 + 20 * index).then(() => run(command, 30)).then(() => run(command, Infinity)),
        ]));
      } finally {
        for (const child of children) child.kill("SIGKILL");
      }

      await using cache = await openCache({ directory, locking: "shared" });
      for (const [topic, contents] of known.entries()) {
        // Those who were killed may have kept more than they could tell.
        let found: string[] = [];
        for (let n = contents.size; n < contents.size + 100; n++) {
          const entry = await cache.get(requestFor(topic, n));
          if (entry === undefined) break;
          found = contentsOf(entry.json());
        }
        assert.deepEqual([...contents].filter((content) => !found.includes(content)), [], `topic ${topic}`);
        assert.equal(new Set(found).size, found.length);
        assert.ok(found.every((content) => content.startsWith(`topic ${topic}, `)));
      }
      assert.equal((await cache.stats()).corrupt, 0);
    },
  );
});
