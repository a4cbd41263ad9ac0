/** Migration between our own backends: everything comes over, once, from any store to any store. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { migrateCacheOn } from "../../src/compose/migrate.ts";
import type { MigrationProgress } from "../../src/compose/migrate.ts";
import { requestKey } from "../../src/cache/request/key.ts";
import { sketchOf } from "../../src/cache/explain/sketch.ts";
import { openRedisStore } from "../../src/store/redis/redis_store.ts";
import type { NewEntry, RequestRecord, Store } from "../../src/store/store.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { RedisServer, requireRedis } from "../support/redis_server.ts";
import { openStore as openRemote, storeServer } from "../store/remote/fixture.ts";
import { contentsOf, machine, memoryStore, STORES } from "./support.ts";

const SCOPE = { namespace: "", provider: "openai", endpoint: "/v1/chat/completions", identity: null };
const NOW = Date.UTC(2026, 0, 1);

function requestOf(body: Record<string, unknown>, namespace = ""): RequestRecord {
  const scope = { ...SCOPE, namespace };
  const { key, canonicalBody } = requestKey({ ...scope, body }, new Set(), machine.sha256);
  return { key, ...scope, body: new TextEncoder().encode(canonicalBody), sketch: sketchOf({ ...scope, body }) };
}

function entryOf(text: string, more: Partial<NewEntry> = {}): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: "m",
    modelAnswered: "m-2026",
    fingerprint: "fp",
    promptTokens: 8,
    completionTokens: 3,
    costMicrodollars: 4.5,
    latency: 1250,
    created: NOW - 1000,
    expires: null,
    body: new TextEncoder().encode(text),
    ...more,
  };
}

const asked = (question: string): Record<string, unknown> => ({
  model: "m",
  messages: [{ role: "user", content: question }],
});

/** A store with what makes a difference: samples, models, namespaces, streams, unknown facts, times that end. */
async function filled(store: Store): Promise<Store> {
  const samples = ["one", "two", "two", "three"].map((text, index) =>
    entryOf(JSON.stringify({ text }), { created: NOW + index, outcome: index === 3 ? "length" : "stop" })
  );
  await store.put("m", requestOf(asked("samples")), samples, "append", { tags: ["a", "b"] });
  await store.put("m", requestOf(asked("samples"), "other"), [entryOf("{}")], "append");
  await store.put("another/model", requestOf({ ...asked("stream"), model: "another/model" }), [
    entryOf('data: {"a":1}\n\ndata: [DONE]\n\n', { mediaType: "text/event-stream", expires: NOW + 60_000 }),
  ], "append");
  const unknown = { modelAnswered: null, fingerprint: null, promptTokens: null, completionTokens: null };
  await store.put("m", requestOf(asked("unknown")), [
    entryOf("{}", { ...unknown, costMicrodollars: null, latency: null }),
  ], "append");
  for (let index = 0; index < 100; index++) {
    await store.put("m", requestOf(asked(`question ${index}`)), [entryOf(JSON.stringify({ index }))], "append");
  }
  return store;
}

const ANSWERS = 4 + 1 + 1 + 1 + 100;

async function clockedStores(): Promise<{ runtime: typeof machine; clock: ManualClock; source: Store; target: Store }> {
  const clock = new ManualClock();
  const runtime = { ...machine, clock };
  return await Promise.resolve({ runtime, clock, source: memoryStore(runtime), target: memoryStore(runtime) });
}

async function roundTrip(source: Store, target: Store, runtime: typeof machine): Promise<void> {
  await filled(source);
  const report = await migrateCacheOn(runtime, { from: { store: source }, to: target });
  assert.deepEqual([report.read, report.carried, report.present, report.left], [ANSWERS, ANSWERS, 0, 0]);
  assert.deepEqual(await contentsOf(target), await contentsOf(source));
  const again = await migrateCacheOn(runtime, { from: { store: source }, to: target });
  assert.deepEqual([again.carried, again.present], [0, ANSWERS]);
  assert.deepEqual(await contentsOf(target), await contentsOf(source));
}

describe("migrateCache from store to store", () => {
  for (const [from, to] of [["memory", "sqlite"], ["sqlite", "file"], ["file", "memory"]] as const) {
    it(`carries every request and sample with all that is known of it, once: ${from} to ${to}`, async () => {
      const runtime = { ...machine, clock: new ManualClock() };
      const [source, target] = await Promise.all([STORES[from]!(runtime), STORES[to]!(runtime)]);
      try {
        await roundTrip(source, target, runtime);
      } finally {
        await Promise.all([source.close(), target.close()]);
      }
    });
  }

  it("carries to redis and back", async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const store = await openRedisStore({ runtime: machine, url: server.url, keepExpired: 1e12 });
    const back = memoryStore();
    const source = memoryStore();
    try {
      // The server goes by its own clock.
      for (const text of ["a", "b"]) {
        await source.put("m", requestOf(asked(text)), [entryOf(text), entryOf("2")], "append");
      }
      await migrateCacheOn(machine, { from: { store: source }, to: store });
      const report = await migrateCacheOn(machine, { from: { store }, to: back });
      assert.equal(report.carried, 4);
      assert.deepEqual(await contentsOf(back), await contentsOf(source));
      assert.equal((await migrateCacheOn(machine, { from: { store: source }, to: store })).present, 4);
    } finally {
      await store.close();
      server.stop();
    }
  });

  it("carries to a server of ours and back", async () => {
    const server = await storeServer({ locking: "exclusive" });
    const { store } = await openRemote({ url: server.url });
    const source = memoryStore();
    const back = memoryStore();
    try {
      for (const text of ["a", "b"]) {
        await source.put("m", requestOf(asked(text)), [entryOf(text), entryOf("2")], "append");
      }
      await migrateCacheOn(machine, { from: { store: source }, to: store });
      assert.equal((await migrateCacheOn(machine, { from: { store }, to: back })).carried, 4);
      assert.deepEqual(await contentsOf(back), await contentsOf(source));
      assert.equal((await migrateCacheOn(machine, { from: { store: source }, to: store })).present, 4);
    } finally {
      await store.close();
      await server.stop();
    }
  });

  it("carries tags where the source tells them", async () => {
    const { runtime, source, target } = await clockedStores();
    await filled(source);
    const told = [];
    for await (const { tags } of source.list()) told.push(...tags ?? []);
    await migrateCacheOn(runtime, { from: { store: source }, to: target });
    const { entries } = await target.remove({ tag: "b" });
    assert.equal(entries, told.includes("b") ? 4 : 0);
  });

  it("adds what the target lacks behind what it has", async () => {
    const { runtime, source, target } = await clockedStores();
    const request = requestOf(asked("samples"));
    await source.put("m", request, [entryOf("theirs"), entryOf("both")], "append");
    await target.put("m", request, [entryOf("ours"), entryOf("both")], "append");
    const report = await migrateCacheOn(runtime, { from: { store: source }, to: target });
    assert.deepEqual([report.carried, report.present], [1, 1]);
    const [found] = await target.lookup("m", [{ key: request.key, samples: 9 }]);
    const texts = found!.entries.map((entry) => new TextDecoder().decode(entry.bytes()));
    assert.deepEqual(texts, ["ours", "both", "theirs"]);
  });

  it("does not mix samples of two calls with one seed", async () => {
    const { runtime, source, target } = await clockedStores();
    const request = requestOf({ ...asked("fixed"), seed: 7 });
    await source.put("m", request, [entryOf("theirs")], "append");
    await target.put("m", request, [entryOf("ours")], "append");
    const report = await migrateCacheOn(runtime, { from: { store: source }, to: target });
    assert.equal(report.carried, 0);
    assert.equal(report.models[0]!.reasons[0]!.reason, "conflict");
  });

  it("leaves what has expired, or carries it if so asked", async () => {
    const { runtime, clock, source, target } = await clockedStores();
    await filled(source);
    clock.advance(120_000);
    const stayed = await migrateCacheOn(runtime, { from: { store: source }, to: target });
    assert.deepEqual([stayed.carried, stayed.left], [ANSWERS - 1, 1]);
    const { reason, examples } = stayed.models.find(({ model }) => model === "another/model")!.reasons[0]!;
    assert.equal(reason, "expired");
    assert.match(examples[0]!, /^[0-9a-f]{64}$/);
    const came = await migrateCacheOn(runtime, { from: { store: source }, to: target, expired: "carry" });
    assert.deepEqual([came.carried, came.present, came.left], [1, ANSWERS - 1, 0]);
    assert.deepEqual(await contentsOf(target), await contentsOf(source));
  });

  it("writes nothing in a dry run, and reports the same", async () => {
    const { runtime, source, target } = await clockedStores();
    await filled(source);
    const dry = await migrateCacheOn(runtime, { from: { store: source }, to: target, dryRun: true });
    assert.deepEqual(await contentsOf(target), {});
    const wet = await migrateCacheOn(runtime, { from: { store: source }, to: target });
    assert.deepEqual({ ...dry, dryRun: false }, wet);
  });

  it("tells how far it is, ends when it is told to, and goes on where it was", async () => {
    const { runtime, source, target } = await clockedStores();
    await filled(source);
    const ending = new AbortController();
    const progress: MigrationProgress[] = [];
    const broken = migrateCacheOn(runtime, {
      from: { store: source },
      to: target,
      signal: ending.signal,
      onProgress: (at) => {
        progress.push(at);
        ending.abort(new Error("enough"));
      },
    });
    await assert.rejects(broken, /enough/);
    assert.equal(progress.length, 1);
    assert.ok(progress[0]!.done > 0 && progress[0]!.done < ANSWERS);
    assert.deepEqual([progress[0]!.total, progress[0]!.unit], [ANSWERS, "answers"]);
    const rest = await migrateCacheOn(runtime, {
      from: { store: source },
      to: target,
      onProgress: (at) => progress.push(at),
    });
    assert.ok(rest.present >= progress[0]!.done);
    assert.equal(rest.carried + rest.present, ANSWERS);
    assert.equal(progress.at(-1)!.done, ANSWERS);
    assert.deepEqual(await contentsOf(target), await contentsOf(source));
  });

  it("reports rows that cannot be read, and carries the others", async () => {
    const { runtime, source, target } = await clockedStores();
    await source.put("m", requestOf(asked("half")), [entryOf("whole")], "append");
    const lookup: Store["lookup"] = async (model, wants) => {
      const found = await source.lookup(model, wants);
      return found.map((each) => ({ ...each, corrupt: true, stale: true }));
    };
    const damaged: Store = { ...asStore(source), lookup };
    const report = await migrateCacheOn(runtime, { from: { store: damaged }, to: target });
    assert.deepEqual([report.carried, report.left], [1, 2]);
    assert.deepEqual(report.models[0]!.reasons.map(({ reason }) => reason).sort(), ["broken", "older_schema"]);
  });

  it("fails when the target cannot be written, and says so with its error", async () => {
    const { runtime, source, target } = await clockedStores();
    await filled(source);
    const put: Store["put"] = () => Promise.reject(new Error("the disk is full"));
    await assert.rejects(
      migrateCacheOn(runtime, { from: { store: source }, to: { ...asStore(target), put } }),
      /the disk is full/,
    );
  });
});

/** A store whose methods can be replaced. */
function asStore(store: Store): Store {
  return {
    name: store.name,
    location: store.location,
    lookup: (model, wants) => store.lookup(model, wants),
    put: (...all) => store.put(...all),
    remove: (selection) => store.remove(selection),
    nearest: (...all) => store.nearest(...all),
    list: (selection) => store.list(selection),
    size: () => store.size(),
    close: () => store.close(),
  };
}

describe("migrateCache's options", () => {
  it("are refused when they make no sense, before anything is opened", async () => {
    const store = memoryStore();
    const refuse = (options: unknown, message: RegExp): Promise<void> =>
      assert.rejects(migrateCacheOn(machine, options as never), { name: "TypeError", message });
    await refuse({ from: { store }, to: store }, /are the same/);
    await refuse({ from: { store: { directory: "a" } }, to: { directory: "a" } }, /are the same/);
    await refuse({ from: { store }, to: memoryStore(), dry: true }, /unknown option .*: dry/);
    await refuse({ from: { path: "a", store }, to: store }, /unknown option .*: store/);
    await refuse({ from: { path: "" }, to: store }, /path has to name a file or folder/);
    await refuse({ from: { path: "a", format: "gptcache" }, to: store }, /unknown format .*: gptcache/);
    await refuse({ from: {}, to: store }, /neither path nor store/);
    await refuse({ from: null, to: store }, /from has to say where a cache is/);
    await refuse({ from: { store }, to: memoryStore(), expired: "keep" }, /"leave" or "carry": keep/);
    await refuse({ from: { store }, to: { ...asStore(memoryStore()), isReadOnly: true } }, /it is only read/);
  });
});
