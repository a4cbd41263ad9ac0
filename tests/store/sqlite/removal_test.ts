/** What is removed from the databases of a directory, and what becomes of those that cannot be used meanwhile. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { CacheError } from "../../../src/store/error.ts";
import type { Store } from "../../../src/store/store.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { HERE, requireRuntime } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { assertSound, rowsIn } from "./disk.ts";
import { databaseIn, entryOf, find, keyOf, machine, MODEL, NOW, openStore, requestOf, texts } from "./fixture.ts";

const CHURNER = fileURLToPath(new URL("./churner.ts", import.meta.url));

const put = async (store: Store, word: string, model: string = MODEL, tags: string[] = []): Promise<void> =>
  await store.put(model, requestOf(word), [entryOf(word)], "append", { tags });

describe("removal beside something that is called like a journal", () => {
  it("never passes a database over in silence", async () => {
    const directory = await temporaryFolder();
    const filled = await openStore(directory);
    await filled.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    await filled.close();
    const path = await databaseIn(directory);
    await writeFile(`${path}-journal`, new Uint8Array(50_000).fill(0xa5));
    const store = await openStore(directory);
    const removed = await Promise.resolve(store.remove({})).then(({ entries }) => entries, (error: unknown) => error);
    assert.ok(removed === 1 || removed instanceof CacheError, `${removed}`);
    await store.close();
  });
});

describe("remove", () => {
  it("creates nothing where there is nothing", async () => {
    const directory = join(await temporaryFolder(), "nowhere");
    const store = await openStore(directory);
    for (const selection of [{}, { model: MODEL }, { keys: [keyOf("a")] }, { tag: "t" }]) {
      assert.deepEqual(await store.remove(selection), { entries: 0, storedBytes: 0 });
    }
    await store.close();
    assert.equal(machine.files.exists(directory), false);
  });

  it("leaves nothing of a request, and all of its neighbours", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory);
    for (const word of ["a", "b"]) {
      await put(store, word, MODEL, ["t"]);
      await find(store, word);
      await store.failures!.record(MODEL, keyOf(word), { last: Date.now(), expires: null, error: new Uint8Array(1) });
    }
    await store.remove({ keys: [keyOf("a")] });
    await store.close();
    const path = await databaseIn(directory);
    for (const table of ["entry", "request", "tag", "access", "failure"]) assert.equal(rowsIn(path, table), 1, table);
    assertSound(path);
  });

  it("by key forgets the failures of a request that never had an answer", async () => {
    const store = await openStore(await temporaryFolder());
    for (const word of ["a", "b"]) {
      await store.failures!.record(MODEL, keyOf(word), { last: Date.now(), expires: null, error: new Uint8Array(1) });
    }
    assert.equal((await store.remove({ keys: [keyOf("a")] })).entries, 0);
    assert.equal(await store.failures!.last(MODEL, keyOf("a")), undefined);
    assert.equal((await store.failures!.last(MODEL, keyOf("b")))?.count, 1);
    await store.remove({});
    assert.equal(await store.failures!.last(MODEL, keyOf("b")), undefined);
    await store.close();
  });

  it("goes through more databases than are open at once", async () => {
    const store = await openStore(await temporaryFolder(), { maxOpenDatabases: 2 });
    const models = ["m1", "m2", "m3", "m4", "m5"];
    for (const model of models) {
      for (const word of ["a", "b"]) await put(store, word, model);
    }
    assert.equal((await store.remove({ keys: [keyOf("a")] })).entries, models.length);
    for (const model of models) assert.deepEqual(await texts(store, "b", 1, model), ["b"]);
    assert.equal((await store.remove({})).entries, models.length);
    await store.close();
  });

  it("removes from the others first, and then names who holds a database", async () => {
    const directory = await temporaryFolder();
    const [one, two] = [
      await openStore(directory, { locking: "exclusive" }),
      await openStore(directory, { locking: "exclusive" }),
    ];
    for (const model of ["a", "c"]) await put(one, "x", model);
    await put(two, "x", "b");
    const expected = { name: "CacheError", code: "locked", message: /this process has it open already/ };
    await assert.rejects(async () => await one.remove({}), expected);
    assert.equal((await one.size()).entries, 0);
    assert.deepEqual(await texts(two, "x", 1, "b"), ["x"]);
    await assert.rejects(async () => await one.remove({ model: "b" }), expected);
    await Promise.all([one.close(), two.close()]);
  });

  it("leaves alone what is not ours", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory);
    await put(store, "a");
    await writeFile(join(directory, "notes-12345678.sqlite"), "somebody's notes");
    await writeFile(join(directory, "empty-12345678.sqlite"), "");
    assert.equal((await store.remove({})).entries, 1);
    assert.equal(await readFile(join(directory, "notes-12345678.sqlite"), "utf8"), "somebody's notes");
    assert.equal(await readFile(join(directory, "empty-12345678.sqlite"), "utf8"), "");
    await store.close();
  });

  it("refuses what was not meant, before anything is removed", async () => {
    const store = await openStore(await temporaryFolder());
    await put(store, "a");
    // deno-lint-ignore no-explicit-any
    const misspelled: any = { namspace: "x" };
    await assert.rejects(async () => await store.remove(misspelled), { name: "TypeError", message: /namspace/ });
    await assert.rejects(async () => await store.remove({ createdBefore: NaN }), {
      name: "RangeError",
      message: /createdBefore .*NaN/,
    });
    assert.deepEqual(await texts(store, "a"), ["a"]);
    await store.close();
    await assert.rejects(async () => await store.remove({}), { name: "CacheError", code: "closed" });
  });

  it("of much lets others be served in between, and does not run after what they put", async () => {
    const directory = await temporaryFolder();
    let turns = 0;
    const clock = { ...machine.clock, afterTurn: (run: () => void) => (turns++, machine.clock.afterTurn(run)) };
    const store = await openStore(directory, { locking: "exclusive", runtime: { ...machine, clock } });
    const words = Array.from({ length: 2000 }, (_, index) => `${index}`);
    await Promise.all(words.map((word) => put(store, word)));
    turns = 0;
    let done = false;
    const removal = Promise.resolve(store.remove({ outcome: "stop" })).finally(() => done = true);
    const later: string[] = [];
    for (let index = 0; !done; index++) {
      later.push(`later ${index}`);
      await put(store, later.at(-1)!);
      assert.deepEqual(await texts(store, later.at(-1)!), [later.at(-1)]);
    }
    assert.ok(turns > words.length / 64, `${turns} turns`);
    const left = (await store.size()).entries;
    assert.ok(left > 0 && left <= later.length, `${left} of ${later.length}`);
    assert.equal((await removal).entries + left, words.length + later.length);
    assert.deepEqual(await texts(store, later.at(-1)!), [later.at(-1)]);
    await store.close();
    assertSound(await databaseIn(directory));
  });

  it("while others put the same requests never tears a request from its answers", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const options = { locking: "shared", lockTimeout: 10_000 } as const;
    const [one, two] = [await openStore(directory, options), await openStore(directory, options)];
    const words = Array.from({ length: 8 }, (_, index) => `${index}`);
    const putting = (async () => {
      for (let round = 0; round < 40; round++) await Promise.all(words.map((word) => put(one, word, MODEL, ["t"])));
    })();
    let removed = 0;
    for (let round = 0; round < 30; round++) {
      removed += (await two.remove({ keys: words.slice(0, 4).map(keyOf) })).entries;
      removed += (await two.remove({ tag: "t" })).entries;
    }
    await putting;
    assert.equal(removed + (await one.size()).entries, 40 * words.length);
    await Promise.all([one.close(), two.close()]);
    assertSound(await databaseIn(directory));
  });

  it("in a process that is killed leaves a sound database", async (context) => {
    const command = requireRuntime(context, HERE);
    if (!command) return;
    const [executable, ...args] = command;
    const directory = await temporaryFolder();
    for (const task of ["remove", "remove-keys", "remove"]) {
      const locking = machine.rangeLocks ? "shared" : "exclusive";
      const child = spawn(executable, [...args, CHURNER, directory, locking, "0", "2000", task, task], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      let lines = 0;
      for await (const _line of createInterface({ input: child.stdout })) if (++lines === 130) child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      assert.ok(lines >= 130);
      const store = await openStore(directory);
      await put(store, task);
      assert.deepEqual(await texts(store, task), [task]);
      await store.close();
      assertSound(await databaseIn(directory));
    }
    assert.equal((await readdir(directory)).filter((name) => name.endsWith("-wal")).length, 0);
  });

  it("by age removes what somebody has damaged no less than the rest", async () => {
    const directory = await temporaryFolder();
    let store = await openStore(directory);
    for (const word of ["a", "b"]) await put(store, word);
    await store.close();
    const native = new DatabaseSync(await databaseIn(directory));
    native.prepare("UPDATE entry SET body = x'00' WHERE key = ?").run(keyOf("a"));
    native.close();
    store = await openStore(directory);
    assert.equal((await find(store, "a")).corrupt, true);
    assert.equal((await store.remove({ createdBefore: NOW + 1 })).entries, 2);
    assert.equal((await find(store, "a")).corrupt, false);
    await store.close();
  });
});
