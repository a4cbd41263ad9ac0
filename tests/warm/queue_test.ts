/** How many requests may wait for models, and what those hear that are too many. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ModelError } from "../../src/model/error.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import type { BackendCache } from "../../src/warm/backend_cache.ts";
import type { Lease } from "../../src/warm/lease.ts";
import { GatedModels, settle } from "./gated_models.ts";

const a = parseModelName("a");
const b = parseModelName("b");
const c = parseModelName("c");

async function refused(lease: Promise<Lease>): Promise<ModelError> {
  const error = await lease.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof ModelError, String(error));
  assert.equal(error.code, "queue_full");
  return error;
}

async function give(...leases: Lease[]): Promise<void> {
  for (const lease of leases) await lease[Symbol.asyncDispose]();
}

/** So many at once on a model that is warm. */
async function leases(cache: BackendCache, count: number): Promise<Lease[]> {
  await cache.preload(a);
  return await Promise.all(Array.from({ length: count }, () => cache.lease(a)));
}

describe("maxQueuePerModel", () => {
  it("bounds those that wait for a load; they are served, and one that comes later may wait again", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxQueuePerModel: 2 });
    const waiting = [cache.lease(a), cache.lease(parseModelName("a+x"))];
    await settle();
    assert.equal(cache.queued, 2);
    const { message } = await refused(cache.lease(a));
    assert.match(message, /a: 2 wait for it already, of 2 that may/);
    models.loading[0]!.finish();
    const served = await Promise.all(waiting);
    // One of them works, the other waits for the Worker.
    assert.equal(cache.queued, 1);
    const third = await cache.lease(a);
    await refused(cache.lease(a));
    await give(third, ...served);
    assert.equal(cache.queued, 0);
    await give(await cache.lease(a));
  });

  it("bounds those that wait for room", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxLoaded: 1, maxQueuePerModel: 1 });
    const busy = await cache.lease(a);
    const waiting = cache.lease(b);
    await settle();
    await refused(cache.lease(b));
    // Those who ask for others wait by themselves.
    const other = cache.lease(c);
    await settle();
    assert.equal(cache.queued, 2);
    await give(busy);
    await give(await waiting);
    await give(await other);
  });

  it("forgets those that go away", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxQueuePerModel: 1 });
    const leaving = new AbortController();
    const left = cache.lease(a, { signal: leaving.signal });
    await settle();
    await refused(cache.lease(a));
    leaving.abort();
    await assert.rejects(left, { name: "AbortError" });
    assert.equal(cache.queued, 0);
    const waiting = cache.lease(a);
    await settle();
    models.loading[0]!.finish();
    await give(await waiting);
  });

  it("lets loads and pins pass, which ask for nothing", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxQueuePerModel: 1 });
    const served = await leases(cache, 2);
    await refused(cache.lease(a));
    await cache.preload(a);
    await cache.pin(a);
    await give(...served);
  });
});

describe("maxQueue", () => {
  it("bounds those that wait for any model, and none that need not wait", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxQueue: 2 });
    const [first, second, third] = await leases(cache, 3);
    assert.match((await refused(cache.lease(a))).message, /2 wait for models already/);
    models.holdLoads = true;
    await refused(cache.lease(b));
    await give(third!);
    const waiting = cache.lease(b);
    await settle();
    await refused(cache.lease(a));
    models.loading[0]!.finish();
    const other = await waiting;
    await give(first!, second!, other);
    await give(await cache.lease(a), await cache.lease(b));
  });

  it("refuses a limit that is none", () => {
    for (const limit of [0, 1.5, NaN]) {
      assert.throws(() => new GatedModels().cache({ maxQueue: limit }), RangeError);
      assert.throws(() => new GatedModels().cache({ maxQueuePerModel: limit }), RangeError);
    }
  });
});

describe("when to ask again", () => {
  it("is when those that wait are served, by how long requests took", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxQueuePerModel: 3 });
    for (let request = 0; request < 20; request++) {
      const lease = await cache.lease(a);
      models.clock.advance(500);
      await give(lease);
    }
    const served = await leases(cache, 4);
    assert.equal((await refused(cache.lease(a))).retryAfter, 1500);
    await give(...served);
  });

  it("shares the time among those that overlap", async () => {
    const models = new GatedModels();
    const cache = models.cache({ maxQueuePerModel: 3 });
    const served = await leases(cache, 4);
    for (const lease of served) {
      models.clock.advance(500);
      await give(lease);
    }
    const again = await leases(cache, 4);
    assert.equal((await refused(cache.lease(a))).retryAfter, 1500);
    await give(...again);
  });

  it("is a guess before any was served", async () => {
    const models = new GatedModels();
    models.holdLoads = true;
    const cache = models.cache({ maxQueuePerModel: 1 });
    const waiting = cache.lease(a);
    await settle();
    assert.equal((await refused(cache.lease(a))).retryAfter, 10_000);
    models.loading[0]!.finish();
    await give(await waiting);
  });
});
