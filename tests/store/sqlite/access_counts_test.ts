/** Counting hits without strings or objects, and giving the counts away some at a time. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AccessCounts } from "../../../src/store/sqlite/access_counts.ts";
import { keyOf } from "./fixture.ts";

const words = Array.from({ length: 3000 }, (_, index) => `${index}`);

describe("AccessCounts", () => {
  it("counts each key apart and remembers the last time", () => {
    const counts = new AccessCounts();
    for (const [index, word] of words.entries()) {
      for (let hit = 0; hit <= index % 3; hit++) counts.add(keyOf(word), 1000 - hit);
    }
    assert.equal(counts.size, words.length);
    const taken = counts.take(Infinity);
    assert.equal(counts.size, 0);
    const byKey = new Map(taken.map(({ key, count, last }) => [key.join(), { count, last }]));
    for (const [index, word] of words.entries()) {
      assert.deepEqual(byKey.get(keyOf(word).join()), { count: index % 3 + 1, last: 1000 });
    }
  });

  it("tells keys apart that begin alike", () => {
    const counts = new AccessCounts();
    const keys = Array.from(
      { length: 300 },
      (_, index) => new Uint8Array(32).fill(index & 0xff, 30).fill(index >> 8, 31),
    );
    for (const key of keys) counts.add(key, 1);
    for (const key of keys) counts.add(key, 2);
    assert.deepEqual(
      counts.take(300).map(({ key, count, last }) => [key, count, last]),
      keys.map((key) => [key, 2, 2]),
    );
  });

  it("gives away some at a time, and goes on counting the others", () => {
    const counts = new AccessCounts();
    for (const word of words) counts.add(keyOf(word), 1);
    const taken = [...counts.take(1000), ...counts.take(1000)];
    for (const word of words) counts.add(keyOf(word), 2);
    taken.push(...counts.take(4000));
    const total = new Map<string, number>();
    for (const { key, count } of taken) total.set(key.join(), (total.get(key.join()) ?? 0) + count);
    assert.deepEqual([...total.values()], words.map(() => 2));
  });

  it("keeps its own copy of a key", () => {
    const counts = new AccessCounts();
    const key = keyOf("a");
    counts.add(key, 1);
    key.fill(0);
    assert.deepEqual(counts.take(1)[0]!.key, keyOf("a"));
    assert.deepEqual(counts.take(1), []);
  });
});
