/** A pack opened as a store: what it finds, what it refuses, and how it stands behind other stores. */

import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { openCache } from "../../../src/compose/open_cache.ts";
import { openPack } from "../../../src/compose/packs.ts";
import { openPackStore } from "../../../src/store/pack/pack_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import {
  answerOf,
  clockAt,
  filesIn,
  memoryStore,
  MODEL,
  NOW,
  packOf,
  packWith,
  put,
  requestOf,
  shardIn,
  texts,
  tools,
  toolsOn,
} from "./fixture.ts";

const body = (word: string) => ({ model: MODEL, messages: [{ role: "user", content: word }] });
const completion = (text: string): string =>
  JSON.stringify({
    id: "1",
    model: MODEL,
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
  });

describe("openPackStore", () => {
  it("finds what is in the pack, and nothing else", async () => {
    const store = await openPackStore(
      tools,
      await packWith({ a: [answerOf("a1"), answerOf("a2")], b: [answerOf("b")] }),
    );
    assert.deepEqual(await texts(store, "a"), ["a1", "a2"]);
    assert.deepEqual(await texts(store, "b"), ["b"]);
    assert.deepEqual(await texts(store, "c"), []);
    assert.deepEqual(await texts(store, "a", "another"), []);
    assert.equal((await store.size()).entries, 3);
    assert.equal(store.isReadOnly, true);
  });

  it("finds answers in shards of several frames, with little memory", async () => {
    const memory = memoryStore();
    const text = (number: number): string => `${number} `.repeat(40_000);
    for (let number = 0; number < 40; number++) await put(memory, `w${number}`, [answerOf(text(number))]);
    const { directory } = await packOf(memory);
    const store = await openPackStore(tools, directory, { memoryBytes: 300_000 });
    for (let number = 39; number >= 0; number--) assert.deepEqual(await texts(store, `w${number}`), [text(number)]);
  });

  it("refuses to be written, and says what to do", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    const files = await filesIn(pack);
    const store = await openPackStore(tools, pack);
    const expected = { name: "CacheError", code: "read_only", message: /put a store in front of it that does/ };
    await assert.rejects(async () => await store.put(MODEL, requestOf("b"), [answerOf("b")], "append"), expected);
    await assert.rejects(async () => await store.remove({}), expected);
    assert.deepEqual(await filesIn(pack), files);
  });

  it("does not serve what has expired, unless a grace is asked for", async () => {
    const pack = await packWith({ a: [answerOf("late", { expires: NOW + 1000 }), answerOf("fresh")] });
    const store = await openPackStore(await toolsOn({ clock: clockAt(NOW + 1500) }), pack);
    assert.deepEqual(await texts(store, "a"), ["fresh"]);
    const [found] = await store.lookup(MODEL, [{ key: requestOf("a").key, samples: 5, grace: 1000 }]);
    assert.deepEqual(found!.entries.map(({ sample }) => sample), [0, 1]);
  });

  it("serves requests under foreign keys only to whoever wants them", async () => {
    const memory = memoryStore();
    const key = new Uint8Array(32).fill(7);
    await memory.put(MODEL, { ...requestOf("a"), key }, [answerOf("a")], "append");
    const { directory } = await packOf(memory);
    const look = async (store: Store) => (await store.lookup(MODEL, [{ key, samples: 1 }]))[0]!;
    const careful = await look(await openPackStore(tools, directory));
    assert.deepEqual([careful.entries.length, careful.corrupt], [0, true]);
    assert.equal((await look(await openPackStore(tools, directory, { foreignKeys: true }))).entries.length, 1);
  });

  it("misses, and says so, when a shard changes or goes while it is open", async () => {
    const pack = await packWith({ a: [answerOf("a")] });
    const shard = await shardIn(pack);
    const changed = await openPackStore(tools, pack);
    const bytes = await readFile(shard);
    await writeFile(shard, bytes.map((byte, at) => at === 30 ? byte ^ 1 : byte));
    const want = [{ key: requestOf("a").key, samples: 1 }];
    assert.equal((await changed.lookup(MODEL, want))[0]!.corrupt, true);
    await writeFile(shard, bytes);
    const gone = await openPackStore(tools, pack);
    await rm(shard);
    await assert.rejects(async () => await gone.lookup(MODEL, want), { name: "CacheError", code: "unavailable" });
  });

  it("refuses a size of its memory that means nothing", async () => {
    const pack = await packWith({});
    await assert.rejects(openPackStore(tools, pack, { memoryBytes: 0 }), RangeError);
  });
});

describe("openPack", () => {
  it("as the backend of a cache: what was recorded is replayed, and nothing is called", async () => {
    const pack = await packWith({ a: [answerOf(completion("recorded"))] });
    const cache = await openCache({ backend: await openPack(pack), mode: "replay", priceOf: null });
    const never = (): never => assert.fail("nothing may be called");
    const answer = await cache.wrap(body("a"), never) as { choices: [{ message: { content: string } }] };
    assert.equal(answer.choices[0].message.content, "recorded");
    await assert.rejects(async () => await cache.wrap(body("b"), never), {
      code: "replay_miss",
      message: /was "a", now "b"/,
    });
    await cache.close();
  });

  it("behind a store that takes what is new: nothing fails, and what it has is copied up", async () => {
    const pack = await packWith({ a: [answerOf(completion("recorded"))] });
    const files = await filesIn(pack);
    const directory = await temporaryFolder();
    const events: unknown[] = [];
    const open = async () =>
      await openCache({
        directory,
        tiers: ["sqlite", await openPack(pack)],
        priceOf: null,
        report: (event) => void events.push(event),
      });
    const cache = await open();
    const never = (): never => assert.fail("nothing may be called");
    await cache.wrap(body("a"), never);
    await cache.wrap(body("new"), () => JSON.parse(completion("new")));
    await cache.wrap(body("a"), () => JSON.parse(completion("fresh")), { mode: "refresh" });
    await cache.wrap(body("new"), never);
    await cache.close();
    const again = await open();
    const answer = await again.wrap(body("a"), never) as { choices: [{ message: { content: string } }] };
    assert.equal(answer.choices[0].message.content, "fresh");
    await again.wrap(body("new"), never);
    await again.close();
    assert.deepEqual(events, []);
    assert.deepEqual(await filesIn(pack), files);
  });

  it("refuses what is no name of a folder, and options that it does not know", async () => {
    await assert.rejects(openPack(""), TypeError);
    await assert.rejects(openPack("somewhere", { foreign: true } as object), {
      name: "TypeError",
      message: /unknown option/,
    });
  });
});
