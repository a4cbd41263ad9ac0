/** size counts everything in the directory, and leaves it as it is. */

import assert from "node:assert/strict";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { entryOf, machine, openStore, requestOf } from "./fixture.ts";

describe("size", () => {
  it("counts open and closed databases, without touching or creating a file", async () => {
    const directory = await temporaryFolder();
    const writer = await openStore(directory);
    const long = "long ".repeat(100);
    for (const model of ["m1", "m2"]) await writer.put(model, requestOf("a"), [entryOf(long), entryOf("b")], "append");
    assert.deepEqual((await writer.size()).entries, 4);
    await writer.close();
    await writeFile(join(directory, "notes-12345678.sqlite"), "somebody's notes");
    await writeFile(join(directory, "empty-12345678.sqlite"), "");
    const snapshot = async (): Promise<unknown> =>
      await Promise.all((await readdir(directory)).map(async (name) => [name, await readFile(join(directory, name))]));
    const before = await snapshot();
    for (const runtime of [machine, { ...machine, rangeLocks: undefined }]) {
      const store = await openStore(directory, { runtime });
      const size = await store.size();
      assert.equal(size.entries, 4);
      assert.equal(size.bodyBytes, 2 * (long.length + 1));
      assert.ok(size.storedBytes < size.bodyBytes / 2);
      await store.close();
    }
    assert.deepEqual(await snapshot(), before);
  });

  it("counts what others share, also what they have not moved out of the log", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const writer = await openStore(directory, { locking: "shared" });
    await writer.put("m1", requestOf("a"), [entryOf("a"), entryOf("b")], "append");
    for (const locking of ["shared", "exclusive"] as const) {
      const store = await openStore(directory, { locking });
      assert.equal((await store.size()).entries, 2);
      await store.close();
    }
    await writer.put("m1", requestOf("b"), [entryOf("c")], "append");
    assert.equal((await writer.size()).entries, 3);
    await writer.close();
  });

  it("counts the bytes of databases, logs and indexes of logs, and of nothing else", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory);
    for (const model of ["m1", "m2"]) await store.put(model, requestOf("a"), [entryOf("a")], "append");
    await writeFile(join(directory, "notes-12345678.sqlite"), "somebody's notes");
    await writeFile(join(directory, "notes"), "more of them");
    const onDisk = async (): Promise<number> => {
      const names = (await readdir(directory)).filter((name) => /^m.*\.sqlite(-wal|-shm)?$/.test(name));
      const stats = await Promise.all(names.map((name) => stat(join(directory, name))));
      return stats.reduce((sum, { size }) => sum + size, 0);
    };
    assert.equal((await store.size()).totalBytes, await onDisk());
    await store.close();
    const other = await openStore(directory);
    assert.equal((await other.size()).totalBytes, await onDisk());
    await other.close();
  });

  it("keeps nobody waiting for all of a large database", async () => {
    const directory = await temporaryFolder();
    const answers = Array.from({ length: 5000 }, (_, index) => entryOf(`${index}`));
    const owner = await openStore(directory);
    await owner.put("m1", requestOf("a"), answers, "append");
    let turns = 0;
    const clock = { ...machine.clock, afterTurn: (run: () => void) => (turns++, machine.clock.afterTurn(run)) };
    for (const isOpen of [false, true]) {
      if (!isOpen) await owner.close();
      const store = await openStore(directory, { runtime: { ...machine, clock } });
      if (isOpen) await store.lookup("m1", []);
      turns = 0;
      const { entries, bodyBytes } = await store.size();
      assert.equal(entries, answers.length);
      assert.equal(bodyBytes, answers.reduce((sum, { body }) => sum + body.byteLength, 0));
      assert.equal(turns, 2);
      await store.close();
    }
  });

  it("leaves out what somebody else holds", async () => {
    const directory = await temporaryFolder();
    const [one, two] = [
      await openStore(directory, { locking: "exclusive" }),
      await openStore(directory, { locking: "exclusive" }),
    ];
    await one.put("m1", requestOf("a"), [entryOf("a")], "append");
    await two.put("m2", requestOf("a"), [entryOf("a"), entryOf("b")], "append");
    assert.equal((await one.size()).entries, 1);
    assert.equal((await two.size()).entries, 2);
    await one.close();
    assert.equal((await two.size()).entries, 3);
    await two.close();
  });
});
