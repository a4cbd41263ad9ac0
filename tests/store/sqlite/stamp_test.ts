/** The stamp of a request: the same only while a lookup finds the same, whoever else writes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OpenFile } from "../../../src/runtime/runtime.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, find, keyOf, machine, MODEL, openStore, requestOf } from "./fixture.ts";

describe("stamp", () => {
  for (const locking of machine.rangeLocks ? ["exclusive", "shared"] as const : ["exclusive"] as const) {
    it(`is unknown until the database is open, then the same until something is written (${locking})`, async () => {
      const directory = await temporaryFolder();
      const store = await openStore(directory, { locking });
      const stamp = (): unknown => store.stamp!(MODEL, keyOf("cats"));
      assert.equal(stamp(), undefined);
      await store.put(MODEL, requestOf("cats"), [entryOf("meow")], "append");
      const first = stamp();
      assert.equal(typeof first, "number");
      await find(store, "cats");
      assert.equal(stamp(), first);
      await store.put(MODEL, requestOf("dogs"), [entryOf("woof")], "append");
      const second = stamp();
      assert.notEqual(second, first);
      await store.remove({ keys: [keyOf("cats")] });
      assert.notEqual(stamp(), second);
      await store.close();
      assert.equal(stamp(), undefined);
    });
  }

  it("is never one that was there before, though the database was closed meanwhile", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory, { maxOpenDatabases: 1 });
    await store.put(MODEL, requestOf("cats"), [entryOf("meow")], "append");
    const first = store.stamp!(MODEL, keyOf("cats"));
    await store.put("another", requestOf("cats"), [entryOf("meow")], "append");
    assert.equal(store.stamp!(MODEL, keyOf("cats")), undefined);
    await find(store, "cats");
    assert.notEqual(store.stamp!(MODEL, keyOf("cats")), first);
    await store.close();
  });

  it("changes when another connection writes", { skip: !machine.rangeLocks }, async () => {
    const directory = await temporaryFolder();
    const [ours, theirs] = [await openStore(directory), await openStore(directory)];
    await ours.put(MODEL, requestOf("cats"), [entryOf("meow")], "append");
    await find(theirs, "cats");
    const stamp = (): unknown => ours.stamp!(MODEL, keyOf("cats"));
    const before = stamp();
    await theirs.put(MODEL, requestOf("cats"), [entryOf("purr")], "replace_all");
    const after = stamp();
    assert.notEqual(after, before);
    await find(ours, "cats");
    assert.equal(stamp(), after);
    await Promise.all([ours.close(), theirs.close()]);
  });

  it(
    "is looked up once for all who ask at once, and anew for who comes later",
    { skip: !machine.rangeLocks },
    async () => {
      const directory = await temporaryFolder();
      let reads = 0;
      const files = {
        ...machine.files,
        open: (...[path, how]: Parameters<typeof machine.files.open>): OpenFile => {
          const file = machine.files.open(path, how);
          if (!path.endsWith("-shm")) return file;
          const read = file.read.bind(file);
          file.read = (target, position) => {
            reads++;
            return read(target, position);
          };
          return file;
        },
      };
      const ours = await openStore(directory, { runtime: { ...machine, files } });
      const theirs = await openStore(directory);
      await ours.put(MODEL, requestOf("cats"), [entryOf("meow")], "append");
      const stamp = (): unknown => ours.stamp!(MODEL, keyOf("cats"));
      const ask = async (): Promise<unknown> => await Promise.resolve(stamp());
      reads = 0;
      const [before, ...same] = await Promise.all([ask(), ask(), ask()]);
      assert.deepEqual([same, reads], [[before, before], 1]);
      await theirs.put(MODEL, requestOf("cats"), [entryOf("purr")], "replace_all");
      assert.notEqual(await ask(), before);
      await ours.put(MODEL, requestOf("dogs"), [entryOf("woof")], "append");
      const own = stamp();
      assert.notEqual(own, before);
      await Promise.all([ours.close(), theirs.close()]);
    },
  );
});
