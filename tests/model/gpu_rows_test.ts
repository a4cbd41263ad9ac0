/** GpuRows: what a shader finds in rows of logits, on a GPU that the CPU plays, against a search in float64. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Distribution } from "../../src/model/generation/distribution.ts";
import { runFailure } from "../../src/model/failure.ts";
import { ReducedRow, type RowsWanted, WholeRow } from "../../src/model/generation/row.ts";
import type { FloatType } from "../../src/model/worker/tensors.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { fromHalf, halfBits } from "../support/onnx_builder.ts";
import { seededRandom } from "../support/random.ts";
import type { Search, SearchOutcome } from "./gpu_rows_worker.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();

/** Searches in a process of its own. */
async function search(what: Search): Promise<SearchOutcome> {
  const worker = runtime.spawnProcess!(new URL("./gpu_rows_worker.ts", import.meta.url), "search of rows");
  try {
    return await new Promise((resolve, reject) => {
      worker.onMessage((outcome) => resolve(outcome as SearchOutcome));
      worker.onFailure(reject);
      worker.post(what);
    });
  } finally {
    worker.terminate();
  }
}

/** Numbers as bits of a type, and as that type has them. */
function typed(type: FloatType, numbers: readonly number[]): Pick<Search, "type" | "bits"> & { exact: Float32Array } {
  if (type === "float32") {
    const exact = Float32Array.from(numbers);
    return { type, bits: new Uint32Array(exact.buffer), exact };
  }
  const bits = Uint16Array.from(numbers, halfBits);
  return { type, bits, exact: Float32Array.from(bits, fromHalf) };
}

/** Logits between -20 and 20, many of them equal, some that cannot come. */
function randomLogits(count: number): number[] {
  const random = seededRandom(count);
  return Array.from({ length: count }, () => random() < 0.05 ? -Infinity : Math.round((random() - 0.5) * 400) / 10);
}

/** Compares what was found in every row with a search on the CPU. */
async function assertFinds(type: FloatType, numbers: readonly number[], size: number, wanted: RowsWanted) {
  const { exact, ...given } = typed(type, numbers);
  const { rows, failure } = await search({ ...given, size, wanted });
  assert.equal(failure, undefined);
  const { rows: count = 1, top = 1, ids = [], whole } = wanted;
  assert.equal(rows.length, count);
  for (const [index, row] of rows.entries()) {
    const start = exact.length - (count - index) * size;
    const expected = new WholeRow(exact.subarray(start, start + size));
    assert.equal(row.highest, expected.highest);
    assert.ok(Math.abs(row.logSum - expected.logSum) < 1e-6, `${row.logSum}, not ${expected.logSum}`);
    // A zero has no sign there.
    assert.deepEqual(row.top, expected.likeliest(top).map((id) => [id, expected.at(id) + 0]));
    if (ids[index] !== undefined) assert.equal(row.asked, expected.at(ids[index]));
    const isWhole = whole === "all" || (whole === "last" && index === count - 1);
    assert.deepEqual(row.whole, isWhole ? expected.whole() : undefined);
  }
}

describe("GpuRows", { skip: skipWithoutGpu }, () => {
  for (const type of ["float32", "float16"] as const) {
    it(`finds the highest of a row, in order, and the sum of all: ${type}`, async () => {
      await assertFinds(type, randomLogits(5001), 5001, { whole: "none", top: 64 });
    });

    it(`finds in each of the last rows its own token, wherever rows begin: ${type}`, async () => {
      const ids = [0, 2047, 2048, 2998, 1234];
      await assertFinds(type, randomLogits(9 * 2999), 2999, { rows: 6, whole: "none", top: 3, ids });
    });

    it(`brings back the last row, or every one, as it is: ${type}`, async () => {
      await assertFinds(type, randomLogits(5 * 333), 333, { rows: 3, whole: "last", ids: [1, 2] });
      await assertFinds(type, randomLogits(5 * 333), 333, { rows: 4, whole: "all", top: 2 });
    });
  }

  it("looks through a large vocabulary, parts of which say little", async () => {
    await assertFinds("float16", randomLogits(151_936), 151_936, { whole: "none", top: 20, ids: [151_935] });
  });

  it("tells a vocabulary of one token apart, and one that fills its last part", async () => {
    await assertFinds("float32", [3.5], 1, { whole: "none", top: 2 });
    await assertFinds("float32", randomLogits(4096), 4096, { whole: "none", top: 2, ids: [4095] });
  });

  it("is exact where numbers are huge, tiny or signed zeros", async () => {
    const numbers = [3e38, -3e38, 1e-40, 0, -0, 3e38, -1e-40, 2.9e38];
    await assertFinds("float32", numbers, numbers.length, { whole: "none", top: 8, ids: [1] });
    const halves = [65504, -65504, 2 ** -24, 0, -0, 65504, -(2 ** -24), 1023 * 2 ** -24];
    await assertFinds("float16", halves, halves.length, { whole: "none", top: 8, ids: [2] });
  });

  it("lists no token that cannot come, though fewer are left than were asked for", async () => {
    const numbers = [-Infinity, 1, -Infinity, 2, -Infinity];
    await assertFinds("float32", numbers, numbers.length, { whole: "none", top: 4, ids: [0] });
  });

  for (const [name, broken] of [["NaN", NaN], ["infinity", Infinity], ["nothing that can come", -Infinity]] as const) {
    it(`sees rows that are no distribution: ${name}`, async () => {
      const numbers = randomLogits(2500).map((number, index) => {
        return broken === -Infinity ? broken : index === 2400 ? broken : number;
      });
      for (const type of ["float32", "float16"] as const) {
        const { rows } = await search({ ...typed(type, numbers), size: 2500, wanted: { whole: "none" } });
        assert.equal(rows[0]!.highest, broken);
        const row = new ReducedRow({ ...rows[0]!, asked: [0, 0], topWanted: 1, size: 2500 });
        assert.throws(() => new Distribution(row), { code: "invalid_request" });
      }
    });
  }

  it("makes its buffers once, and keeps no large ones", async () => {
    const { exact: _, ...small } = typed("float32", randomLogits(3000));
    const ten = await search({ ...small, size: 3000, wanted: { whole: "none", top: 4 }, times: 10 });
    assert.equal(ten.buffers, 4);
    assert.ok(ten.left < 2000, `${ten.left} bytes are kept`);
    const { exact: __, ...large } = typed("float32", randomLogits(600_000));
    const once = await search({ ...large, size: 300_000, wanted: { rows: 2, whole: "all" } });
    assert.ok(once.left < 2 ** 21, `${once.left} bytes are kept`);
  });

  it("looks through more rows than a shader may be given at once, a few at a time", async () => {
    const size = 200_000;
    const { exact, ...given } = typed("float32", randomLogits(3 * size));
    // 138 MB: devices need not let a shader see more than 134 at once, and neither do some.
    const rows = 172;
    const ids = Array.from({ length: rows }, (_, row) => row * 1000);
    const { rows: found, failure, largest } = await search({
      ...given,
      size,
      repeated: 58,
      wanted: { rows, whole: "none", top: 2, ids },
    });
    assert.equal(failure, undefined);
    assert.equal(found.length, rows);
    for (const [index, { highest, asked, top }] of found.entries()) {
      const start = (2 + index) % 3 * size;
      const row = new WholeRow(exact.subarray(start, start + size));
      assert.deepEqual([highest, asked, top.map(([id]) => id)], [
        row.highest,
        row.at(ids[index]!) + 0,
        row.likeliest(2),
      ]);
    }
    assert.ok(largest <= 2 ** 23, `${largest} bytes in one buffer`);
  });

  it("takes no more room on the device for a long text's whole rows than for a few", async () => {
    const size = 45_001;
    const { exact, ...given } = typed("float16", randomLogits(99 * size));
    const wanted = { rows: 98, whole: "all", ids: [7] } as const;
    const { rows, failure, largest } = await search({ ...given, size, wanted });
    assert.equal(failure, undefined);
    for (const [index, { whole }] of rows.entries()) {
      assert.deepEqual(whole, exact.subarray((index + 1) * size, (index + 2) * size));
    }
    assert.ok(largest <= 2 ** 23, `${largest} bytes in one buffer`);
  });

  it("holds no more for a row that stays than the row says that it takes", async () => {
    const { exact: _, ...given } = typed("float16", randomLogits(10 * 3000));
    const { unsaid } = await search({ ...given, size: 3000, wanted: { rows: 10, whole: "all" }, times: 2 });
    assert.ok(unsaid <= 0, `${unsaid} bytes more than it says`);
  });

  it("gives probabilities, though the device's exponential is a little too small", async () => {
    const { exact: _, ...given } = typed("float32", [7, -300, -400]);
    const { rows } = await search({ ...given, size: 3, wanted: { whole: "none" }, exponential: 0.9999998 });
    assert.equal(rows[0]!.logSum, 0);
  });

  it("says so when the GPU has no room", async () => {
    const { exact: _, ...given } = typed("float32", randomLogits(3000));
    const asking = { ...given, size: 3000, wanted: { whole: "last" }, roomBelow: 8192 } as const;
    const { failure } = await search(asking);
    assert.match(failure!, /^Cannot make a buffer of 16384 bytes on the GPU: /);
    const { failure: full } = await search({ ...asking, isFull: true });
    assert.equal(runFailure(new Error(full)).code, "out_of_memory", full ?? "");
  });

  it("refuses to look for more than it has room for", async () => {
    const { exact: _, ...given } = typed("float32", [1, 2]);
    const { failure } = await search({ ...given, size: 2, wanted: { whole: "none", top: 65 } });
    assert.equal(failure, "Cannot find the 65 highest of a row");
  });
});

describe("ReducedRow", () => {
  const top = [[7, 3], [2, 2.5]] as const;
  const row = new ReducedRow({ size: 100, highest: 3, logSum: 1, top, topWanted: 2, asked: [50, -4] });

  it("knows the tokens that were asked for, and no others", () => {
    assert.deepEqual([row.at(7), row.at(2), row.at(50)], [3, 2.5, -4]);
    assert.throws(() => row.at(1), /logit of token 1 was not asked for/);
    assert.deepEqual(row.likeliest(1), [7]);
    assert.throws(() => row.likeliest(3), /not asked for: 3, not 2/);
    assert.throws(() => row.whole(), /not asked for in full/);
  });

  it("gives them to choose among in the order of ids, as a whole row would", () => {
    assert.deepEqual(row.candidates(), { ids: Uint32Array.of(2, 7), logits: Float32Array.of(2.5, 3) });
  });

  it("knows that no other can come when fewer were found than asked for", () => {
    const few = new ReducedRow({ size: 100, highest: 3, logSum: 1, top, topWanted: 5 });
    assert.deepEqual(few.likeliest(50), [7, 2]);
  });

  it("is the whole row where that was brought back, read when it is needed", () => {
    let reads = 0;
    const read = (): Float32Array => {
      reads++;
      return Float32Array.of(1, 5, 3);
    };
    const whole = new ReducedRow({
      size: 3,
      highest: 5,
      logSum: 1,
      top: [[1, 5]],
      topWanted: 1,
      all: read,
    });
    assert.equal(reads, 0);
    assert.equal(whole.bytes, 3 * 4 + 16);
    assert.deepEqual([whole.at(2), whole.likeliest(2), [...whole.candidates().logits]], [3, [1, 2], [1, 5, 3]]);
    assert.equal(reads, 1);
  });
});
