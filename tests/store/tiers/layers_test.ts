/** Stores behind one another: who is asked, what is copied where, and what becomes of those that fail. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../../src/store/error.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import type { Store, StoreFault } from "../../../src/store/store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import { ManualClock } from "../manual_clock.ts";
import { bodiesOf, entry, keyOf, look, MODEL, put, requestOf, settle, UnsteadyStore, want } from "./support.ts";

interface Layers {
  readonly clock: ManualClock;
  readonly near: UnsteadyStore;
  readonly far: UnsteadyStore;
  readonly store: Store;
  readonly faults: StoreFault[];
}

/** Two tiers, the last with a deadline of a second. */
function open({ stamps = false } = {}): Layers {
  const clock = new ManualClock();
  const [near, far] = [1, 2].map(() => {
    return new UnsteadyStore(openMemoryStore({ clock, maxBytes: 2 ** 24 }), { stamps });
  }) as [UnsteadyStore, UnsteadyStore];
  const store = openTieredStore({ clock, tiers: [{ store: near }, { store: far }] });
  const faults: StoreFault[] = [];
  store.onFault!((fault) => faults.push(fault));
  return { clock, near, far, store, faults };
}

const hangs = (): Promise<void> => new Promise(() => {});
const fails = (): Promise<void> => Promise.reject(new CacheError("unavailable", "Cannot reach it: it is gone"));
const types = (faults: StoreFault[]): string[] => faults.splice(0).map(({ type }) => type);

describe("a lookup in layers", () => {
  it("ends at the first tier that has enough", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["a", "b"]);
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    assert.deepEqual(far.asked, []);
  });

  it("goes on with what is missing only, and keeps the order of the wants", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["near"]);
    await put(far, 2, ["far"]);
    const found = await store.lookup(MODEL, [2, 1, 9].map((number) => want(number)));
    assert.deepEqual(found.map(bodiesOf), [["far"], ["near"], []]);
  });

  it("copies what it found below up, whole, so that it is found above the next time", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a", "b", "c"]);
    assert.deepEqual(await look(store, 1), ["a"]);
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["a", "b", "c"]);
    far.asked.length = 0;
    assert.deepEqual(await look(store, 1, 3), ["a", "b", "c"]);
    assert.deepEqual(far.asked, []);
  });

  it("gives the most samples that any tier has, the upper one's where they have the same number", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["a", "b"]);
    await put(far, 1, ["x"]);
    assert.deepEqual(await look(store, 1, 3), ["a", "b"]);
    await put(far, 1, ["y"]);
    assert.deepEqual(await look(store, 1, 3), ["a", "b"]);
    await put(far, 1, ["z"]);
    assert.deepEqual(await look(store, 1, 3), ["x", "y", "z"]);
  });

  it("loses nothing that the upper tier alone has, when it copies up", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["a", "mine"]);
    await put(far, 1, ["a", "b", "c"]);
    assert.deepEqual(await look(store, 1, 3), ["a", "b", "c"]);
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["a", "b", "c", "mine"]);
  });

  it("copies every field, and nothing whose time has come", async () => {
    const { store, near, far, clock } = open();
    const later = entry("b", { promptTokens: 3, costMicrodollars: 7, expires: clock.now() + 99, outcome: "length" });
    await far.put(MODEL, requestOf(1), [entry("a", { expires: clock.now() + 9 }), later], "append");
    clock.advance(9);
    const [found] = await store.lookup(MODEL, [{ ...want(1, 2), grace: 50 }]);
    assert.deepEqual(bodiesOf(found), ["b", "a"]);
    await settle();
    const [copy] = await near.lookup(MODEL, [{ ...want(1, 9), grace: 50 }]);
    assert.deepEqual(bodiesOf(copy), ["b"]);
    const { promptTokens, costMicrodollars, expires, outcome } = copy!.entries[0]!;
    assert.deepEqual({ promptTokens, costMicrodollars, expires, outcome }, {
      promptTokens: 3,
      costMicrodollars: 7,
      expires: later.expires,
      outcome: "length",
    });
  });

  it("copies nothing for who does not say what was asked", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    await store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]);
    await settle();
    assert.deepEqual(near.asked, ["lookup"]);
  });

  it("does not wait for the copy, but close does", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    near.mood = (asked) => asked === "put" ? promise : undefined;
    assert.deepEqual(await look(store, 1), ["a"]);
    await settle();
    let isClosed = false;
    const closed = Promise.resolve(store.close()).then(() => isClosed = true);
    await settle();
    assert.equal(isClosed, false);
    resolve();
    await closed;
  });

  it("tells of a copy that could not be made", async () => {
    const { store, near, far, faults } = open();
    await put(far, 1, ["a"]);
    near.mood = (asked) => asked === "put" ? fails() : undefined;
    assert.deepEqual(await look(store, 1), ["a"]);
    await settle();
    assert.deepEqual(types(faults), ["write_failed"]);
  });

  it("copies nothing over what was put meanwhile", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = async (asked) => {
      if (asked !== "lookup") return;
      far.mood = () => {};
      await promise;
    };
    const found = look(store, 1);
    await settle();
    await put(store, 1, ["A"], "replace_all");
    resolve();
    await found;
    await settle();
    assert.deepEqual([await look(near, 1, 9), await look(far, 1, 9)], [["A"], ["A"]]);
  });

  it("brings nothing back that was removed meanwhile", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    const plain = far.lookup.bind(far);
    far.lookup = async (model, wants) => {
      const found = await plain(model, wants);
      await promise;
      return found;
    };
    const found = look(store, 1);
    await settle();
    assert.equal((await store.remove({})).entries, 1);
    resolve();
    assert.deepEqual(await found, ["a"]);
    await settle();
    far.lookup = plain;
    assert.deepEqual(await look(near, 1), []);
    assert.deepEqual(await look(store, 1), []);
  });

  it("passes a tier over that throws, and says so", async () => {
    const { store, near, far, faults } = open();
    await put(far, 1, ["a"]);
    near.mood = fails;
    assert.deepEqual(await look(store, 1), ["a"]);
    assert.deepEqual(faults.map(({ type, model, error }) => [type, model, error.message]), [
      ["lookup_failed", MODEL, "Cannot reach it: it is gone"],
    ]);
  });

  it("passes a tier over that throws at once, or no CacheError", async () => {
    const { store, near, far, faults } = open();
    await put(far, 1, ["a"]);
    near.lookup = () => {
      throw new TypeError("undefined is not a function");
    };
    assert.deepEqual(await look(store, 1), ["a"]);
    const [{ error }] = faults as [StoreFault];
    assert.ok(error instanceof CacheError && error.code === "unavailable");
    assert.match(error.message, /^Cannot look up answers in the tier unsteady \(here\): undefined is not/);
  });

  it("fails when every tier does, with a refusal only when every tier refuses", async () => {
    const { store, near, far } = open();
    const refuses = (code: "locked" | "newer_schema") => () => Promise.reject(new CacheError(code, code));
    [near.mood, far.mood] = [refuses("locked"), fails];
    await assert.rejects(look(store, 1), { code: "unavailable" });
    [near.mood, far.mood] = [refuses("locked"), refuses("newer_schema")];
    await assert.rejects(look(store, 1), { code: "locked" });
    far.mood = () => {};
    await put(far, 1, ["a"]);
    assert.deepEqual(await look(store, 1), ["a"]);
  });

  it("copies nothing over what another process put above meanwhile", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    near.mood = (asked) => asked === "lookup" && near.asked.length > 1 ? promise : undefined;
    assert.deepEqual(await look(store, 1), ["a"]);
    await settle();
    await put(near, 1, ["theirs"]);
    resolve();
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["theirs"]);
  });

  it("takes a copy back of what another process removed meanwhile, and serves it to nobody here", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    const { promise: isRemoved, resolve } = Promise.withResolvers<void>();
    near.mood = (asked) => asked === "put" ? isRemoved : undefined;
    assert.deepEqual(await look(store, 1), ["a"]);
    await settle();
    await far.remove({});
    const secondLook = Promise.withResolvers<void>();
    far.mood = () => secondLook.promise;
    resolve();
    await settle();
    assert.deepEqual(await look(near, 1), ["a"]);
    far.mood = () => {};
    assert.deepEqual(await look(store, 1), []);
    secondLook.resolve();
    await settle();
    assert.deepEqual(await look(near, 1), []);
  });

  it("copies once more what another process replaced meanwhile, and keeps what the upper tier alone had", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["mine"]);
    await put(far, 1, ["a", "b"]);
    near.mood = async (asked) => {
      if (asked !== "put") return;
      near.mood = () => {};
      await put(far, 1, ["A", "B"], "replace_all");
    };
    assert.deepEqual(await look(store, 1, 2), ["a", "b"]);
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["A", "B", "mine"]);
    await put(near, 2, ["mine"]);
    await put(far, 2, ["a", "b"]);
    near.mood = async (asked) => {
      if (asked === "put") await far.remove({});
    };
    assert.deepEqual(await look(store, 2, 2), ["a", "b"]);
    await settle();
    assert.deepEqual(await look(near, 2, 9), ["mine"]);
  });

  it("answers within the deadline of a tier that never does", async () => {
    const { store, near, far, clock, faults } = open();
    await put(near, 1, ["a"]);
    far.mood = hangs;
    const found = look(store, 1, 2);
    await settle();
    clock.advance(999);
    await settle();
    assert.equal(faults.length, 0);
    clock.advance(1);
    assert.deepEqual(await found, ["a"]);
    assert.match(faults[0]!.error.message, /took longer than 1000 ms$/);
  });

  it("still copies up what comes too late to be the answer", async () => {
    const { store, near, far, clock } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = () => promise;
    const found = look(store, 1);
    await settle();
    clock.advance(1000);
    assert.deepEqual(await found, []);
    resolve();
    await settle();
    assert.deepEqual(await look(near, 1), ["a"]);
  });

  it("copies nothing that comes when the tiers are closed", async () => {
    const { store, near, far, clock, faults } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = () => promise;
    const found = look(store, 1);
    await settle();
    clock.advance(1000);
    await found;
    const { length } = faults;
    await store.close();
    resolve();
    await settle();
    assert.equal(near.asked.includes("put"), false);
    assert.equal(faults.length, length);
  });

  it("copies nothing late over what was bought meanwhile", async () => {
    const { store, near, far, clock } = open();
    await put(far, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = (asked) => asked === "lookup" ? promise : undefined;
    const found = look(store, 1);
    await settle();
    clock.advance(1000);
    await found;
    await put(store, 1, ["A"], "replace_all");
    resolve();
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["A"]);
  });
});

describe("a put in layers", () => {
  it("goes to all tiers", async () => {
    const { store, near, far } = open();
    await put(store, 1, ["a"]);
    await put(store, 1, ["b"]);
    await put(store, 1, ["A"], "replace");
    for (const tier of [near, far]) assert.deepEqual(await look(tier, 1, 9), ["A", "b"]);
    await put(store, 1, ["C"], "replace_all");
    for (const tier of [near, far]) assert.deepEqual(await look(tier, 1, 9), ["C"]);
  });

  it("appends after what only the tier below had, in every tier", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a", "b"]);
    await Promise.all(["c", "d"].map((body) => put(store, 1, [body])));
    for (const tier of [near, far]) assert.deepEqual(await look(tier, 1, 9), ["a", "b", "c", "d"]);
  });

  it("appends after what was found a moment ago, though its copy is not made yet", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    assert.deepEqual(await look(store, 1, 2), ["a"]);
    await put(store, 1, ["b"]);
    for (const tier of [near, far]) assert.deepEqual(await look(tier, 1, 9), ["a", "b"]);
  });

  it("keeps the bytes it was given", async () => {
    const { store } = open();
    const [request, added] = [requestOf(1), entry("mine")];
    const stored = store.put(MODEL, request, [added], "append");
    added.body.fill(0);
    request.key.fill(0);
    await stored;
    assert.deepEqual(await look(store, 1), ["mine"]);
  });

  it("is acknowledged when one tier has it, and the other's failure is reported", async () => {
    const { store, near, far, faults } = open();
    for (const [broken, well] of [[near, far], [far, near]] as const) {
      [broken.mood, well.mood] = [fails, () => {}];
      await put(store, 1, ["a"], "replace_all");
      assert.deepEqual(types(faults), ["write_failed"]);
      assert.deepEqual(await look(well, 1), ["a"]);
    }
  });

  it("is reported once where a tier can neither be looked into nor written to", async () => {
    const { store, far, faults } = open();
    far.mood = fails;
    await put(store, 1, ["a"], "append");
    assert.deepEqual(types(faults), ["write_failed"]);
  });

  it("fails with the first error when no tier has it", async () => {
    const { store, near, far, faults } = open();
    near.mood = () => Promise.reject(new CacheError("unavailable", "full"));
    far.mood = fails;
    await assert.rejects(put(store, 1, ["a"], "replace_all"), /^CacheError: full$/);
    assert.deepEqual(faults, []);
  });

  it("waits for a tier no longer than its deadline", async () => {
    const { store, far, clock, faults } = open();
    far.mood = hangs;
    const stored = put(store, 1, ["a"], "replace_all");
    await settle();
    clock.advance(1000);
    await stored;
    assert.deepEqual(types(faults), ["write_failed"]);
  });

  it("that replaces what a tier keeps is not undone by that tier, which has it at the next chance", async () => {
    for (const placement of ["replace", "replace_all"] as const) {
      const { store, near, far } = open();
      await put(store, 1, ["old"]);
      near.mood = (asked) => asked === "put" ? fails() : undefined;
      await put(store, 1, ["new"], placement);
      assert.deepEqual(await look(store, 1), ["new"]);
      await settle();
      far.mood = fails;
      assert.deepEqual(await look(store, 1), [], "better nothing than what was replaced");
      [near.mood, far.mood] = [() => {}, () => {}];
      assert.deepEqual(await look(store, 1), ["new"]);
      await settle();
      assert.deepEqual(await look(near, 1, 9), ["new"]);
      far.asked.length = 0;
      assert.deepEqual(await look(store, 1), ["new"]);
      assert.deepEqual(far.asked, []);
    }
  });

  it("that replaces more than one sample does not let the last tier bring them back", async () => {
    const { store, near, far } = open();
    await put(store, 1, ["x", "y"]);
    far.mood = (asked) => asked === "put" ? fails() : undefined;
    await put(store, 1, ["A"], "replace_all");
    assert.deepEqual(await look(store, 1, 2), ["A"]);
    await settle();
    assert.deepEqual(await look(near, 1, 9), ["A"]);
    far.mood = () => {};
    await put(store, 1, ["B", "C"], "replace_all");
    await near.remove({});
    assert.deepEqual(await look(store, 1, 2), ["B", "C"]);
  });

  it("that a tier takes after its deadline counts from then on", async () => {
    const { store, near, far, clock } = open();
    await put(store, 1, ["x"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = (asked) => asked === "put" ? promise : undefined;
    const stored = put(store, 1, ["A"], "replace_all");
    await settle();
    clock.advance(1000);
    await stored;
    await near.remove({});
    assert.deepEqual(await look(store, 1), []);
    resolve();
    await settle();
    assert.deepEqual(await look(store, 1), ["A"]);
  });

  it("is handed to a tier that is left alone, for which nobody waits", async () => {
    const { store, far, faults, clock } = open();
    far.mood = fails;
    for (const number of [1, 2, 3]) await look(store, number);
    faults.length = 0;
    far.mood = () => {};
    await put(store, 4, ["a"]);
    await settle();
    assert.deepEqual([await look(far, 4), faults], [["a"], []]);
    far.mood = hangs;
    for (let number = 0; number < 256; number++) await put(store, number, ["b"], "replace_all");
    await settle();
    assert.deepEqual(faults, []);
    await put(store, 256, ["b"], "replace_all");
    await settle();
    assert.deepEqual(types(faults), ["write_failed"]);
    assert.equal(clock.monotonic(), new ManualClock().monotonic());
  });

  it("waits for no copies but those of its own request", async () => {
    const { store, near, far } = open();
    const numbers = Array.from({ length: 100 }, (_, index) => index);
    for (const number of numbers) await put(far, number, ["a"]);
    near.mood = (asked) => asked === "put" && near.asked.length < 70 ? hangs() : undefined;
    await store.lookup(MODEL, numbers.map((number) => want(number)));
    await settle();
    near.mood = () => {};
    await put(store, 99, ["b"]);
    assert.deepEqual(await look(near, 99, 9), ["a", "b"]);
  });

  it("refuses a sketch that is none before any tier sees it", async () => {
    const { store, near, far } = open();
    const odd = requestOf(1, { sketch: new Uint8Array(3) });
    await assert.rejects(async () => await store.put(MODEL, odd, [entry("a")], "append"), RangeError);
    assert.deepEqual([...near.asked, ...far.asked], []);
  });
});

describe("a removal in layers", () => {
  it("removes from all tiers, and tells of what was most", async () => {
    const { store, near, far } = open();
    await put(store, 1, ["a", "b"]);
    await put(far, 2, ["c"]);
    assert.equal((await store.remove({})).entries, 3);
    for (const tier of [near, far]) assert.equal((await tier.size()).entries, 0);
  });

  it("fails when one tier does, after it has removed from the others", async () => {
    const { store, near, far } = open();
    await put(store, 1, ["a"]);
    near.mood = fails;
    await assert.rejects(async () => await store.remove({}), /it is gone/);
    assert.equal((await far.size()).entries, 0);
  });

  it("begins with the last tier, so that nobody copies from there what is gone above", async () => {
    const { store, near, far } = open();
    await put(store, 1, ["a"]);
    const { promise, resolve } = Promise.withResolvers<void>();
    far.mood = (asked) => asked === "remove" ? promise : undefined;
    const removed = store.remove({});
    await settle();
    assert.equal(near.asked.includes("remove"), false);
    resolve();
    await removed;
    assert.deepEqual(await look(near, 1), []);
  });

  it("by tag reaches what was copied up, whose tags only the lower tier knows", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"], "append", { tags: ["old"] });
    await put(far, 2, ["b"]);
    for (const number of [1, 2]) await look(store, number);
    await settle();
    assert.equal((await near.size()).entries, 2);
    assert.equal((await store.remove({ tag: "old" })).entries, 1);
    assert.deepEqual(await look(store, 1), []);
    assert.deepEqual(await look(store, 2), ["b"]);
  });
});

describe("the tiers' common facts", () => {
  it("nearest and list are of all tiers, each request once", async () => {
    const { store, near, far } = open();
    for (const number of [1, 3]) await put(near, number, ["a"]);
    for (const number of [3, 7]) await put(far, number, ["a"]);
    const nearest = await store.nearest(new Uint8Array(16).fill(7), 9);
    assert.deepEqual(nearest.map(({ key }) => key), [7, 3, 1].map(keyOf));
    assert.deepEqual((await store.nearest(new Uint8Array(16).fill(7), 1)).map(({ key }) => key), [keyOf(7)]);
    const listed: [string, Uint8Array][] = [];
    for await (const { model, request } of store.list()) listed.push([model, request.key]);
    assert.deepEqual(
      listed.toSorted(([, left], [, right]) => left[3]! - right[3]!),
      [1, 3, 7].map((number) => [MODEL, keyOf(number)]),
    );
  });

  it("nearest goes on without a tier that fails; list throws, but only after the others", async () => {
    const { store, near, far } = open();
    await put(far, 1, ["a"]);
    near.mood = fails;
    assert.equal((await store.nearest(new Uint8Array(16), 9)).length, 1);
    const listed: unknown[] = [];
    await assert.rejects(async () => {
      for await (const each of store.list()) listed.push(each);
    }, /it is gone/);
    assert.equal(listed.length, 1);
  });

  it("a list that nobody reads to its end lets go of the tier", async () => {
    const { store, near } = open();
    for (const number of [1, 2]) await put(store, number, ["a"]);
    let isLetGo = false;
    const plain = near.list.bind(near);
    near.list = async function* (selection) {
      try {
        yield* plain(selection);
      } finally {
        isLetGo = true;
      }
    };
    for await (const _ of store.list()) break;
    assert.equal(isLetGo, true);
  });

  it("size is one tier's that answers", async () => {
    const { store, near, far } = open();
    await put(near, 1, ["a"]);
    for (const number of [1, 2]) await put(far, number, ["a"]);
    assert.equal((await store.size()).entries, 1);
    near.mood = fails;
    assert.equal((await store.size()).entries, 2);
    far.mood = fails;
    await assert.rejects(async () => await store.size(), /it is gone/);
  });

  it("the tiers' own faults are heard", () => {
    const { far, faults } = open();
    far.listener({ type: "write_failed", model: "x", error: new CacheError("unavailable", "dropped") });
    assert.deepEqual(types(faults), ["write_failed"]);
  });

  it("a listener that throws costs no answer", async () => {
    const { store, near, far } = open();
    store.onFault!(() => {
      throw new Error("not heard");
    });
    await put(far, 1, ["a"]);
    near.mood = fails;
    assert.deepEqual(await look(store, 1), ["a"]);
  });

  it("close closes every tier, though one fails", async () => {
    const { store, near, far } = open();
    let isClosed = false;
    near.close = fails;
    far.close = () => {
      isClosed = true;
      return Promise.resolve();
    };
    await assert.rejects(async () => await store.close(), /it is gone/);
    assert.equal(isClosed, true);
  });
});

describe("close in layers", () => {
  it("waits half a minute at most for a tier with a deadline", async () => {
    const { store, far, clock } = open();
    far.close = hangs;
    const refused = assert.rejects(async () => await store.close(), /Cannot close .* took longer than 30000 ms$/);
    await settle();
    clock.advance(29_999);
    await settle();
    clock.advance(1);
    await refused;
  });
});

describe("claims in layers", () => {
  const claim = async (store: Store, holder: string): Promise<boolean> =>
    (await store.claims!.claim(MODEL, keyOf(1), holder, 1000)).granted;

  /** Who has claimed the request, or nobody. */
  function claiming(clock: ManualClock): Store & { holder?: string; mood: () => void } {
    const store = {
      ...openMemoryStore({ clock, maxBytes: 2 ** 20 }),
      name: "claiming",
      location: "here",
      mood: () => {},
      claims: {
        claim: (_model: string, _key: Uint8Array, holder: string) => {
          store.mood();
          store.holder ??= holder;
          return store.holder === holder ? { granted: true } : { granted: false, expires: clock.now() + 1000 };
        },
        release: (_model: string, _key: Uint8Array, holder: string) => {
          store.mood();
          if (store.holder === holder) delete store.holder;
        },
      },
    } as unknown as Store & { holder?: string; mood: () => void };
    return store;
  }

  it("are the last tier's, and while it cannot be asked those above it", async () => {
    const clock = new ManualClock();
    const [near, far] = [claiming(clock), claiming(clock)];
    const store = openTieredStore({ clock, tiers: [{ store: near }, { store: far }] });
    assert.equal(await claim(store, "one"), true);
    assert.deepEqual([near.holder, far.holder], [undefined, "one"]);
    assert.equal(await claim(store, "two"), false);
    await store.claims!.release(MODEL, keyOf(1), "one");
    assert.equal(far.holder, undefined);
    far.mood = () => {
      throw new CacheError("unavailable", "gone");
    };
    assert.equal(await claim(store, "one"), true);
    assert.equal(await claim(store, "two"), false);
    assert.equal(near.holder, "one");
    far.mood = () => {};
    assert.equal(await claim(store, "one"), true);
    await store.claims!.release(MODEL, keyOf(1), "one");
    assert.deepEqual([near.holder, far.holder], [undefined, undefined]);
  });

  it("cannot be had where no tier can be asked, which the last one explains", async () => {
    const clock = new ManualClock();
    const [near, far] = [claiming(clock), claiming(clock)];
    const store = openTieredStore({ clock, tiers: [{ store: near }, { store: far }] });
    for (const [tier, message] of [[near, "near"], [far, "far"]] as const) {
      tier.mood = () => {
        throw new CacheError("unavailable", message);
      };
    }
    await assert.rejects(claim(store, "one"), /far$/);
    await store.claims!.release(MODEL, keyOf(1), "one");
  });
});

describe("failures in layers", () => {
  const failure = (last: number) => ({ last, expires: null, error: new Uint8Array([last]) });

  it("are written to both ends, and the newest is the last", async () => {
    const { store, near, far } = open();
    await store.failures!.record(MODEL, keyOf(1), failure(1));
    assert.equal((await near.failures!.last(MODEL, keyOf(1)))!.last, 1);
    await far.failures!.record(MODEL, keyOf(1), failure(2));
    assert.deepEqual(await store.failures!.last(MODEL, keyOf(1)), { count: 2, ...failure(2) });
    await near.failures!.record(MODEL, keyOf(1), failure(3));
    assert.equal((await store.failures!.last(MODEL, keyOf(1)))!.last, 3);
  });

  it("are not told by one end alone: what it says may be old news", async () => {
    const clock = new ManualClock();
    const [near, far] = [1, 2].map(() => openMemoryStore({ clock, maxBytes: 2 ** 20 })) as [Store, Store];
    const gone = new Proxy(far, {
      get: (store, name) => name === "failures" ? { record: fails, last: fails } : Reflect.get(store, name),
    });
    const store = openTieredStore({ clock, tiers: [{ store: near }, { store: gone }] });
    await store.failures!.record(MODEL, keyOf(1), failure(1));
    assert.equal((await near.failures!.last(MODEL, keyOf(1)))!.last, 1);
    await assert.rejects(async () => await store.failures!.last(MODEL, keyOf(1)), /it is gone/);
  });
});

describe("memory in front of layers", () => {
  it("goes by the first tier's stamp for what the first tier had, and for nothing else", async () => {
    const { clock, near, far } = open({ stamps: true });
    const layers = [{ store: near }, { store: far }];
    const store = openTieredStore({ clock, tiers: layers, front: { maxBytes: 2 ** 20 } });
    await put(far, 1, ["a"]);
    near.mood = (asked) => asked === "put" ? fails() : undefined;
    assert.deepEqual(await look(store, 1), ["a"]);
    await put(far, 1, ["A"], "replace_all");
    assert.deepEqual(await look(store, 1), ["A"], "nothing of it is in the first tier");
    near.mood = () => {};
    assert.deepEqual(await look(store, 1), ["A"]);
    await settle();
    await look(store, 1);
    for (const tier of [near, far]) tier.asked.length = 0;
    assert.deepEqual(await look(store, 1), ["A"]);
    assert.deepEqual([...near.asked, ...far.asked], []);
  });
});
