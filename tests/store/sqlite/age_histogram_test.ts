/** Which bytes are the least recently used ones, without remembering each. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AgeHistogram } from "../../../src/store/sqlite/age_histogram.ts";

const NOW = 1_700_000_000_000;
const DAY = 24 * 60 * 60 * 1000;

describe("AgeHistogram", () => {
  it("cuts off the oldest, and of the last step only as many bytes as are still wanted", () => {
    const histogram = new AgeHistogram(NOW);
    for (const [age, bytes] of [[30 * DAY, 100], [DAY, 200], [1000, 300]] as const) histogram.add(NOW - age, bytes);
    assert.equal(histogram.total, 600);
    assert.deepEqual(histogram.cutoff(50), { step: histogram.stepOf(NOW - 30 * DAY), bytes: 50 });
    assert.deepEqual(histogram.cutoff(250), { step: histogram.stepOf(NOW - DAY), bytes: 150 });
    assert.deepEqual(histogram.cutoff(600), { step: histogram.stepOf(NOW - 1000), bytes: 300 });
  });

  it("cuts off all where there is less than is wanted", () => {
    const histogram = new AgeHistogram(NOW);
    histogram.add(NOW - DAY, 100);
    assert.deepEqual(histogram.cutoff(101), { step: 0, bytes: Infinity });
  });

  it("tells ages apart that differ by a thousandth, and puts the older one into a later step", () => {
    const histogram = new AgeHistogram(NOW);
    for (const age of [1000, 60_000, DAY, 365 * DAY]) {
      assert.ok(histogram.stepOf(NOW - age * 1.001) > histogram.stepOf(NOW - age), `${age}`);
    }
  });

  it("takes what was used in the future, or at no time, for just used, and the oldest there can be for the oldest", () => {
    const histogram = new AgeHistogram(NOW);
    for (const used of [NOW, NOW + DAY, Infinity, NaN]) assert.equal(histogram.stepOf(used), 0, `${used}`);
    assert.ok(histogram.stepOf(-Infinity) >= histogram.stepOf(0));
    assert.ok(histogram.stepOf(0) > histogram.stepOf(NOW - 365 * DAY));
  });
});
