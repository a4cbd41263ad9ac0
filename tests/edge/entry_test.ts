/** The entry `./edge` in workerd: what it refuses, and how; and the example's one command. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bundleForEdge } from "../../examples/edge/bundle.ts";
import { runExample } from "../examples/provider.ts";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startWorkerd } from "./support/workerd.ts";

describe("openCache at the edge", () => {
  it("says what is missing, and what means nothing there", async (context) => {
    const worker = await startWorkerd(context, { bundle: await bundleForEdge("tests/edge/workers/options.ts") });
    if (worker === undefined) return;
    try {
      const said = await (await worker.fetch("/")).json();
      assert.match(said.nothing, /^TypeError: .* without storage: give a Durable Object's ctx\.storage/);
      assert.match(
        said.file,
        /^TypeError: Cannot open a cache in edge: it has no backend file \(it has: memory, remote, /,
      );
      assert.equal(said.directory, "TypeError: Cannot open a cache: directory means nothing at the edge");
      assert.equal(said.locking, "TypeError: Cannot open a cache: locking means nothing at the edge");
      assert.match(said.storage, /^TypeError: .*storage has to be a Durable Object's ctx\.storage, or a SqlDriver: 7$/);
      assert.match(said.misspelled, /^TypeError: .*backnd/);
      assert.equal(said.memory, "opened");
    } finally {
      await worker.kill();
    }
  });

  it("tells errors of a Durable Object's SQL by name, and leaves its database open", async (context) => {
    const worker = await startWorkerd(context, {
      bundle: await bundleForEdge("tests/edge/workers/options.ts"),
      objects: { BENCH: "Bench" },
      withoutSql: { BARE: "Bare" },
    });
    if (worker === undefined) return;
    try {
      assert.deepEqual(await (await worker.fetch("/bench")).json(), {
        codes: {
          "syntax": "SQLITE_ERROR",
          "begin": "SQLITE_ERROR",
          "constraint": "SQLITE_CONSTRAINT",
          "too big": "SQLITE_TOOBIG",
          "changes": 1,
        },
        kept: true,
        size: true,
      });
      assert.match(await (await worker.fetch("/bare")).json(), /^TypeError: .* in a Durable Object without SQL/);
    } finally {
      await worker.kill();
    }
  });
});

describe("examples/edge/dev.ts", () => {
  it(
    "runs by one command, without a network: bought once, then from the cache, the next day too",
    { timeout: 60_000 },
    async (context) => {
      const command = requireRuntime(context, "deno");
      if (!command) return;
      const directory = await temporaryFolder();
      const flags = ["--once", "--directory", "kept"];
      for (const outcomes of [["miss", "hit"], ["hit", "hit"]]) {
        const { code, output, errors } = await runExample(command, "edge/dev.ts", { directory, flags });
        assert.equal(code, 0, errors);
        const lines = output.trim().split("\n").slice(-2).map((line) => line.replace(/ \(\d+ ms\)$/, ""));
        assert.deepEqual(lines, outcomes.map((outcome) => `${outcome.padEnd(5)} You said: Hello, edge.`));
      }
    },
  );
});
