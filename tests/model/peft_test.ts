import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readAdapter, targetModules } from "../../src/model/adapter/peft.ts";
import type { FloatTensor } from "../../src/model/adapter/safetensors.ts";

const config = { peft_type: "LORA", r: 2, lora_alpha: 8, bias: "none" };
const module = "model.layers.0.mlp.up_proj";
const nameOf = (matrix: string): string => `base_model.model.${module}.lora_${matrix}.weight`;

/** A of [rank 2, 3 inputs], B of [1 output, rank 2]. */
function tensors(changes: Readonly<Record<string, FloatTensor | undefined>> = {}): Map<string, FloatTensor> {
  const all = {
    [nameOf("A")]: { shape: [2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
    [nameOf("B")]: { shape: [1, 2], data: new Float32Array([10, 20]) },
    ...changes,
  };
  return new Map(Object.entries(all).filter((entry): entry is [string, FloatTensor] => entry[1] !== undefined));
}

describe("readAdapter", () => {
  it("transposes A and B, and folds alpha / r into B", () => {
    assert.deepEqual(readAdapter(config, tensors()).get(module), {
      rank: 2,
      inputSize: 3,
      outputSize: 1,
      a: new Float32Array([1, 4, 2, 5, 3, 6]),
      b: new Float32Array([40, 80]),
    });
  });

  it("scales by alpha / sqrt(r) for rsLoRA", () => {
    const adapter = readAdapter({ ...config, use_rslora: true }, tensors());
    assert.deepEqual(adapter.get(module)!.b, new Float32Array([80 / Math.SQRT2, 160 / Math.SQRT2]));
  });

  it("takes the rank from the tensors where the configuration gives a pattern", () => {
    const adapter = readAdapter({ ...config, r: 16, rank_pattern: { up_proj: 2 } }, tensors());
    assert.deepEqual(adapter.get(module)!.b, new Float32Array([40, 80]));
  });

  for (
    const [what, changes, message] of [
      ["another kind of adapter", { peft_type: "IA3" }, /peft_type is not LORA: "IA3"/],
      ["DoRA", { use_dora: true }, /use_dora is not supported: true/],
      ["trained copies of modules", { modules_to_save: ["lm_head"] }, /modules_to_save is not supported/],
      ["trained biases", { bias: "lora_only" }, /bias is not supported: "lora_only"/],
      ["transposed layers", { fan_in_fan_out: true }, /fan_in_fan_out is not supported/],
      ["a scale per module", { alpha_pattern: { up_proj: 4 } }, /alpha_pattern is not supported/],
      ["an initialisation that changed the base", { init_lora_weights: "pissa_niter_16" }, /init_lora_weights/],
      ["a missing alpha", { lora_alpha: undefined }, /lora_alpha is not a number: undefined/],
      ["a rank that is not the tensors'", { r: 4 }, /r is not the rank of the tensors, 2: 4/],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readAdapter({ ...config, ...changes }, tensors()), message);
    });
  }

  const matrix = (shape: number[], ...data: number[]): FloatTensor => ({ shape, data: new Float32Array(data) });
  for (
    const [what, changes, message] of [
      ["a module without B", { [nameOf("B")]: undefined }, /tensor is missing: .*up_proj\.lora_B\.weight/],
      ["a rank that A and B do not share", { [nameOf("B")]: matrix([2, 1], 1, 2) }, /do not fit: \[2,3\] and \[2,1\]/],
      ["a vector", { [nameOf("A")]: matrix([6], 1, 2, 3, 4, 5, 6) }, /is not a matrix: \[6\]/],
      ["a weight that is not a number", { [nameOf("B")]: matrix([1, 2], 1, NaN) }, /not a number: NaN/],
      ["an infinite weight", { [nameOf("B")]: matrix([1, 2], Infinity, 1) }, /not a number: Infinity/],
      [
        "an embedding's adapter",
        { "base_model.model.embed.lora_embedding_A": matrix([1], 1) },
        /not supported: .*embed/,
      ],
      ["no tensors", { [nameOf("A")]: undefined, [nameOf("B")]: undefined }, /no LoRA tensors/],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readAdapter(config, tensors(changes)), message);
    });
  }
});

describe("targetModules", () => {
  it("names each adapted module once and passes over the rest", () => {
    assert.deepEqual([...targetModules([nameOf("A"), nameOf("B"), "lm_head.weight"])], [module]);
  });
});
