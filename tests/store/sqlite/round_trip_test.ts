/** What is put into the SQLite store comes out again, byte for byte and field by field, also after it was closed. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import type { Store } from "../../../src/store/store.ts";
import { requirePart } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, keyOf, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

describe("SqliteStore", () => {
  let folder: string;
  before(async () => {
    folder = await temporaryFolder();
  });

  it("keeps every field and every byte, from one opening to the next", async () => {
    const directory = join(folder, "fields");
    const bodies: Record<string, Uint8Array> = {
      empty: new Uint8Array(0),
      short: new TextEncoder().encode("{}"),
      unicode: new TextEncoder().encode(JSON.stringify({ content: "größer 漢字 🦕 \u0000".repeat(50) })),
      megabyte: new TextEncoder().encode("once upon a time ".repeat(62_000)),
      incompressible: new Uint8Array(randomBytes(5000)),
      largeNoise: new Uint8Array(randomBytes(1_000_000)),
    };
    const plainFields = { modelAnswered: null, fingerprint: null, promptTokens: null, completionTokens: null } as const;
    const nothingKnown = { ...plainFields, costMicrodollars: null, latency: null } as const;
    let store = await openStore(directory);
    for (const [word, body] of Object.entries(bodies)) {
      await store.put(MODEL, requestOf(word), [entryOf(body), entryOf(body, nothingKnown)], "append");
    }
    for (const reopened of [false, true]) {
      if (reopened) {
        await store.close();
        store = await openStore(directory);
      }
      for (const [word, body] of Object.entries(bodies)) {
        const { entries, ...flags } = await find(store, word, 2);
        assert.deepEqual(flags, { stale: false, expired: false, corrupt: false });
        assert.equal(entries.length, 2);
        for (const [sample, expected] of [entryOf(body), entryOf(body, nothingKnown)].entries()) {
          const entry = entries[sample]!;
          assert.equal(entry.sample, sample);
          assert.deepEqual(new Uint8Array(entry.bytes()), body);
          assert.equal(entry.bytes(), entry.bytes());
          for (const [name, value] of Object.entries(expected)) {
            if (name !== "body") assert.equal(entry[name as "outcome"], value, name);
          }
        }
      }
      assert.ok((await find(store, "megabyte")).entries[0]!.storedBytes < 1000);
      assert.equal((await find(store, "incompressible")).entries[0]!.storedBytes, 5000);
    }
    await store.close();
  });

  it("keeps numbers and texts that SQL might bend", async () => {
    const store = await openStore(join(folder, "bend"));
    const odd = { latency: -0, costMicrodollars: 2 ** 60, modelAnswered: "\ud800 lone", fingerprint: "nul\0" };
    await store.put(MODEL, requestOf("odd"), [entryOf("odd", { ...odd, promptTokens: Number.NaN })], "append");
    const [entry] = (await find(store, "odd")).entries;
    assert.equal(entry!.latency, 0);
    assert.equal(entry!.costMicrodollars, 2 ** 60);
    assert.equal(entry!.modelAnswered, "\ufffd lone");
    assert.equal(entry!.fingerprint, "nul\0");
    assert.equal(entry!.promptTokens, null);
    await store.close();
  });

  it("answers many wants in their order, with duplicates", async () => {
    const store = await openStore(join(folder, "batch"));
    for (const word of ["a", "b", "c"]) {
      await store.put(MODEL, requestOf(word), [entryOf(word), entryOf(`${word}2`)], "append");
    }
    const words = ["b", "nowhere", "a", "b", "c", "b"];
    const found = await store.lookup(MODEL, words.map((word, index) => ({ key: keyOf(word), samples: 1 + index % 2 })));
    assert.deepEqual(
      found.map(({ entries }) => entries.map((entry) => new TextDecoder().decode(entry.bytes()))),
      [["b"], [], ["a"], ["b", "b2"], ["c"], ["b", "b2"]],
    );
    assert.deepEqual(await store.lookup(MODEL, []), []);
    await store.close();
  });

  it("answers at once when the database is open", async () => {
    const store = await openStore(join(folder, "sync"));
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    assert.ok(Array.isArray(store.lookup(MODEL, [{ key: keyOf("a"), samples: 1 }])));
    await store.close();
  });

  it("an entry outlives what happens to the store", async () => {
    const store = await openStore(join(folder, "outlives"));
    await store.put(MODEL, requestOf("a"), [entryOf("first ".repeat(100))], "append");
    const [entry] = (await find(store, "a")).entries;
    await store.put(MODEL, requestOf("a"), [entryOf("second ".repeat(100))], "replace");
    await store.close();
    assert.equal(new TextDecoder().decode(entry!.bytes()), "first ".repeat(100));
  });

  it("keeps models apart, the one without a name too", async () => {
    const directory = join(folder, "models");
    const store = await openStore(directory);
    const models = ["gpt-4o", "GPT-4o", "", "meta-llama/Llama-3.1-8B", "../../etc/passwd"];
    for (const model of models) await store.put(model, requestOf("a"), [entryOf(`from ${model}`)], "append");
    for (const model of models) assert.deepEqual(await texts(store, "a", 1, model), [`from ${model}`]);
    await store.close();
    const names = (await readdir(directory)).filter((name) => name.endsWith(".sqlite"));
    assert.equal(names.length, models.length);
  });

  it("a lookup creates nothing", async () => {
    const directory = join(folder, "nothing");
    const store = await openStore(directory);
    assert.deepEqual(await find(store, "a"), { entries: [], stale: false, expired: false, corrupt: false });
    assert.deepEqual(await store.size(), { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 });
    await store.close();
    assert.equal(machine.files.exists(directory), false);
  });

  it("many concurrent first uses open a database once", async () => {
    const store = await openStore(join(folder, "once"));
    const words = Array.from({ length: 20 }, (_, index) => `w${index}`);
    await Promise.all(words.map((word) => store.put(MODEL, requestOf(word), [entryOf(word)], "append")));
    assert.deepEqual(await Promise.all(words.map((word) => texts(store, word))), words.map((word) => [word]));
    await store.close();
  });

  it("keeps at most so many databases open, and closes the least recently used properly", async () => {
    const directory = join(folder, "lru");
    const store = await openStore(directory, { maxOpenDatabases: 2 });
    const models = ["m0", "m1", "m2", "m3"];
    const put = async (model: string): Promise<void> =>
      await store.put(model, requestOf("a"), [entryOf(model)], "append");
    await Promise.all(models.map(put));
    const logs = (await readdir(directory)).filter((name) => name.endsWith("-wal"));
    assert.equal(logs.length, 2);
    const asked = await Promise.all([...models, ...models].map((model) => texts(store, "a", 1, model)));
    assert.deepEqual(asked, [...models, ...models].map((model) => [model]));
    await store.close();
  });

  it("leaves files that the sqlite3 shell reads", async (context) => {
    if (!requirePart(context, "sqlite3")) return;
    const directory = join(folder, "shell");
    const store = await openStore(directory);
    await store.put(MODEL, requestOf("a"), [entryOf("tiny"), entryOf("long ".repeat(100))], "append");
    await store.close();
    const path = await databaseIn(directory);
    const shell = (sql: string): string[] =>
      execFileSync("sqlite3", [path, sql], { encoding: "utf8" }).trim().split("\n");
    assert.deepEqual(shell("PRAGMA integrity_check"), ["ok"]);
    assert.deepEqual(shell("SELECT sample, outcome, model_answered, latency, codec, size FROM entry ORDER BY sample"), [
      "0|stop|gpt-4o-mini-2024-07-18|789.25|plain|4",
      "1|stop|gpt-4o-mini-2024-07-18|789.25|zstd|500",
    ]);
    assert.deepEqual(shell("SELECT namespace, provider, endpoint FROM request"), ["tests|openai|/v1/chat/completions"]);
    assert.deepEqual(shell("SELECT body FROM entry WHERE sample = 0"), ["tiny"]);
    assert.deepEqual(shell("SELECT value FROM meta WHERE name = 'model'"), [MODEL]);
    assert.deepEqual(shell("PRAGMA application_id; PRAGMA user_version; PRAGMA auto_vacuum"), ["1463898701", "2", "2"]);
  });

  it("refuses everything once it is closed, twice too", async () => {
    const store = await openStore(join(folder, "closed"));
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    await Promise.all([store.close(), store.close()]);
    await store.close();
    const closed = { name: "CacheError", code: "closed" };
    const attempts: ((store: Store) => unknown)[] = [
      (store) => find(store, "a"),
      async (store) => await store.put(MODEL, requestOf("b"), [entryOf("b")], "append"),
      (store) => store.size(),
    ];
    for (const attempt of attempts) await assert.rejects(async () => await attempt(store), closed);
  });

  it("close waits for what is being opened", async () => {
    const directory = join(folder, "closing");
    const store = await openStore(directory);
    const put = Promise.resolve(store.put(MODEL, requestOf("a"), [entryOf("a")], "append"));
    const closed = store.close();
    await Promise.allSettled([put, closed]);
    const again = await openStore(directory);
    await again.put(MODEL, requestOf("b"), [entryOf("b")], "append");
    await again.close();
  });

  it("refuses wrong options by name", async () => {
    const wrong = [
      { lockTimeuot: 5 },
      { synchronous: "off" },
      { locking: "sharde" },
      { lockTimeout: -1 },
      { maxOpenDatabases: 0 },
    ];
    for (const options of wrong) {
      await assert.rejects(openStore(folder, options as never), (error: Error) => {
        assert.ok(error instanceof TypeError || error instanceof RangeError);
        return error.message.includes(Object.keys(options)[0]!);
      });
    }
  });
});
