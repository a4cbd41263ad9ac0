/**
 * The pictures of `docs/performance.md` and the README, from the figures in `bench/README.md`.
 *
 * Run: `deno run -A bench/figures_plot.ts`
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { type Bar, barPlot, type Bars } from "./bar_plot.ts";
import { figure, type Table, tableOf } from "./readme_tables.ts";

/** A picture's file, and what it is. */
export interface Picture {
  readonly file: string;
  readonly svg: string;
}

const MACHINE = "Two cores of a virtual machine, AMD EPYC; medians";

/** All of them. */
export function pictures(): Picture[] {
  const stores = tableOf("Stores");
  const http = tableOf("Cached answers over HTTP");
  const startup = tableOf("First lookup in a new process");
  const storeBars = (column: string, rows: readonly string[]): Bar[] => rows.map((row) => barOf(stores, row, column));
  const single = [
    "memory, sqlite (shared)",
    "sqlite, exclusive",
    "sqlite, shared",
    "cacheable, @keyv/sqlite",
    "Keyv, @keyv/sqlite",
  ];
  const hit: Bars = {
    title: "A hit, through a whole cache",
    unit: "µs, less is better",
    bars: storeBars("hit", single),
  };
  const miss: Bars = { title: "A miss", unit: "µs, less is better", bars: storeBars("miss", single) };
  const put: Bars = { title: "A put", unit: "µs, less is better", bars: storeBars("put", single) };
  const many: Bars = {
    title: "A hit, 100 at a time",
    unit: "µs an answer, less is better",
    bars: storeBars("hit, 100 at a time", single),
  };
  const served: Bars = {
    title: "Cached answers over HTTP, 32 connections",
    unit: "answers a second, more is better",
    bars: ["sqlite, Deno", "sqlite, Node 24", "Portkey, Node 24", "Hono and a Map, Node 24"].map((row) =>
      barOf(http, row, "32: answers/s")
    ),
  };
  const alone: Bars = {
    title: "One connection, waiting for a hit",
    unit: "µs, less is better",
    bars: ["sqlite, Deno", "sqlite, Node 24", "Portkey, Node 24", "Hono and a Map, Node 24"].map((row) =>
      barOf(http, row, "p50, µs")
    ),
  };
  return [
    {
      file: "benchmark.svg",
      svg: barPlot([hit, miss, alone, served], {
        title: "What a cached answer costs",
        description: described([hit, miss, alone, served]),
        foot: [
          "Answers of 2 KB. Keyv and cacheable make no keys, and neither compress nor check what they read.",
          `${MACHINE}.`,
        ],
      }),
    },
    {
      file: "benchmark-stores.svg",
      svg: barPlot([hit, many, miss, put], {
        title: "Whole caches on SQLite, Node 24",
        description: described([hit, many, miss, put]),
        foot: [`2,000 answers of 2 KB. ${MACHINE}.`],
      }),
    },
    {
      file: "benchmark-engine.svg",
      svg: engine(),
    },
    {
      file: "benchmark-seed.svg",
      svg: seedCase(),
    },
    {
      file: "benchmark-startup.svg",
      svg: startupPlot(startup),
    },
  ];
}

/** Every store but Keyv's, every proxy but Portkey's and the bare ones, is ours. */
function barOf(table: Table, row: string, column: string): Bar {
  const ours = !/Keyv|cacheable|Portkey|Hono|better-sqlite3|node:sqlite/.test(row);
  return {
    name: ours && !row.includes("warmcache") ? row.replace(" (shared)", "") : row,
    value: figure(table, row, column),
    ours,
  };
}

function engine(): string {
  const sides = ["better-sqlite3", "node:sqlite", "lmdb", "node-sqlite3-wasm"];
  const groups = ["hit", "hit, in a transaction", "miss", "put, 500 to a transaction"].map((row): Bars => {
    const exclusive = tableOf("The engine", "Node 24, exclusive:");
    const shared = tableOf("The engine", "Node 24, shared:");
    const bars = [
      { name: "warmcache, exclusive", value: figure(exclusive, row, "warmcache, exclusive"), ours: true },
      { name: "warmcache, shared", value: figure(shared, row, "warmcache, shared"), ours: true },
      ...sides.map((side) => ({ name: side, value: figure(exclusive, row, side), ours: false })),
    ];
    return { title: row[0]!.toUpperCase() + row.slice(1), unit: "ns, less is better", bars };
  });
  return barPlot(groups, {
    title: "The engine alone: one row of 19 columns, Node 24",
    description: described(groups),
    foot: ["The same rows, table, statement and page cache on all sides.", `${MACHINE}.`],
  });
}

function seedCase(): string {
  const table = tableOf("The case it was begun for");
  const row = "varied text, hits parsed";
  const put = "varied text, one more answer put";
  const groups: Bars[] = [
    {
      title: "10,000 lookups among 3,500 answers of 160 KB",
      unit: "ms, less is better",
      bars: [
        { name: "warmcache", value: figure(table, row, "warmcache"), ours: true },
        { name: "bins of JSON, extrapolated", value: figure(table, row, "FILE bins, extrapolated"), ours: false },
      ],
    },
    {
      title: "One more answer put",
      unit: "ms, less is better",
      bars: [
        { name: "warmcache", value: figure(table, put, "warmcache"), ours: true },
        { name: "bins of JSON, extrapolated", value: figure(table, put, "FILE bins, extrapolated"), ours: false },
      ],
    },
  ];
  return barPlot(groups, {
    title: "The case it was begun for",
    description: described(groups),
    foot: [`Every answer verified and parsed, on Deno. ${MACHINE}.`],
  });
}

function startupPlot(table: Table): string {
  const rows = [
    "warmcache on Deno",
    "warmcache on Node 24",
    "warmcache on Bun",
    "better-sqlite3 on Node 24",
    "node:sqlite on Node 24",
  ];
  const groups = ["import to answer", "whole process"].map((column): Bars => ({
    title: column === "whole process" ? "The whole process" : "From the import to the answer",
    unit: "ms, less is better",
    bars: rows.map((row) => barOf(table, row, column)),
  }));
  return barPlot(groups, {
    title: "The first lookup in a new process",
    description: described(groups),
    foot: [`${MACHINE} of 11.`],
  });
}

function described(groups: readonly Bars[]): string {
  return groups.map(({ title, unit, bars }) =>
    `${title} (${unit}): ${bars.map(({ name, value }) => `${name} ${value.toLocaleString("en")}`).join("; ")}.`
  ).join(" ");
}

if (import.meta.main) {
  const folder = new URL("../docs/pictures/", import.meta.url);
  mkdirSync(folder, { recursive: true });
  for (const { file, svg } of pictures()) writeFileSync(new URL(file, folder), svg);
}
