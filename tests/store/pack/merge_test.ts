/** Merging: in whatever order, however often, one after the other or at once, the same bytes. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { importStore } from "../../../src/store/pack/import_store.ts";
import { mergePacks } from "../../../src/store/pack/merge_packs.ts";
import { verifyPack } from "../../../src/store/pack/verify_pack.ts";
import type { NewEntry } from "../../../src/store/store.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { answerOf, filesIn, memoryStore, MODEL, NOW, packOf, packWith, requestOf, texts, tools } from "./fixture.ts";

const at = (text: string, later: number): NewEntry => answerOf(text, { created: NOW + later });

async function merged(...packs: string[]): Promise<string> {
  const target = join(await temporaryFolder(), "merged");
  await mergePacks(tools, packs, target);
  return target;
}

async function textsIn(pack: string, word: string): Promise<string[]> {
  const store = memoryStore();
  await importStore(tools, pack, store);
  return await texts(store, word);
}

describe("mergePacks", () => {
  it("gives the same bytes in any order, in any steps, and again", async () => {
    // A generator of cases: which of three packs has which of six answers, in which order, of four requests.
    let state = 7;
    const random = (below: number): number => (state = Math.imul(state, 1664525) + 1013904223 >>> 0) % 65536 % below;
    for (let round = 0; round < 15; round++) {
      const contents = [0, 1, 2].map(() =>
        Object.fromEntries(
          ["a", "b", "c", "d"].slice(random(3)).map((word) => [
            word,
            Array.from({ length: 1 + random(3) }, () => at(`answer ${random(3)}`, random(2))),
          ]),
        )
      );
      const [a, b, c] = await Promise.all(contents.map((content) => packWith(content))) as [string, string, string];
      const expected = await filesIn(await merged(a, b, c));
      const ways = [
        merged(c, a, b),
        merged(b, c, a, b),
        merged(await merged(a, b), c),
        merged(a, await merged(b, c)),
        merged(await merged(c, a), await merged(b, a)),
        merged(await merged(a, b, c), b),
      ];
      for (const way of ways) assert.deepEqual(await filesIn(await way), expected, `round ${round}`);
    }
  });

  it("of a pack with itself, or of one alone, is that pack", async () => {
    const pack = await packWith({ a: [at("later", 5), at("a", 0), at("a", 0)], b: [at("b", 1)] });
    for (const packs of [[pack], [pack, pack], [pack, await packWith({})]]) {
      assert.deepEqual(await filesIn(await merged(...packs)), await filesIn(pack));
    }
  });

  it("keeps each answer as often as the pack has it that has it most often, the oldest first", async () => {
    const left = await packWith({ a: [at("x", 3), at("y", 1), at("y", 1)] });
    const right = await packWith({ a: [at("y", 1), at("z", 2)] });
    assert.deepEqual(await textsIn(await merged(left, right), "a"), ["y", "y", "z", "x"]);
  });

  it("tells answers apart by all that is known of them", async () => {
    const left = await packWith({ a: [answerOf("x", { promptTokens: 1 })] });
    const right = await packWith({ a: [answerOf("x", { promptTokens: 2 })] });
    assert.deepEqual(await textsIn(await merged(left, right), "a"), ["x", "x"]);
  });

  it("keeps answers to equal lists in their order", async () => {
    const contents = { a: [at("second", 2), at("first", 1)] };
    const both = await merged(await packWith({ ...contents, b: [at("b", 0)] }), await packWith(contents));
    assert.deepEqual(await textsIn(both, "a"), ["second", "first"]);
  });

  it("unites tags, and keeps what is there besides whole", async () => {
    const packs = [];
    for (const tags of [["run"], ["b", "a"]]) {
      const store = memoryStore();
      await store.put(MODEL, requestOf("a"), [answerOf("a")], "append", { tags });
      packs.push((await packOf(store)).directory);
    }
    const store = memoryStore();
    await importStore(tools, await merged(...packs), store);
    const [listed] = await Array.fromAsync(store.list());
    assert.deepEqual([...listed!.tags!].toSorted(), ["a", "b", "run"]);
    assert.deepEqual(await texts(store, "a"), ["a"]);
  });

  it("may have one of the packs as its target", async () => {
    const [left, right] = [await packWith({ a: [at("a", 0)] }), await packWith({ b: [at("b", 0)] })];
    const expected = await filesIn(await merged(left, right));
    await mergePacks(tools, [left, right], left);
    assert.deepEqual(await filesIn(left), expected);
    assert.equal((await verifyPack(tools, left)).isSound, true);
  });

  it("makes plain text of compressed packs, and the other way", async () => {
    const [zstd, plain] = [
      await packWith({ a: [at("a", 0)] }),
      await packWith({ a: [at("a", 0)] }, { compression: "none" }),
    ];
    const target = join(await temporaryFolder(), "text");
    await mergePacks(tools, [zstd], target, { compression: "none" });
    assert.deepEqual(await filesIn(target), await filesIn(plain));
    assert.deepEqual(await filesIn(await merged(plain)), await filesIn(zstd));
  });
});
