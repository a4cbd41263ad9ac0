/**
 * How every benchmark here is run: each side in a fresh process, several rounds, the order turned round each time, the
 * answers compared before any figure is believed, medians with their spread, and the ratio beside them.
 *
 * A benchmark is one program. Started plainly it conducts; started with `--side NAME` it is one side and prints one
 * line of JSON.
 */

import { execFile } from "node:child_process";
import { cpus } from "node:os";
import process from "node:process";
import { promisify } from "node:util";

/** What one side prints: figures by name, and a digest of the answers it gave. A figure may be one side's alone. */
export interface SideReport {
  /** Equal on all sides, or the comparison is void. */
  readonly answers: string;
  /** Figures by name, in `unit`. */
  readonly figures: Readonly<Record<string, number>>;
  /** Versions of what was measured. */
  readonly versions: Readonly<Record<string, string>>;
}

/** One contestant. */
export interface Side {
  readonly name: string;
  /** What runs it, with its arguments up to the program. Default: this Deno. */
  readonly command?: readonly string[];
  /** Measures, in a process of its own. */
  readonly run: () => Promise<SideReport>;
}

/** A benchmark: the first side is ours, the others are what it is held against. */
export interface Comparison {
  readonly title: string;
  /** More than the first side may be ours: the others are then held against each. Default: 1. */
  readonly ours?: number;
  /** What the figures count; smaller is better. */
  readonly unit: string;
  readonly sides: readonly Side[];
  readonly rounds: number;
}

/** The side that the command line names, or `undefined` in the process that conducts. */
export function namedSide(): string | undefined {
  const at = process.argv.indexOf("--side");
  return at === -1 ? undefined : process.argv[at + 1];
}

/**
 * Conducts the comparison, or is the side that the command line names. A side that cannot run here, the first excepted,
 * is left out, and why is said.
 */
export async function compare(program: string, comparison: Comparison): Promise<void> {
  const name = namedSide();
  if (name !== undefined) {
    console.log(JSON.stringify(await comparison.sides.find((side) => side.name === name)!.run()));
    return;
  }
  let sides = comparison.sides;
  const reports = new Map<string, SideReport[]>(sides.map(({ name }) => [name, []]));
  const leftOut: string[] = [];
  for (let round = 0; round < comparison.rounds; round++) {
    const order = round % 2 === 0 ? sides : [...sides].reverse();
    for (const side of order) {
      try {
        reports.get(side.name)!.push(await runSide(program, side));
        console.error(`round ${round + 1} of ${comparison.rounds}: ${side.name}`);
      } catch (error) {
        if (round > 0 || side === comparison.sides[0]) throw error;
        leftOut.push(`${side.name} (${reason(error)})`);
        reports.delete(side.name);
        sides = sides.filter((other) => other !== side);
      }
    }
  }
  const ours = sides.filter((side) => comparison.sides.indexOf(side) < (comparison.ours ?? 1));
  const others = sides.filter((side) => !ours.includes(side));
  checkAnswers(reports);
  for (const side of ours) print({ ...comparison, sides: [side, ...others] }, reports);
  if (leftOut.length > 0) console.log(`\nleft out: ${leftOut.join("; ")}`);
}

/** Why a side's process failed: the first line it printed that names an error. */
function reason(error: unknown): string {
  const { stderr = "", message } = error as { stderr?: string; message: string };
  return (stderr.split("\n").find((line) => /error/i.test(line)) ?? message).trim().slice(0, 120);
}

function checkAnswers(reports: Map<string, SideReport[]>): void {
  const answers = new Set([...reports.values()].flat().map((report) => report.answers));
  if (answers.size === 1) return;
  const given = [...reports].map(([name, [report]]) => `${name} ${report!.answers}`);
  throw new Error(`The sides gave different answers: ${given.join(", ")}`);
}

async function runSide(
  program: string,
  { name, command = [process.execPath, "run", "-A"] }: Side,
): Promise<SideReport> {
  const [executable, ...args] = command;
  const { stdout } = await promisify(execFile)(executable!, [...args, program, "--side", name]);
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

function print({ title, unit, sides, rounds }: Comparison, reports: Map<string, SideReport[]>): void {
  const [ours, ...others] = sides.map(({ name }) => name);
  const versions = Object.assign({}, ...[...reports.values()].flat().map((report) => report.versions));
  console.log(`\n${title}`);
  console.log(`${cpus()[0]?.model}, ${cpus().length} cores; ${describe(versions)}`);
  console.log(
    `median of ${rounds} fresh processes a side in ${unit}, (least to most); all sides gave the same answers\n`,
  );
  const rows = [["", ours!, ...others.flatMap((other) => [other, `ratio`])]];
  for (const figure of Object.keys(reports.get(ours!)![0]!.figures)) {
    const values = (name: string): number[] =>
      reports.get(name)!.flatMap(({ figures }) => figures[figure] === undefined ? [] : [figures[figure]]);
    const mine = median(values(ours!));
    const beside = (theirs: readonly number[]): string[] =>
      theirs.length === 0 ? ["", ""] : [spread(theirs), (mine / median(theirs)).toFixed(2)];
    rows.push([figure, spread(values(ours!)), ...others.flatMap((other) => beside(values(other)))]);
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  for (const row of rows) {
    console.log(row.map((cell, i) => i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)).join("   "));
  }
}

function describe(versions: Record<string, string>): string {
  return Object.entries(versions).map(([name, version]) => `${name} ${version}`).join(", ");
}

function spread(values: readonly number[]): string {
  const digits = median(values) < 10 ? 2 : median(values) < 100 ? 1 : 0;
  return `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)} to ${
    Math.max(...values).toFixed(digits)
  })`;
}

/** Microseconds a key that `run` takes, `group` keys at a time: the median of several passes over all of them. */
export async function timeByGroup<K>(
  keys: readonly K[],
  { group, passes }: { readonly group: number; readonly passes: number },
  run: (keys: readonly K[]) => unknown,
): Promise<number> {
  const times = [];
  for (let pass = 0; pass < passes; pass++) {
    const started = performance.now();
    for (let at = 0; at < keys.length; at += group) await run(keys.slice(at, at + group));
    times.push((performance.now() - started) * 1000 / keys.length);
  }
  return median(times);
}

/** The middle value, or the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A generator of numbers in [0, 1) that is the same in every process: Mulberry32, by Tommy Ettinger (public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
