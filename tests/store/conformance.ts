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
  RequestRecord,
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

/** Runs the contract's tests. `open` makes a new, empty store for each. */
export function storeConformance(name: string, open: () => Promise<StoreUnderTest>): void {
  const check = (behaviour: string, run: (shelf: Shelf) => Promise<void>): void => {
    it(behaviour, async () => {
      const { store, clock, cleanup } = await open();
      try {
        await run(new Shelf(store, clock));
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

      check("hides what follows an expired sample, so that there is no gap", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
        shelf.clock.advance(1000);
        const found = await shelf.look(keyOf(1), 3);
        assert.deepEqual(found, { bodies: ["a"], stale: false, expired: true, corrupt: false });
        assert.equal((await shelf.look(keyOf(1), 1)).expired, false, "a row nobody asked for is no news");
      });

      check("lets append take the place of an expired sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("new")], "append");
        const found = await shelf.look(keyOf(1));
        assert.deepEqual(found, { bodies: ["new"], stale: false, expired: false, corrupt: false });
      });

      check("lets append close a gap, losing no living sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("a"), shelf.entry("b", 1000), shelf.entry("c")]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("d")], "append");
        const { bodies } = await shelf.look(keyOf(1), 9);
        assert.deepEqual(bodies.toSorted(), ["a", "c", "d"]);
      });

      check("lets replace take the place of an expired sample", async (shelf) => {
        await shelf.put(keyOf(1), [shelf.entry("old", 1000)]);
        shelf.clock.advance(1000);
        await shelf.put(keyOf(1), [shelf.entry("new")], "replace");
        assert.deepEqual((await shelf.look(keyOf(1))).bodies, ["new"]);
      });
    });

    describe("size", () => {
      check("of an empty store is zero", async ({ store }) => {
        assert.deepEqual({ ...await store.size() }, { entries: 0, bodyBytes: 0, storedBytes: 0 });
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
      });
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

  async put(key: Key, entries: NewEntry[], placement: Placement = "append", model: string = MODEL): Promise<void> {
    const request: RequestRecord = {
      key,
      namespace: "",
      provider: "openai",
      endpoint: "/v1/chat/completions",
      identity: null,
      body: encoder.encode('{"messages":[]}'),
    };
    await this.store.put(model, request, entries, placement);
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
