/** Files shrink after much was removed. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Locking } from "../../../src/sqlite/open.ts";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { HERE, requireRuntime } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { assertSound, bytesIn } from "./disk.ts";
import { databaseIn, entryOf, keyOf, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const CHURNER = fileURLToPath(new URL("./churner.ts", import.meta.url));

async function fill(store: Store, answers: number, bytes: number): Promise<void> {
  for (let index = 0; index < answers; index++) {
    const body = new Uint8Array(randomBytes(bytes));
    await store.put(MODEL, requestOf(`${index}`), [entryOf(body, { created: index })], "append");
  }
}

for (const locking of ["exclusive", "shared"] as const satisfies readonly Locking[]) {
  describe(`a database's file, ${locking}`, () => {
    it("is small once all was removed, and stays, since others may have it open", async (context) => {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return;
      const directory = await temporaryFolder();
      const store = await openStore(directory, { locking, lockTimeout: 10_000 });
      await fill(store, 200, 50_000);
      const path = await databaseIn(directory);
      assert.ok(bytesIn(directory) > 10_000_000);
      assert.equal((await store.remove({ model: MODEL })).entries, 200);
      assert.ok((await stat(path)).size < 300_000, `${(await stat(path)).size}`);
      assert.equal((await stat(`${path}-wal`)).size, 0);
      await fill(store, 1, 100);
      assert.equal((await store.size()).entries, 1);
      await store.close();
      assertSound(path);
    });

    it("shrinks by what was removed from its middle, and all else is as it was", async (context) => {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return;
      const directory = await temporaryFolder();
      const store = await openStore(directory, { locking, lockTimeout: 10_000 });
      await fill(store, 300, 20_000);
      await store.put(MODEL, requestOf("last"), [entryOf("last", { created: 1e6 })], "append");
      const [path, before] = [await databaseIn(directory), bytesIn(directory)];
      assert.equal((await store.remove({ createdBefore: 200 })).entries, 200);
      assert.ok((await stat(path)).size < before / 2, `${(await stat(path)).size} of ${before}`);
      assert.deepEqual(await texts(store, "last"), ["last"]);
      const found = await store.lookup(
        MODEL,
        Array.from({ length: 300 }, (_, index) => ({ key: keyOf(`${index}`), samples: 1 })),
      );
      assert.deepEqual(found.map(({ entries }) => entries.length), [...Array(200).fill(0), ...Array(100).fill(1)]);
      assert.ok(found.every(({ corrupt }) => !corrupt));
      await store.close();
      assertSound(path);
    });
  });
}

describe("a database's file", () => {
  it("keeps a few free pages for what comes next", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory, { locking: "exclusive" });
    await fill(store, 100, 20_000);
    await store.remove({ createdBefore: 3 });
    await store.close();
    const { size } = await stat(await databaseIn(directory));
    assert.ok(size > 2_000_000);
    const again = await openStore(directory, { locking: "exclusive" });
    await fill(again, 2, 20_000);
    await again.close();
    assert.equal((await stat(await databaseIn(directory))).size, size);
  });

  it("is sound when a process is killed while it shrinks", async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command) return;
    const [executable, ...args] = command;
    const directory = await temporaryFolder();
    const locking = machine.rangeLocks ? "shared" : "exclusive";
    // 50 answers of 20,000 bytes are removed at a time, which is worth a vacuum; it is killed ever later in that.
    for (const delay of [0, 2, 4, 8]) {
      const child = spawn(executable, [...args, CHURNER, directory, locking, "0", "20000", "remove", `${delay}`], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      for await (const line of createInterface({ input: child.stdout })) {
        if (line === "put 48") setTimeout(() => child.kill("SIGKILL"), delay);
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      const store = await openStore(directory);
      assert.equal((await store.lookup(MODEL, [{ key: keyOf("nowhere"), samples: 1 }]))[0]!.corrupt, false);
      await store.close();
      assertSound(await databaseIn(directory));
    }
  });
});
