/** The large model of the benchmarks, in small: it runs, and it is as large as was asked for. */

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { before, describe, it } from "node:test";
import type { NextToken } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { makeBigModel } from "../support/big_model.ts";
import { KJV_TINY, resolveBase } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

const BYTES = 60e6;

async function answerOf(path: string): Promise<NextToken> {
  const backend = await loadOnnxBackend(await loadRuntime(), await resolveBase(path));
  try {
    return await backend.baseView().nextToken({ text: "And Moses said unto" }, { topK: 5 });
  } finally {
    await backend.close();
  }
}

describe("makeBigModel", () => {
  let folder: string;
  before(async () => void (folder = await temporaryFolder()));

  it("makes a model of the size that is wanted, which answers with numbers of its own", async () => {
    const path = await makeBigModel(folder, "big", { bytes: BYTES });
    const { size } = await stat(`${path}/onnx/model.onnx`);
    assert.ok(Math.abs(size - BYTES) < 10_000, String(size));
    const { logprobs, vocabularySize } = await answerOf(path);
    assert.equal(vocabularySize, 2048);
    assert.ok(logprobs.every(Number.isFinite), String(logprobs));
    assert.notDeepEqual(logprobs, (await answerOf(KJV_TINY)).logprobs);
  });

  it("makes the same one of the same seed, and another of another", async () => {
    const digests = [];
    for (const [name, seed] of [["one", 1], ["same", 1], ["other", 2]] as const) {
      const base = await resolveBase(await makeBigModel(folder, name, { bytes: 20e6, seed }));
      digests.push(base.files.graph.sha256);
    }
    assert.equal(digests[0], digests[1]);
    assert.notEqual(digests[0], digests[2]);
  });

  it("refuses to make one that is hardly larger than the example model", async () => {
    await assert.rejects(makeBigModel(folder, "small", { bytes: 10e6 }), RangeError);
  });
});
