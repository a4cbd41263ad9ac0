/** Answers whose time has passed go by themselves, in quiet moments, and nothing else does. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { ManualClock } from "../manual_clock.ts";
import { assertSound, bytesIn, rowsIn } from "./disk.ts";
import { databaseIn, entryOf, find, machine, MODEL, openStore, requestOf } from "./fixture.ts";

/** A machine whose time a test moves. */
function slow(): { clock: ManualClock; runtime: Runtime } {
  const clock = new ManualClock();
  return { clock, runtime: { ...machine, clock } };
}

const put = async (store: Store, word: string, expires: number | null, body: string = word): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(body, { expires })], "append");

/** Lets quiet moments pass. */
async function rest(clock: ManualClock, moments = 40): Promise<void> {
  for (let moment = 0; moment < moments; moment++) {
    await new Promise((resolve) => setTimeout(resolve));
    clock.advance(moment % 2 === 0 ? 500 : 4);
  }
}

describe("an expired answer", () => {
  it("is removed though nobody asks for it, with its request, and no other is", async () => {
    const directory = await temporaryFolder();
    const { clock, runtime } = slow();
    const store = await openStore(directory, { runtime, locking: "exclusive" });
    const now = clock.now();
    await put(store, "soon", now + 60_000);
    await put(store, "late", now + 9e9);
    await put(store, "never", null);
    await rest(clock);
    assert.equal((await store.size()).entries, 3);
    clock.advance(60_000);
    // Whoever uses the store lets it look at the clock.
    await find(store, "never");
    await rest(clock);
    assert.equal((await store.size()).entries, 2);
    await store.close();
    const path = await databaseIn(directory);
    assert.equal(rowsIn(path, "request"), 2);
    assertSound(path);
  });

  it("is removed at its time though nobody uses the store any more, one after the other", async () => {
    const { clock, runtime } = slow();
    const directory = await temporaryFolder();
    let store = await openStore(directory, { runtime, locking: "exclusive" });
    await put(store, "late", clock.now() + 86_400_000);
    await put(store, "soon", clock.now() + 60_000);
    await put(store, "never", null);
    await rest(clock);
    clock.advance(60_000);
    await rest(clock);
    assert.equal((await store.size()).entries, 2);
    for (let hour = 0; hour < 24; hour++) {
      clock.advance(3_600_000);
      await rest(clock, 2);
    }
    await rest(clock);
    assert.equal((await store.size()).entries, 1);
    await put(store, "tomorrow", clock.now() + 86_400_000);
    await store.close();
    store = await openStore(directory, { runtime, locking: "exclusive" });
    await find(store, "nowhere");
    for (let hour = 0; hour < 25; hour++) {
      clock.advance(3_600_000);
      await rest(clock, 2);
    }
    await rest(clock);
    assert.equal((await store.size()).entries, 1);
    await store.close();
  });

  it("is kept as long as it may be served in a need", async () => {
    const { clock, runtime } = slow();
    const store = await openStore(await temporaryFolder(), { runtime, locking: "exclusive", keepExpired: 100_000 });
    await put(store, "a", clock.now() + 10_000);
    for (const [later, entries] of [[99_000, 1], [11_000, 0]] as const) {
      clock.advance(later);
      await find(store, "nowhere");
      await rest(clock, 8);
      assert.equal((await store.size()).entries, entries);
    }
    await store.close();
  });

  it("that another process has left is removed by whoever opens the database next", async () => {
    const directory = await temporaryFolder();
    const { clock, runtime } = slow();
    let store = await openStore(directory, { runtime, locking: "exclusive" });
    await put(store, "a", clock.now() + 10_000);
    await store.close();
    clock.advance(10_000);
    store = await openStore(directory, { runtime, locking: "exclusive" });
    await find(store, "nowhere");
    await rest(clock);
    assert.equal((await store.size()).entries, 0);
    await store.close();
  });

  it("leaves the samples that have not, and append takes its place", async () => {
    const { clock, runtime } = slow();
    const store = await openStore(await temporaryFolder(), { runtime, locking: "exclusive" });
    await put(store, "a", clock.now() + 10_000, "first");
    await put(store, "a", null, "second");
    clock.advance(10_000);
    await find(store, "a");
    await rest(clock);
    assert.equal((await store.size()).entries, 1);
    await put(store, "a", null, "third");
    assert.equal((await find(store, "a", 9)).entries.length, 2);
    await store.close();
  });

  it("gives the disk back what it took", async () => {
    const directory = await temporaryFolder();
    const { clock, runtime } = slow();
    const store = await openStore(directory, { runtime, locking: "exclusive" });
    const expires = clock.now() + 60_000;
    const long = Array.from({ length: 20_000 }, (_, index) => index ** 2 % 9973).join();
    await Promise.all(Array.from({ length: 300 }, (_, index) => put(store, `${index}`, expires, `${index}${long}`)));
    await put(store, "never", null);
    await rest(clock);
    const before = bytesIn(directory);
    clock.advance(60_000);
    await find(store, "never");
    await rest(clock, 400);
    const path = await databaseIn(directory);
    const { size } = (await machine.files.stat(path))!;
    assert.ok(size < before / 10, `${size} of ${before} bytes`);
    assert.equal((await find(store, "never")).entries.length, 1);
    await store.close();
    assertSound(path);
  });

  it("whose time makes no sense is left to whoever asks for it, and stops nobody", async () => {
    const directory = await temporaryFolder();
    const { clock, runtime } = slow();
    let store = await openStore(directory, { runtime, locking: "exclusive" });
    for (const word of ["a", "b"]) await put(store, word, clock.now() + 1000);
    await store.close();
    const path = await databaseIn(directory);
    const native = new DatabaseSync(path);
    native.exec("UPDATE entry SET expires = 'tomorrow' WHERE rowid = 1");
    native.close();
    clock.advance(2000);
    store = await openStore(directory, { runtime, locking: "exclusive" });
    assert.equal((await find(store, "a")).corrupt, true);
    await rest(clock);
    assert.equal((await store.size()).entries, 1);
    await store.close();
  });

  it("that cannot be removed now is tried again a minute later, not all the time", async () => {
    const { clock, runtime } = slow();
    let fails = false;
    let tries = 0;
    const open: Runtime["files"]["open"] = (path, mode) => {
      const file = runtime.files.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write(source: Uint8Array, position: number) {
          if (fails) {
            tries++;
            throw Object.assign(new Error("Cannot write: the disk is full"), { name: "FileError", code: "ENOSPC" });
          }
          write(source, position);
        },
      });
    };
    const store = await openStore(await temporaryFolder(), {
      locking: "exclusive",
      runtime: { ...runtime, files: { ...runtime.files, open } },
    });
    await put(store, "a", clock.now() + 1000);
    fails = true;
    clock.advance(2000);
    await find(store, "nowhere");
    await rest(clock, 60);
    assert.ok(tries > 0 && tries < 5, `${tries} tries`);
    fails = false;
    clock.advance(60_000);
    await find(store, "nowhere");
    await rest(clock, 60);
    assert.equal((await store.size()).entries, 0);
    await store.close();
  });
});
