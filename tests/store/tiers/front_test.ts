/** Memory in front of a store: what it answers itself, and when it must not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import type { FrontOptions } from "../../../src/store/tiers/tiered_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { ManualClock } from "../manual_clock.ts";
import { bodiesOf, entry, keyOf, look, MODEL, put, requestOf, UnsteadyStore, want } from "./support.ts";

const MEGABYTE = 2 ** 20;

interface Fronted {
  readonly clock: ManualClock;
  /** The store below, as another process would use it. */
  readonly below: UnsteadyStore;
  readonly store: Store;
  /** How often the store below was asked since. */
  readonly lookups: () => number;
}

function open(front: Partial<FrontOptions> = {}, stamps = true): Fronted {
  const clock = new ManualClock();
  const below = new UnsteadyStore(openMemoryStore({ clock, maxBytes: 64 * MEGABYTE }), { stamps });
  const store = openTieredStore({ clock, tiers: [{ store: below }], front: { maxBytes: MEGABYTE, ...front } });
  return { clock, below, store, lookups: () => below.asked.splice(0).filter((asked) => asked === "lookup").length };
}

describe("memory in front of a store", () => {
  it("answers the second time by itself", async () => {
    const { store, lookups } = open();
    await put(store, 1, ["a", "b"]);
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    assert.equal(lookups(), 1);
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    assert.deepEqual(await look(store, 1, 1), ["a"]);
    assert.equal(lookups(), 0);
  });

  it("asks below for more samples than it has seen, and not where it has seen that there are no more", async () => {
    const { store, lookups } = open();
    await put(store, 1, ["a", "b"]);
    await look(store, 1, 1);
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    assert.equal(lookups(), 2);
    assert.deepEqual(await look(store, 1, 9), ["a", "b"]);
    assert.deepEqual(await look(store, 1, 10), ["a", "b"]);
    assert.equal(lookups(), 1);
  });

  it("asks below for what is missing only, and keeps the order of the wants", async () => {
    const { store, below } = open();
    for (const number of [1, 2, 3]) await put(store, number, [`${number}`]);
    await look(store, 2);
    below.asked.length = 0;
    const found = await store.lookup(MODEL, [3, 2, 9, 1].map((number) => want(number)));
    assert.deepEqual(found.map(bodiesOf), [["3"], ["2"], [], ["1"]]);
    assert.deepEqual(below.asked, ["lookup"]);
  });

  it("sees at once what another process has put, replaced or removed", async () => {
    const { store, below } = open();
    await put(store, 1, ["a"]);
    await look(store, 1);
    await put(below, 1, ["A"], "replace");
    assert.deepEqual(await look(store, 1), ["A"]);
    await put(below, 1, ["B"]);
    assert.deepEqual(await look(store, 1, 2), ["A", "B"]);
    await below.remove({});
    assert.deepEqual(await look(store, 1), []);
  });

  it("sees what another process put while it was reading", async () => {
    const { store, below } = open();
    await put(store, 1, ["a"]);
    below.mood = async (asked) => {
      if (asked !== "lookup") return;
      below.mood = () => {};
      await put(below, 1, ["A"], "replace");
    };
    assert.deepEqual(await look(store, 1), ["A"]);
    assert.deepEqual(await look(store, 1), ["A"]);
    await put(below, 1, ["B"], "replace");
    assert.deepEqual(await look(store, 1), ["B"]);
  });

  it("serves nothing whose time has come, though nothing was written", async () => {
    const { store, clock } = open();
    await store.put(MODEL, requestOf(1), [entry("a", { expires: clock.now() + 1000 }), entry("b")], "append");
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    clock.advance(1000);
    const [found] = await store.lookup(MODEL, [want(1, 2)]);
    assert.deepEqual([bodiesOf(found), found!.expired], [["b"], true]);
  });

  it("leaves what has expired, and may do all the same, to the store below", async () => {
    const { store, clock, lookups } = open();
    await store.put(MODEL, requestOf(1), [entry("a", { expires: clock.now() + 1000 })], "append");
    clock.advance(1000);
    for (let time = 0; time < 2; time++) {
      const [found] = await store.lookup(MODEL, [{ ...want(1), grace: 500 }]);
      assert.deepEqual(bodiesOf(found), ["a"]);
    }
    clock.advance(500);
    const [found] = await store.lookup(MODEL, [{ ...want(1), grace: 500 }]);
    assert.deepEqual([bodiesOf(found), found!.expired], [[], true]);
    assert.equal(lookups(), 3);
  });

  it("keeps no copy of what was not there: somebody may be buying it", async () => {
    const { store, lookups } = open();
    await look(store, 1);
    await look(store, 1);
    assert.equal(lookups(), 2);
  });

  it("gives bytes away that are the caller's to change, and decompresses once", async () => {
    const { store } = open();
    await put(store, 1, ["mine"]);
    const [found] = await store.lookup(MODEL, [want(1)]);
    found!.entries[0]!.bytes().fill(0);
    assert.deepEqual(await look(store, 1), ["mine"]);
    const [again] = await store.lookup(MODEL, [want(1)]);
    const seen = again!.entries[0]!.read((bytes) => bytes);
    assert.equal(again!.entries[0]!.read((bytes) => bytes), seen);
  });

  it("gives back every field", async () => {
    const { store, below, clock } = open();
    const fields = {
      promptTokens: 0,
      latency: 5,
      fingerprint: "fp",
      expires: clock.now() + 9,
      outcome: "length",
    } as const;
    await store.put(MODEL, requestOf(1), [entry("a", fields)], "append");
    for (let time = 0; time < 2; time++) {
      const [front] = await store.lookup(MODEL, [want(1)]);
      const [plain] = await below.lookup(MODEL, [want(1)]);
      const { bytes: _bytes, read: _read, ...rest } = plain!.entries[0]!;
      const { bytes: _same, read: _too, ...copy } = front!.entries[0]!;
      assert.deepEqual(copy, rest);
    }
  });

  it("forgets the least recently used beyond its bytes", async () => {
    const { store, lookups } = open({ maxBytes: 10_000 });
    for (const number of [1, 2, 3]) await put(store, number, ["x".repeat(3000)]);
    for (const number of [1, 2, 1, 3]) await look(store, number);
    lookups();
    await look(store, 1);
    await look(store, 3);
    assert.equal(lookups(), 0);
    await look(store, 2);
    assert.equal(lookups(), 1);
  });

  it("counts what small answers take besides their bytes", async () => {
    const { store, lookups } = open({ maxBytes: 64 * 1024 });
    for (let number = 0; number < 100; number++) {
      await put(store, number, ["x"]);
      await look(store, number);
    }
    lookups();
    for (let number = 99; number >= 0; number--) await look(store, number);
    assert.ok(lookups() > 50);
  });

  it("answers what is larger than all of it", async () => {
    const { store } = open({ maxBytes: 100 });
    await put(store, 1, ["x".repeat(3000)]);
    for (let time = 0; time < 2; time++) assert.deepEqual(await look(store, 1), ["x".repeat(3000)]);
  });

  it("asks below once a minute, so that what is in use is not the first to be removed there", async () => {
    const { store, clock, lookups } = open();
    await put(store, 1, ["a"]);
    for (let second = 0; second < 121; second++) {
      await look(store, 1);
      clock.advance(1000);
    }
    assert.equal(lookups(), 3);
  });

  it("throws what the store below throws, and answers once it is well", async () => {
    const { store, below } = open();
    await put(store, 1, ["a"]);
    below.mood = () => Promise.reject(new RangeError("not today"));
    await assert.rejects(look(store, 1), /not today/);
    await assert.rejects(put(store, 1, ["b"]), /not today/);
    below.mood = () => {};
    assert.deepEqual(await look(store, 1), ["a"]);
  });

  it("is the store below in all else", async () => {
    const { store, below } = open();
    await put(store, 1, ["a"]);
    assert.equal(store.name, "unsteady");
    assert.equal((await store.size()).entries, 1);
    assert.deepEqual((await store.nearest(new Uint8Array(16), 5)).map(({ key }) => key), [keyOf(1)]);
    assert.equal(store.stamp!(MODEL, keyOf(1)), below.stamp!(MODEL, keyOf(1)));
    const faults: string[] = [];
    store.onFault!(({ model }) => faults.push(model));
    below.listener({ type: "write_failed", model: "x", error: undefined as never });
    assert.deepEqual(faults, ["x"]);
  });
});

describe("memory in front of a store that cannot tell what has changed", () => {
  it("serves no copies by default", async () => {
    const { store, below } = open({}, false);
    await put(store, 1, ["a"]);
    await look(store, 1);
    await put(below, 1, ["A"], "replace");
    assert.deepEqual(await look(store, 1), ["A"]);
  });

  it("serves them for freshFor, and then sees what others did", async () => {
    const { store, below, clock, lookups } = open({ freshFor: 100 }, false);
    await put(store, 1, ["a"]);
    await look(store, 1);
    await put(below, 1, ["A"], "replace");
    clock.advance(99);
    assert.deepEqual(await look(store, 1), ["a"]);
    clock.advance(1);
    assert.deepEqual(await look(store, 1), ["A"]);
    assert.equal(lookups(), 2);
  });

  it("sees at once what this process did", async () => {
    const { store } = open({ freshFor: 100 }, false);
    await put(store, 1, ["a"]);
    await look(store, 1);
    await put(store, 1, ["A"], "replace");
    assert.deepEqual(await look(store, 1), ["A"]);
    await store.remove({ keys: [keyOf(1)] });
    assert.deepEqual(await look(store, 1), []);
  });

  it("keeps no copy of what was read while this process wrote", async () => {
    const { store, below } = open({ freshFor: 100 }, false);
    await put(store, 1, ["a"]);
    const { promise: goOn, resolve } = Promise.withResolvers<void>();
    const plain = below.lookup.bind(below);
    below.lookup = async (model, wants) => {
      const found = await plain(model, wants);
      await goOn;
      return found;
    };
    const late = look(store, 1);
    await new Promise((done) => setTimeout(done, 0));
    await put(store, 1, ["A"], "replace");
    resolve();
    assert.deepEqual(await late, ["a"]);
    assert.deepEqual(await look(store, 1), ["A"]);
  });

  it("asks below for samples that were not there a moment ago: somebody may wait for them", async () => {
    const { store, below } = open({ freshFor: 100 }, false);
    await put(store, 1, ["a"]);
    assert.deepEqual(await look(store, 1, 2), ["a"]);
    await put(below, 1, ["b"]);
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
  });
});

describe("openTieredStore", () => {
  const clock = new ManualClock();
  const store = openMemoryStore({ clock, maxBytes: MEGABYTE });

  it("refuses what makes no sense", () => {
    const openWith = (options: object) => () => openTieredStore({ clock, tiers: [{ store }], ...options });
    assert.throws(openWith({ tiers: [] }), TypeError);
    assert.throws(openWith({ back: true }), /unknown option .*: back$/);
    assert.throws(openWith({ tiers: [{ store, deadlines: 1 }] }), /unknown option .*: deadlines$/);
    for (const deadline of [0, -1, NaN]) assert.throws(openWith({ tiers: [{ store, deadline }] }), RangeError);
    for (const maxBytes of [0, 1.5, NaN, Infinity]) assert.throws(openWith({ front: { maxBytes } }), RangeError);
    for (const freshFor of [-1, NaN]) assert.throws(openWith({ front: { maxBytes: 1, freshFor } }), RangeError);
  });
});
