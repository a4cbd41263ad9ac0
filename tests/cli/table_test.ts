/** How text is laid out in a terminal's columns. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shortAge } from "../../src/cli/ages.ts";
import { inColour, plain } from "../../src/cli/paint.ts";
import { sparkline } from "../../src/cli/sparkline.ts";
import { type Column, table } from "../../src/cli/table.ts";
import { cutTo, harmless, oneLine, padTo, widthOf, wrapTo } from "../../src/cli/text_width.ts";

describe("widthOf", () => {
  it("counts columns, not code units", () => {
    const texts = {
      abc: 3,
      "日本語": 6,
      "é": 1,
      "e\u0301": 1,
      "👩‍🔬": 2,
      "🇫🇷": 2,
      "ｱ": 1,
      "\x1b[31mred\x1b[0m": 3,
      "": 0,
    };
    for (const [text, width] of Object.entries(texts)) assert.equal(widthOf(text), width, text);
  });
});

describe("cutTo", () => {
  it("leaves what fits", () => assert.equal(cutTo("日本", 4), "日本"));
  it("cuts between signs, and says that it did", () => {
    assert.equal(cutTo("abcdef", 4), "abc…");
    assert.equal(cutTo("日本語", 5), "日本…");
    assert.equal(cutTo("日本語", 4), "日…", "half a sign is none");
    assert.equal(cutTo("👩‍🔬👩‍🔬👩‍🔬", 5), "👩‍🔬👩‍🔬…");
    assert.equal(cutTo("abc", 1), "…");
    assert.equal(cutTo("abc", 0), "");
  });
  it("looks at no more than can be shown of a long text", () => {
    assert.equal(cutTo("a".repeat(50_000_000), 5), "aaaa…");
  });
});

describe("padTo", () => {
  it("fills up with blanks on either side", () => {
    assert.deepEqual([padTo("語", 4), padTo("語", 4, "right"), padTo("abc", 2)], ["語  ", "  語", "abc"]);
  });
});

describe("wrapTo", () => {
  it("breaks between words, and words that are too long", () => {
    assert.equal(wrapTo("one two three four five", 18), "one two three four\nfive");
    assert.equal(wrapTo("a".repeat(40), 18, "  "), `  ${"a".repeat(16)}\n  ${"a".repeat(16)}\n  ${"a".repeat(8)}`);
    assert.equal(wrapTo("日本語".repeat(4), 18), "日本語日本語日本語\n日本語");
  });
});

describe("oneLine and harmless", () => {
  it("make of orders to a terminal what can be seen of them", () => {
    const hostile = "a\x1b[2J\x1b]0;title\x07\x9b1mb\u202ecd\u2066e\x7f";
    assert.equal(oneLine(hostile), "a␛[2J␛]0;title␇\ufffd1mb\ufffdcd\ufffde␡");
    assert.equal(harmless(hostile), oneLine(hostile));
  });
  it("differ in what they make of lines", () => {
    assert.equal(oneLine(" a\r\n\tb\u2028c "), " a b c ");
    assert.equal(harmless("a\r\n\tb\rc"), "a\n\tb␍c", "a lone return would write over what is there");
  });
});

describe("table", () => {
  const columns: readonly Column[] = [
    { title: "NAME", least: 6 },
    { title: "SIZE", side: "right", leaves: 2 },
    { title: "NOTE", least: 5, leaves: 1 },
  ];
  const rows = [
    { cells: ["organisation", "1,234", "nothing of note"] },
    { cells: ["日本語", "5", "\x1b[2J"] },
  ];
  const lines = (width: number): string[] => table(columns, rows, width, plain);

  it("takes what it needs where there is room", () => {
    assert.deepEqual(lines(Infinity), [
      "NAME           SIZE  NOTE",
      "organisation  1,234  nothing of note",
      "日本語            5  ␛[2J",
    ]);
  });

  it("shrinks columns, the last first", () => {
    assert.deepEqual(lines(30), [
      "NAME           SIZE  NOTE",
      "organisation  1,234  nothing …",
      "日本語            5  ␛[2J",
    ]);
    assert.deepEqual(lines(22), [
      "NAME       SIZE  NOTE",
      "organis…  1,234  noth…",
      "日本語        5  ␛[2J",
    ]);
  });

  it("leaves columns out, in the order that they say, before it shrinks others below their least", () => {
    assert.deepEqual(lines(19), [
      "NAME           SIZE",
      "organisation  1,234",
      "日本語            5",
    ]);
    assert.deepEqual(lines(12), ["NAME", "organisation", "日本語"]);
    assert.deepEqual(lines(8), ["NAME", "organis…", "日本語"]);
  });

  it("is no wider than it was told at any width", () => {
    for (let width = 6; width < 60; width++) {
      for (const line of lines(width)) assert.ok(widthOf(line) <= width, `${width}: ${line}`);
    }
  });

  it("moves no column by painting", () => {
    const styled = rows.map(({ cells }) => ({ cells, styles: ["red", "green", "dim"] as const }));
    const painted = table(columns, styled, 30, inColour);
    // deno-lint-ignore no-control-regex -- what is painted with
    assert.deepEqual(painted.map((line) => line.replace(/\x1b\[\d+m/g, "")), lines(30));
    assert.ok(painted[1]!.startsWith("\x1b[31morganisation\x1b[0m"), painted[1]!);
  });
});

describe("sparkline", () => {
  it("draws amounts as bars, and nothing as nothing", () => {
    assert.equal(sparkline([0, 1, 50, 100]), " ▁▄█");
    assert.equal(sparkline([0, 0]), "  ");
    assert.equal(sparkline([]), "");
  });
});

describe("shortAge", () => {
  it("says how long ago in one number", () => {
    const minute = 60_000;
    const ages = [-5, 59_000, 59 * minute, 47 * 60 * minute, 400 * 24 * 60 * minute].map(shortAge);
    assert.deepEqual(ages, ["0s", "59s", "59m", "47h", "400d"]);
  });
});
