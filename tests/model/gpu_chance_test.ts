/** GpuRows by chance: rows and requests of every kind, some thousand of them, against a search of the whole row. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Chance, ChanceOutcome } from "./gpu_chance_worker.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();

/** Tries in a process of its own. */
async function attempt(chance: Chance): Promise<ChanceOutcome> {
  const worker = runtime.spawnProcess!(new URL("./gpu_chance_worker.ts", import.meta.url), "rows by chance");
  try {
    return await new Promise((resolve, reject) => {
      worker.onMessage((outcome) => resolve(outcome as ChanceOutcome));
      worker.onFailure(reject);
      worker.post(chance);
    });
  } finally {
    worker.terminate();
  }
}

describe("what a GPU finds", { skip: skipWithoutGpu }, () => {
  it("is what a search of the whole row finds, whatever its bits: order, numbers, sum and the row itself", async () => {
    const { differences, rows, distributions, left } = await attempt({ what: "rows", seed: 1, times: 250 });
    assert.deepEqual(differences, []);
    assert.ok(distributions > rows / 2 && distributions < rows, `${distributions} of ${rows}`);
    assert.ok(left < 2 ** 22, `${left} bytes are kept`);
  });

  it("leads to the same answer, whatever is asked for", async () => {
    const { differences, rows } = await attempt({ what: "answers", seed: 2, times: 120 });
    assert.deepEqual(differences, []);
    assert.ok(rows > 300, String(rows));
  });
});
