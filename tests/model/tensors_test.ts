/** Tensors that lie where the model runs, read back by onnxruntime itself. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { skipWithoutGpu } from "./software_gpu.ts";
import type { Outcome, Trial } from "./tensors_worker.ts";

const runtime = await loadRuntime();
const DEVICES = [["wasm", false], ["webgpu:software", skipWithoutGpu]] as const;

/** Tries something in a Worker or process of its own. */
async function tryOut(trial: Trial): Promise<Outcome> {
  const module = new URL("./tensors_worker.ts", import.meta.url);
  const start = trial.device === "wasm" ? runtime.spawnWorker : runtime.spawnProcess!;
  const worker = start(module, "trial of tensors");
  try {
    return await new Promise((resolve, reject) => {
      worker.onMessage((outcome) => resolve(outcome as Outcome));
      worker.onFailure(reject);
      worker.post(trial);
    });
  } finally {
    worker.terminate();
  }
}

/** What is left of `whole` when `length` of its positions are kept. */
function kept(whole: readonly number[], [, , positions, size]: readonly number[], length: number): number[] {
  return whole.filter((_, index) => Math.floor(index / size!) % positions! < length);
}

for (const [device, skip] of DEVICES) {
  describe(`tensors on ${device}`, { skip }, () => {
    const trials: (readonly [FloatType, readonly number[], number])[] = [
      ["float32", [1, 3, 7, 5], 4],
      ["float32", [2, 2, 3, 3], 3],
      ["float16", [1, 3, 7, 6], 5],
      ["float16", [1, 2, 300, 64], 128],
    ];
    for (const [type, dims, length] of trials) {
      it(`of ${type} and shape [${dims}] are what was put in, whole and trimmed to ${length} positions`, async () => {
        const { whole, read, dims: shapes, downloads, taken, left, failure } = await tryOut({
          device,
          type,
          dims,
          length,
        });
        assert.equal(failure, undefined);
        const negative = whole.map((number) => -number);
        const [output, trimmed, trimmedOutput] = read;
        assert.deepEqual(output!.map((number) => number + 0), negative.map((number) => number + 0));
        assert.deepEqual(
          trimmed!.map((number) => number + 0),
          kept(negative, dims, length).map((number) => number + 0),
        );
        assert.deepEqual(trimmedOutput, kept(whole, dims, length));
        assert.deepEqual(shapes, [dims, dims.with(2, length), dims.with(2, length)]);
        assert.equal(downloads, 0);
        assert.equal(left, 0);
        const bytes = (type === "float32" ? 4 : 2) * (whole.length + trimmed!.length);
        if (device === "wasm") assert.equal(taken, 0);
        else assert.ok(taken >= bytes && taken <= bytes + 32, `${taken} for ${bytes}`);
      });
    }

    it("are trimmed to no position at all", async () => {
      const { dims, read, failure } = await tryOut({ device, type: "float32", dims: [1, 2, 3, 4], length: 0 });
      assert.equal(failure, undefined);
      assert.deepEqual(dims[1], [1, 2, 0, 4]);
      assert.deepEqual(read[1], []);
    });

    it("cannot be trimmed to more than there is, nor when they have no positions", async () => {
      const longer = await tryOut({ device, type: "float32", dims: [1, 2, 3, 4], length: 4 });
      assert.equal(longer.failure, "Cannot trim a tensor of shape [1, 2, 3, 4] to 4 positions");
      const flat = await tryOut({ device, type: "float32", dims: [2, 3, 4], length: 1 });
      assert.equal(flat.failure, "Cannot trim a tensor of shape [2, 3, 4] to 1 positions");
    });
  });
}

describe("tensors on webgpu:software", { skip: skipWithoutGpu }, () => {
  it("that the GPU has no room for are an error, not zeros", async () => {
    const trial = { device: "webgpu:software", type: "float32", dims: [1, 1, 1, 4], length: 1, full: true } as const;
    assert.match((await tryOut(trial)).failure!, /^Cannot put 16 bytes on the GPU: /);
  });

  it("of 16 bits and an odd number of them in a row cannot be trimmed: a GPU copies whole words", async () => {
    const trial = { device: "webgpu:software", type: "float16", dims: [1, 2, 3, 5], length: 1 } as const;
    assert.match((await tryOut(trial)).failure!, /float16 and shape \[1, 2, 3, 5\]: its rows are no whole words$/);
  });
});
