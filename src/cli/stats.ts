/**
 * `stats`: what a cache holds and has saved, a model a line.
 *
 * @module
 */

import { bytes, count, counted, dollars, duration, percent } from "../runtime/readable.ts";
import { type CommandParts, withCache } from "./command.ts";
import type { Console } from "./console.ts";
import { sparkline } from "./sparkline.ts";
import type { ModelReport, StatsReport } from "./stats_report.ts";
import { statsReport } from "./stats_report.ts";
import { type Column, type Row, table } from "./table.ts";
import { oneLine, wrapTo } from "./text_width.ts";

/** Days of the narrowest sparkline. */
const WEEK = 7;

const COLUMNS: readonly Column[] = [
  { title: "MODEL", least: 14 },
  { title: "ENTRIES", side: "right" },
  { title: "STORED", side: "right" },
  { title: "RATIO", side: "right", leaves: 5 },
  { title: "LOOKUPS", side: "right", leaves: 3 },
  { title: "HITS", side: "right" },
  { title: "TOKENS SAVED", side: "right", leaves: 2 },
  { title: "SAVED", side: "right" },
  { title: "TIME SAVED", side: "right", leaves: 6 },
  { title: "SPENT", side: "right", leaves: 1 },
  { title: "BY DAY", least: WEEK, leaves: 4 },
];

/** Runs the command. */
export async function stats(parts: CommandParts, { pack }: { readonly pack?: string }): Promise<void> {
  const { console, runtime } = parts;
  await withCache(parts, async ({ cache, store }) => {
    const report = await statsReport(cache, store, runtime.clock.now());
    if (console.isJson) await console.printJson(report);
    else await console.print(...statsLines(report, console));
  }, { pack });
}

/** What people read. */
export function statsLines(report: StatsReport, { width, paint }: Pick<Console, "width" | "paint">): string[] {
  const { store, total, models, lastError } = report;
  const head = [
    store.location,
    ...total.entries === null ? [] : [total.entries === 1 ? "1 entry" : `${count(total.entries)} entries`],
    ...store.totalBytes === null ? [] : [`${bytes(store.totalBytes)} in all`],
  ];
  const summary = paint(wrapTo(oneLine(head.join(" · ")), width), "dim");
  if (models.length === 0 && !total.entries) {
    return [summary, "", "Nothing was asked of this cache yet, and nothing is stored in it."];
  }
  const rows = models.map((model) => rowOf(model));
  if (models.length !== 1) rows.push(painted(rowOf(total), "bold"));
  const told = [...sentences(total), ...lastError === null ? [] : [`The store failed last so: ${lastError}`]];
  return [
    summary,
    "",
    ...table(COLUMNS, rows, width, paint),
    ...told.length === 0 ? [] : ["", ...told.map((text) => paint(wrapTo(oneLine(text), width), "yellow"))],
  ];
}

function rowOf({ model, entries, storedBytes, ratio, counts, days }: ModelReport): Row {
  const of = <T>(value: T | null, tell: (value: T) => string): string => value === null ? "-" : tell(value);
  const saved = counts?.saved ?? null;
  const amounts = days.map(({ answered }) => answered);
  return {
    cells: [
      model ?? "all",
      of(entries, count),
      of(storedBytes, bytes),
      of(ratio, (times) => `${times.toFixed(1)}×`),
      of(counts, ({ lookups }) => count(lookups)),
      of(counts, ({ lookups, hitRate }) => lookups === 0 ? "-" : percent(hitRate)),
      of(saved, ({ promptTokens, completionTokens }) => count(promptTokens + completionTokens)),
      of(saved, ({ costMicrodollars }) => dollars(costMicrodollars)),
      of(saved, ({ latency }) => duration(latency)),
      of(counts, ({ spentMicrodollars }) => dollars(spentMicrodollars)),
      { widest: amounts.length, within: (width) => sparkline(amounts.slice(-width)) },
    ],
    styles: [undefined, , , , , "green", , "green", , , "cyan"],
  };
}

function painted({ cells }: Row, style: "bold"): Row {
  return { cells, styles: cells.map(() => style) };
}

/** What somebody should know of. */
function sentences({ counts }: ModelReport): string[] {
  if (counts === null) return [];
  const { corrupt, failedWrites, failedLookups, failedCalls } = counts;
  return [
    ...corrupt > 0 ? [`${counted(corrupt, "lookup")} found a broken entry: see "verify"`] : [],
    ...failedWrites > 0 ? [`${counted(failedWrites, "answer")} could not be written`] : [],
    ...failedLookups > 0 ? [`the store could not be asked ${counted(failedLookups, "time")}`] : [],
    ...failedCalls > 0 ? [`${counted(failedCalls, "call")} to providers failed`] : [],
  ];
}
