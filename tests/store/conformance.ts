/**
 * What every store has to do: the contract of `src/store/store.ts`, as tests over any implementation of it. A store's
 * own test calls {@link storeConformance} and adds what is its own.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../src/store/error.ts";
import type {
  EntryFields,
  Found,
  Key,
  NewEntry,
  Placement,
  PutOptions,
  RequestRecord,
  Selection,
  Store,
  StoredEntry,
} from "../../src/store/store.ts";

/** An open store, and the clock it tells the time by. */
export interface StoreUnderTest {
  readonly store: Store;
  readonly clock: { now(): number; advance(milliseconds: number): void };
  /** Removes what the store left. The suite closes the store itself. */
  cleanup(): Promise<void> | void;
}

const MODEL = "gpt-4o-mini";
const encoder = new TextEncoder();

/** What a store need not have. */
type Facet = "claims" | "failures" | "ledger";

/** Runs the contract's tests. `open` makes a new, empty store for each. What a store has not is skipped. */
export function storeConformance(name: string, open: () => Promise<StoreUnderTest>): void {
  const check = (behaviour: string, run: (shelf: Shelf) => Promise<void>, facet?: Facet): void => {
    it(behaviour, async (context) => {
      const { store, clock, cleanup } = await open();
      try {
        if (facet && !store[facet]) context.skip(`this store has no ${facet}`);
        else await run(new Shelf(store, clock));
      } finally {
        await store.close();
        await cleanup();
      }
    });
  };

  describe(`${name}: the store contract`, () => {
    check("says who it is and where", ({ store }) => {
      assert.match(store.name, /^[a-z]+$/);
      assert.equal(typeof store.location, "string");
      return Promise.resolve();
    });

    describe("lookup", () => {
      check("finds nothing in an empty store, and nothing wrong", async (shelf) => {
        assert.deepEqual(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: false, corrupt: false });
      });

      check("of nothing is nothing", async ({ store }) => {
        assert.deepEqual([...await store.lookup(MODEL, [])], []);
      });

      check("gives back every field and every byte", async (shelf) => {
        const fields: EntryFields = {
          mediaType: "application/json",
          outcome: "length",
          modelAsked: MODEL,
          modelAnswered: "gpt-4o-mini-2024-07-18",
          fingerprint: "fp_1",
          promptTokens: 12,
          completionTokens: 34,
          costMicrodollars: 56,
          latency: 789,
          created: shelf.clock.now(),
          expires: shelf.clock.now() + 1000,
        };
        await shelf.put(keyOf(1), [{ ...fields, body: everyByte() }]);
        const [found] = await shelf.lookup([keyOf(1), 1]);
        assert.equal(found!.entries.length, 1);
        const entry = found!.entries[0]!;
        assert.deepEqual(pick(entry, fields), fields);
        assert.equal(entry.sample, 0);
        assert.deepEqual(entry.read((bytes) => bytes.slice()), everyByte());
        assert.deepEqual(new Uint8Array(entry.bytes()), everyByte());
        assert.deepEqual(entry.read((bytes) => bytes.slice()), everyByte());
        assert.ok(entry.storedBytes > 0);
      });

      check("gives back what the provider did not say as null", async (shelf) => {
        const fields = { ...shelf.entry("x"), modelAnswered: null, fingerprint: null, promptTokens: null };
        await shelf.put(keyOf(1), [{ ...fields, completionTokens: null, costMicrodollars: null, latency: null }]);
        const entry = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
        const { modelAnswered, fingerprint, promptTokens, completionTokens, costMicrodollars, latency, expires } =
          entry;
        const unsaid = [modelAnswered, fingerprint, promptTokens, completionTokens, costMicrodollars, latency, expires];
        assert.deepEqual(unsaid, unsaid.map(() => null));
      });

      check("tells zero from null", async (shelf) => {
        await shelf.put(keyOf(1), [{ ...shelf.entry("x"), promptTokens: 0, latency: 0, fingerprint: "" }]);
        const { promptTokens, latency, fingerprint } = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
        assert.deepEqual({ promptTokens, latency, fingerprint }, { promptTokens: 0, latency: 0, fingerprint: "" });
      });

      check("keeps bodies of any length", async (shelf) => {
        const lengths = [0, 1, 2, 100, 4096, 1_000_000];
        for (const [index, length] of lengths.entries()) {
          await shelf.put(keyOf(index), [{ ...shelf.entry(""), body: noise(length) }]);
        }
        const found = await shelf.lookup(...lengths.map((_, index) => [keyOf(index), 1] as const));
        for (const [index, length] of lengths.entries()) {
          assert.deepEqual(new Uint8Array(found[index]!.entries[0]!.bytes()), noise(length), `${length} bytes`);
        }
      });

      check("answers in the order of the wants, absent and repeated ones included", async (shelf) => {
        for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry(`answer ${number}`)]);
        const found = await shelf.lookup([keyOf(3), 1], [keyOf(9), 1], [keyOf(1), 1], [keyOf(3), 1], [keyOf(2), 1]);
        const bodies = found.map(bodiesOf);
        assert.deepEqual(bodies, [["answer 3"], [], ["answer 1"], ["answer 3"], ["answer 2"]]);
      });

      check("answers a thousand wants in one pass", async (shelf) => {
        for (let number = 0; number < 1000; number += 10) await shelf.put(keyOf(number), [shelf.entry(`${number}`)]);
        const found = await shelf.lookup(...Array.from({ length: 1000 }, (_, number) => [keyOf(number), 1] as const));
        assert.equal(found.length, 1000);
        found.forEach((each, number) => assert.deepEqual(bodiesOf(each), number % 10 === 0 ? [`${number}`] : []));
      });

      check("tells keys apart that differ in one bit", async (shelf) => {
        const [key, near] = [new Uint8Array(32), new Uint8Array(32)];
        near[31] = 1;
        await shelf.put(key, [shelf.entry("mine")]);
        assert.deepEqual((await shelf.look(near)).bodies, []);
        assert.deepEqual((await shelf.look(key)).bodies, ["mine"]);
      });

      check("tells models apart under the same key", async (shelf) => {
        const models = ["gpt-4o", "GPT-4o", "openai/gpt-4o", "gpt-4o ", "модель", "a'b\"c", "_none", "../up", ""];
        for (const model of models) await shelf.put(keyOf(1), [shelf.entry(`from ${model}`)], "replace", model);
        for (const model of models) assert.deepEqual((await shelf.look(keyOf(1), 1, model)).bodies, [`from ${model}`]);
        assert.deepEqual((await shelf.look(keyOf(1), 1, "gpt-4o-mini")).bodies, []);
      });

      check("gives as many samples as are there, and at most as many as are wanted", async (shelf) => {
        await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)));
        assert.deepEqual((await shelf.look(keyOf(1), 1)).bodies, ["a"]);
        assert.deepEqual((await shelf.look(keyOf(1), 3)).bodies, ["a", "b", "c"]);
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["a", "b", "c"]);
        const [found] = await shelf.lookup([keyOf(1), 9]);
        assert.deepEqual(found!.entries.map((entry) => entry.sample), [0, 1, 2]);
      });

      check("takes any number of samples as a wish, not as a size", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        assert.deepEqual((await shelf.look(keyOf(1), 1_000_000_000)).bodies, ["a"]);
      });
    });

    describe("lookup with grace", () => {
      check("finds what expired less than that long ago, and says when it did", async (shelf) => {
        const expires = shelf.clock.now() + 1000;
        await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
        shelf.clock.advance(1499);
        const [found] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 500 }]);
        assert.deepEqual(bodiesOf(found!), ["a"]);
        assert.equal(found!.expired, false);
        assert.equal(found!.entries[0]!.expires, expires);
        shelf.clock.advance(1);
        const [late] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 500 }]);
        assert.deepEqual({ bodies: bodiesOf(late!), expired: late!.expired }, { bodies: [], expired: true });
      });

      check("gives those that have expired after those that have not", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("late", 1000), shelf.entry("a"), shelf.entry("b")]);
        shelf.clock.advance(1000);
        for (const [samples, bodies] of [[1, ["a"]], [2, ["a", "b"]], [3, ["a", "b", "late"]]] as const) {
          const [found] = await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples, grace: 500 }]);
          assert.deepEqual(bodiesOf(found!), bodies);
        }
      });

      check("is each want's own", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
        shelf.clock.advance(1000);
        const wants = [undefined, 0, 1, Infinity].map((grace) => ({
          key: keyOf(1),
          samples: 1,
          ...(grace !== undefined && { grace }),
        }));
        const found = await shelf.store.lookup(MODEL, wants);
        assert.deepEqual(found.map(bodiesOf), [[], [], ["a"], ["a"]]);
      });

      check("keeps append from overwriting nothing but what has expired without it", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
        shelf.clock.advance(1000);
        assert.equal(
          (await shelf.store.lookup(MODEL, [{ key: keyOf(1), samples: 1, grace: 9 }]))[0]!.entries.length,
          1,
        );
        await shelf.put(keyOf(1), [shelf.entry("new")], "append");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["new"]);
      });
    });

    describe("put", () => {
      check("append goes after what is there", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")], "append");
        await shelf.put(keyOf(1), [shelf.entry("c")], "append");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["a", "b", "c"]);
      });

      check("append by writers at the same time loses none of them", async (shelf) => {
        await Promise.all(
          Array.from({ length: 8 }, (_, writer) => shelf.put(keyOf(1), [shelf.entry(`${writer}`)], "append")),
        );
        const { bodies } = await shelf.look(keyOf(1), 99);
        assert.deepEqual(bodies.toSorted(), ["0", "1", "2", "3", "4", "5", "6", "7"]);
      });

      check("replace begins at the first and leaves those beyond", async (shelf) => {
        await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)), "replace");
        await shelf.put(keyOf(1), [shelf.entry("A"), shelf.entry("B")], "replace");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["A", "B", "c"]);
      });

      check("replace may add samples", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a")], "replace");
        await shelf.put(keyOf(1), [shelf.entry("A"), shelf.entry("B")], "replace");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["A", "B"]);
      });

      check("replace brings the new fields with the new bytes", async (shelf) => {
        await shelf.put(keyOf(1), [{ ...shelf.entry("a"), outcome: "length", fingerprint: "old" }]);
        await shelf.put(keyOf(1), [{ ...shelf.entry("a"), outcome: "stop", fingerprint: null }], "replace");
        const { outcome, fingerprint } = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
        assert.deepEqual({ outcome, fingerprint }, { outcome: "stop", fingerprint: null });
      });

      check("replace_all begins at the first and removes those beyond", async (shelf) => {
        await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)));
        await shelf.put(keyOf(2), [shelf.entry("x"), shelf.entry("y")]);
        await shelf.put(keyOf(1), [shelf.entry("A")], "replace_all");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["A"]);
        assert.deepEqual((await shelf.look(keyOf(2), 9)).bodies, ["x", "y"]);
        assert.equal((await shelf.store.size()).entries, 3);
        await shelf.put(keyOf(1), [shelf.entry("B"), shelf.entry("C")], "replace_all");
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["B", "C"]);
      });

      check("refuses a sketch that is none, and stores nothing", async (shelf) => {
        const odd = { ...shelf.request(keyOf(1)), sketch: new Uint8Array(15) };
        await assert.rejects(async () => await shelf.store.put(MODEL, odd, [shelf.entry("a")], "append"), RangeError);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, []);
      });

      check("keeps the bytes it was given, whatever the caller does to them later", async (shelf) => {
        const body = encoder.encode("mine");
        const key = keyOf(1);
        await shelf.put(key, [{ ...shelf.entry(""), body }]);
        body.fill(0);
        key.fill(0);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["mine"]);
      });

      check("gives bytes away that are the caller's to change", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("mine")]);
        (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!.bytes().fill(0);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["mine"]);
      });
    });

    describe("expires", () => {
      check("is the first moment an entry is not served", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a", 1000)]);
        shelf.clock.advance(999);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["a"]);
        shelf.clock.advance(1);
        assert.deepEqual(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: true, corrupt: false });
      });

      check("null is never", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        shelf.clock.advance(100 * 365 * 86_400_000);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["a"]);
      });

      check("hides no other sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
        shelf.clock.advance(1000);
        const found = await shelf.look(keyOf(1), 3);
        assert.deepEqual(found, { bodies: ["a", "c"], stale: false, expired: true, corrupt: false });
        assert.deepEqual((await shelf.lookup([keyOf(1), 9]))[0]!.entries.map(({ sample }) => sample), [0, 1]);
        assert.deepEqual((await shelf.look(keyOf(1), 2)).bodies, ["a", "c"]);
        assert.equal((await shelf.look(keyOf(1), 1)).expired, false, "a row nobody asked for is no news");
      });

      check("lets append take the place of an expired sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("new")], "append");
        const found = await shelf.look(keyOf(1));
        assert.deepEqual(found, { bodies: ["new"], stale: false, expired: false, corrupt: false });
      });

      check("lets those that live keep their order, whatever is appended", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("d")], "append");
        const { bodies } = await shelf.look(keyOf(1), 9);
        assert.deepEqual(bodies, ["a", "c", "d"]);
      });

      check("in front lets a living sample be found, replaced and appended to", async (shelf) => {
        const old = Array.from({ length: 9 }, (_, index) => shelf.entry(`old ${index}`, 1000));
        await shelf.put(keyOf(1), [...old, shelf.entry("a"), shelf.entry("b")]);
        shelf.clock.advance(1000);
        assert.deepEqual((await shelf.look(keyOf(1), 1)).bodies, ["a"]);
        await shelf.put(keyOf(1), [shelf.entry("A")], "replace");
        await shelf.put(keyOf(1), [shelf.entry("c")], "append");
        for (const samples of [1, 2, 3]) {
          assert.deepEqual((await shelf.look(keyOf(1), samples)).bodies, ["A", "b", "c"].slice(0, samples));
        }
        await shelf.put(keyOf(1), [shelf.entry("d"), shelf.entry("e")], "replace_all");
        assert.deepEqual((await shelf.look(keyOf(1), 99)).bodies, ["d", "e"]);
      });

      check("lets replace take the place of an expired sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("new")], "replace");
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["new"]);
      });
    });

    describe("remove", () => {
      check("finds nothing in an empty store", async ({ store }) => {
        assert.deepEqual({ ...await store.remove({}) }, { entries: 0, storedBytes: 0 });
      });

      check("of everything leaves nothing behind, and says how much went", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")]);
        await shelf.put(keyOf(2), [shelf.entry("c")], "append", "another");
        const { storedBytes } = await shelf.store.size();
        assert.deepEqual({ ...await shelf.store.remove({}) }, { entries: 3, storedBytes });
        const { entries, bodyBytes } = await shelf.store.size();
        assert.deepEqual({ entries, bodyBytes }, { entries: 0, bodyBytes: 0 });
        assert.deepEqual(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: false, corrupt: false });
        assert.deepEqual([...await shelf.store.nearest(new Uint8Array(16), 9)], []);
      });

      check("by model", async (shelf) => {
        for (const model of ["m", "M", "m2"]) await shelf.put(keyOf(1), [shelf.entry(model)], "append", model);
        assert.equal((await shelf.store.remove({ model: "m" })).entries, 1);
        assert.equal((await shelf.store.remove({ model: "nobody's" })).entries, 0);
        assert.deepEqual((await shelf.look(keyOf(1), 1, "m")).bodies, []);
        for (const model of ["M", "m2"]) assert.deepEqual((await shelf.look(keyOf(1), 1, model)).bodies, [model]);
      });

      check("by key, over all models", async (shelf) => {
        for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry("a"), shelf.entry("b")]);
        await shelf.put(keyOf(1), [shelf.entry("c")], "append", "another");
        assert.equal((await shelf.store.remove({ keys: [keyOf(1), keyOf(3), keyOf(9)] })).entries, 5);
        assert.deepEqual(await shelf.kept(1, 2, 3), [2]);
        assert.deepEqual((await shelf.look(keyOf(1), 1, "another")).bodies, []);
      });

      check("by no key removes nothing", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        assert.equal((await shelf.store.remove({ keys: [] })).entries, 0);
        assert.deepEqual(await shelf.kept(1), [1]);
      });

      check("by namespace, and by no other that begins or looks like it", async (shelf) => {
        const namespaces = ["a", "ab", "A", "", "a ", "a%", "_", "a\0b", "á"];
        for (const [number, namespace] of namespaces.entries()) {
          await shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { namespace });
        }
        for (const [number, namespace] of namespaces.entries()) {
          assert.equal((await shelf.store.remove({ namespace })).entries, 1, JSON.stringify(namespace));
          assert.deepEqual((await shelf.look(keyOf(number))).bodies, []);
        }
        assert.equal((await shelf.store.size()).entries, 0);
      });

      check("by tag: all that a request was ever given count, and only whole ones", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, {}, { tags: ["run", "day 1"] });
        await shelf.put(keyOf(1), [shelf.entry("y")], "append", MODEL, {}, { tags: ["day 2", "run"] });
        await shelf.put(keyOf(2), [shelf.entry("x")], "append", MODEL, {}, { tags: ["runs", "run "] });
        await shelf.put(keyOf(3), [shelf.entry("x")]);
        assert.equal((await shelf.store.remove({ tag: "day" })).entries, 0);
        assert.equal((await shelf.store.remove({ tag: "day 1" })).entries, 2);
        assert.equal((await shelf.store.remove({ tag: "run" })).entries, 0);
        assert.deepEqual(await shelf.kept(1, 2, 3), [2, 3]);
      });

      check("by tag forgets the tags of what went: who puts it again starts anew", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, {}, { tags: ["run"] });
        await shelf.store.remove({ keys: [keyOf(1)] });
        await shelf.put(keyOf(1), [shelf.entry("y")]);
        assert.equal((await shelf.store.remove({ tag: "run" })).entries, 0);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["y"]);
      });

      check("by outcome removes single samples, and loses no other", async (shelf) => {
        const short = { ...shelf.entry("a"), outcome: "length" as const };
        await shelf.put(keyOf(1), [shelf.entry("b"), short]);
        await shelf.put(keyOf(2), [short, shelf.entry("c")]);
        assert.equal((await shelf.store.remove({ outcome: "length" })).entries, 2);
        assert.deepEqual((await shelf.look(keyOf(1), 9)).bodies, ["b"]);
        assert.deepEqual((await shelf.look(keyOf(2), 1)).bodies, ["c"], "what was behind it is found");
        await shelf.put(keyOf(2), [shelf.entry("d")], "append");
        assert.deepEqual((await shelf.look(keyOf(2), 9)).bodies, ["c", "d"]);
      });

      check("by age: what was created before, not at, that moment", async (shelf) => {
        for (const number of [1, 2, 3]) {
          await shelf.put(keyOf(number), [shelf.entry("x")]);
          shelf.clock.advance(1000);
        }
        const createdBefore = shelf.clock.now() - 2000;
        assert.equal((await shelf.store.remove({ createdBefore })).entries, 1);
        assert.deepEqual(await shelf.kept(1, 2, 3), [2, 3]);
      });

      check("removes what fits everything that is said", async (shelf) => {
        const selections: Selection[] = [
          { model: MODEL },
          { keys: [keyOf(1)] },
          { namespace: "a" },
          { tag: "t" },
          { outcome: "stop" },
          { createdBefore: shelf.clock.now() + 1 },
        ];
        await shelf.put(keyOf(1), [shelf.entry("x")], "append", MODEL, { namespace: "a" }, { tags: ["t"] });
        const wrong: Selection[] = [
          { model: "another" },
          { keys: [keyOf(2)] },
          { namespace: "b" },
          { tag: "u" },
          { outcome: "length" },
          { createdBefore: shelf.clock.now() },
        ];
        const all: Selection = Object.assign({}, ...selections);
        for (const each of wrong) {
          assert.equal((await shelf.store.remove({ ...all, ...each })).entries, 0, JSON.stringify(each));
        }
        assert.equal((await shelf.store.remove(all)).entries, 1);
      });

      check("removes what has expired, too", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("x", 1000)], "append", MODEL, { namespace: "a" });
        shelf.clock.advance(1000);
        assert.equal((await shelf.store.remove({ namespace: "a" })).entries, 1);
        assert.equal((await shelf.look(keyOf(1))).expired, false);
      });

      check("of thousands takes all of them", async (shelf) => {
        const numbers = Array.from({ length: 3000 }, (_, number) => number);
        await Promise.all(
          numbers.map((number) =>
            shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { namespace: number % 3 === 0 ? "a" : "b" })
          ),
        );
        assert.equal((await shelf.store.remove({ namespace: "a" })).entries, 1000);
        assert.equal((await shelf.store.size()).entries, 2000);
        assert.equal((await shelf.store.remove({})).entries, 2000);
      });
    });

    describe("nearest", () => {
      check("finds nothing in an empty store", async ({ store }) => {
        assert.deepEqual([...await store.nearest(new Uint8Array(16), 5)], []);
      });

      check("gives the nearest first, whole, and at most as many as asked for", async (shelf) => {
        const bits = [40, 3, 128, 0, 7, 64];
        for (const count of bits) {
          await shelf.put(keyOf(count), [shelf.entry("x")], "append", MODEL, { sketch: sketchOf(count) });
        }
        const near = await shelf.store.nearest(new Uint8Array(16), 4);
        assert.deepEqual(near.map(({ key }) => key), [0, 3, 7, 40].map(keyOf));
        assert.deepEqual(near.map(({ sketch }) => sketch), [0, 3, 7, 40].map(sketchOf));
        const { key: _key, sketch: _sketch, ...rest } = shelf.request(keyOf(3));
        const { key: _found, sketch: _same, ...found } = near[1]!;
        assert.deepEqual({ ...found, body: new Uint8Array(found.body) }, rest);
        assert.equal((await shelf.store.nearest(sketchOf(128), 1))[0]!.key[3], 128);
        assert.equal((await shelf.store.nearest(new Uint8Array(16), 99)).length, bits.length);
      });

      check("gives both of two that are equally near", async (shelf) => {
        for (const number of [1, 2]) {
          await shelf.put(keyOf(number), [shelf.entry("x")], "append", MODEL, { sketch: sketchOf(9) });
        }
        const near = await shelf.store.nearest(sketchOf(9), 5);
        assert.deepEqual(near.map(({ key }) => key[3]).toSorted(), [1, 2]);
      });

      check("looks at all models, or at one", async (shelf) => {
        for (const [number, model] of ["m", "another"].entries()) {
          await shelf.put(keyOf(number), [shelf.entry("x")], "append", model, { sketch: sketchOf(number) });
        }
        const numbers = async (model?: string): Promise<number[]> =>
          (await shelf.store.nearest(new Uint8Array(16), 5, model)).map(({ key }) => key[3]!);
        assert.deepEqual(await numbers(), [0, 1]);
        assert.deepEqual(await numbers("another"), [1]);
        assert.deepEqual(await numbers("nobody's"), []);
      });

      check("finds a request once, however many answers it has", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b")]);
        await shelf.put(keyOf(1), [shelf.entry("c")], "append");
        assert.equal((await shelf.store.nearest(new Uint8Array(16), 5)).length, 1);
      });

      check("refuses a sketch that is none", async ({ store }) => {
        await assert.rejects(async () => await store.nearest(new Uint8Array(15), 5), RangeError);
      });
    });

    describe("claims", () => {
      const facet = "claims";

      check("are granted to one, and refused to others until they expire", async (shelf) => {
        const claims = shelf.store.claims!;
        assert.deepEqual({ ...await claims.claim(MODEL, keyOf(1), "one", 1000) }, { granted: true });
        if (await ownsAlone(shelf)) return;
        const expires = shelf.clock.now() + 1000;
        assert.deepEqual(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
        shelf.clock.advance(999);
        assert.deepEqual(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
        shelf.clock.advance(1);
        assert.deepEqual({ ...await claims.claim(MODEL, keyOf(1), "two", 1000) }, { granted: true });
        assert.equal((await claims.claim(MODEL, keyOf(1), "one", 1000)).granted, false);
      }, facet);

      check("are renewed by who has them", async (shelf) => {
        const claims = shelf.store.claims!;
        for (let time = 0; time < 5; time++) {
          assert.equal((await claims.claim(MODEL, keyOf(1), "one", 1000)).granted, true);
          shelf.clock.advance(900);
        }
        if (await ownsAlone(shelf)) return;
        const expires = shelf.clock.now() + 100;
        assert.deepEqual(await claims.claim(MODEL, keyOf(1), "two", 1000), { granted: false, expires });
      }, facet);

      check("are free once given up, by who has them only", async (shelf) => {
        const claims = shelf.store.claims!;
        await claims.claim(MODEL, keyOf(1), "one", 1000);
        await claims.release(MODEL, keyOf(1), "two");
        if (await ownsAlone(shelf)) return;
        assert.equal((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, false);
        await claims.release(MODEL, keyOf(1), "one");
        assert.equal((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, true);
      }, facet);

      check("are apart by key and by model", async (shelf) => {
        const claims = shelf.store.claims!;
        await claims.claim(MODEL, keyOf(1), "one", 1000);
        assert.equal((await claims.claim(MODEL, keyOf(2), "two", 1000)).granted, true);
        assert.equal((await claims.claim("another", keyOf(1), "two", 1000)).granted, true);
      }, facet);

      check("of many at once go to one each", async (shelf) => {
        const claims = shelf.store.claims!;
        if (await ownsAlone(shelf)) return;
        const replies = await Promise.all(
          Array.from({ length: 60 }, (_, index) => claims.claim(MODEL, keyOf(index % 20), `${index}`, 1000)),
        );
        const granted = replies.flatMap((reply, index) => reply.granted ? [index] : []);
        assert.deepEqual(granted, Array.from({ length: 20 }, (_, index) => index));
      }, facet);

      check("bind nobody for longer than a claim can last, whatever a clock said", async (shelf) => {
        const claims = shelf.store.claims!;
        await claims.claim(MODEL, keyOf(1), "one", 1000);
        shelf.clock.advance(-2 * 3_600_000);
        assert.equal((await claims.claim(MODEL, keyOf(1), "two", 1000)).granted, true);
      }, facet);

      check("of no time, or of more than an hour, are refused", async ({ store }) => {
        for (const duration of [0, -1, NaN, 3_600_001, Infinity]) {
          await assert.rejects(async () => await store.claims!.claim(MODEL, keyOf(1), "one", duration), RangeError);
        }
        assert.equal((await store.claims!.claim(MODEL, keyOf(1), "one", 3_600_000)).granted, true);
      }, facet);

      check("that nobody has can be given up", async ({ store }) => {
        await store.claims!.release(MODEL, keyOf(1), "one");
      }, facet);

      check("are no entries", async (shelf) => {
        await shelf.store.claims!.claim(MODEL, keyOf(1), "one", 1000);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, []);
        assert.equal((await shelf.store.size()).entries, 0);
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["a"]);
      }, facet);
    });

    describe("failures", () => {
      const facet = "failures";
      const error = encoder.encode('{"status":400,"message":"größe"}');

      check("that never happened are undefined", async ({ store }) => {
        assert.equal(await store.failures!.last(MODEL, keyOf(1)), undefined);
      }, facet);

      check("are counted, and the last one is kept", async ({ store }) => {
        const failures = store.failures!;
        await failures.record(MODEL, keyOf(1), { last: 1000, expires: 2000, error: encoder.encode("{}") });
        assert.deepEqual(await failures.last(MODEL, keyOf(1)), {
          count: 1,
          last: 1000,
          expires: 2000,
          error: encoder.encode("{}"),
        });
        await failures.record(MODEL, keyOf(1), { last: 3000, expires: null, error });
        assert.deepEqual(await failures.last(MODEL, keyOf(1)), { count: 2, last: 3000, expires: null, error });
      }, facet);

      check("at the same time are all counted", async ({ store }) => {
        const failures = store.failures!;
        await Promise.all(
          Array.from({ length: 20 }, () => failures.record(MODEL, keyOf(1), { last: 1, expires: null, error })),
        );
        assert.equal((await failures.last(MODEL, keyOf(1)))!.count, 20);
      }, facet);

      check("are apart by key and by model", async ({ store }) => {
        await store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error });
        assert.equal(await store.failures!.last(MODEL, keyOf(2)), undefined);
        assert.equal(await store.failures!.last("another", keyOf(1)), undefined);
      }, facet);

      check("are the caller's to change, before and after", async ({ store }) => {
        const [mine, key] = [error.slice(), keyOf(1)];
        const recorded = store.failures!.record(MODEL, key, { last: 1, expires: null, error: mine });
        mine.fill(0);
        key.fill(0);
        await recorded;
        (await store.failures!.last(MODEL, keyOf(1)))!.error.fill(0);
        assert.deepEqual((await store.failures!.last(MODEL, keyOf(1)))!.error, error);
      }, facet);

      check("with long errors are kept up to 16 KiB, and refused beyond", async ({ store }) => {
        const long = (bytes: number) => ({ last: 1, expires: null, error: noise(bytes) });
        await store.failures!.record(MODEL, keyOf(1), long(16 * 1024));
        assert.equal((await store.failures!.last(MODEL, keyOf(1)))!.error.length, 16 * 1024);
        await assert.rejects(
          async () => await store.failures!.record(MODEL, keyOf(2), long(16 * 1024 + 1)),
          RangeError,
        );
      }, facet);

      check("go with the answers of their request, and without them where all goes", async (shelf) => {
        const failures = shelf.store.failures!;
        for (const number of [1, 2]) await failures.record(MODEL, keyOf(number), { last: 1, expires: null, error });
        await shelf.put(keyOf(1), [shelf.entry("a")], "append", MODEL, { namespace: "a" });
        await shelf.store.remove({ namespace: "a" });
        assert.equal(await failures.last(MODEL, keyOf(1)), undefined);
        assert.equal((await failures.last(MODEL, keyOf(2)))!.count, 1);
        await shelf.store.remove({});
        assert.equal(await failures.last(MODEL, keyOf(2)), undefined);
      }, facet);

      check("are no entries", async (shelf) => {
        await shelf.store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error });
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, []);
        assert.equal((await shelf.store.size()).entries, 0);
      }, facet);
    });

    describe("the ledger", () => {
      const facet = "ledger";
      const day = "2026-11-22";

      check("of an empty store is empty", async ({ store }) => {
        assert.deepEqual([...await store.ledger!.read()], []);
      }, facet);

      check("adds amounts up by model, day and name", async (shelf) => {
        const ledger = shelf.store.ledger!;
        ledger.add({ model: MODEL, day, amounts: { hits: 1, dollars: 0.25 } });
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        ledger.add({ model: MODEL, day, amounts: { hits: 2, misses: 1 } });
        ledger.add({ model: MODEL, day: "2026-11-21", amounts: { hits: 5 } });
        ledger.add({ model: "another", day, amounts: { hits: 7 } });
        assert.deepEqual([...await ledger.read()], [
          { model: "another", day, amounts: { hits: 7 } },
          { model: MODEL, day: "2026-11-21", amounts: { hits: 5 } },
          { model: MODEL, day, amounts: { hits: 3, dollars: 0.25, misses: 1 } },
        ]);
      }, facet);

      check("does not mind what is no number, nor any name", async ({ store }) => {
        const ledger = store.ledger!;
        ledger.add({ model: MODEL, day, amounts: { hits: 1, nothing: NaN, all: Infinity, "größe '": 2, toString: 3 } });
        const [sums] = await ledger.read();
        assert.deepEqual(Object.entries(sums!.amounts).toSorted(), [["größe '", 2], ["hits", 1], ["toString", 3]]);
      }, facet);

      check("is not touched when entries are removed", async (shelf) => {
        const ledger = shelf.store.ledger!;
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        ledger.add({ model: MODEL, day, amounts: { hits: 1 } });
        await shelf.store.remove({});
        assert.deepEqual([...await ledger.read()], [{ model: MODEL, day, amounts: { hits: 1 } }]);
      }, facet);
    });

    describe("size", () => {
      check("of an empty store is zero", async ({ store }) => {
        assert.deepEqual({ ...await store.size() }, { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 });
      });

      check("counts answers over all models, and the bytes they are returned with", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("12345"), shelf.entry("123")]);
        await shelf.put(keyOf(2), [shelf.entry("12")], "append", "another");
        const { entries, bodyBytes, storedBytes } = await shelf.store.size();
        assert.deepEqual({ entries, bodyBytes }, { entries: 3, bodyBytes: 10 });
        assert.ok(storedBytes > 0);
      });

      check("counts a replaced answer once", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("12345")], "replace");
        await shelf.put(keyOf(1), [shelf.entry("1")], "replace");
        const { entries, bodyBytes } = await shelf.store.size();
        assert.deepEqual({ entries, bodyBytes }, { entries: 1, bodyBytes: 1 });
      });

      check("takes in all of what is stored", async (shelf) => {
        await shelf.put(keyOf(1), [{ ...shelf.entry(""), body: noise(50_000) }]);
        const { storedBytes, totalBytes } = await shelf.store.size();
        assert.ok(storedBytes >= 50_000 && totalBytes > storedBytes, `${storedBytes}, ${totalBytes}`);
      });
    });

    describe("close", () => {
      check("may be called twice", async ({ store }) => {
        await store.close();
        await store.close();
      });

      check("makes everything else fail with `closed`", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a")]);
        await shelf.store.close();
        const isClosed = (error: unknown): boolean => error instanceof CacheError && error.code === "closed";
        await assert.rejects(async () => await shelf.lookup([keyOf(1), 1]), isClosed);
        await assert.rejects(async () => await shelf.put(keyOf(1), [shelf.entry("b")]), isClosed);
        await assert.rejects(async () => await shelf.store.size(), isClosed);
        await assert.rejects(async () => await shelf.store.remove({}), isClosed);
        await assert.rejects(async () => await shelf.store.nearest(new Uint8Array(16), 1), isClosed);
        const { claims, failures, ledger } = shelf.store;
        const failure = { last: 1, expires: null, error: new Uint8Array() };
        if (claims) await assert.rejects(async () => await claims.claim(MODEL, keyOf(1), "one", 1), isClosed);
        if (failures) await assert.rejects(async () => await failures.last(MODEL, keyOf(1)), isClosed);
        if (failures) await assert.rejects(async () => await failures.record(MODEL, keyOf(1), failure), isClosed);
        if (ledger) await assert.rejects(async () => await ledger.read(), isClosed);
      });

      check("lets claims be given up all the same", async ({ store }) => {
        await store.claims!.claim(MODEL, keyOf(1), "one", 1000);
        await store.close();
        await store.claims!.release(MODEL, keyOf(1), "one");
      }, "claims");

      check("lets amounts be added, which go nowhere", async ({ store }) => {
        await store.close();
        store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1 } });
      }, "ledger");
    });
  });
}

/** A store, in the words of these tests. */
class Shelf {
  readonly store: Store;
  readonly clock: StoreUnderTest["clock"];

  constructor(store: Store, clock: StoreUnderTest["clock"]) {
    this.store = store;
    this.clock = clock;
  }

  entry(body: string, lifetime?: number): NewEntry {
    return {
      mediaType: "application/json",
      outcome: "stop",
      modelAsked: MODEL,
      modelAnswered: null,
      fingerprint: null,
      promptTokens: 1,
      completionTokens: 1,
      costMicrodollars: null,
      latency: null,
      created: this.clock.now(),
      expires: lifetime === undefined ? null : this.clock.now() + lifetime,
      body: encoder.encode(body),
    };
  }

  request(key: Key): RequestRecord {
    return {
      key,
      namespace: "",
      provider: "openai",
      endpoint: "/v1/chat/completions",
      identity: null,
      body: encoder.encode('{"messages":[]}'),
      sketch: new Uint8Array(16),
    };
  }

  async put(
    key: Key,
    entries: NewEntry[],
    placement: Placement = "append",
    model: string = MODEL,
    request: Partial<RequestRecord> = {},
    options?: PutOptions,
  ): Promise<void> {
    await this.store.put(model, { ...this.request(key), ...request }, entries, placement, options);
  }

  /** Which of some keys have an answer. */
  async kept(...numbers: number[]): Promise<number[]> {
    const found = await this.lookup(...numbers.map((number) => [keyOf(number), 1] as const));
    return numbers.filter((_, index) => found[index]!.entries.length > 0);
  }

  async lookup(...wants: (readonly [key: Key, samples: number])[]): Promise<readonly Found[]> {
    return await this.store.lookup(MODEL, wants.map(([key, samples]) => ({ key, samples })));
  }

  async look(key: Key, samples = 1, model: string = MODEL): Promise<Omit<Found, "entries"> & { bodies: string[] }> {
    const [found] = await this.store.lookup(model, [{ key, samples }]);
    const { stale, expired, corrupt } = found!;
    return { bodies: bodiesOf(found!), stale, expired, corrupt };
  }
}

/** Whether a store's database turned out to belong to it alone: then all claims are granted. */
async function ownsAlone({ store }: Shelf): Promise<boolean> {
  const probe = keyOf(0xffffffff);
  const replies = ["one", "two"].map((holder) => store.claims!.claim("probe", probe, holder, 1000));
  return (await Promise.all(replies)).every(({ granted }) => granted);
}

/** A sketch with so many bits set. */
function sketchOf(bits: number): Uint8Array {
  const sketch = new Uint8Array(16);
  for (let bit = 0; bit < bits; bit++) sketch[bit >> 3]! |= 1 << (bit & 7);
  return sketch;
}

function keyOf(number: number): Key {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

function bodiesOf(found: Found): string[] {
  return found.entries.map((entry) => new TextDecoder().decode(entry.bytes()));
}

/** The fields of an entry that `fields` has; an entry may read them when asked for. */
function pick(entry: StoredEntry, fields: EntryFields): Partial<EntryFields> {
  return Object.fromEntries(Object.keys(fields).map((name) => [name, entry[name as keyof EntryFields]]));
}

function everyByte(): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => byte);
}

/** Bytes that do not compress: the high byte of a linear congruential generator. */
function noise(length: number): Uint8Array {
  let state = length >>> 0;
  return Uint8Array.from({ length }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 24);
}
