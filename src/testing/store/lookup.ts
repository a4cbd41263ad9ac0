/**
 * `lookup`: what was put comes back, all of it, to whoever asks for it, and to nobody else.
 *
 * @module
 */

import type { EntryFields } from "../../store/store.ts";
import { same, truth } from "../assertions.ts";
import type { StoreSuite } from "./suite.ts";
import { bodiesOf, everyByte, keyOf, MODEL, noise, pick } from "./values.ts";

/** Registers the tests. */
export function testLookup({ describe, check }: StoreSuite): void {
  describe("lookup", () => {
    check("finds nothing in an empty store, and nothing wrong", async (shelf) => {
      same(await shelf.look(keyOf(1)), { bodies: [], stale: false, expired: false, corrupt: false });
    });

    check("of nothing is nothing", async ({ store }) => {
      same([...await store.lookup(MODEL, [])], []);
    });

    check("gives back every field and every byte", async (shelf) => {
      const fields: EntryFields = {
        mediaType: "text/event-stream; charset=utf-8",
        outcome: "length",
        modelAsked: MODEL,
        modelAnswered: "gpt-4o-mini-2024-07-18",
        fingerprint: "fp_1",
        promptTokens: 12,
        completionTokens: 3_000_000_000,
        costMicrodollars: 56.0625,
        latency: 789.25,
        created: shelf.clock.now(),
        expires: shelf.clock.now() + 1234,
      };
      await shelf.put(keyOf(1), [{ ...fields, body: everyByte() }]);
      const [found] = await shelf.lookup([keyOf(1), 1]);
      same(found!.entries.length, 1);
      const entry = found!.entries[0]!;
      same(pick(entry, fields), fields);
      same(entry.sample, 0);
      same(entry.read((bytes) => bytes.slice()), everyByte());
      for (const time of ["once", "again"]) same(new Uint8Array(entry.bytes()), everyByte(), `the bytes ${time}`);
      same(entry.read((bytes) => bytes.slice()), everyByte());
      truth(entry.storedBytes > 0, "an entry takes bytes where it is stored");
    });

    check("gives back what the provider did not say as null", async (shelf) => {
      const fields = { ...shelf.entry("x"), modelAnswered: null, fingerprint: null, promptTokens: null };
      await shelf.put(keyOf(1), [{ ...fields, completionTokens: null, costMicrodollars: null, latency: null }]);
      const entry = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
      const { modelAnswered, fingerprint, promptTokens, completionTokens, costMicrodollars, latency, expires } = entry;
      const unsaid = [modelAnswered, fingerprint, promptTokens, completionTokens, costMicrodollars, latency, expires];
      same(unsaid, unsaid.map(() => null));
    });

    check("tells zero from null", async (shelf) => {
      await shelf.put(keyOf(1), [{ ...shelf.entry("x"), promptTokens: 0, latency: 0, fingerprint: "" }]);
      const { promptTokens, latency, fingerprint } = (await shelf.lookup([keyOf(1), 1]))[0]!.entries[0]!;
      same({ promptTokens, latency, fingerprint }, { promptTokens: 0, latency: 0, fingerprint: "" });
    });

    check("keeps bodies of any length", async (shelf) => {
      const lengths = [0, 1, 2, 100, 4096, 1_000_000];
      for (const [index, length] of lengths.entries()) {
        await shelf.put(keyOf(index), [{ ...shelf.entry(""), body: noise(length) }]);
      }
      const found = await shelf.lookup(...lengths.map((_, index) => [keyOf(index), 1] as const));
      for (const [index, length] of lengths.entries()) {
        same(new Uint8Array(found[index]!.entries[0]!.bytes()), noise(length), `${length} bytes`);
      }
    });

    check("answers in the order of the wants, absent and repeated ones included", async (shelf) => {
      for (const number of [1, 2, 3]) await shelf.put(keyOf(number), [shelf.entry(`answer ${number}`)]);
      const found = await shelf.lookup([keyOf(3), 1], [keyOf(9), 1], [keyOf(1), 1], [keyOf(3), 1], [keyOf(2), 1]);
      const bodies = found.map(bodiesOf);
      same(bodies, [["answer 3"], [], ["answer 1"], ["answer 3"], ["answer 2"]]);
    });

    check("answers a thousand wants in one pass", async (shelf) => {
      for (let number = 0; number < 1000; number += 10) await shelf.put(keyOf(number), [shelf.entry(`${number}`)]);
      const found = await shelf.lookup(...Array.from({ length: 1000 }, (_, number) => [keyOf(number), 1] as const));
      same(found.length, 1000);
      found.forEach((each, number) => same(bodiesOf(each), number % 10 === 0 ? [`${number}`] : []));
    });

    check("tells keys apart that differ in one bit", async (shelf) => {
      const [key, near] = [new Uint8Array(32), new Uint8Array(32)];
      near[31] = 1;
      await shelf.put(key, [shelf.entry("mine")]);
      same((await shelf.look(near)).bodies, []);
      same((await shelf.look(key)).bodies, ["mine"]);
    });

    check("tells models apart under the same key", async (shelf) => {
      const models = [
        "gpt-4o",
        "GPT-4o",
        "openai/gpt-4o",
        "gpt-4o ",
        "модель",
        "é",
        "e\u0301",
        "a'b\"c",
        "_none",
        "../up",
        "",
      ];
      for (const model of models) await shelf.put(keyOf(1), [shelf.entry(`from ${model}`)], "replace", model);
      for (const model of models) same((await shelf.look(keyOf(1), 1, model)).bodies, [`from ${model}`]);
      same((await shelf.look(keyOf(1), 1, "gpt-4o-mini")).bodies, []);
    });

    check("gives as many samples as are there, and at most as many as are wanted", async (shelf) => {
      await shelf.put(keyOf(1), ["a", "b", "c"].map((body) => shelf.entry(body)));
      same((await shelf.look(keyOf(1), 1)).bodies, ["a"]);
      same((await shelf.look(keyOf(1), 3)).bodies, ["a", "b", "c"]);
      same((await shelf.look(keyOf(1), 9)).bodies, ["a", "b", "c"]);
      const [found] = await shelf.lookup([keyOf(1), 9]);
      same(found!.entries.map((entry) => entry.sample), [0, 1, 2]);
    });

    check("takes any number of samples as a wish, not as a size", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      same((await shelf.look(keyOf(1), 1_000_000_000)).bodies, ["a"]);
    });

    check("keeps a body of megabytes", async (shelf) => {
      const body = noise(8 * 1024 * 1024);
      await shelf.put(keyOf(1), [{ ...shelf.entry(""), body }]);
      const [found] = await shelf.lookup([keyOf(1), 1]);
      same(found!.entries[0]!.bytes().length, body.length, "its length");
      truth(found!.entries[0]!.read((bytes) => bytes.every((byte, index) => byte === body[index])), "every byte");
    });

    check("finds the same for who says what was asked", async (shelf) => {
      await shelf.put(keyOf(1), [shelf.entry("a")]);
      const wants = [1, 2].map((number) => ({
        key: keyOf(number),
        samples: 1,
        record: () => shelf.request(keyOf(number)),
      }));
      for (let time = 0; time < 2; time++) same((await shelf.store.lookup(MODEL, wants)).map(bodiesOf), [["a"], []]);
      same((await shelf.store.size()).entries, 1);
      same((await Array.fromAsync(shelf.store.list())).length, 1, "the requests it knows");
    });
  });
}
