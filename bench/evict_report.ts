/** What `evict.ts` found, as a table and as a picture. */

import { cpus, release } from "node:os";
import { curvePlot } from "./curve_plot.ts";
import { median } from "./harness.ts";

const MIB = 2 ** 20;

/** A cycle, in bytes of resident memory. */
export interface Cycle {
  readonly before: number;
  /** While it loaded and answered, at most. */
  readonly peak: number;
  /** Once it had answered. */
  readonly loaded: number;
  readonly after: number;
  /** How long the load took, in milliseconds. */
  readonly load: number;
  /** When it was over, in milliseconds since the first load began. */
  readonly end: number;
}

/** What one process prints. */
export interface Report {
  readonly version: string;
  readonly cycles: readonly Cycle[];
  /** Milliseconds since the first load began, and resident bytes then. */
  readonly samples: readonly (readonly [number, number])[];
}

/** Prints the figures of each side. */
export function printTable(title: string, modelBytes: number, reports: ReadonlyMap<string, Report>): void {
  const versions = new Set([...reports.values()].map(({ version }) => version));
  console.log(`\n${title}`);
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores; Linux ${release()}; ${[...versions].join(", ")}\n`);
  const titles = ["back, in all", "median", "worst", "before, MiB", "loaded", "after 1st", "after last"];
  const rows = [["", ...titles, "peak / size", "load, ms"]];
  for (const [title, { cycles }] of reports) {
    const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
    const taken = sum(cycles.map(({ loaded, before }) => loaded - before));
    const given = sum(cycles.map(({ loaded, after }) => loaded - after));
    rows.push([
      title,
      percent(given / taken),
      percent(median(cycles.map(back))),
      percent(Math.min(...cycles.map(back))),
      inMib(cycles[0]!.before),
      inMib(median(cycles.map(({ loaded }) => loaded))),
      inMib(cycles[0]!.after),
      inMib(cycles.at(-1)!.after),
      (median(cycles.map(({ peak, before }) => peak - before)) / modelBytes).toFixed(2),
      median(cycles.map(({ load }) => load)).toFixed(0),
    ]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "));
  }
}

/** The memory of each side over time, as SVG. Every cycle is as wide as the others, however long it took. */
export function plot(title: string, reports: ReadonlyMap<string, Report>): string {
  const panels = [...reports].map(([title, { samples, version, cycles }]) => {
    const ends = [0, ...cycles.map(({ end }) => end)];
    let cycle = 0;
    const points = samples.filter(([time]) => time < ends.at(-1)!).map(([time, bytes]) => {
      while (time >= ends[cycle + 1]!) cycle++;
      const [start, end] = [ends[cycle]!, ends[cycle + 1]!];
      return [cycle + (time - start) / (end - start), bytes / MIB] as const;
    });
    return { title: `${title} (${version})`, points };
  });
  return curvePlot(panels, { title, x: "times loaded", y: "MiB" });
}

/** The share of what loading took that eviction gave back. */
export function back({ before, loaded, after }: Pick<Cycle, "before" | "loaded" | "after">): number {
  return (loaded - after) / (loaded - before);
}

/** Bytes for people. */
export function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
