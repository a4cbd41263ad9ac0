/** Numbers as people read them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { age, bytes, count, counted, dollars, duration, percent, shortDay } from "../../src/runtime/readable.ts";

/** With the blanks that one can type. */
const plain = (text: string): string => text.replaceAll("\u00a0", " ");

describe("percent", () => {
  it("is rounded down, so that what is not all does not read as all", () => {
    for (const [share, text] of [[0, "0.0 %"], [0.8744, "87.4 %"], [0.9999, "99.9 %"], [1, "100.0 %"]] as const) {
      assert.equal(plain(percent(share)), text);
    }
  });
});

describe("dollars", () => {
  it("has the more digits the less it is, and never says 0 of what is something", () => {
    const said = [0, 1, 49, 50, 1250, 999_999, 1_000_000, 12_340_000, 1_234_567_890].map(dollars);
    assert.deepEqual(said, [
      "$0",
      "<$0.0001",
      "<$0.0001",
      "$0.0001",
      "$0.0013",
      "$1.00",
      "$1.00",
      "$12.34",
      "$1,234.57",
    ]);
  });
});

describe("duration", () => {
  it("has two units at most", () => {
    const times = [
      0,
      0.4,
      8.25,
      820,
      4200,
      59_940,
      59_960,
      60_000,
      200_000,
      3_599_900,
      7_500_000,
      86_400_000,
      273_600_000,
    ];
    assert.deepEqual(times.map((time) => plain(duration(time))), [
      "0 s",
      "0.4 ms",
      "8.3 ms",
      "820 ms",
      "4.2 s",
      "59.9 s",
      "1 min",
      "1 min",
      "3 min 20 s",
      "1 h",
      "2 h 5 min",
      "1 d",
      "3 d 4 h",
    ]);
  });
});

describe("age", () => {
  it("is in whole seconds, and never below 0", () => {
    assert.deepEqual([-5, 999, 12_900, 61_500].map((time) => plain(age(time))), ["0 s", "0 s", "12 s", "1 min 1 s"]);
  });
});

describe("bytes", () => {
  it("is in powers of ten", () => {
    const said = [0, 999, 1000, 163_200_000, 999_960_000, 4e9].map((value) => plain(bytes(value)));
    assert.deepEqual(said, ["0 B", "999 B", "1.0 kB", "163.2 MB", "1.0 GB", "4.0 GB"]);
  });
});

describe("count", () => {
  it("has its thousands apart, and is short from a million on", () => {
    assert.deepEqual([0, 1204, 999_999, 1_240_000, 2.5e9].map((value) => plain(count(value))), [
      "0",
      "1,204",
      "999,999",
      "1.24 M",
      "2.50 G",
    ]);
    assert.deepEqual([counted(1, "hit"), counted(2, "hit"), counted(0, "hit")], ["1 hit", "2 hits", "0 hits"]);
  });
});

describe("shortDay", () => {
  it("is a day without its year", () => {
    assert.equal(plain(shortDay("2026-11-02")), "2 Nov");
  });
});
