import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LoraMatrices } from "../../src/model/adapter/peft.ts";
import { placeAdapter } from "../../src/model/adapter/placement.ts";
import { type LinearLayer, LinearLayers } from "../../src/model/graph/linear_layers.ts";

const layer = (name: string, outputSize: number, attention?: readonly number[]): LinearLayer => {
  return { name, inputSize: 2, outputSize, type: "float32", sites: [], ...(attention && { attention }) };
};
const matrices = (rank: number, outputSize: number, a: number[], b: number[]): LoraMatrices => {
  return { rank, inputSize: 2, outputSize, a: Float32Array.from(a), b: Float32Array.from(b), scale: 1 };
};

describe("placeAdapter", () => {
  it("leaves a module's matrices as they are where a layer computes it alone", () => {
    const own = layer("net.proj", 3);
    const proj = matrices(1, 3, [1, 2], [3, 4, 5]);
    const [placed] = placeAdapter([["net.proj", proj]], new LinearLayers([own]));
    assert.deepEqual(placed, { layer: own, rank: 1, a: proj.a, b: proj.b });
    assert.equal(placed!.a, proj.a);
  });

  it("puts the ranks of modules that are computed together behind each other, each with its own columns", () => {
    const layers = new LinearLayers([layer("net.qkv_proj", 4, [2, 1, 1])]);
    const adapter = [
      ["net.v_proj", matrices(1, 1, [1, 2], [3])],
      ["net.q_proj", matrices(2, 2, [4, 5, 6, 7], [8, 9, 10, 11])],
    ] as const;
    const [{ rank, a, b }, ...rest] = placeAdapter(adapter, layers) as [ReturnType<typeof placeAdapter>[0]];
    assert.deepEqual(rest, []);
    assert.equal(rank, 3);
    // deno-fmt-ignore -- rows
    assert.deepEqual([...a], [1, 4, 5,
                              2, 6, 7]);
    // deno-fmt-ignore -- rows
    assert.deepEqual([...b], [0, 0, 0, 3,
                              8, 9, 0, 0,
                              10, 11, 0, 0]);
  });

  it("gives each layer its columns of a module that is computed apart", () => {
    const layers = new LinearLayers([layer("net.gate_proj", 2), layer("net.up_proj", 1)]);
    const placed = placeAdapter([["net.gate_up_proj", matrices(1, 3, [1, 2], [3, 4, 5])]], layers);
    assert.deepEqual(placed.map(({ layer, a, b }) => [layer.name, [...a], [...b]]), [
      ["net.gate_proj", [1, 2], [3, 4]],
      ["net.up_proj", [1, 2], [5]],
    ]);
  });

  it("names the first module that the base lacks, or has in another shape", () => {
    const layers = new LinearLayers([layer("net.qkv_proj", 4, [2, 1, 1]), layer("net.proj", 3)]);
    const place = (module: string, outputSize: number) => () => {
      placeAdapter([[module, matrices(1, outputSize, [1, 2], new Array(outputSize).fill(0))]], layers);
    };
    assert.throws(place("net.o_proj", 1), /the base has no linear layer net\.o_proj/);
    assert.throws(place("net.proj", 4), /net\.proj of the base goes from 2 to 3: the adapter's from 2 to 4/);
    assert.throws(place("net.k_proj", 2), /net\.k_proj of the base goes from 2 to 1: the adapter's from 2 to 2/);
  });

  it("refuses two modules that are one of the base's", () => {
    const layers = new LinearLayers([layer("net.qkv_proj", 4, [2, 1, 1])]);
    const whole = matrices(1, 4, [1, 2], [1, 2, 3, 4]);
    const part = matrices(1, 2, [1, 2], [1, 2]);
    assert.throws(
      () => placeAdapter([["net.qkv_proj", whole], ["net.q_proj", part]], layers),
      /net\.q_proj and net\.qkv_proj are one module of the base/,
    );
  });
});
