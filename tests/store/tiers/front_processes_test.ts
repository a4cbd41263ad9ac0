/** Memory in front of a directory that another process uses too: each sees at its next lookup what the other did. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { loadRuntime } from "../../../src/runtime/load.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { requireRuntime, RUNTIMES } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { keyOf, look, MODEL, put } from "./support.ts";

const WORKER = fileURLToPath(new URL("./front_worker.ts", import.meta.url));
const ROUNDS = 20;

describe("memory in front of a shared directory", () => {
  for (const name of RUNTIMES) {
    it(
      `sees what a process on ${name} puts, replaces and removes, and is seen`,
      { timeout: 60_000 },
      async (context) => {
        const runtime = await loadRuntime();
        if (!requireRangeLocks(context, runtime)) return;
        const command = requireRuntime(context, name);
        if (command === undefined) return;
        const directory = await temporaryFolder();
        const [program, ...args] = command;
        const child = spawn(program, [...args, WORKER, directory], { stdio: ["pipe", "pipe", "inherit"] });
        const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
        const said = async (): Promise<unknown> => JSON.parse((await lines.next()).value!);
        const tell = async (act: string, bodies?: string[]): Promise<unknown> => {
          child.stdin.write(`${JSON.stringify({ act, bodies })}\n`);
          return await said();
        };
        const below = await openSqliteStore({ runtime, directory, locking: "shared", lockTimeout: 60_000 });
        let lookups = 0;
        const plain = below.lookup.bind(below);
        below.lookup = (model, wants) => {
          lookups++;
          return plain(model, wants);
        };
        const store = openTieredStore({
          clock: runtime.clock,
          tiers: [{ store: below }],
          front: { maxBytes: 2 ** 20 },
        });
        try {
          assert.equal(await said(), "ready");
          for (let round = 0; round < ROUNDS; round++) {
            await tell("append", [`theirs ${round}`]);
            assert.deepEqual(await look(store, 1, 9), [`theirs ${round}`]);
            await tell("replace", [`theirs again ${round}`, "b"]);
            assert.deepEqual(await look(store, 1, 9), [`theirs again ${round}`, "b"]);
            await put(store, 1, [`mine ${round}`], "replace_all");
            assert.deepEqual(await tell("look"), [`mine ${round}`]);
            assert.deepEqual(await tell("look"), [`mine ${round}`]);
            assert.deepEqual(await look(store, 1, 9), [`mine ${round}`]);
            await tell("remove");
            assert.deepEqual(await look(store, 1, 9), []);
          }
          await put(store, 1, ["kept"]);
          await look(store, 1);
          assert.notEqual(store.stamp!(MODEL, keyOf(1)), undefined);
          lookups = 0;
          for (let time = 0; time < 100; time++) assert.deepEqual(await look(store, 1), ["kept"]);
          assert.equal(lookups, 0, "nobody wrote, so nobody has to be asked");
        } finally {
          child.stdin.end();
          await once(child, "exit");
          await store.close();
        }
      },
    );
  }
});
