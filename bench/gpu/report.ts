/** The figures of a run as tables: medians with their spread, and beside decoding what memory bandwidth allows. */

import { median } from "../harness.ts";
import type { MachineFacts } from "./machine.ts";
import type { SideFigures } from "./workload.ts";

/** What was measured of one model. */
export interface ModelReport {
  readonly name: string;
  readonly dtype: string;
  readonly parameters: number;
  /** Bytes that each decoded token reads: weights, and keys and values in the middle of an answer. */
  readonly bytesPerToken: number;
  /** The furthest that a checked log-probability of each side is from ours. */
  readonly furthest: Readonly<Record<string, number>>;
  /** What each fresh process of a side found out. */
  readonly sides: Readonly<Record<string, readonly SideFigures[]>>;
  /** Why a side was left out. */
  readonly leftOut: Readonly<Record<string, string>>;
  /** What the GPU is asked for in each decoded token. */
  readonly perToken: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** A whole run. */
export interface GpuReport {
  readonly when: string;
  readonly command: string;
  readonly machine: MachineFacts;
  readonly versions: Readonly<Record<string, string>>;
  readonly rounds: number;
  readonly models: readonly ModelReport[];
}

/** The report in Markdown. */
export function tables({ machine, versions, models, rounds, command, when }: GpuReport): string {
  const lines = [
    `${machine.gpu}${machine.driver === undefined ? "" : `; ${machine.driver}`}. Copies move ${
      (machine.bandwidth / 1e9).toFixed(1)
    } GB/s, bytes read and written both counted.`,
    `${Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ")}. ${when}.`,
    `\`${command}\`: medians of ${rounds} fresh processes a side (least to most).`,
  ];
  for (const model of models) lines.push("", ...modelTable(model, machine.bandwidth));
  return lines.join("\n");
}

function modelTable(model: ModelReport, bandwidth: number): string[] {
  const { name, dtype, parameters, bytesPerToken, sides, furthest, leftOut, perToken } = model;
  const names = Object.keys(sides);
  const limit = bandwidth / bytesPerToken;
  const rows: string[][] = [["", ...names]];
  const figures = new Set(names.flatMap((side) => sides[side]!.flatMap((one) => Object.keys(one.figures))));
  for (const figure of figures) {
    const isDecoding = figure.startsWith("decode");
    rows.push([
      figure,
      ...names.map((side) => {
        const values = sides[side]!.flatMap(({ figures }) => figure in figures ? [figures[figure]!] : []);
        if (values.length === 0) return "";
        return isDecoding ? `${spread(values)}, ${(100 * median(values) / limit).toFixed(1)} %` : spread(values);
      }),
    ]);
  }
  const differences = Object.entries(furthest).map(([side, far]) => `${side} ${far.toExponential(1)}`);
  return [
    `### ${name}: ${(parameters / 1e9).toFixed(3)} billion parameters, ${dtype}`,
    "",
    `A decoded token reads ${(bytesPerToken / 1e6).toFixed(1)} MB, so that memory bandwidth allows ${
      limit.toFixed(0)
    } tokens/s; what follows a decoding speed is its share of that.`,
    ...(differences.length === 0 ? [] : [`Furthest log-probability from ours: ${differences.join(", ")}.`]),
    ...Object.entries(leftOut).map(([side, why]) => `Left out: ${side} (${why}).`),
    "",
    ...markdown(rows),
    "",
    ...markdown(perTokenRows(perToken)),
  ];
}

function perTokenRows(perToken: ModelReport["perToken"]): string[][] {
  const kinds = Object.keys(Object.values(perToken)[0] ?? {});
  return [
    ["of a decoded token", ...kinds],
    ...Object.entries(perToken).map(([name, counts]) => [name, ...kinds.map((kind) => String(counts[kind]))]),
  ];
}

function markdown(rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  const [head, ...body] = rows as [readonly string[]];
  return [line(head), line(head.map((_, column) => column === 0 ? "---" : "---:")), ...body.map(line)];
}

function spread(values: readonly number[]): string {
  const digits = Math.abs(median(values)) < 10 ? 2 : Math.abs(median(values)) < 100 ? 1 : 0;
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)]
    .map((value) => value.toFixed(digits));
  return values.length === 1 ? middle! : `${middle} (${least} to ${most})`;
}
