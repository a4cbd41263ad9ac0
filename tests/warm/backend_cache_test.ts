import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { GatedModels, settle, watch } from "./gated_models.ts";

const a = parseModelName("a");
const b = parseModelName("b");
const c = parseModelName("c");

function failsWith(code: string, more: object = {}): object {
  return { name: "ModelError", code, ...more };
}

describe("BackendCache", () => {
  it("refuses a limit below one, and options it does not know", () => {
    for (const maxLoaded of [0, -1, 1.5, NaN]) {
      assert.throws(() => new GatedModels().cache({ maxLoaded }), RangeError);
    }
    assert.throws(() => new GatedModels().cache({ maxLoded: 1 } as object), { name: "TypeError", message: /maxLoded/ });
  });

  it("identifies without loading or counting a use", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    assert.equal((await cache.identify(a)).identity, "view:a");
    assert.equal((await cache.identify(a, { adapter: "x" })).identity, "view:a+x");
    assert.equal((await cache.identify(parseModelName("a+x"), { adapter: null })).identity, "view:a");
    assert.deepEqual([models.loaded, cache.loaded()], [[], []]);
  });
});

describe("lease", () => {
  it("loads on first use and keeps the model warm after", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    for (let turn = 0; turn < 3; turn++) {
      await using lease = await cache.lease(a);
      assert.equal(lease.identity, "view:a");
      assert.equal(lease.base.identity, "base:a");
      assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
    }
    assert.deepEqual(models.loaded, ["a"]);
    assert.deepEqual(GatedModels.states(cache), ["a warm 0"]);
  });

  it("counts before the load starts, and loads once for all who wait", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const counted: string[][] = [];
    const cache = models.cache();
    cache.on(() => counted.push(GatedModels.states(cache)));
    const leases = [cache.lease(a), cache.lease(parseModelName("a+x")), cache.lease(a)];
    await settle();
    assert.deepEqual(counted[0], ["a loading 1"]);
    assert.deepEqual(GatedModels.states(cache), ["a loading 3"]);
    models.loading[0]!.finish();
    const views = (await Promise.all(leases)).map((lease) => [lease.view, lease.identity]);
    assert.deepEqual(views, [
      [{ view: "base" }, "view:a"],
      [{ view: "x" }, "view:a+x"],
      [{ view: "base" }, "view:a"],
    ]);
    assert.deepEqual(models.loaded, ["a"]);
  });

  it("may be disposed twice", async () => {
    const cache = new GatedModels().cache();
    const [first, second] = await Promise.all([cache.lease(a), cache.lease(a)]);
    await first[Symbol.asyncDispose]();
    await first[Symbol.asyncDispose]();
    assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
    await second[Symbol.asyncDispose]();
    assert.deepEqual(GatedModels.states(cache), ["a warm 0"]);
  });

  it("takes two names of one content for one model", async () => {
    const models = new GatedModels();
    models.contents.set("a", "same").set("b", "same");
    const cache = models.cache({ maxLoaded: 1 });
    const leases = await Promise.all([cache.lease(a), cache.lease(b)]);
    assert.equal(leases[0].backend, leases[1].backend);
    assert.deepEqual(models.loaded, ["same"]);
  });

  it("gives another view when an adapter was trained again, and leaves older leases valid", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    const spec = parseModelName("a+x");
    const before = await cache.lease(spec);
    models.contents.set("a+x", "x, trained again");
    const after = await cache.lease(spec);
    assert.deepEqual([before.identity, after.identity], ["view:a+x", "view:a+x, trained again"]);
    assert.equal(before.backend, after.backend);
    assert.deepEqual(models.loaded, ["a"]);
  });

  it("overrides the adapter of the spec, as part of the identity", async () => {
    const cache = new GatedModels().cache();
    await using other = await cache.lease(parseModelName("a+x"), { adapter: "y" });
    await using none = await cache.lease(parseModelName("a+x"), { adapter: null });
    assert.deepEqual([other.identity, none.identity], ["view:a+y", "view:a"]);
  });

  it("loads a base whose files changed beside the one in memory", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    await using before = await cache.lease(a);
    models.contents.set("a", "a, changed");
    await using after = await cache.lease(a);
    assert.notEqual(before.backend, after.backend);
    assert.deepEqual(models.loaded, ["a", "a, changed"]);
  });

  it("refuses an option it does not know", async () => {
    const cache = new GatedModels().cache();
    await assert.rejects(cache.lease(a, { onlyWarm: true } as object), { name: "TypeError", message: /onlyWarm/ });
  });

  it("with onlyIfWarm serves a warm model and nothing else", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    await assert.rejects(cache.lease(a, { onlyIfWarm: true }), failsWith("not_warm"));
    assert.deepEqual(models.loaded, []);
    models.holdLoads = true;
    const loading = cache.lease(a);
    await settle();
    await assert.rejects(cache.lease(a, { onlyIfWarm: true }), failsWith("not_warm"));
    models.loading[0]!.finish();
    await loading;
    await using lease = await cache.lease(a, { onlyIfWarm: true });
    assert.equal(lease.identity, "view:a");
  });

  it("passes on that there is no such model", async () => {
    const missing = new ModelError("model_not_found", "Cannot find model");
    const cache = new GatedModels().cache({ identify: () => Promise.reject(missing) });
    await assert.rejects(cache.lease(a), missing);
    assert.deepEqual(cache.loaded(), []);
  });
});

describe("a bad adapter", () => {
  it("fails its own request, and neither holds nor cools its base", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    await assert.rejects(cache.lease(parseModelName("a+broken")), failsWith("model_load_failed"));
    assert.deepEqual(GatedModels.states(cache), ["a warm 0"]);
    await using lease = await cache.lease(a);
    assert.equal(lease.identity, "view:a");
  });
});

describe("eviction", () => {
  it("takes the least recently used, and waits until its Worker is gone before it loads", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 2 });
    for (const spec of [a, b, a]) await (await cache.lease(spec))[Symbol.asyncDispose]();
    models.holdCloses = true;
    const waiting = watch(cache.lease(c));
    await settle();
    assert.deepEqual(models.closing.map(({ base }) => base.name), ["b"]);
    assert.deepEqual(GatedModels.states(cache), ["b draining 0", "a warm 0"]);
    assert.deepEqual(models.loaded, ["a", "b"], "c does not load while b's Worker lives");
    models.closing[0]!.finishClose();
    await settle();
    assert.equal(waiting.state, "served");
    assert.deepEqual(GatedModels.states(cache), ["a warm 0", "c warm 1"]);
    assert.equal(models.mostInMemory, 2);
  });

  it("counts the end of a use as a use", async () => {
    const cache = new GatedModels().cache({ maxLoaded: 2 });
    const long = await cache.lease(a);
    await (await cache.lease(b))[Symbol.asyncDispose]();
    await long[Symbol.asyncDispose]();
    await (await cache.lease(c))[Symbol.asyncDispose]();
    assert.deepEqual(GatedModels.states(cache), ["a warm 0", "c warm 0"]);
  });

  it("spares a leased model and waits for it", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    const waiting = watch(cache.lease(b));
    await settle();
    assert.deepEqual([waiting.state, models.closing.length], ["waiting", 0]);
    await lease[Symbol.asyncDispose]();
    await settle();
    assert.equal(waiting.state, "served");
    assert.equal(models.mostInMemory, 1);
  });

  it("spares a model that loads", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const first = watch(cache.lease(a));
    const second = watch(cache.lease(b));
    await settle();
    assert.deepEqual(models.loaded, ["a"]);
    models.loading[0]!.finish();
    await settle();
    assert.deepEqual([first.state, second.state], ["served", "waiting"]);
    await first.value![Symbol.asyncDispose]();
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.equal(second.state, "served");
  });

  it("serves those who wait for room in the order they came", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    const [second, third] = [watch(cache.lease(b)), watch(cache.lease(c))];
    await settle();
    await lease[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([second.state, third.state], ["served", "waiting"]);
    await second.value![Symbol.asyncDispose]();
    await settle();
    assert.equal(third.state, "served");
  });

  it("lets everybody who waits for one model share its load", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    const [first, between, second] = [watch(cache.lease(b)), watch(cache.lease(c)), watch(cache.lease(b))];
    await settle();
    await lease[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([first.state, between.state, second.state], ["served", "waiting", "served"]);
    assert.deepEqual(models.loaded, ["a", "b"]);
  });

  it("does not mistake a base that is closing for the one that was loaded after it", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 2 });
    for (const spec of [a, b]) await (await cache.lease(spec))[Symbol.asyncDispose]();
    models.holdCloses = true;
    const client = new AbortController();
    const other = watch(cache.lease(c, { signal: client.signal }));
    await settle();
    client.abort();
    [...models.backends].find(({ base }) => base.name === "b")!.die();
    await settle();
    assert.equal(other.state, "refused");
    await using _lease = await cache.lease(a);
    assert.deepEqual(GatedModels.states(cache), ["a draining 0", "a warm 1"]);
    models.closing[0]!.finishClose();
    await settle();
    assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
  });

  it("logs why, and what the Worker held; a failing close is logged and frees the place", async () => {
    const models = new GatedModels();
    models.holdCloses = true;
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    models.clock.advance(2000);
    await lease[Symbol.asyncDispose]();
    models.clock.advance(3000);
    const waiting = watch(cache.lease(b));
    await settle();
    models.closing[0]!.finishClose(new Error("stuck"));
    await settle();
    assert.equal(waiting.state, "served");
    assert.deepEqual(models.events.map(({ type, base }) => `${type} ${base}`), [
      "loading a",
      "loaded a",
      "draining a",
      "close_failed a",
      "evicted a",
      "loading b",
      "loaded b",
    ]);
    const evicted = models.events.find(({ type }) => type === "evicted");
    const seconds = { idleSeconds: 3, loadSeconds: 0, ageSeconds: 5, closeSeconds: 0 };
    const expected = { type: "evicted", base: "a", identity: "base:a", reason: "room", bytes: 1000, ...seconds };
    assert.deepEqual(evicted, expected);
  });
});

describe("a busy model", () => {
  it("goes on serving while another waits for its place, but not for ever", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const first = await cache.lease(a);
    const other = watch(cache.lease(b));
    await settle();
    models.clock.advance(9_999);
    const second = await cache.lease(a);
    await first[Symbol.asyncDispose]();
    models.clock.advance(1);
    const late = watch(cache.lease(a));
    await settle();
    assert.deepEqual([other.state, late.state], ["waiting", "waiting"], "from now on everybody queues");
    await assert.rejects(cache.lease(a, { onlyIfWarm: true }), failsWith("not_warm"));
    await second[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([other.state, late.state], ["served", "waiting"]);
    await other.value![Symbol.asyncDispose]();
    await settle();
    assert.equal(late.state, "served");
    assert.deepEqual(models.loaded, ["a", "b", "a"]);
  });

  it("serves those who queued for it without a load when the one before them gives up", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    await cache.lease(a);
    const patience = new AbortController();
    const other = watch(cache.lease(b, { signal: patience.signal }));
    await settle();
    models.clock.advance(10_000);
    const late = watch(cache.lease(a));
    await settle();
    assert.equal(late.state, "waiting");
    patience.abort(new Error("gave up"));
    await settle();
    assert.deepEqual([other.state, late.state], ["refused", "served"]);
    assert.deepEqual(models.loaded, ["a"]);
  });
});

describe("a failing load", () => {
  it("fails everybody who waited with one error, then rests twice as long each time", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache();
    const waiting = [watch(cache.lease(a)), watch(cache.lease(a))];
    await settle();
    models.loading[0]!.fail(new Error("the graph is cut off"));
    await settle();
    assert.equal(waiting[0]!.error, waiting[1]!.error);
    const { code, message, retryAfter } = waiting[0]!.error as ModelError;
    assert.deepEqual([code, retryAfter], ["model_load_failed", 10_000]);
    assert.equal(message, "Cannot load a: the graph is cut off");
    assert.deepEqual(GatedModels.states(cache), ["a cooldown 0"]);

    models.clock.advance(4_000);
    await assert.rejects(cache.lease(a), failsWith("model_load_failed", { retryAfter: 6_000 }));
    assert.deepEqual(models.loaded, ["a"], "nothing is tried while it rests");

    for (const seconds of [20, 40, 80, 160, 300, 300]) {
      models.clock.advance(300_000);
      assert.deepEqual(cache.loaded(), []);
      const again = watch(cache.lease(a));
      await settle();
      models.loading[0]!.fail(new Error("still cut off"));
      await settle();
      assert.equal((again.error as ModelError).retryAfter, seconds * 1000);
    }
  });

  it("keeps the words of a loader that says it itself", async () => {
    const said = new ModelError("model_load_failed", "Cannot load a: config.json is no JSON");
    const cache = new GatedModels().cache({ load: () => Promise.reject(said) });
    await assert.rejects(cache.lease(a), failsWith("model_load_failed", { message: said.message, cause: said }));
  });

  it("is forgotten after a success", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    for (const outcome of ["fail", "finish", "fail"]) {
      const waiting = watch(cache.lease(a));
      await settle();
      if (outcome === "finish") models.loading[0]!.finish().die();
      else models.loading[0]!.fail(new Error("no"));
      await settle();
      if (outcome === "fail") assert.equal((waiting.error as ModelError).retryAfter, 10_000);
      models.clock.advance(10_000);
    }
  });

  it("does not hold back mended files", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache();
    const broken = watch(cache.lease(a));
    await settle();
    models.loading[0]!.fail(new Error("broken"));
    await settle();
    assert.equal(broken.state, "refused");
    models.contents.set("a", "a, mended");
    const mended = watch(cache.lease(a));
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.equal(mended.state, "served");
  });

  it("gives its place to the next", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const [first, second] = [watch(cache.lease(a)), watch(cache.lease(b))];
    await settle();
    models.loading[0]!.fail(new Error("broken"));
    await settle();
    assert.deepEqual([first.state, models.loaded], ["refused", ["a", "b"]]);
    models.loading[0]!.finish();
    await settle();
    assert.equal(second.state, "served");
  });

  it("takes its own cooldown", async () => {
    const models = new GatedModels();
    const cache = models.cache({
      cooldown: { initial: 1, maximum: 2 },
      load: () => Promise.reject(new Error("no")),
    });
    await assert.rejects(
      cache.lease(a),
      failsWith("model_load_failed", { retryAfter: 1, message: "Cannot load a: no" }),
    );
    for (const cooldown of [{ initial: 0 }, { initial: 3, maximum: 2 }, { initial: NaN }]) {
      assert.throws(() => models.cache({ cooldown }), RangeError);
    }
  });
});

describe("files that change while they load", () => {
  const changed = new ModelError("identity_changed", "Cannot load model a: other bytes than promised");

  it("are identified again from their bytes, and loaded under their new identity", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache();
    const waiting = watch(cache.lease(a));
    await settle();
    models.contents.set("a", "a, changed");
    models.loading[0]!.fail(changed);
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.equal(waiting.value!.identity, "view:a, changed");
    assert.deepEqual(models.identifications, [false, true]);
    assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
  });

  it("are given up on after three tries, without a cooldown", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache();
    const waiting = watch(cache.lease(a));
    for (let attempt = 0; attempt < 3; attempt++) {
      await settle();
      models.loading[0]!.fail(changed);
    }
    await settle();
    assert.deepEqual([waiting.error, models.loading, cache.loaded()], [changed, [], []]);
  });
});

describe("aborting", () => {
  const reason = new Error("the client went away");

  it("refuses at once when it came before", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    await assert.rejects(cache.lease(a, { signal: AbortSignal.abort(reason) }), reason);
    assert.deepEqual(models.loaded, []);
  });

  it("does not wait for an identification", async () => {
    const cache = new GatedModels().cache({ identify: () => new Promise(() => {}) });
    const client = new AbortController();
    const waiting = cache.lease(a, { signal: client.signal });
    client.abort(reason);
    await assert.rejects(waiting, reason);
  });

  it("frees a place in the queue and harms nobody else there", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    const client = new AbortController();
    const second = watch(cache.lease(b, { signal: client.signal }));
    const third = watch(cache.lease(c));
    await settle();
    client.abort(reason);
    await lease[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([second.error, third.state], [reason, "served"]);
    assert.deepEqual(models.loaded, ["a", "c"]);
  });

  it("leaves a load alone that others wait for", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache();
    const client = new AbortController();
    const [gone, stays] = [watch(cache.lease(a, { signal: client.signal })), watch(cache.lease(a))];
    await settle();
    client.abort(reason);
    await settle();
    assert.deepEqual([gone.error, models.loading[0]!.signal.aborted], [reason, false]);
    assert.deepEqual(GatedModels.states(cache), ["a loading 1"]);
    models.loading[0]!.finish();
    await settle();
    assert.equal(stays.state, "served");
  });

  it("lets a load that nobody waits for any more go on: whoever asks again finds it further", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const client = new AbortController();
    const gone = watch(cache.lease(a, { signal: client.signal }));
    await settle();
    client.abort(reason);
    await settle();
    assert.deepEqual([gone.error, GatedModels.states(cache)], [reason, ["a loading 0"]]);
    const again = watch(cache.lease(a));
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.deepEqual([again.state, models.loaded], ["served", ["a"]]);
  });

  it("ends a load that nobody waits for when its place is needed; the place is taken until it has ended", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const client = new AbortController();
    const gone = watch(cache.lease(a, { signal: client.signal }));
    await settle();
    client.abort(reason);
    const other = watch(cache.lease(b));
    await settle();
    const [load] = models.loading;
    assert.deepEqual([gone.error, load!.signal.aborted], [reason, true]);
    assert.deepEqual(models.loaded, ["a"], "the other waits for the place");
    load!.fail(load!.signal.reason);
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.equal(other.state, "served");
    assert.deepEqual(models.events.map(({ type }) => type), [
      "loading",
      "draining",
      "load_aborted",
      "loading",
      "loaded",
    ]);
  });

  it("closes a base that was loaded although its place was needed", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const client = new AbortController();
    const gone = watch(cache.lease(a, { signal: client.signal }));
    await settle();
    client.abort(reason);
    const other = watch(cache.lease(b));
    await settle();
    models.loading[0]!.finish();
    await settle();
    assert.deepEqual([gone.error, models.mostInMemory, models.loaded], [reason, 1, ["a", "b"]]);
    assert.partialDeepStrictEqual(models.events.find(({ type }) => type === "evicted"), { base: "a", reason: "room" });
    models.loading[0]!.finish();
    await settle();
    assert.equal(other.state, "served");
  });

  it("does not touch a lease that was granted", async () => {
    const cache = new GatedModels().cache();
    const client = new AbortController();
    await using lease = await cache.lease(a, { signal: client.signal });
    client.abort(reason);
    await settle();
    assert.deepEqual([lease.identity, GatedModels.states(cache)], ["view:a", ["a warm 1"]]);
  });
});

describe("a Worker that dies", () => {
  it("leaves the table; the next lease loads anew and the old one may still be disposed", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    const lease = await cache.lease(a);
    [...models.backends][0]!.die();
    await settle();
    assert.deepEqual(cache.loaded(), []);
    assert.partialDeepStrictEqual(models.events.at(-1), { type: "worker_lost", base: "a" });
    await using again = await cache.lease(a);
    await lease[Symbol.asyncDispose]();
    assert.notEqual(again.backend, lease.backend);
    assert.deepEqual(GatedModels.states(cache), ["a warm 1"]);
  });

  it("gives its place to those who wait", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1 });
    await cache.lease(a);
    const waiting = watch(cache.lease(b));
    await settle();
    [...models.backends][0]!.die();
    await settle();
    assert.equal(waiting.state, "served");
  });
});

describe("loaded", () => {
  it("describes every base, most recently used last", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 3 });
    const leases = [cache.lease(a), cache.lease(parseModelName("b+x")), cache.lease(c)];
    await settle();
    models.clock.advance(1500);
    models.loading[2]!.fail(new Error("broken"));
    models.loading[1]!.finish();
    await (await leases[1]!)[Symbol.asyncDispose]();
    await assert.rejects(leases[2]!);
    const never = { keep_alive_until: null, cooldown_until: null, last_error: null };
    const common = { kind: "onnx", dtype: "fp32", device: "wasm", pinned: false, gpu_bytes: 0, ...never };
    assert.deepEqual(cache.loaded(), [
      {
        ...common,
        base: "c",
        identity: "base:c",
        adapter: null,
        adapters: [],
        state: "cooldown",
        leases: 0,
        load_seconds: null,
        last_used: "2026-01-01T00:00:01.500Z",
        bytes: 0,
        predicted_bytes: 0,
        cooldown_until: "2026-01-01T00:00:11.500Z",
        last_error: "Cannot load c: broken",
      },
      {
        ...common,
        base: "a",
        identity: "base:a",
        adapter: null,
        adapters: [],
        state: "loading",
        leases: 1,
        load_seconds: null,
        last_used: "2026-01-01T00:00:00.000Z",
        bytes: 0,
        predicted_bytes: 3000,
      },
      {
        ...common,
        base: "b",
        identity: "base:b",
        adapter: "x",
        adapters: ["x"],
        state: "warm",
        leases: 0,
        load_seconds: 1.5,
        last_used: "2026-01-01T00:00:01.500Z",
        bytes: 1010,
        predicted_bytes: 3000,
      },
    ]);
    models.loading[0]!.finish();
    await using _first = await leases[0]!;
    await using _base = await cache.lease(b);
    assert.deepEqual(cache.loaded().at(-1)!.adapters, ["x"]);
    assert.equal(cache.loaded().at(-1)!.adapter, null);
  });
});

describe("evictAll", () => {
  it("lets leases end, closes everything, and refuses new ones", async () => {
    const models = new GatedModels();
    const cache = models.cache();
    const lease = await cache.lease(a);
    await (await cache.lease(b))[Symbol.asyncDispose]();
    const end = watch(cache.evictAll());
    await settle();
    assert.deepEqual([end.state, GatedModels.states(cache)], ["waiting", ["a draining 1"]]);
    await assert.rejects(cache.lease(b), failsWith("closed"));
    await lease[Symbol.asyncDispose]();
    await settle();
    assert.deepEqual([end.state, models.inMemory], ["served", 0]);
    await cache.evictAll();
  });

  it("refuses whoever waits and aborts loads, and waits until they have ended", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxLoaded: 1 });
    const [loading, queued] = [watch(cache.lease(a)), watch(cache.lease(b))];
    await settle();
    const end = watch(cache.evictAll());
    await settle();
    for (const { error } of [loading, queued]) assert.equal((error as ModelError).code, "closed");
    assert.deepEqual([end.state, models.loading[0]!.signal.aborted], ["waiting", true]);
    models.loading[0]!.fail(new Error("aborted"));
    await settle();
    assert.equal(end.state, "served");
  });

  it("refuses a request that was still being identified", async () => {
    const models = new GatedModels();
    const identified = Promise.withResolvers<void>();
    const cache = models.cache({ identify: (spec) => identified.promise.then(() => models.resolve(spec)) });
    const waiting = watch(cache.lease(a));
    await cache.evictAll();
    identified.resolve();
    await settle();
    assert.equal((waiting.error as ModelError).code, "closed");
    assert.deepEqual(models.loaded, []);
  });
});
