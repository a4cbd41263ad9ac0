/**
 * The simulation, and that it finds what it is there to find: each fault of `faults.ts` by a seed that is written here.
 * A change to what seeds draw changes these seeds; `run.ts --fault NAME --seeds 1000` says which they are then.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Fault, HarmlessFault } from "./faults.ts";
import { faults } from "./faults.ts";
import { runJob } from "./jobs.ts";
import { shrink } from "./shrink.ts";
import { Simulation } from "./simulation.ts";

const SEED_THAT_FINDS: Readonly<Record<Exclude<Fault, HarmlessFault>, number>> = {
  "no table refresh": 0,
  "a dropped write lock": 0,
  "a dropped read lock": 0,
  "headers published first": 11,
  "a skipped sync of the log": 5,
  "a skipped sync of the database": 33,
  "a skipped sync of the folder": 39,
  "a late flush": 3,
  "shared kept while exclusive is taken": 8,
  "database shared kept while exclusive is taken": 0,
  "log cut before the wal-index says so": 87,
};

const { name } = await loadRuntime();
/** What is simulated is the same on every runtime, and its threads are Deno's. */
const skip = name === "deno" ? false : "runs on Deno only";

async function run(...options: string[]): Promise<{ readonly code: number; readonly output: string }> {
  const lines: string[] = [];
  const code = await runJob(options, 0, (line) => lines.push(line));
  return { code, output: lines.join("\n") };
}

describe("many instances on one disk, interleaved, killed and cut off", { skip }, () => {
  it("run 500 seeds without a failure", async () => {
    const { code, output } = await run("--seeds", "500");
    assert.equal(code, 0, output);
  });

  it("run 60 seeds with the store above them: no wrong answer, none lost", async () => {
    const { code, output } = await run("--layer", "store", "--seeds", "60");
    assert.equal(code, 0, output);
  });

  for (const fault of faults) {
    it(`are found out: ${fault}`, async () => {
      const { code, output } = await run(
        "--seed",
        String(SEED_THAT_FINDS[fault]),
        "--fault",
        fault,
      );
      assert.equal(code, 1, `nothing was found: ${output}`);
    });
  }

  it("are not found out when what is planted is no fault", async () => {
    const { code, output } = await run("--seeds", "60", "--fault", "nothing");
    assert.equal(code, 0, output);
  });

  it("do the same again when a seed is run again, and in a schedule from which all else was left out", async () => {
    const fault = "log cut before the wal-index says so";
    const seed = SEED_THAT_FINDS[fault];
    const simulation = await Simulation.start({ fault });
    try {
      const [once] = await simulation.run({ from: seed, to: seed + 1 });
      const [again] = await simulation.run({ from: seed, to: seed + 1 });
      assert.deepEqual(again, once);
      const shrunk = await shrink(simulation, once!);
      assert.ok(shrunk.events.length <= 8, `${shrunk.events.length} events are left`);
      const [replayed] = await simulation.run({
        from: seed,
        to: seed + 1,
        schedule: { programs: shrunk.plan.programs, events: shrunk.events },
      });
      assert.deepEqual(replayed, shrunk);
    } finally {
      simulation.close();
    }
  });
});
