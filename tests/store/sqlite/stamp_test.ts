/** The stamp of a request: the same only while a lookup finds the same, whoever else writes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
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
});
