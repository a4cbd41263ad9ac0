/**
 * Runs the simulation: `deno run -A tests/simulation/run.ts --seeds 100000`. Ends with one line that says how it went,
 * and with exit code 1 when a seed failed.
 *
 * - `--seeds N` or `--seeds A..B`: seeds 0 to N - 1, or A to B. `--seed N`: that one.
 * - `--jobs N`: in so many processes at once, each bound to a core.
 * - `--layer store`: with the store above the engine.
 * - `--fault NAME`: with a planted fault (`faults.ts`). `--keep-going`: past failures.
 * - `--consequences`: asks what comes of a fault: runs long programs, which do not end where a wal-index and its log
 *   disagree or the log cannot be read.
 * - `--shrink`: makes a failure as short as it gets. `--schedule FILE`: replays what that printed.
 * - `--trace`: tells every operation.
 */

import { readFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Fault } from "./faults.ts";
import { allFaults } from "./faults.ts";
import type { Layer } from "./plan.ts";
import { runJob } from "./jobs.ts";
import type { StoredSchedule } from "./schedule.ts";
import { describeSchedule } from "./schedule.ts";
import { shrink } from "./shrink.ts";
import type { Failure } from "./simulation.ts";
import { Simulation } from "./simulation.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string" },
    seed: { type: "string" },
    jobs: { type: "string", default: "1" },
    fault: { type: "string" },
    layer: { type: "string" },
    consequences: { type: "boolean", default: false },
    schedule: { type: "string" },
    shrink: { type: "boolean", default: false },
    trace: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
    // Given by this program to itself: it is bound to a core.
    inside: { type: "boolean", default: false },
  },
});

process.exit(values.inside ? await runHere() : await runJobs());

/** Deals the seeds out to processes. */
async function runJobs(): Promise<number> {
  const [from, to] = seedsOf(storedSchedule());
  const jobs = Math.max(1, Math.min(Number(values.jobs), to - from));
  const started = performance.now();
  const { seeds: _seeds, seed: _seed, jobs: _jobs, inside: _inside, ...passed } = values;
  const options = Object.entries(passed).flatMap(([name, value]) => {
    if (value === false || value === undefined) return [];
    return value === true ? [`--${name}`] : [`--${name}`, value];
  });
  const first = (job: number): number => from + Math.floor((to - from) * job / jobs);
  const codes = await Promise.all(
    Array.from(
      { length: jobs },
      (_, job) =>
        runJob([...options, "--seeds", `${first(job)}..${first(job + 1) - 1}`], job, (line) => console.log(line)),
    ),
  );
  const duration = ((performance.now() - started) / 1000).toFixed(1);
  const failed = codes.some((code) => code !== 0);
  console.log(`${failed ? "FAILED" : "clean"}: seeds ${from}..${to - 1}, ${jobs} at a time, ${duration} s`);
  return failed ? 1 : 0;
}

async function runHere(): Promise<number> {
  const stored = storedSchedule();
  const fault = faultNamed(values.fault ?? stored?.fault);
  const [from, to] = seedsOf(stored);
  const simulation = await Simulation.start({
    layer: layerNamed(values.layer ?? stored?.layer),
    fault,
    consequences: values.consequences,
    trace: values.trace,
  });
  const batch = { from, to, keepGoing: values["keep-going"], ...(stored && { schedule: stored }) };
  const failures = await simulation.run(batch, ({ seed }) => console.log(`at seed ${seed}`));
  for (const failure of failures) {
    tell(failure);
    const command = `deno run -A tests/simulation/run.ts --seed ${failure.seed}`;
    console.log(
      `  again: ${command}${values.layer ? ` --layer ${values.layer}` : ""}${fault ? ` --fault "${fault}"` : ""}${
        values.consequences ? " --consequences" : ""
      } --shrink`,
    );
    if (!values.shrink) continue;
    const shrunk = await shrink(simulation, failure);
    const { programs } = shrunk.plan;
    tell(shrunk);
    for (const line of describeSchedule({ programs, events: shrunk.events })) console.log(`  ${line}`);
    console.log(JSON.stringify({ seed: shrunk.seed, layer: values.layer, fault, programs, events: shrunk.events }));
  }
  simulation.close();
  return failures.length === 0 ? 0 : 1;
}

function tell({ seed, failure, plan, events, steps }: Failure): void {
  const { image, synchronous, instances } = plan;
  const setting = `${instances} instances on "${image}", ${synchronous}, ${steps} operations, ${events.length} events`;
  console.log(`seed ${seed}: ${failure} (${setting})`);
}

function storedSchedule(): StoredSchedule | undefined {
  return values.schedule === undefined ? undefined : JSON.parse(readFileSync(values.schedule, "utf8"));
}

function seedsOf(stored: StoredSchedule | undefined): [from: number, to: number] {
  if (stored) return [stored.seed, stored.seed + 1];
  if (values.seed !== undefined) return [Number(values.seed), Number(values.seed) + 1];
  const [first, last] = (values.seeds ?? "500").split("..").map(Number) as [number, number?];
  const range: [number, number] = last === undefined ? [0, first] : [first, last + 1];
  if (!range.every(Number.isInteger)) throw new RangeError(`Cannot run seeds: ${values.seeds}`);
  return range;
}

function layerNamed(name = "engine"): Layer {
  if (name === "engine" || name === "store") return name;
  throw new RangeError(`Cannot simulate a layer: "${name}" is neither engine nor store`);
}

function faultNamed(name: string | undefined): Fault | undefined {
  if (name === undefined) return undefined;
  const fault = allFaults.find((each) => each === name);
  if (!fault) throw new RangeError(`Cannot plant a fault: "${name}" is none of ${allFaults.join(", ")}`);
  return fault;
}
