/** `openCache` on several stores: which are taken, in which order, and what it refuses. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type CacheEvent, openCache } from "../../mod.ts";
import { CacheBackend, type OpenCacheOptions } from "../../src/compose/open_cache.ts";
import { openMemoryStore } from "../../src/compose/stores/memory.ts";
import { openSqliteStore } from "../../src/compose/stores/sqlite.ts";
import { openFileStore } from "../../src/compose/stores/file.ts";
import { CacheError } from "../../src/store/error.ts";
import { RedisServer, requireRedis } from "../support/redis_server.ts";
import { temporaryFolder } from "../support/temporary.ts";

const REQUEST = { model: "m", messages: [{ role: "user", content: "Say hi" }] };
const MEBIBYTE = 2 ** 20;

function answer(content: string): Record<string, unknown> {
  return { choices: [{ message: { content }, finish_reason: "stop" }] };
}

describe("CacheBackend", () => {
  it("names the backends, as a value and as a type", async () => {
    const names = { FILE: "file", SQLITE: "sqlite", REDIS: "redis", REMOTE: "remote", MEMORY: "memory" };
    assert.deepEqual({ ...CacheBackend }, names);
    const backend: CacheBackend = CacheBackend.MEMORY;
    await using cache = await openCache({ backend });
    assert.equal((await cache.stats()).store?.name, "memory");
  });
});

describe("openCache with backend", () => {
  it("file keeps an answer from one run to the next, beside a sqlite cache in the same directory", async () => {
    const directory = await temporaryFolder();
    for (const backend of ["file", "sqlite"] as const) {
      await using cache = await openCache({ directory, backend });
      await cache.put(REQUEST, answer(backend));
    }
    for (const backend of ["file", "sqlite"] as const) {
      await using cache = await openCache({ directory, backend });
      assert.deepEqual((await cache.get(REQUEST))!.json(), answer(backend));
      assert.equal((await cache.clear()).entries, 1);
    }
  });
});

describe("openCache with tiers", () => {
  it("answers from the first that has it, and keeps in all", async () => {
    const [near, far] = [await temporaryFolder(), await temporaryFolder()];
    const tiers = [{ backend: "sqlite", directory: near }, { backend: "file", directory: far }] as const;
    {
      await using cache = await openCache({ tiers });
      await cache.put(REQUEST, answer("hi"));
      assert.equal((await cache.stats()).store?.name, "tiered");
    }
    for (const each of tiers) {
      await using cache = await openCache({ tiers: [each] });
      assert.deepEqual((await cache.get(REQUEST))!.json(), answer("hi"));
    }
  });

  it("copies up what only the last one has", async () => {
    const [near, far] = [await temporaryFolder(), await temporaryFolder()];
    {
      await using last = await openCache({ directory: far });
      await last.put(REQUEST, answer("far"));
    }
    {
      await using cache = await openCache({
        tiers: ["memory", { backend: "sqlite", directory: near }, { backend: "sqlite", directory: far }],
      });
      assert.deepEqual((await cache.get(REQUEST))!.json(), answer("far"));
    }
    await using first = await openCache({ directory: near });
    assert.deepEqual((await first.get(REQUEST))!.json(), answer("far"));
  });

  it("takes memory in front for a copy of what is read, which sees what others do", async () => {
    const directory = await temporaryFolder();
    await using cache = await openCache({ directory, tiers: [{ backend: "memory", maxBytes: MEBIBYTE }, "sqlite"] });
    await cache.put(REQUEST, answer("one"));
    for (let time = 0; time < 3; time++) assert.deepEqual((await cache.get(REQUEST))!.json(), answer("one"));
    await cache.wrap(REQUEST, () => Promise.resolve(answer("two")), { mode: "refresh" });
    assert.deepEqual((await cache.get(REQUEST))!.json(), answer("two"));
    await cache.clear();
    assert.equal(await cache.get(REQUEST), undefined);
  });

  it("takes stores of the caller's, and closes them", async () => {
    const [near, far] = [
      await openMemoryStore({ maxBytes: MEBIBYTE }),
      await openFileStore({ directory: await temporaryFolder() }),
    ];
    const cache = await openCache({ tiers: ["memory", near, { backend: far, deadline: 100 }] });
    await cache.put(REQUEST, answer("hi"));
    assert.deepEqual((await cache.get(REQUEST))!.json(), answer("hi"));
    for (const store of [near, far]) assert.equal((await store.size()).entries, 1);
    await cache.close();
    for (const store of [near, far]) await assert.rejects(async () => await store.size(), CacheError);
  });

  it("answers though a tier is gone, says so, and keeps in the others", async () => {
    const directory = await temporaryFolder();
    const dead = await openMemoryStore({ maxBytes: MEBIBYTE });
    dead.lookup = dead.put = (): Promise<never> => Promise.reject(new CacheError("unavailable", "Cannot reach it"));
    const events: string[] = [];
    {
      const report = ({ type }: CacheEvent): void => void events.push(type);
      await using cache = await openCache({ directory, tiers: ["sqlite", dead], report });
      assert.deepEqual(await cache.wrap(REQUEST, () => Promise.resolve(answer("hi"))), answer("hi"));
      const { hits, misses, writes } = await cache.stats();
      assert.deepEqual({ hits, misses, writes }, { hits: 0, misses: 1, writes: 1 });
    }
    assert.ok(events.includes("lookup_failed") && events.at(-1) === "write_failed", events.join());
    await using cache = await openCache({ directory });
    assert.deepEqual((await cache.get(REQUEST))!.json(), answer("hi"));
  });

  it("answers though its Redis is killed, from what is near and from the provider", async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const [directory, redis] = [await temporaryFolder(), { url: server.url, flushTimeout: 0 }];
    const ask = (seed: number) => ({ ...REQUEST, seed });
    {
      await using cache = await openCache({ directory, redis, tiers: ["sqlite", "redis"] });
      await cache.wrap(ask(1), () => Promise.resolve(answer("one")));
      await server.kill();
      assert.deepEqual(await cache.wrap(ask(1), () => assert.fail("it is near")), answer("one"));
      for (const seed of [2, 3, 4]) await cache.wrap(ask(seed), () => Promise.resolve(answer(`${seed}`)));
    }
    await server.stop();
    await using cache = await openCache({ directory });
    for (const seed of [2, 3, 4]) assert.deepEqual((await cache.get(ask(seed)))!.json(), answer(`${seed}`));
  });

  it("brings to a Redis that was away what was bought meanwhile, though it was left alone", async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const redis = { url: server.url };
    const seeds = Array.from({ length: 8 }, (_, index) => index);
    const ask = (seed: number) => ({ ...REQUEST, seed });
    {
      await using cache = await openCache({
        directory: await temporaryFolder(),
        redis,
        tiers: ["sqlite", "redis"],
      });
      await cache.wrap(REQUEST, () => Promise.resolve(answer("hi")));
      await server.kill();
      for (const seed of seeds) await cache.wrap(ask(seed), () => Promise.resolve(answer(`${seed}`)));
      await server.restart();
    }
    await using cache = await openCache({ redis, backend: "redis" });
    for (const seed of seeds) assert.deepEqual((await cache.get(ask(seed)))?.json(), answer(`${seed}`));
    await server.stop();
  });

  it("shares what one machine bought with another by Redis", async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const redis = { url: server.url };
    for (const machine of ["one", "another"]) {
      const directory = await temporaryFolder();
      await using cache = await openCache({ directory, redis, tiers: ["memory", "sqlite", "redis"] });
      let calls = 0;
      await cache.wrap(REQUEST, () => Promise.resolve(answer(`${++calls}`)));
      assert.equal(calls, machine === "one" ? 1 : 0);
    }
    await server.stop();
  });

  it("closes what it has opened when one of them cannot be", async () => {
    const directory = await temporaryFolder();
    const tiers = ["sqlite", { backend: "file", directory: join(directory, "x") }] as const;
    await assert.rejects(openCache({ directory, locking: "exclusive", keepExpired: -1, tiers }), RangeError);
    await using cache = await openCache({ directory, locking: "exclusive", lockTimeout: 0 });
    await cache.put(REQUEST, answer("hi"));
    assert.equal((await readdir(directory)).includes("x"), false);
  });

  it("refuses what makes no sense", async () => {
    const store = await openSqliteStore({ directory: await temporaryFolder() });
    const wrong: [OpenCacheOptions, RegExp][] = [
      [{ backend: { backend: "file" } as never }, /unknown backend/],
      [{ backend: "file", tiers: ["file"] }, /with both backend and tiers/],
      [{ tiers: [] }, /list of one store or more/],
      [{ tiers: "sqlite" as never }, /list of one store or more: sqlite$/],
      [{ tiers: ["papyrus" as "file"] }, /unknown backend: papyrus \(known: file, sqlite, redis, remote, memory\)$/],
      [{ tiers: [{ backend: {} as never }] }, /unknown backend/],
      [{ tiers: [null as never] }, /unknown backend: null/],
      [{ tiers: [{ backend: "sqlite", dir: "x" } as never] }, /unknown option .*: dir$/],
      [{ tiers: ["sqlite", "memory", "file"] }, /put it in front/],
      [{ tiers: ["sqlite", "sqlite"] }, /same tier twice.*: sqlite in \.warmcache$/],
      [{ directory: "a", tiers: ["file", { backend: "file", directory: "./a//" }] }, /same tier twice/],
      [{ tiers: ["redis", { backend: "redis", redis: {} }] }, /same tier twice.*: redis$/],
      [{ tiers: ["memory", store, store] }, /same tier twice.*: sqlite$/],
      [{ directory: "" }, /directory has to be a string that names one: an empty one$/],
      [{ tiers: [{ backend: "file", directory: 5 as never }] }, /directory has to be a string that names one: 5$/],
      [{ redis: "redis://user:secret@example" as never }, /redis has to be an object, .*: string$/],
      [{ tiers: [{ backend: "redis", maxBytes: 5 }] }, /maxBytes means nothing to the tier redis: 5$/],
      [{ tiers: [{ backend: "file", maxBytes: 5 }] }, /maxBytes means nothing to the tier file: 5$/],
      [{ tiers: [{ backend: "sqlite", freshFor: 5 }] }, /freshFor means nothing/],
      [{ tiers: [{ backend: "memory", deadline: 5 }, "file"] }, /deadline means nothing to the tier memory, in front/],
      [{ tiers: [{ backend: store, directory: "x" }] }, /directory means nothing to the tier a store of your own: x$/],
    ];
    for (const [options, message] of wrong) {
      await assert.rejects(openCache(options), (error) => error instanceof TypeError && message.test(error.message));
    }
    await store.close();
  });
});
