/** What is the file store's own: where things lie, when it reads and writes, and what it does not take. */

import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import { openFileStore } from "../../../src/store/file/file_store.ts";
import type { Want } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import {
  at,
  binIn,
  entryOf,
  find,
  keyOf,
  machine,
  MODEL,
  NOW,
  openFiles,
  requestOf,
  texts,
  treeOf,
} from "./fixture.ts";

/** The machine, and the names of the files that were opened and replaced on it. */
function listening(): { runtime: Runtime; opened: string[]; replaced: string[] } {
  const { files } = machine;
  const [opened, replaced]: [string[], string[]] = [[], []];
  const note = (list: string[], path: string): void => void list.push(path.split("/").at(-1)!);
  return {
    opened,
    replaced,
    runtime: {
      ...machine,
      files: {
        ...files,
        open: (path, mode) => {
          note(opened, path);
          return files.open(path, mode);
        },
        replace: (path, bytes, options) => {
          note(replaced, path);
          return files.replace(path, bytes, options);
        },
      },
    },
  };
}

/** Does some work, and counts how often others had their turn meanwhile. */
async function countingTurns<T>(work: () => Promise<T>): Promise<{ turns: number; result: T }> {
  let [turns, counting] = [0, true];
  const count = (): void => {
    turns++;
    if (counting) machine.clock.afterTurn(count);
  };
  machine.clock.afterTurn(count);
  const result = await work();
  counting = false;
  return { turns, result };
}

describe("openFileStore", () => {
  it("creates nothing, nor does looking", async () => {
    const directory = join(await temporaryFolder(), "cache");
    const store = await openFiles(directory);
    assert.equal((await find(store, "a")).entries.length, 0);
    assert.equal((await store.size()).totalBytes, 0);
    await store.remove({});
    await store.remove({ model: MODEL, keys: [keyOf("a")] });
    assert.deepEqual(await Array.fromAsync(store.list()), []);
    await store.close();
    await assert.rejects(stat(directory), { code: "ENOENT" });
  });

  it("makes a folder for each model, a file for each request, and nothing that others may read", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    await store.put(MODEL, requestOf("a"), [entryOf("one"), entryOf("two")], "append");
    await store.put("", requestOf("a"), [entryOf("one")], "append");
    await store.close();
    const key = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
    const folder = (
      name: string,
    ) => [`${name}/`, `${name}/ca/`, `${name}/ca/${key}.json`, `${name}/lock`, `${name}/model.json`];
    assert.deepEqual(await treeOf(directory), [...folder("_none-e3b0c442"), ...folder("gpt-4o-mini-8a434280")]);
    assert.equal((await stat(binIn(directory, "a"))).mode & 0o777, 0o600);
    assert.equal((await stat(join(directory, "_none-e3b0c442"))).mode & 0o777, 0o700);
  });

  it("writes the same bytes for the same answers, whoever puts them", async () => {
    const bytes: string[] = [];
    for (const pieces of [["one", "two"], ["one"]]) {
      const directory = await temporaryFolder();
      const store = await openFiles(directory);
      await store.put(MODEL, requestOf("a"), pieces.map((text) => entryOf(text)), "append", { tags: ["x"] });
      if (pieces.length < 2) await store.put(MODEL, requestOf("a"), [entryOf("two")], "append", { tags: ["x"] });
      await store.close();
      bytes.push(await readFile(binIn(directory, "a"), "utf8"));
    }
    assert.equal(bytes[0], bytes[1]);
  });

  it("refuses options that are wrong or misspelled", async () => {
    const options = { runtime: machine, directory: "x" };
    const wrong: [object, typeof Error, RegExp][] = [
      [{ synchronus: "full" }, TypeError, /unknown option .*: synchronus$/],
      [{ synchronous: "off" }, TypeError, /synchronous must be "normal" or "full": off$/],
      [{ lockTimeout: -1 }, RangeError, /lockTimeout must be 0 or more: -1$/],
      [{ lockTimeout: NaN }, RangeError, /lockTimeout/],
      [{ keepExpired: -1 }, RangeError, /keepExpired must be 0 or more: -1$/],
      [
        { maxBytes: 1_000_000 },
        RangeError,
        /it takes no maxBytes; prune it now and then, or use the sqlite store: 1000000$/,
      ],
    ];
    for (const [more, error, message] of wrong) {
      await assert.rejects(openFileStore({ ...options, ...more }), (thrown: Error) => {
        assert.ok(thrown instanceof error);
        assert.match(thrown.message, message);
        return true;
      });
    }
  });
});

describe("a lookup", () => {
  it("opens the one file it is about, and none of what others have", async () => {
    const directory = await temporaryFolder();
    const { runtime, opened } = listening();
    const store = await openFiles(directory, { runtime });
    for (const word of ["a", "b", "c"]) await store.put(MODEL, requestOf(word), [entryOf(word)], "append");
    await store.close();
    const reader = await openFiles(directory, { runtime });
    opened.length = 0;
    assert.deepEqual(await texts(reader, "a"), ["a"]);
    assert.deepEqual(await texts(reader, "nobody's"), []);
    assert.equal(opened.length, 2);
    assert.ok(binIn(directory, "a").endsWith(opened[0]!));
    await reader.close();
  });

  it("answers at once when little is asked for, and lets others have their turn when much is", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory, {
      runtime: { ...machine, clock: { ...machine.clock, monotonic: () => 0 } },
    });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const wants = (count: number): Want[] => Array.from({ length: count }, () => ({ key: keyOf("a"), samples: 1 }));
    assert.ok(Array.isArray(store.lookup(MODEL, wants(10))));
    const { turns, result } = await countingTurns(async () => await store.lookup(MODEL, wants(1000)));
    assert.equal(result.length, 1000);
    assert.ok(turns >= 10, `${turns}`);
    await store.close();
  });

  it("changes no file, whatever has expired", async () => {
    const directory = await temporaryFolder();
    const { runtime, replaced } = listening();
    const store = await openFiles(directory, { runtime: at(() => NOW + 10, runtime) });
    await store.put(MODEL, requestOf("a"), [entryOf("a", { expires: NOW + 5 })], "append");
    replaced.length = 0;
    const { entries, expired } = await find(store, "a");
    assert.deepEqual({ entries, expired }, { entries: [], expired: true });
    await store.close();
    assert.deepEqual(replaced, []);
    assert.match(await readFile(binIn(directory, "a"), "utf8"), /"expires"/);
  });
});

describe("what has expired", () => {
  it("goes with the next put to its request, or to its model when a lookup came by it", async () => {
    const directory = await temporaryFolder();
    let now = NOW;
    const store = await openFiles(directory, { runtime: at(() => now), keepExpired: 100 });
    for (const word of ["a", "b", "c"]) {
      await store.put(MODEL, requestOf(word), [entryOf(word, { expires: NOW + 5 }), entryOf("kept")], "append");
    }
    now += 50;
    await find(store, "b", 9);
    await store.put(MODEL, requestOf("a"), [entryOf("new")], "append");
    assert.equal((await store.size()).entries, 3 + 2 + 1, "only where it is put to: b may still be needed");
    now += 55;
    await find(store, "b", 9);
    await store.put(MODEL, requestOf("a"), [entryOf("newer")], "append");
    await store.close();
    const again = await openFiles(directory);
    assert.equal((await again.size()).entries, 3 + 1 + 2);
    await again.close();
  });

  it("takes its file with it when nothing else is in it", async () => {
    const directory = await temporaryFolder();
    let now = NOW;
    const store = await openFiles(directory, { runtime: at(() => now) });
    await store.put(MODEL, requestOf("a"), [entryOf("a", { expires: NOW + 5 })], "append");
    now += 5;
    await find(store, "a");
    await store.put(MODEL, requestOf("b"), [entryOf("b")], "append");
    await store.close();
    await assert.rejects(stat(binIn(directory, "a")), { code: "ENOENT" });
  });
});

describe("synchronous", () => {
  it("full has the disk keep the bytes before they have their name, and the name before the put is acknowledged", async () => {
    const directory = await temporaryFolder();
    const events: string[] = [];
    const { files } = machine;
    const note = (what: string, path: string): void => void events.push(`${what} ${path.slice(directory.length)}`);
    const runtime: Runtime = {
      ...machine,
      files: {
        ...files,
        replace: (path, bytes, options) => {
          note(options?.synchronous ? "replace and sync" : "replace", path);
          return files.replace(path, bytes, options);
        },
        sync: (path) => {
          note("sync", path);
          return files.sync(path);
        },
      },
    };
    const store = await openFiles(directory, { runtime, synchronous: "full" });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const bin = binIn(directory, "a").slice(directory.length);
    const [shard, folder] = [bin.slice(0, -70), bin.slice(0, -73)];
    const names = [`sync ${shard}`, `sync ${folder}`, `sync ${folder}/..`];
    assert.deepEqual(events, [`replace and sync ${folder}/model.json`, `replace and sync ${bin}`, ...names]);
    events.length = 0;
    await store.remove({});
    assert.deepEqual(events, names);
    await store.close();
  });
});

describe("puts at the same time", () => {
  it("to one request are one write, in their order", async () => {
    const directory = await temporaryFolder();
    const { runtime, replaced } = listening();
    const store = await openFiles(directory, { runtime });
    const words = Array.from({ length: 20 }, (_, index) => `${index}`);
    await Promise.all(words.map((text) => store.put(MODEL, requestOf("a"), [entryOf(text)], "append")));
    assert.deepEqual(await texts(store, "a", 99), words);
    assert.equal(replaced.length, 2, "the bin and model.json");
    await store.close();
  });

  it("of which one fails do not fail with it", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    const odd = { ...entryOf("odd"), fingerprint: undefined as unknown as null };
    const puts = [entryOf("one"), odd, entryOf("two")].map(async (entry) =>
      await store.put(MODEL, requestOf("a"), [entry], "append")
    );
    const results = await Promise.allSettled(puts);
    assert.deepEqual(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
    assert.deepEqual(await texts(store, "a", 9), ["one", "two"]);
    await store.close();
  });

  it("are all on the disk when close has resolved, acknowledged or not", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    const words = Array.from({ length: 50 }, (_, index) => `${index}`);
    const puts = words.map((word) => store.put(MODEL, requestOf(word), [entryOf(word)], "append"));
    await store.close();
    await Promise.all(puts);
    const again = await openFiles(directory);
    for (const word of words) assert.deepEqual(await texts(again, word), [word]);
    await again.close();
  });
});

describe("a put to a request that has hundreds of answers", () => {
  it("lets others have their turn while those are checked and written anew", async () => {
    const directory = await temporaryFolder();
    const first = await openFiles(directory);
    const many = Array.from({ length: 1000 }, (_, index) => entryOf(`answer ${index}`));
    await first.put(MODEL, requestOf("a"), many, "append");
    await first.close();
    // However quick the machine is.
    const runtime = { ...machine, clock: { ...machine.clock, monotonic: () => 0 } };
    const store = await openFiles(directory, { runtime });
    const { turns } = await countingTurns(async () =>
      await store.put(MODEL, requestOf("a"), [entryOf("one more")], "append")
    );
    assert.ok(turns >= 2 * 1000 / 64, `${turns}`);
    assert.equal((await texts(store, "a", 9999)).at(-1), "one more");
    await store.close();
  });
});

describe("a removal", () => {
  it("leaves no empty folders but the model's", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    for (const word of ["a", "b"]) await store.put(MODEL, requestOf(word), [entryOf(word)], "append");
    await store.remove({ keys: [keyOf("a")] });
    await store.close();
    const folder = "gpt-4o-mini-8a434280/";
    const key = "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d";
    const left = ["", "3e/", `3e/${key}.json`, "lock", "model.json"];
    assert.deepEqual(await treeOf(directory), left.map((name) => folder + name));
  });
});

describe("a put of nothing", () => {
  it("writes nothing, and replaces all by nothing where it is said so", async () => {
    const directory = await temporaryFolder();
    const store = await openFiles(directory);
    await store.put(MODEL, requestOf("a"), [], "append");
    await assert.rejects(stat(binIn(directory, "a")), { code: "ENOENT" });
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    await store.put(MODEL, requestOf("a"), [], "replace_all");
    assert.deepEqual(await texts(store, "a"), []);
    await assert.rejects(stat(binIn(directory, "a")), { code: "ENOENT" });
    await store.close();
  });
});
