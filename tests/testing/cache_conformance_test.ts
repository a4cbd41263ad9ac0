/** A suite that nothing can fail shows nothing: here are caches with one fault each, and what finds it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ResponseCache, type ResponseCacheOptions } from "../../src/cache/response_cache.ts";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Store } from "../../src/store/store.ts";
import {
  cacheConformance,
  type CacheFacet,
  type CacheSurface,
  type CacheUnderTest,
  ManualClock,
} from "../../src/testing/testing.ts";
import { sha256 } from "../cache/support.ts";
import { type Result, resultOf } from "./collected.ts";

interface Faults {
  /** How the cache is made. */
  readonly options?: Partial<ResponseCacheOptions>;
  /** What its store does otherwise. */
  readonly store?: (inner: Store) => Partial<Store>;
  /** What it does otherwise itself. */
  readonly cache?: (inner: ResponseCache) => Partial<CacheSurface>;
}

/** A good cache, with some of it replaced. */
function conformanceOf({ options = {}, store: storeFaults, cache: cacheFaults }: Faults): Promise<Result> {
  const open = (): Promise<CacheUnderTest> => {
    const clock = new ManualClock();
    const store = openMemoryStore({ clock, maxBytes: 64 * 1024 * 1024 });
    const inner = new ResponseCache({ store: replaced(store, storeFaults?.(store)), clock, sha256, ...options });
    return Promise.resolve({ cache: replaced(inner, cacheFaults?.(inner)), clock, cleanup: () => {} });
  };
  return resultOf((runner) => cacheConformance(runner, "cache", open, ["clock"]));
}

function replaced<T extends object>(inner: T, faults: object = {}): T {
  return new Proxy(inner, {
    get(_, name) {
      const value: unknown = Reflect.get(name in faults ? faults : inner, name);
      return typeof value === "function" ? value.bind(inner) : value;
    },
  });
}

const FAULTS: Readonly<Record<string, [faults: Faults, found: string]>> = {
  "leaves a field out of the key": [
    { options: { ignore: { "/v1/chat/completions": ["temperature"] } } },
    "the key > changes with every field of the request, known or not",
  ],
  "hashes half of what is asked": [
    { options: { sha256: (bytes) => sha256(bytes.subarray(0, bytes.length - 60)) } },
    "the key > changes with who is asked",
  ],
  "keeps errors": [
    { options: { policy: { error: "store" } } },
    "what came of a call > is passed on and not kept: an error, though the status was 200",
  ],
  "keeps nothing that was cut off": [
    { options: { policy: { length: "never" } } },
    "what came of a call > is kept, and marked length: a text that was cut off",
  ],
  "serves what has expired": [
    { options: { staleWhileRevalidate: 1_000_000 } },
    "an answer with a time to live > hides no other sample, and only it is bought anew",
  ],
  "stores nothing": [
    { options: { mode: "read-only" } },
    "samples > are bought once, and found again in their order",
  ],
  "appends over what is there": [
    {
      store: (inner) => ({
        put: (model, request, entries, _, options) => inner.put(model, request, entries, "replace", options),
      }),
    },
    "samples > by writers at the same time are all kept, in one order",
  ],
  "knows one namespace only": [
    { cache: (inner) => ({ clear: () => inner.prune() }) },
    "removal > of a namespace leaves those that look like it",
  ],
  "asks for what is missing as often as it is wanted": [
    {
      cache: (inner) => ({
        wrapMany: async (bodies, produce, options) =>
          (await Promise.all(bodies.map((body) => inner.wrapMany([body], produce, options)))).flat(),
      }),
    },
    "a batch > says of each how it fared",
  ],
  "gives a batch's answers as they come": [
    {
      cache: (inner) => ({
        wrapMany: async (bodies, produce, options) => (await inner.wrapMany(bodies, produce, options)).toReversed(),
      }),
    },
    "a batch > keeps every answer with its question, for all patterns of hits and misses",
  ],
  "calls for each caller": [
    { cache: () => ({ wrap: (body, produce) => produce(body, { signal: new AbortController().signal }) }) },
    "callers at the same time > make one call, a hundred of them, and all get its answer",
  ],
  "hands out answers it has parsed and printed": [
    {
      cache: (inner) => ({
        put: (body, answer, options) =>
          inner.put(
            body,
            answer instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(answer)) : answer,
            options,
          ),
      }),
    },
    "the bytes of an answer > come back as they were put: spaces and line ends",
  ],
  "closes before its calls have ended": [
    { cache: () => ({ close: () => Promise.resolve() }) },
    "close > makes everything else fail with `closed`, before anything is bought",
  ],
  "calls in a replay": [
    {
      cache: (inner) => ({
        wrap: (body, produce, options = {}) =>
          inner.wrap(body, produce, options.mode === "replay" ? { ...options, mode: "read-write" } : options),
      }),
    },
    "the mode > replay serves what is there, and calls nobody else",
  ],
};

describe("cacheConformance", () => {
  it("finds nothing wrong with a good cache", async () => {
    const { all, failed } = await conformanceOf({});
    assert.deepEqual(failed, []);
    assert.ok(all.length > 100);
  });

  it("refuses facets that it does not know, by name", () => {
    const register = () =>
      cacheConformance({ describe, it }, "cache", () => Promise.reject(), ["clocks" as CacheFacet]);
    assert.throws(register, { name: "TypeError", message: /unknown facet: clocks \(known: clock, another/ });
  });

  for (const [fault, [faults, found]] of Object.entries(FAULTS)) {
    it(`finds a cache that ${fault}`, async () => {
      const { all, failed } = await conformanceOf(faults);
      assert.ok(all.includes(found), `there is a test by the name of ${found}`);
      assert.ok(failed.includes(found), `it failed; these did: ${failed.join("; ")}`);
    });
  }
});
