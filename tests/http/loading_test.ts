/** How far a model is that a request waits for, and how long it waits. */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { describe, it } from "node:test";
import { inWords, LoadWatch, unlessLoading } from "../../src/http/loading.ts";
import { modelSpec } from "../../src/warm/spec.ts";
import { GatedModels } from "../warm/gated_models.ts";

/** A world of models, one place for them, and the watch on it. */
function watched() {
  const models = new GatedModels();
  models.holdLoads = true;
  const backends = models.cache({ maxLoaded: 1, minimumStay: 0 });
  const loads = new LoadWatch(backends, models.clock);
  const [one, other] = ["one", "other"].map((base) => models.resolve(modelSpec({ base })));
  return { models, backends, loads, one: one!, other: other! };
}

describe("LoadWatch", () => {
  it("tells waiting from loading from warm, and learns how long a load takes", async () => {
    const { models, backends, loads, one, other } = watched();
    assert.deepEqual(loads.of(one.base), { state: "waiting", eta_seconds: null });
    const first = backends.lease(one.spec);
    await setImmediate();
    assert.deepEqual(loads.of(one.base), { state: "loading", eta_seconds: null }, "nothing was ever loaded");
    models.clock.advance(20_000);
    models.loading[0]!.finish();
    const lease = await first;
    assert.equal(loads.of(one.base), undefined);

    const second = backends.lease(other.spec);
    await setImmediate();
    assert.deepEqual(loads.of(other.base), { state: "waiting", eta_seconds: null }, "its place is taken");
    await lease[Symbol.asyncDispose]();
    await setImmediate();
    assert.deepEqual(loads.of(other.base), { state: "loading", eta_seconds: 20 }, "as many bytes, as many seconds");
    models.clock.advance(15_500);
    assert.deepEqual(loads.of(other.base), { state: "loading", eta_seconds: 5 });
    models.clock.advance(60_000);
    assert.deepEqual(loads.of(other.base), { state: "loading", eta_seconds: null }, "longer than expected");
    models.loading.at(-1)!.fail(new Error("broken"));
    await assert.rejects(second);
    assert.deepEqual(loads.of(other.base), { state: "waiting", eta_seconds: null });
  });
});

describe("inWords", () => {
  it("says it in a line", () => {
    assert.equal(inWords("m", undefined), "working");
    assert.equal(inWords("m", { state: "waiting", eta_seconds: null }), "m waits for room");
    assert.equal(inWords("m", { state: "loading", eta_seconds: null }), "loading m");
    assert.equal(inWords("m", { state: "loading", eta_seconds: 3 }), "loading m, about 3 s left");
  });
});

describe("unlessLoading", () => {
  it("ends the wait for a model that is not warm in time, and says when to ask again", async () => {
    const { models, backends, loads, one } = watched();
    const patience = { loads, clock: models.clock, loadTimeout: 60_000 };
    const waiting = unlessLoading(patience, one, new AbortController().signal, (signal) => {
      return backends.lease(one.spec, { signal });
    });
    await setImmediate();
    models.clock.advance(60_000);
    await assert.rejects(waiting, (error: { code: string; headers: object; beside: object }) => {
      assert.equal(error.code, "model_loading");
      assert.deepEqual(error.headers, { "Retry-After": "10" });
      assert.deepEqual(error.beside, { loading: { state: "loading", eta_seconds: null } });
      return true;
    });
    assert.equal(models.loading[0]!.signal.aborted, false, "the load goes on");
  });

  it("lets a warm model work for as long as it takes", async () => {
    const { models, backends, loads, one } = watched();
    models.holdLoads = false;
    const lease = await backends.lease(one.spec);
    const done = Promise.withResolvers<string>();
    const patience = { loads, clock: models.clock, loadTimeout: 60_000 };
    const working = unlessLoading(patience, one, new AbortController().signal, () => done.promise);
    models.clock.advance(600_000);
    await setImmediate();
    done.resolve("done");
    assert.equal(await working, "done");
    await lease[Symbol.asyncDispose]();
  });

  it("ends when its client leaves", async () => {
    const { models, backends, loads, one } = watched();
    const client = new AbortController();
    const patience = { loads, clock: models.clock, loadTimeout: 60_000 };
    const waiting = unlessLoading(patience, one, client.signal, (signal) => backends.lease(one.spec, { signal }));
    await setImmediate();
    client.abort();
    await assert.rejects(waiting, { name: "AbortError" });
  });
});
