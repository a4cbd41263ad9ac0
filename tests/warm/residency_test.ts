/** What stays, for how long, and who goes: limits, pins, keep-alive, adapters, cooldowns. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import type { BackendCache, BackendCacheOptions } from "../../src/warm/backend_cache.ts";
import { parseKeepAlive } from "../../src/warm/keep_alive.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { GatedModels, settle, watch } from "./gated_models.ts";

const [a, b, c] = ["a", "b", "c"].map(parseModelName) as [
  ReturnType<typeof parseModelName>,
  ReturnType<typeof parseModelName>,
  ReturnType<typeof parseModelName>,
];

interface World {
  readonly models: GatedModels;
  readonly cache: BackendCache;
}

function world(options: Partial<BackendCacheOptions> = {}): World {
  const models = new GatedModels();
  return { models, cache: models.cache(options) };
}

/** Uses a model once. */
async function use(cache: BackendCache, name: string, options: object = {}): Promise<void> {
  await (await cache.lease(parseModelName(name), options))[Symbol.asyncDispose]();
}

function failsWith(code: string, message: RegExp): object {
  return { name: "ModelError", code, message };
}

describe("a limit in bytes", () => {
  it("refuses what is no limit", () => {
    for (const maxRamBytes of [0, -1, 1.5, NaN]) assert.throws(() => world({ maxRamBytes }), RangeError);
    assert.throws(() => world({ maxGpuBytes: 0 }), RangeError);
    assert.throws(() => world({ minimumStay: -1 }), RangeError);
    assert.throws(() => world({ keepAlive: "soon" }), RangeError);
  });

  it("makes room before it loads, by what the files will take", async () => {
    const { models, cache } = world({ maxLoaded: 9, maxRamBytes: 6500 });
    models.holdCloses = true;
    models.sizes.set("a", 3000).set("b", 3000);
    await use(cache, "a");
    await use(cache, "b");
    const waiting = watch(cache.lease(c));
    await settle();
    assert.deepEqual([waiting.state, GatedModels.states(cache)], ["waiting", ["a draining 0", "b warm 0"]]);
    models.closing[0]!.finishClose();
    await settle();
    assert.equal(waiting.state, "served");
  });

  it("goes by what a Worker says once it is loaded, and remembers that", async () => {
    const { models, cache } = world({ maxLoaded: 9, maxRamBytes: 6500 });
    await use(cache, "a");
    await use(cache, "b");
    await use(cache, "c");
    // Predicted were 3000 each, taken were 1000.
    assert.deepEqual(GatedModels.states(cache), ["a warm 0", "b warm 0", "c warm 0"]);
    await cache.unload(a);
    await use(cache, "a");
    assert.deepEqual(models.events.findLast(({ type }) => type === "loading"), {
      type: "loading",
      base: "a",
      identity: "base:a",
      bytes: 1000,
      waitedSeconds: 0,
    });
  });

  it("has others go when one turns out larger than was thought", async () => {
    const { models, cache } = world({ maxLoaded: 9, maxRamBytes: 6500 });
    models.sizes.set("a", 3000).set("b", 5000);
    await use(cache, "a");
    await use(cache, "b");
    assert.deepEqual(GatedModels.states(cache), ["b warm 0"]);
  });

  it("lets one that is too large answer once, then go, and refuses it from then on", async () => {
    const { models, cache } = world({ maxLoaded: 9, maxRamBytes: 6500 });
    models.sizes.set("a", 7000);
    await use(cache, "a");
    assert.deepEqual(GatedModels.states(cache), []);
    const refused = failsWith(
      "no_room",
      /Cannot load a: it needs 1 MiB of memory, and all bases together may take 1 MiB/,
    );
    await assert.rejects(cache.lease(a), refused);
  });

  it("refuses at once what can never fit", async () => {
    const { models, cache } = world({ maxRamBytes: 2999 });
    await assert.rejects(cache.lease(a), failsWith("no_room", /Cannot load a/));
    assert.deepEqual(models.loaded, []);
  });

  it("counts the GPU by itself, as predicted", async () => {
    const predict = () => ({ wasm: 1, gpu: 600 });
    const { models, cache } = world({ maxLoaded: 9, maxRamBytes: 6500, maxGpuBytes: 1000, predict });
    models.holdLoads = true;
    const [first, second] = [watch(cache.lease(a)), watch(cache.lease(b))];
    await settle();
    assert.deepEqual(models.loaded, ["a"]);
    // It turns out to take nothing on the GPU.
    models.loading[0]!.finish();
    await settle();
    assert.deepEqual([first.state, second.state, models.loaded], ["served", "waiting", ["a", "b"]]);
  });
});

describe("a base that was just loaded", () => {
  async function loadSlowly({ models, cache }: World, name: string, seconds: number): Promise<void> {
    models.holdLoads = true;
    const used = use(cache, name);
    await settle();
    models.clock.advance(seconds * 1000);
    models.loading[0]!.finish();
    await used;
    models.holdLoads = false;
  }

  it("stays for as long as its load took, though another waits", async () => {
    const there = world({ maxLoaded: 1 });
    const { models, cache } = there;
    await loadSlowly(there, "a", 4);
    const waiting = watch(cache.lease(b));
    models.clock.advance(3999);
    await settle();
    assert.deepEqual([waiting.state, GatedModels.states(cache)], ["waiting", ["a warm 0"]]);
    await use(cache, "a");
    models.clock.advance(1);
    await settle();
    assert.deepEqual([waiting.state, GatedModels.states(cache)], ["served", ["b warm 1"]]);
  });

  it("stays no longer than the longest minimum stay", async () => {
    for (const [options, stay] of [[{}, 10_000], [{ minimumStay: 500 }, 500]] as const) {
      const there = world({ maxLoaded: 1, ...options });
      await loadSlowly(there, "a", 60);
      const waiting = watch(there.cache.lease(b));
      there.models.clock.advance(stay - 1);
      await settle();
      assert.equal(waiting.state, "waiting");
      there.models.clock.advance(1);
      await settle();
      assert.equal(waiting.state, "served");
    }
  });
});

describe("keepAlive", () => {
  it("is read as Ollama's: seconds, durations, 0, less than 0 for ever", () => {
    const times = [0, 300, 1.5, -1, "10m", "1h30m", "90s", "0", "-1", "300", "-1m", "500ms"].map(parseKeepAlive);
    const minute = 60_000;
    assert.deepEqual(times.slice(0, 4), [0, 5 * minute, 1500, Infinity]);
    assert.deepEqual(times.slice(4), [10 * minute, 90 * minute, 90_000, 0, Infinity, 5 * minute, Infinity, 500]);
    for (const wrong of ["", "soon", "10 m", "m", "--1", NaN, null]) {
      assert.throws(() => parseKeepAlive(wrong as string), RangeError);
    }
  });

  it("lets a base go when nobody has used it for so long", async () => {
    const { models, cache } = world({ keepAlive: "10m" });
    await use(cache, "a");
    models.clock.advance(599_999);
    await settle();
    assert.equal(cache.loaded()[0]!.keep_alive_until, "2026-01-01T00:10:00.000Z");
    await use(cache, "a");
    models.clock.advance(599_999);
    await settle();
    assert.deepEqual(GatedModels.states(cache), ["a warm 0"]);
    models.clock.advance(1);
    await settle();
    assert.deepEqual(GatedModels.states(cache), []);
    assert.partialDeepStrictEqual(models.events.at(-1)!, { type: "evicted", reason: "idle", idleSeconds: 600 });
  });

  it("is what the last request said, and does not count while a lease is held", async () => {
    const { models, cache } = world();
    const held = await cache.lease(a, { keepAlive: 60 });
    models.clock.advance(3_600_000);
    await settle();
    assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
    await use(cache, "a", { keepAlive: "1s" });
    await held[Symbol.asyncDispose]();
    models.clock.advance(1000);
    await settle();
    assert.deepEqual(GatedModels.states(cache), []);
  });

  it("of 0 lets it go with the last lease", async () => {
    const { cache } = world();
    await use(cache, "a", { keepAlive: 0 });
    assert.deepEqual(GatedModels.states(cache), []);
  });

  it("that means nothing refuses the request before anything is loaded", async () => {
    const { models, cache } = world();
    await assert.rejects(cache.lease(a, { keepAlive: "ten minutes" }), RangeError);
    assert.deepEqual(models.identifications, []);
  });
});

describe("pin", () => {
  it("loads a base and keeps it, though its place is needed and nobody uses it", async () => {
    const { models, cache } = world({ maxLoaded: 2, keepAlive: "1s" });
    await cache.pin(a);
    await use(cache, "b");
    const third = watch(cache.lease(c));
    models.clock.advance(60_000);
    await settle();
    assert.equal(third.state, "served");
    assert.deepEqual(cache.loaded().map(({ base, pinned }) => [base, pinned]), [["a", true], ["c", false]]);
    assert.equal(cache.unpin(a), true);
    assert.equal(cache.unpin(a), false);
    models.clock.advance(1000);
    await settle();
    assert.deepEqual(GatedModels.states(cache), ["c warm 1"]);
    assert.deepEqual(models.events.filter(({ type }) => /pin/.test(type)).map(({ type }) => type), [
      "pinned",
      "unpinned",
    ]);
  });

  it("of every place refuses what else is asked for, instead of having it wait for ever", async () => {
    const { cache } = world({ maxLoaded: 1 });
    await cache.pin(a);
    await assert.rejects(cache.lease(b), failsWith("no_room", /what is pinned \(a\) leaves too little/));
    await assert.rejects(cache.pin(b), failsWith("no_room", /Cannot load b/));
    await use(cache, "a");
  });

  it("refuses whoever waits when the last place he could have got is pinned", async () => {
    const { models, cache } = world({ maxLoaded: 1 });
    const held = await cache.lease(a);
    const waiting = watch(cache.lease(b));
    await settle();
    await cache.pin(a);
    await held[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([waiting.state, models.loaded], ["refused", ["a"]]);
  });

  it("follows the name when its files change", async () => {
    const { models, cache } = world({ maxLoaded: 2 });
    await cache.pin(a);
    models.contents.set("a", "a, trained on");
    await use(cache, "a");
    await use(cache, "b");
    assert.deepEqual(cache.loaded().map(({ identity, pinned }) => [identity, pinned]), [
      ["base:a, trained on", true],
      ["base:b", false],
    ]);
  });

  it("pins nothing when the load fails", async () => {
    const { models, cache } = world();
    models.holdLoads = true;
    const pin = cache.pin(a);
    await settle();
    models.loading[0]!.fail(new Error("broken"));
    await assert.rejects(pin, failsWith("model_load_failed", /broken/));
    assert.equal(cache.unpin(a), false);
  });
});

describe("preload and unload", () => {
  it("load before anybody asks, and take out of memory what nobody uses", async () => {
    const { models, cache } = world();
    await cache.preload(a, { keepAlive: "1h" });
    assert.deepEqual(GatedModels.states(cache), ["a warm 0"]);
    assert.equal(await cache.unload(a), true);
    assert.equal(await cache.unload(a), false);
    assert.deepEqual(GatedModels.states(cache), []);
    assert.partialDeepStrictEqual(models.events.at(-1)!, { type: "evicted", reason: "unload" });
  });

  it("wait for leases; a new request gets the base loaded anew", async () => {
    const { models, cache } = world();
    const held = await cache.lease(a);
    const unloaded = watch(cache.unload(a));
    await settle();
    assert.deepEqual([unloaded.state, GatedModels.states(cache)], ["waiting", ["a draining 1"]]);
    const other = await cache.lease(a);
    assert.notEqual(other.backend, held.backend);
    await held[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([unloaded.value, models.loaded, GatedModels.states(cache)], [true, ["a", "a"], ["a warm 1"]]);
  });

  it("take every export of a base out of memory, or the one that is named", async () => {
    const { cache } = world({ maxLoaded: 3 });
    for (const name of ["a", "a:q4", "a:fp16"]) await use(cache, name);
    assert.equal(await cache.unload(parseModelName("a:q4")), true);
    assert.deepEqual(cache.loaded().map(({ dtype }) => dtype), ["fp32", "fp16"]);
    assert.equal(await cache.unload(a), true);
    assert.deepEqual(cache.loaded(), []);
  });

  it("serve whoever waits for a load before that is unloaded", async () => {
    const { models, cache } = world();
    models.holdLoads = true;
    const waiting = watch(cache.lease(a));
    await settle();
    const unloaded = watch(cache.unload(a));
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.deepEqual([waiting.state, unloaded.state], ["served", "waiting"]);
    await waiting.value![Symbol.asyncDispose]();
    await settle();
    assert.equal(unloaded.value, true);
  });

  it("with force wait for nobody", async () => {
    const { models, cache } = world();
    const held = await cache.lease(a);
    assert.equal(await cache.unload(a, { force: true }), true);
    await held[Symbol.asyncDispose]();
    models.holdLoads = true;
    const waiting = watch(cache.lease(a));
    await settle();
    const unloaded = watch(cache.unload(a, { force: true }));
    await settle();
    const [load] = models.loading;
    assert.deepEqual([waiting.state, load!.signal.aborted], ["refused", true]);
    await assert.rejects(Promise.reject(waiting.error), failsWith("closed", /unloaded/));
    load!.fail(load!.signal.reason);
    await settle();
    assert.equal(unloaded.state, "served");
  });

  it("unpin what is unloaded, and find what was loaded under a name though its files are gone", async () => {
    const models = new GatedModels();
    let gone = false;
    const missing = new ModelError("model_not_found", "Cannot find model");
    const cache = models.cache({
      identify: (spec) => gone ? Promise.reject(missing) : Promise.resolve(models.resolve(spec)),
    });
    await cache.pin(a);
    gone = true;
    assert.equal(await cache.unload(a), true);
    assert.deepEqual([GatedModels.states(cache), cache.unpin(a)], [[], false]);
  });
});

describe("adapters", () => {
  it("of one base stay until there are too many; the least recently used one goes, none in use", async () => {
    const { models, cache } = world({ maxAdapters: 2 });
    await use(cache, "a+x");
    const held = await cache.lease(parseModelName("a+y"));
    await use(cache, "a+x");
    await use(cache, "a+z");
    const resident = (): string[] => held.backend.adapters.map(({ name }) => name);
    assert.deepEqual([resident(), cache.loaded()[0]!.adapters], [["y", "z"], ["y", "z"]]);
    await use(cache, "a+w");
    assert.deepEqual(resident(), ["y", "w"]);
    await held[Symbol.asyncDispose]();
    await use(cache, "a+v");
    assert.deepEqual(resident(), ["y", "v"]);
    const dropped = models.events.filter(({ type }) => type === "adapter_dropped");
    assert.deepEqual(dropped.map((event) => "adapter" in event && event.adapter), ["x", "z", "w"]);
  });

  it("take room", async () => {
    const { cache } = world({ maxLoaded: 9, maxRamBytes: 4005 });
    await use(cache, "a");
    await use(cache, "b+x");
    assert.deepEqual(GatedModels.states(cache), ["a warm 0", "b warm 0"]);
    await use(cache, "c");
    // 1000 and 1010 were taken, 3000 were thought to be needed: a alone would have been too little.
    assert.deepEqual(GatedModels.states(cache), ["a warm 0", "c warm 0"]);
  });
});

describe("a cooldown", () => {
  it("is a little longer or shorter than it should be, by chance", async () => {
    const durations: (number | undefined)[] = [];
    for (const chance of [0, 0.25, 1]) {
      const { models, cache } = world({ random: () => chance });
      models.holdLoads = true;
      const failing = cache.lease(a);
      await settle();
      models.loading[0]!.fail(new Error("broken"));
      await assert.rejects(failing, (error: ModelError) => (durations.push(error.retryAfter), true));
    }
    assert.deepEqual(durations.map((duration) => Math.round(duration!)), [9000, 9500, 11_000]);
  });

  it("after a failure for good lasts until the files change", async () => {
    const { models, cache } = world();
    models.holdLoads = true;
    const failing = cache.lease(a);
    await settle();
    models.loading[0]!.fail(new ModelError("model_load_failed", "Cannot load a: no graph", { permanent: true }));
    await assert.rejects(failing, { permanent: true, retryAfter: undefined });
    models.clock.advance(365 * 86_400_000);
    await assert.rejects(cache.lease(a), { code: "model_load_failed", permanent: true });
    const [failed] = cache.loaded();
    assert.partialDeepStrictEqual(failed!, {
      state: "cooldown",
      cooldown_until: null,
      last_error: "Cannot load a: no graph",
    });
    models.holdLoads = false;
    models.contents.set("a", "a, mended");
    await use(cache, "a");
  });

  it("says that there was no memory, where that was the reason", async () => {
    const { models, cache } = world();
    models.holdLoads = true;
    const failing = cache.lease(a);
    await settle();
    models.loading[0]!.fail(new ModelError("out_of_memory", "Cannot load a: out of memory"));
    await assert.rejects(failing, { code: "out_of_memory", retryAfter: 10_000 });
  });
});

describe("a crowd", () => {
  it("of 1,000 models for 2 places is served, one after the other, with no more than 2 in memory", async () => {
    const { models, cache } = world({ maxLoaded: 2 });
    const names = Array.from({ length: 1000 }, (_, index) => `model-${index}`);
    await Promise.all(names.map((name) => use(cache, name)));
    assert.deepEqual([models.loaded.length, models.mostInMemory], [1000, 2]);
    assert.equal(new Set(models.loaded).size, 1000);
    await cache.evictAll();
    assert.equal(models.inMemory, 0);
  });
});

describe("on", () => {
  it("tells everybody who listens, until he has heard enough; what one throws harms nobody", async () => {
    const { models, cache } = world();
    const heard: string[] = [];
    cache.on(() => {
      throw new Error("deaf");
    });
    const off = cache.on(({ type }) => heard.push(type));
    await use(cache, "a");
    off();
    await use(cache, "b");
    assert.deepEqual(heard, ["loading", "loaded"]);
    assert.equal(models.events.length, 4);
  });
});

describe("evictAll with a timeout", () => {
  it("waits so long for leases, then ends what they use", async () => {
    const { models, cache } = world();
    const held = await cache.lease(a);
    const ended = watch(cache.evictAll({ timeout: 5000 }));
    models.clock.advance(4999);
    await settle();
    assert.equal(ended.state, "waiting");
    models.clock.advance(1);
    await settle();
    assert.deepEqual([ended.state, models.inMemory], ["served", 0]);
    await held[Symbol.asyncDispose]();
  });
});
