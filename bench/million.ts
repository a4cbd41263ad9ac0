/**
 * Caches of 1,000, 10,000, 100,000 and 1,000,000 answers, and what is done to them: each step in a process of its own,
 * those that spoil the cache on a copy of it. The figures go into `bench/million.json`, of which `million_plot.ts` makes
 * the pictures of `docs/scale.md`. Linux only: the kernel is asked. A million takes 10 minutes to make, 8 GB, and as
 * long again to measure.
 *
 * Run: `deno run -A bench/million.ts [--folder DIR] [--sizes 1000,1000000] [--steps lookup,explain]`. Caches that are in
 * the folder already are taken as they are.
 */

import { execFile } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { median } from "./harness.ts";
import { build } from "./million_cache.ts";
import { type Figures, QUICK, SPOILING, STEPS, take } from "./million_steps.ts";

/** What is known of a cache of one size. */
export interface Size {
  readonly entries: number;
  readonly bytes: number;
  /** How long it took to put them, and how long upkeep took then, in seconds. */
  readonly made: { readonly put: number; readonly upkeep: number } | undefined;
  readonly steps: Readonly<Record<string, Figures>>;
}

/** All that was measured. */
export interface Report {
  readonly machine: string;
  readonly sizes: readonly Size[];
}

const PROGRAM = fileURLToPath(import.meta.url);
const REPORT = fileURLToPath(new URL("./million.json", import.meta.url));
const ROUNDS = 3;
const run = promisify(execFile);

const { values: flags } = parseArgs({
  options: {
    folder: { type: "string" },
    sizes: { type: "string", default: "1000,10000,100000,1000000" },
    steps: { type: "string", default: Object.keys(STEPS).join() },
    step: { type: "string" },
    entries: { type: "string" },
  },
});

if (flags.step !== undefined) {
  const place = { directory: flags.folder!, entries: Number(flags.entries) };
  const result = flags.step === "build" ? await build(place.directory, place.entries) : await take(flags.step, place);
  console.log(JSON.stringify(result));
} else await conduct();

async function conduct(): Promise<void> {
  const folder = flags.folder ?? await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  await mkdir(folder, { recursive: true });
  try {
    for (const entries of flags.sizes.split(",").map(Number)) {
      const directory = join(folder, `${entries}`);
      if (!existsSync(directory)) {
        const { put, upkeep } = await inProcess("build", directory, entries);
        note({ entries, bytes: await bytesIn(directory), made: { put: put!, upkeep: upkeep! }, steps: {} });
      }
      for (const step of flags.steps.split(",")) {
        const figures = await measure(step, directory, entries);
        console.log(entries, step, JSON.stringify(figures));
        note({ entries, bytes: await bytesIn(directory), made: undefined, steps: { [step]: figures } });
      }
    }
  } finally {
    if (flags.folder === undefined) await rm(folder, { recursive: true });
  }
}

/** The median of each figure over the rounds, and the machine's load at the end. */
async function measure(step: string, directory: string, entries: number): Promise<Figures> {
  const rounds: Figures[] = [];
  while (rounds.length < (QUICK.has(step) ? ROUNDS : 1)) {
    const place = SPOILING.has(step) ? await mkdtemp(`${directory}-`) : directory;
    if (SPOILING.has(step)) await cp(directory, place, { recursive: true });
    rounds.push(await inProcess(step, place, entries));
    if (SPOILING.has(step)) await rm(place, { recursive: true });
  }
  const names = Object.keys(rounds[0]!);
  const figures = Object.fromEntries(names.map((name) => [name, round(median(rounds.map((each) => each[name]!)))]));
  return { ...figures, load: round(loadavg()[0]!) };
}

async function inProcess(step: string, folder: string, entries: number): Promise<Figures> {
  const parameters = ["run", "-A", PROGRAM, "--step", step, "--folder", folder, "--entries", `${entries}`];
  const { stdout } = await run(Deno.execPath(), parameters, { maxBuffer: 1 << 26 });
  return JSON.parse(stdout.trim().split("\n").at(-1)!);
}

async function bytesIn(directory: string): Promise<number> {
  const names = await readdir(directory);
  return (await Promise.all(names.map((name) => stat(join(directory, name))))).reduce((sum, { size }) => sum + size, 0);
}

/** Adds what was found to the report. */
function note(found: Size): void {
  const { sizes } = existsSync(REPORT) ? JSON.parse(readFileSync(REPORT, "utf8")) as Report : { sizes: [] };
  const known = sizes.find(({ entries }) => entries === found.entries);
  const size = { ...found, made: found.made ?? known?.made, steps: { ...known?.steps, ...found.steps } };
  const others = sizes.filter((each) => each !== known);
  const report: Report = {
    machine: `${cpus()[0]?.model}, ${cpus().length} cores; Linux ${release()}; deno ${Deno.version.deno}`,
    sizes: [...others, size].sort((left, right) => left.entries - right.entries),
  };
  writeFileSync(REPORT, `${JSON.stringify(report, null, 2)}\n`);
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
