import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readAdapter, targetModules } from "../../src/model/adapter/peft.ts";
import { readScales } from "../../src/model/adapter/peft_config.ts";
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
  const scales = readScales(config);

  it("transposes A and B, and folds the scale into B", () => {
    assert.deepEqual(readAdapter(scales, tensors()).get(module), {
      rank: 2,
      inputSize: 3,
      outputSize: 1,
      a: new Float32Array([1, 4, 2, 5, 3, 6]),
      b: new Float32Array([40, 80]),
      scale: 4,
    });
  });

  it("knows a module by any of the names that PEFT and its users write", () => {
    const expected = readAdapter(scales, tensors());
    for (const [prefix, infix] of [["", ""], ["", ".default"], ["base_model.model.", ".default"]]) {
      const renamed = Array.from(tensors(), ([name, tensor]) => {
        const matrix = /lora_[AB]/.exec(name)![0];
        return [`${prefix}${module}.${matrix}${infix}.weight`, tensor] as const;
      });
      assert.deepEqual(readAdapter(scales, renamed), expected);
    }
  });

  const matrix = (shape: number[], ...data: number[]): FloatTensor => ({ shape, data: new Float32Array(data) });
  const one = matrix([1], 1);
  for (
    const [what, changes, message] of [
      ["a module without B", { [nameOf("B")]: undefined }, /tensor is missing: lora_B of model.*up_proj/],
      ["a module without A", { [nameOf("A")]: undefined }, /tensor is missing: lora_A of model.*up_proj/],
      ["a rank that A and B do not share", { [nameOf("B")]: matrix([2, 1], 1, 2) }, /do not fit: \[2,3\] and \[2,1\]/],
      ["a vector", { [nameOf("A")]: matrix([6], 1, 2, 3, 4, 5, 6) }, /is not a matrix: \[6\]/],
      ["a weight that is not a number", { [nameOf("B")]: matrix([1, 2], 1, NaN) }, /not a number: NaN/],
      ["an infinite weight", { [nameOf("B")]: matrix([1, 2], Infinity, 1) }, /not a number: Infinity/],
      [
        "a module that is there under two names",
        { [`${module}.lora_A.default.weight`]: matrix([2, 3], 1, 2, 3, 4, 5, 6) },
        /up_proj has lora_A twice/,
      ],
      ["an embedding's adapter", { "base_model.model.embed.lora_embedding_A": one }, /embed.*; adapters of embeddings/],
      [
        "DoRA's magnitudes",
        { [`base_model.model.${module}.lora_magnitude_vector`]: one },
        /; DoRA \(use_dora\) are not/,
      ],
      ["an adapter's bias", { [`base_model.model.${module}.lora_B.bias`]: one }, /; biases of adapters \(lora_bias\)/],
      ["a trained bias", { "base_model.model.proj.bias": one }, /; trained biases \(bias\)/],
      ["a trained copy of a module", { "base_model.model.lm_head.weight": one }, /; trained copies of modules/],
      ["an adapter of another name", { [`${module}.lora_A.other.weight`]: one }, /; adapters of another name/],
      ["what is no adapter's at all", { "optimizer.step": one }, /not supported: optimizer.step$/],
      ["no tensors", { [nameOf("A")]: undefined, [nameOf("B")]: undefined }, /no LoRA tensors/],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readAdapter(scales, tensors(changes)), message);
    });
  }
});

describe("readScales", () => {
  it("is alpha / r, or alpha / sqrt(r) for rsLoRA", () => {
    assert.equal(readScales(config)(module, 2), 4);
    assert.equal(readScales({ ...config, use_rslora: true })(module, 2), 8 / Math.SQRT2);
  });

  it("has ranks and alphas by module, the first pattern first", () => {
    const scaleOf = readScales({
      ...config,
      rank_pattern: { up_proj: 4, "layers.0.mlp.up_proj": 16 },
      alpha_pattern: { "mlp.*": 2, up_proj: 100 },
    });
    assert.equal(scaleOf(module, 4), 2 / 4);
    assert.equal(scaleOf("model.layers.0.self_attn.q_proj", 2), 8 / 2);
  });

  it("takes patterns as PEFT does: regular expressions for a whole path, or for the end of one after a dot", () => {
    const matches = (pattern: string, path: string): boolean =>
      readScales({ ...config, alpha_pattern: { [pattern]: 2 } })(path, 2) === 1;
    assert.ok(matches("up_proj", "up_proj"));
    assert.ok(matches("up_proj", module));
    assert.ok(matches("layers\\.[01]\\.mlp\\..*", module));
    assert.ok(matches("(?P<name>up|down)_proj", module));
    assert.ok(matches("^model.layers.0.mlp.up_proj", module));
    assert.ok(!matches("p_proj", module));
    assert.ok(!matches("mlp", module));
    assert.ok(!matches("^layers.0.mlp.up_proj", module));
  });

  it("minds neither the orientation of the base's weights, nor which modules were targeted, nor how they were begun", () => {
    for (
      const changes of [
        { fan_in_fan_out: true },
        { target_modules: ["q_proj"], exclude_modules: ["k_proj"] },
        { target_modules: ".*_proj" },
        { target_modules: "all-linear", layers_to_transform: [0] },
        { init_lora_weights: "gaussian" },
        { rank_pattern: null, alpha_pattern: {} },
      ]
    ) {
      assert.equal(readScales({ ...config, ...changes })(module, 2), 4);
    }
  });

  for (
    const [what, changes, message] of [
      ["another kind of adapter", { peft_type: "IA3" }, /peft_type is not LORA: "IA3"/],
      ["DoRA", { use_dora: true }, /use_dora is not supported: true/],
      ["biases beside A and B", { lora_bias: true }, /lora_bias is not supported/],
      [
        "trained copies of modules",
        { modules_to_save: ["lm_head"] },
        /modules_to_save is not supported: \["lm_head"\]/,
      ],
      ["trained biases", { bias: "lora_only" }, /bias is not supported: "lora_only"/],
      ["trained tokens", { trainable_token_indices: [5] }, /trainable_token_indices is not supported/],
      ["layers that are there twice", { layer_replication: [[0, 2]] }, /layer_replication is not supported/],
      ["an initialisation that changed the base", { init_lora_weights: "pissa_niter_16" }, /init_lora_weights is not/],
      ["a missing alpha", { lora_alpha: undefined }, /lora_alpha is not a number: undefined/],
      ["a rank that is no number", { r: "8" }, /r is not a number: "8"/],
      ["a pattern of no numbers", { rank_pattern: { up_proj: "8" } }, /rank_pattern of "up_proj" is not a number: "8"/],
      ["a pattern that is none", { alpha_pattern: { "(": 8 } }, /alpha_pattern of "\(" is no regular expression/],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readScales({ ...config, ...changes }), message);
    });
  }

  it("refuses a rank that is not the tensors', in a pattern too", () => {
    assert.throws(() => readScales({ ...config, r: 4 })(module, 2), /up_proj has tensors of rank 2: its r is 4/);
    assert.throws(() => readScales({ ...config, rank_pattern: { up_proj: 3 } })(module, 2), /rank 2: its r is 3/);
  });
});

describe("targetModules", () => {
  it("names each adapted module once and passes over the rest", () => {
    assert.deepEqual([...targetModules([nameOf("A"), nameOf("B"), "lm_head.weight"])], [module]);
  });
});
