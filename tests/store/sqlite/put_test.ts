/** How puts are committed: together, in their order, in portions; what one of them does to the others, and when it is over. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Files, Runtime } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { commitsIn, databaseIn, entryOf, find, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const put = async (store: Store, word: string, body: string | Uint8Array = word, model = MODEL): Promise<void> =>
  await store.put(model, requestOf(word), [entryOf(body)], "append");

/** The machine, on which each look at the clock takes so long. */
function slow(step: number): Runtime {
  let time = 0;
  return { ...machine, clock: { ...machine.clock, monotonic: () => time += step } };
}

describe("puts of one turn of the event loop", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });
  const words = Array.from({ length: 40 }, (_, index) => `w${index}`);

  it("share a transaction, and are there once it is committed", async () => {
    const directory = join(folder, "together");
    const store = await openStore(directory);
    await put(store, "first");
    const path = await databaseIn(directory);
    const commits = await commitsIn(path);
    const puts = words.map((word) => put(store, word));
    await puts[0];
    assert.deepEqual(await texts(store, "w0"), ["w0"]);
    await Promise.all(puts);
    for (const word of words) assert.deepEqual(await texts(store, word), [word]);
    // Forty took one, or a few where the machine is slow.
    assert.ok(await commitsIn(path) - commits < 20);
    await store.close();
  });

  it("that take too long are committed in portions", async () => {
    const directory = join(folder, "long");
    // The clock is looked at before and after each put is made ready, which goes on for 4 ms.
    const store = await openStore(directory, { runtime: slow(2) });
    await put(store, "first");
    const path = await databaseIn(directory);
    const commits = await commitsIn(path);
    await Promise.all(words.map((word) => put(store, word)));
    assert.equal(await commitsIn(path) - commits, Math.ceil(words.length / 2));
    await store.close();
  });

  it("that are too large are committed in portions", async () => {
    const directory = join(folder, "large");
    const store = await openStore(directory, { runtime: slow(0) });
    await put(store, "first");
    const path = await databaseIn(directory);
    const commits = await commitsIn(path);
    const bodies = Array.from({ length: 6 }, () => new Uint8Array(randomBytes(400_000)));
    await Promise.all(bodies.map((body, index) => put(store, `w${index}`, body)));
    assert.equal(await commitsIn(path) - commits, 3);
    await put(store, "huge", new Uint8Array(randomBytes(3_000_000)));
    assert.equal((await find(store, "huge")).entries.length, 1);
    await store.close();
  });

  it("keep their order", async () => {
    const store = await openStore(join(folder, "order"), { runtime: slow(2) });
    await Promise.all(words.map((word) => store.put(MODEL, requestOf("a"), [entryOf(word)], "append")));
    assert.deepEqual(await texts(store, "a", 99), words);
    await Promise.all(words.map((word) => store.put(MODEL, requestOf("b"), [entryOf(word)], "replace")));
    assert.deepEqual(await texts(store, "b", 99), [words.at(-1)]);
    await store.close();
  });

  it("do not fail with one of them", async () => {
    const directory = join(folder, "neighbours");
    for (const wrong of [[0], [39], [17], [3, 4, 30], words.keys().toArray()]) {
      const store = await openStore(directory, { runtime: slow(0) });
      const name = wrong.join();
      const outcomes = await Promise.allSettled(words.map((word, index) => {
        const fields = wrong.includes(index) ? { mediaType: null as unknown as string } : {};
        return store.put(MODEL, requestOf(name + word), [entryOf(word, fields)], "append");
      }));
      for (const [index, outcome] of outcomes.entries()) {
        const word = words[index]!;
        if (wrong.includes(index)) {
          assert.equal(outcome.status, "rejected");
          assert.equal((outcome as PromiseRejectedResult).reason.code, "unavailable");
          assert.deepEqual(await texts(store, name + word), []);
        } else {
          assert.equal(outcome.status, "fulfilled");
          assert.deepEqual(await texts(store, name + word), [word]);
        }
      }
      await store.close();
    }
  });

  it("store what they were given, whatever the caller does to it before they are committed", async () => {
    const store = await openStore(join(folder, "changed"));
    const [body, request] = [new TextEncoder().encode("mine"), requestOf("a")];
    const put = store.put(MODEL, request, [entryOf(body)], "append");
    body.fill(0);
    request.key.fill(0);
    await put;
    assert.deepEqual(await texts(store, "a"), ["mine"]);
    await store.close();
  });
});

describe("puts that a failing disk leaves in doubt", () => {
  /** The machine, on which nothing reaches the disk while `isFailing` says so. */
  function failing(isFailing: () => boolean, step: number): Runtime {
    const open: Files["open"] = (path, mode) => {
      const file = machine.files.open(path, mode);
      const sync = file.sync.bind(file);
      return Object.assign(file, {
        sync() {
          if (isFailing()) throw new FileError("Cannot sync: the disk failed", "EIO");
          sync();
        },
      });
    };
    return { ...slow(step), files: { ...machine.files, open } };
  }

  it("are all refused, and none of them is stored twice", async () => {
    const directory = await temporaryFolder();
    let fails = false;
    const store = await openStore(directory, { runtime: failing(() => fails, 0), synchronous: "full" });
    await put(store, "first");
    fails = true;
    const words = ["0", "1", "2", "3"];
    const outcomes = await Promise.allSettled(
      words.map((word) => store.put(MODEL, requestOf("a"), [entryOf(word)], "append")),
    );
    assert.deepEqual(outcomes.map(({ status }) => status), words.map(() => "rejected"));
    fails = false;
    await store.put(MODEL, requestOf("a"), [entryOf("4")], "append");
    const found = await texts(store, "a", 99);
    assert.deepEqual(found, [...new Set(found)]);
    assert.equal(found.at(-1), "4");
    await store.close();
  });

  it("do not take those with them that wait for the next transaction", async () => {
    let failures = 0;
    // Two puts to a transaction.
    const runtime = failing(() => failures > 0 && failures-- > 0, 2);
    const store = await openStore(await temporaryFolder(), { runtime, synchronous: "full" });
    await put(store, "first");
    failures = 1;
    const words = Array.from({ length: 10 }, (_, index) => `w${index}`);
    const outcomes = await Promise.allSettled(words.map((word) => put(store, word)));
    assert.deepEqual(outcomes.map(({ status }) => status), words.map((_, at) => at < 2 ? "rejected" : "fulfilled"));
    for (const word of words.slice(2)) assert.deepEqual(await texts(store, word), [word]);
    await store.close();
  });
});

describe("a queued put", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("outlives the connection that was there when it came", async () => {
    const directory = join(folder, "evicted");
    const store = await openStore(directory, { maxOpenDatabases: 1, runtime: slow(2) });
    const models = ["m0", "m1", "m2"];
    for (const model of models) await put(store, "first", "first", model);
    const words = Array.from({ length: 10 }, (_, index) => `w${index}`);
    const puts = words.flatMap((word) => models.map((model) => put(store, word, `${word} ${model}`, model)));
    await Promise.all(puts);
    for (const word of words) {
      for (const model of models) assert.deepEqual(await texts(store, word, 1, model), [`${word} ${model}`]);
    }
    await store.close();
  });

  it("is committed by close, which opens the database for it if need be", async () => {
    for (const opened of [false, true]) {
      const directory = join(folder, `closed ${opened}`);
      const store = await openStore(directory, { runtime: slow(2) });
      if (opened) await put(store, "first");
      const words = Array.from({ length: 20 }, (_, index) => `w${index}`);
      const puts = Promise.all(words.map((word) => put(store, word)));
      await store.close();
      await puts;
      await assert.rejects(put(store, "late"), { code: "closed" });
      const again = await openStore(directory);
      for (const word of words) assert.deepEqual(await texts(again, word), [word]);
      await again.close();
    }
  });

  it("says why when its database cannot be opened, and so do its neighbours", async () => {
    const directory = join(folder, "held");
    const owner = await openStore(directory, { locking: "exclusive" });
    await put(owner, "a");
    const store = await openStore(directory, { locking: "exclusive" });
    const outcomes = await Promise.allSettled([put(store, "b"), put(store, "c")]);
    assert.deepEqual(outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason?.code), ["locked", "locked"]);
    await owner.close();
    await put(store, "d");
    assert.deepEqual(await texts(store, "d"), ["d"]);
    await store.close();
  });
});
