/** The plots of the benchmarks show the figures of `bench/README.md`, as they stand there now. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { pictures } from "../../bench/figures_plot.ts";
import { figure, tableOf } from "../../bench/readme_tables.ts";
import { ROOT } from "./blocks.ts";

describe("docs/pictures/benchmark*.svg", () => {
  for (const { file, svg } of pictures()) {
    it(`${file} is drawn from the tables; else: deno run -A bench/figures_plot.ts`, () => {
      assert.equal(readFileSync(`${ROOT}docs/pictures/${file}`, "utf8"), svg);
    });
  }
});

describe("tableOf", () => {
  it("reads a section's table, or the one below a line", () => {
    assert.equal(figure(tableOf("Stores"), "sqlite, exclusive", "hit"), 12);
    assert.equal(figure(tableOf("The engine", "Node 24, shared:"), "miss", "warmcache, shared"), 8328);
  });

  it("refuses what is not there", () => {
    assert.throws(() => tableOf("No such thing"), /no section/);
    assert.throws(() => tableOf("Stores", "On the moon:"), /no table below "On the moon:"/);
    assert.throws(() => figure(tableOf("Stores"), "sqlite, exclusive", "hits"), /no figure for/);
  });
});
