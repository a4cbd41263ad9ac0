/** A suite that nothing can fail shows nothing: here are stores with one fault each, and what finds it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { openMemoryStore } from "../../src/store/memory/memory_store.ts";
import type { Found, NewEntry, Store, Want } from "../../src/store/store.ts";
import { ManualClock, storeConformance, type StoreFacet, type StoreUnderTest } from "../../src/testing/testing.ts";
import { type Result, resultOf } from "./collected.ts";

const FACETS: readonly StoreFacet[] = facetsOf(openMemoryStore({ clock: new ManualClock(), maxBytes: 1 }));

/** A good store, with some of its methods replaced. */
function conformanceOf(faultsOf: (inner: Store, clock: ManualClock) => Partial<Store>): Promise<Result> {
  const open = (): Promise<StoreUnderTest> => {
    const clock = new ManualClock();
    const inner = openMemoryStore({ clock, maxBytes: 64 * 1024 * 1024 });
    const faults = faultsOf(inner, clock);
    const store = new Proxy(inner, {
      get: (_, name) => {
        const value: unknown = Reflect.get(name in faults ? faults : inner, name);
        return typeof value === "function" ? value.bind(inner) : value;
      },
    });
    return Promise.resolve({ store, clock, cleanup: () => {} });
  };
  return resultOf((runner) => storeConformance(runner, "store", open, FACETS));
}

function facetsOf({ claims, failures, ledger, stamp, onFault }: Store): StoreFacet[] {
  const parts = { claims, failures, ledger, stamp, onFault };
  return (Object.keys(parts) as (keyof typeof parts)[]).filter((name) => parts[name] !== undefined);
}

type Lookup = (found: Found, want: Want) => Found;

/** Changes what a lookup finds. */
const finding = (change: Lookup) => (inner: Store): Partial<Store> => ({
  lookup: async (model, wants) =>
    (await inner.lookup(model, wants)).map((found, index) => change(found, wants[index]!)),
});

/** Changes what is put. */
const putting = (change: (entry: NewEntry) => NewEntry) => (inner: Store): Partial<Store> => ({
  put: (model, request, entries, ...rest) => inner.put(model, request, entries.map(change), ...rest),
});

/** Answers as a store on another machine does. */
function late(inner: Store): Partial<Store> {
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const methods = ["lookup", "put", "remove", "nearest", "size"] as const;
  const slow = methods.map((name) => [name, async (...args: unknown[]) => {
    const result: unknown = await Reflect.apply(inner[name], inner, args);
    for (let time = 0; time < 3; time++) await turn();
    return result;
  }]);
  return Object.fromEntries(slow);
}

const FAULTS: Readonly<Record<string, [(inner: Store, clock: ManualClock) => Partial<Store>, found: string]>> = {
  "answers in the wrong order": [
    (inner) => ({ lookup: async (model, wants) => [...await inner.lookup(model, wants)].reverse() }),
    "lookup > answers in the order of the wants, absent and repeated ones included",
  ],
  "gives what has expired": [
    finding((found) => found.expired ? { ...found, expired: false } : found),
    "expires > is the first moment an entry is not served",
  ],
  "gives more than was wanted": [
    (inner) => ({ lookup: (model, wants) => inner.lookup(model, wants.map((want) => ({ ...want, samples: 99 }))) }),
    "lookup > gives as many samples as are there, and at most as many as are wanted",
  ],
  "loses a bit of every answer": [
    finding((found) => ({
      ...found,
      entries: found.entries.map((entry) => ({
        ...entry,
        bytes: () => entry.bytes().map((byte) => byte & 0x7f),
        read: (use) => use(entry.bytes().map((byte) => byte & 0x7f)),
      })),
    })),
    "lookup > gives back every field and every byte",
  ],
  "rounds what the provider said": [
    putting((entry) => ({ ...entry, latency: entry.latency === null ? null : Math.round(entry.latency) })),
    "lookup > gives back every field and every byte",
  ],
  "takes all answers for JSON": [
    putting((entry) => ({ ...entry, mediaType: "application/json" })),
    "lookup > gives back every field and every byte",
  ],
  "gives an answer away once": [
    finding((found) => ({
      ...found,
      entries: found.entries.map((entry) => {
        let times = 0;
        return { ...entry, bytes: () => times++ === 0 ? entry.bytes() : new Uint8Array() };
      }),
    })),
    "lookup > gives back every field and every byte",
  ],
  "lets answers expire by the second": [
    putting((entry) => ({ ...entry, expires: entry.expires === null ? null : Math.ceil(entry.expires / 1000) * 1000 })),
    "expires > is the first moment an entry is not served",
  ],
  "takes names for the same that look the same": [
    (inner) => ({
      lookup: (model, wants) => inner.lookup(model.normalize(), wants),
      put: (model, ...rest) => inner.put(model.normalize(), ...rest),
    }),
    "lookup > tells models apart under the same key",
  ],
  "keeps what there is in place of nothing": [
    (inner) => ({
      put: (model, request, entries, ...rest) =>
        entries.length > 0 ? inner.put(model, request, entries, ...rest) : undefined,
    }),
    "put > of no answers adds none, and replaces all there are by none where that is said",
  ],
  "forgets which model was asked": [
    (inner) => ({
      lookup: (_, wants) => inner.lookup("m", wants),
      put: (_, request, entries, placement, options) => inner.put("m", request, entries, placement, options),
    }),
    "lookup > tells models apart under the same key",
  ],
  "appends over what is there": [
    (inner) => ({
      put: (model, request, entries, _, options) => inner.put(model, request, entries, "replace", options),
    }),
    "put > append by writers at the same time loses none of them",
  ],
  "leaves the rest where all is replaced": [
    (inner) => ({
      put: (model, request, entries, placement, options) =>
        inner.put(model, request, entries, placement === "replace_all" ? "replace" : placement, options),
    }),
    "put > replace_all begins at the first and removes those beyond",
  ],
  "puts one by one what is to be put together": [
    (inner) => ({
      async put(model, request, entries, placement, options) {
        for (const [index, entry] of entries.entries()) {
          await inner.put(model, request, [entry], index === 0 ? placement : "append", options);
          await Promise.resolve();
        }
      },
    }),
    "at the same time > a lookup finds all of a put or nothing of it",
  ],
  "clears more than a namespace": [
    (inner) => ({ remove: ({ namespace: _, ...rest }) => inner.remove(rest) }),
    "remove > by namespace, and by no other that begins or looks like it",
  ],
  "forgets tags": [
    (inner) => ({
      put: (model, request, entries, placement) => inner.put(model, request, entries, placement),
    }),
    "remove > by tag: all that a request was ever given count, and only whole ones",
  ],
  "keeps the last of several tags": [
    (inner) => ({
      put: (model, request, entries, placement, options) =>
        inner.put(model, request, entries, placement, { tags: options?.tags?.slice(-1) ?? [] }),
    }),
    "remove > by tag: all that a request was ever given count, and only whole ones",
  ],
  "takes tags for the same that differ in case": [
    (inner) => ({
      put: (model, request, entries, placement, options) =>
        inner.put(model, request, entries, placement, {
          tags: options?.tags?.map((tag) => tag.toLowerCase()) ?? [],
        }),
      remove: ({ tag, ...rest }) => inner.remove(tag === undefined ? rest : { ...rest, tag: tag.toLowerCase() }),
    }),
    "remove > by tag: all that a request was ever given count, and only whole ones",
  ],
  "forgets whose weights were asked": [
    (inner) => ({
      nearest: async (...args) => (await inner.nearest(...args)).map((request) => ({ ...request, identity: null })),
    }),
    "nearest > gives the nearest first, whole, and at most as many as asked for",
  ],
  "lists a request for each of its models twice": [
    (inner) => ({
      async *list(selection) {
        for await (const listed of inner.list(selection)) yield* [listed, listed];
      },
    }),
    "list > gives each request once, whole, however many answers it has",
  ],
  "lists all, whatever is asked": [
    (inner) => ({ list: () => inner.list() }),
    "list > gives those of one model",
  ],
  "makes entries of what it is told of a request": [
    (inner) => ({
      async lookup(model, wants) {
        for (const { record } of wants) if (record) await inner.put(model, record(), [], "append");
        return await inner.lookup(model, wants);
      },
    }),
    "lookup > finds the same for who says what was asked",
  ],
  "lets go of nothing": [
    () => ({ close: () => {} }),
    "close > makes everything else fail with `closed`",
  ],
  "has a part that nobody was told of": [
    () => ({ ledger: { add: () => {}, read: () => [] } }),
    "has the optional parts it is said to have, and no others",
  ],
  "counts what is not there": [
    (inner) => ({ size: async () => ({ ...await inner.size(), entries: 1 }) }),
    "size > of an empty store is zero",
  ],
};

describe("storeConformance", () => {
  it("finds nothing wrong with a good store", async () => {
    const { all, failed } = await conformanceOf(() => ({}));
    assert.deepEqual(failed, []);
    assert.ok(all.length > 60);
  });

  it("finds nothing wrong with one that answers late", async () => {
    assert.deepEqual((await conformanceOf(late)).failed, []);
  });

  it("refuses facets that it does not know, by name", () => {
    const register = () => storeConformance({ describe, it }, "store", () => Promise.reject(), ["claim" as StoreFacet]);
    assert.throws(register, { name: "TypeError", message: /unknown facet: claim \(known: claims, / });
  });

  it("finds a part that is said to be there and is not", async () => {
    const open = (): Promise<StoreUnderTest> => {
      const clock = new ManualClock();
      return Promise.resolve({ store: openMemoryStore({ clock, maxBytes: 1000 }), clock, cleanup: () => {} });
    };
    const { failed } = await resultOf((runner) => storeConformance(runner, "store", open, [...FACETS, "reopen"]));
    assert.ok(failed.includes("has the optional parts it is said to have, and no others"));
  });

  for (const [fault, [faultsOf, found]] of Object.entries(FAULTS)) {
    it(`finds a store that ${fault}`, async () => {
      const { all, failed } = await conformanceOf(faultsOf);
      assert.ok(all.includes(found), `there is a test by the name of ${found}`);
      assert.ok(failed.includes(found), `it failed; these did: ${failed.join("; ")}`);
    });
  }
});
