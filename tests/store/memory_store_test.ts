import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import { CacheError } from "../../src/store/error.ts";
import type { NewEntry, RequestRecord } from "../../src/store/store.ts";
import { ManualClock, storeConformance } from "../../src/testing/testing.ts";

storeConformance({ describe, it }, "memory", () => {
  const clock = new ManualClock();
  return Promise.resolve({ store: openMemoryStore({ clock, maxBytes: 64 * 1024 * 1024 }), clock, cleanup: () => {} });
}, ["failures"]);

describe("openMemoryStore", () => {
  const open = (maxBytes: number) => openMemoryStore({ clock: new ManualClock(), maxBytes });

  it("refuses a limit that is no positive integer", () => {
    for (const maxBytes of [0, -1, 1.5, NaN, Infinity]) assert.throws(() => open(maxBytes), RangeError);
  });

  it("forgets the least recently used request when its bytes pass the limit", async () => {
    const store = open(300);
    for (const number of [1, 2]) await store.put("m", record(number), [entry(100)], "append");
    await store.lookup("m", [{ key: record(1).key, samples: 1 }]);
    await store.put("m", record(3), [entry(100)], "append");
    const found = await store.lookup("m", [1, 2, 3].map((number) => ({ key: record(number).key, samples: 1 })));
    assert.deepEqual(found.map(({ entries }) => entries.length), [1, 0, 1]);
    assert.equal((await store.size()).entries, 2);
  });

  it("says so when one request's answers are larger than the limit, and keeps what it had", async () => {
    const store = open(300);
    await store.put("m", record(1), [entry(200)], "append");
    const tooMuch = async () => await store.put("m", record(1), [entry(200)], "append");
    await assert.rejects(tooMuch, (error) => error instanceof CacheError && error.code === "unavailable");
    const [found] = await store.lookup("m", [{ key: record(1).key, samples: 2 }]);
    assert.equal(found!.entries.length, 1);
  });
});

function record(number: number): RequestRecord {
  const body = new TextEncoder().encode("{}");
  const [key, sketch] = [new Uint8Array(32).fill(number), new Uint8Array(16)];
  return { key, namespace: "", provider: "p", endpoint: "/e", identity: null, body, sketch };
}

function entry(length: number): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: "m",
    modelAnswered: null,
    fingerprint: null,
    promptTokens: null,
    completionTokens: null,
    costMicrodollars: null,
    latency: null,
    created: 0,
    expires: null,
    body: new Uint8Array(length),
  };
}
