/** A long trace with failures over BackendCache: nothing is lost, nothing leaks, and hardly more is loaded than must be. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import type { LoadBackend, WarmEvent } from "../../src/warm/backend_cache.ts";
import { GatedBackend, GatedModels, settle } from "./gated_models.ts";
import { randomBelow } from "../support/random.ts";
import { leastRecentlyUsedLoads, makeTrace, playTrace, type TraceWorld } from "./trace.ts";

const [MODELS, PLACES, CLIENTS] = [20, 3, 6];
const REQUESTS = 1000;
/** Milliseconds of a load, and of an answer. */
const [LOAD, ANSWER] = [700, 30];
/** What a request may hear here. */
const REFUSALS = new Set(["model_load_failed", "worker_failed"]);
/** One load in so many fails. */
const FAILING = 20;

describe("leastRecentlyUsedLoads", () => {
  it("counts what does not fit any more", () => {
    const trace = [0, 1, 0, 2, 1, 0, 0].map((model) => ({ model, withAdapter: false, isFatal: false }));
    assert.equal(leastRecentlyUsedLoads(trace, 1), 6);
    assert.equal(leastRecentlyUsedLoads(trace, 2), 5);
    assert.equal(leastRecentlyUsedLoads(trace, 3), 3);
  });

  it("counts what has to be loaded anew since its Worker died", () => {
    const trace = [0, 0, 0].map((model, index) => ({ model, withAdapter: false, isFatal: index === 1 }));
    assert.equal(leastRecentlyUsedLoads(trace, 3), 2);
  });
});

describe("BackendCache over a long trace of unequally popular models", () => {
  for (
    const { title, seed, ...shape } of [
      { title: "each request for itself", seed: 1, runs: 1, longestRun: 1 },
      { title: "two runs of requests at a time", seed: 2, runs: 2, longestRun: 12 },
      { title: "four runs of requests at a time", seed: 3, runs: 4, longestRun: 30 },
    ]
  ) {
    it(`answers or refuses all, leaks nothing and loads as LRU would: ${title}`, async () => {
      const models = new GatedModels();
      const below = randomBelow(seed);
      const cache = models.cache({ maxLoaded: PLACES, load: loader(models, below), cooldown: { initial: 500 } });
      const world: TraceWorld = {
        cache,
        clock: models.clock,
        async work(_, { backend }, signal) {
          await models.clock.sleep(ANSWER, { signal });
          if ((backend as GatedBackend).ended) throw new ModelError("worker_failed", "the Worker died");
        },
        kill: ({ backend }) => (backend as GatedBackend).die(),
      };
      const trace = makeTrace({ seed, requests: REQUESTS, models: MODELS, ...shape });
      let tally;
      void playTrace(world, trace, CLIENTS).then((played) => tally = played);
      for (let waited = 0; tally === undefined; waited++) {
        assert.ok(waited < 100_000, `somebody waits for ever: ${GatedModels.states(cache)}`);
        await settle();
        assert.ok(models.inMemory <= PLACES);
        models.clock.advance(10);
      }
      const { answered, left, refused } = tally as Awaited<ReturnType<typeof playTrace>>;
      const refusals = [...refused.values()].reduce((sum, count) => sum + count, 0);
      assert.equal(answered + left + refusals, REQUESTS);
      assert.deepEqual([...refused.keys()].filter((code) => !REFUSALS.has(code)), []);
      assert.ok(answered > 0.8 * REQUESTS, `answered only ${answered}`);

      await settle();
      assert.equal(cache.loaded().reduce((sum, { leases }) => sum + leases, 0), 0);
      const loads = models.events.filter(({ type }: WarmEvent) => type === "loading").length;

      const least = leastRecentlyUsedLoads(trace, PLACES);
      assert.ok(loads <= 1.2 * least, `${loads} loads where LRU needs ${least}`);
      await cache.evictAll();
      assert.equal(models.inMemory, 0);
      assert.equal(models.backends.size, 0);
    });
  }
});

/** Loads that take their time, and fail at times. */
function loader(models: GatedModels, below: (below: number) => number): LoadBackend {
  return async (base, signal) => {
    models.inMemory++;
    try {
      await models.clock.sleep(LOAD, { signal });
      if (below(FAILING) === 0) throw new Error("injected");
    } catch (error) {
      models.inMemory--;
      throw error;
    }
    const backend = new GatedBackend(base, models);
    models.backends.add(backend);
    return backend;
  };
}
