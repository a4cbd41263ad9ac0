/** What is read of `config.json`, `generation_config.json`, `tokenizer_config.json` and `genai_config.json`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readTensorNames } from "../../src/model/files/genai_config.ts";
import { readModelConfig } from "../../src/model/files/model_config.ts";

const length = (config: Record<string, unknown>, tokenizer?: Record<string, unknown>): number =>
  readModelConfig({ config, tokenizer }).contextLength;

describe("readModelConfig", () => {
  for (
    const name of [
      "max_position_embeddings",
      "n_positions",
      "n_ctx",
      "max_seq_len",
      "max_sequence_length",
      "seq_length",
    ]
  ) {
    it(`takes the context's length from ${name}`, () => assert.equal(length({ [name]: 2048 }), 2048));
  }

  it("takes what concerns text from text_config, where a model has other modalities", () => {
    const config = {
      eos_token_id: 7,
      text_config: { max_position_embeddings: 512, num_attention_heads: 4, head_dim: 8 },
    };
    const read = readModelConfig({ config });
    assert.equal(read.contextLength, 512);
    assert.deepEqual(read.cache, { heads: 4, headSize: 8 });
    assert.deepEqual(read.endOfText, new Set([7]));
  });

  it("takes the tokenizer's limit where it is smaller, and is one", () => {
    assert.equal(length({ n_positions: 1024 }, { model_max_length: 512 }), 512);
    assert.equal(length({ n_positions: 1024 }, { model_max_length: 4096 }), 1024);
    assert.equal(length({ n_positions: 1024 }, { model_max_length: 1e30 }), 1024);
    assert.equal(length({ n_positions: 1024 }, { model_max_length: null }), 1024);
  });

  it("takes no sliding window for the context", () => {
    assert.equal(length({ max_position_embeddings: 32768, sliding_window: 4096 }), 32768);
  });

  for (
    const [what, config, expected] of [
      ["linear", { rope_scaling: { type: "linear", factor: 4 } }, 16384],
      ["yarn from the length noted", {
        rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 4096 },
      }, 16384],
      ["yarn whose length is already the long one", {
        rope_scaling: { rope_type: "yarn", factor: 4, original_max_position_embeddings: 1024 },
      }, 4096],
      ["llama3, whose length is the long one", { rope_scaling: { rope_type: "llama3", factor: 8 } }, 4096],
      ["gemma3, whose length is the long one", {
        model_type: "gemma3_text",
        rope_scaling: { rope_type: "linear", factor: 8 },
      }, 4096],
      ["under its newer name", { rope_parameters: { rope_type: "linear", factor: 2 } }, 8192],
      ["none", { rope_scaling: null }, 4096],
    ] as const
  ) {
    it(`lengthens it by scaled rotary positions: ${what}`, () => {
      assert.equal(length({ max_position_embeddings: 4096, ...config }), expected);
    });
  }

  for (
    const [what, config, expected] of [
      ["dynamic", { rope_scaling: { rope_type: "dynamic", factor: 2 } }, 4096],
      ["longrope", { rope_scaling: { type: "longrope" }, original_max_position_embeddings: 1024 }, 1024],
      [
        "longrope, where it is said",
        { rope_scaling: { type: "longrope", original_max_position_embeddings: 1024 } },
        1024,
      ],
      ["longrope in its newer place", {
        rope_parameters: { rope_type: "longrope", original_max_position_embeddings: 1024 },
      }, 1024],
      ["longrope that says no more", { rope_scaling: { type: "su", factor: 32 } }, 4096],
    ] as const
  ) {
    it(`ends where a longer text would turn the positions of all of it otherwise: ${what}`, () => {
      assert.equal(length({ max_position_embeddings: 4096, ...config }), expected);
    });
  }

  it("does without the cache's sizes, or computes them", () => {
    const cacheOf = (config: Record<string, unknown>) => readModelConfig({ config: { n_ctx: 8, ...config } }).cache;
    assert.deepEqual(cacheOf({}), { heads: undefined, headSize: undefined });
    assert.deepEqual(cacheOf({ n_head: 12, n_embd: 768 }), { heads: 12, headSize: 64 });
    assert.deepEqual(cacheOf({ num_attention_heads: 8, hidden_size: 100 }), { heads: 8, headSize: undefined });
    const grouped = { num_attention_heads: 8, num_key_value_heads: 2, hidden_size: 64, head_dim: 16 };
    assert.deepEqual(cacheOf(grouped), { heads: 2, headSize: 16 });
  });

  it("ends at each of several tokens, by generation_config first", () => {
    const config = { n_ctx: 8, eos_token_id: 1 };
    const ends = (files: object) => [...readModelConfig({ config, ...files }).endOfText];
    assert.deepEqual(ends({}), [1]);
    assert.deepEqual(ends({ generation: { eos_token_id: [3, 4] } }), [3, 4]);
    assert.deepEqual(ends({ genai: { model: { eos_token_id: [5, 6] } } }), [5, 6]);
    assert.deepEqual(ends({ generation: { eos_token_id: 2 }, genai: { model: { eos_token_id: 5 } } }), [2]);
    assert.deepEqual(ends({ generation: { eos_token_id: null } }), [1]);
  });

  it("tells how the model's makers would choose tokens", () => {
    const config = { n_ctx: 8 };
    const generation = {
      do_sample: true,
      temperature: 0.6,
      top_p: 0.95,
      top_k: 20,
      min_p: 0,
      repetition_penalty: 1.05,
    };
    const { sampling } = readModelConfig({ config, generation });
    assert.deepEqual(sampling, { temperature: 0.6, topP: 0.95, topK: 20, minP: 0, repetitionPenalty: 1.05 });
    const unsaid = { temperature: undefined, topP: undefined, topK: undefined, minP: undefined };
    const nothing = readModelConfig({ config, generation: { temperature: null } });
    assert.deepEqual(nothing.sampling, { ...unsaid, repetitionPenalty: undefined });
  });

  it("takes every class whose models go on from texts", () => {
    for (const name of ["GPT2LMHeadModel", "LlamaForCausalLM", "Gemma3ForConditionalGeneration", "ChatGLMModel"]) {
      assert.equal(length({ n_ctx: 8, architectures: [name] }), 8);
    }
  });

  it("takes the length from genai_config.json where config.json has none", () => {
    const genai = { model: { context_length: 4096 } };
    assert.equal(readModelConfig({ config: {}, genai }).contextLength, 4096);
  });

  for (
    const [what, files, message] of [
      [
        "a model that sees what it is asked about",
        { config: { n_ctx: 8, architectures: ["RobertaForMaskedLM"] } },
        /does not go on from texts: it is a RobertaForMaskedLM/,
      ],
      ["no length", { config: { hidden_size: 4 } }, /none of max_position_embeddings.* its entries are hidden_size/],
      ["a length of 0", { config: { n_ctx: 0 } }, /config\.json has no positive n_ctx: 0/],
      ["a length that is text", { config: { n_ctx: "8" } }, /no positive n_ctx: "8"/],
      ["half a head", { config: { n_ctx: 8, num_attention_heads: 0.5 } }, /no positive num_attention_heads: 0\.5/],
      ["an end that is a text", { config: { n_ctx: 8, eos_token_id: "</s>" } }, /not a token id: "<\/s>"/],
      ["an end below 0", { config: { n_ctx: 8, eos_token_id: [-1] } }, /not a token id: \[-1\]/],
      ["a temperature below 0", { config: { n_ctx: 8 }, generation: { temperature: -1 } }, /valid temperature: -1/],
      ["a nucleus above 1", { config: { n_ctx: 8 }, generation: { top_p: 1.5 } }, /valid top_p: 1\.5/],
      ["half a token", { config: { n_ctx: 8 }, generation: { top_k: 0.5 } }, /valid top_k: 0\.5/],
      [
        "a model that is a list",
        { config: { n_ctx: 8 }, genai: { model: [] } },
        /genai_config\.json has no object model/,
      ],
    ] as const
  ) {
    it(`refuses ${what}`, () => {
      assert.throws(() => readModelConfig(files), message);
    });
  }
});

describe("readTensorNames", () => {
  it("are Optimum's where nothing is said", () => {
    assert.deepEqual(readTensorNames(), {
      inputIds: "input_ids",
      attentionMask: "attention_mask",
      positionIds: "position_ids",
      past: ["past_key_values.%d.key", "past_key_values.%d.value"],
      present: ["present.%d.key", "present.%d.value"],
      logits: "logits",
    });
  });

  it("are those of genai_config.json", () => {
    const inputs = { input_ids: "ids", past_key_names: "past.%d.k" };
    const outputs = { logits: "scores", present_value_names: "now.%d.v" };
    const names = readTensorNames({ model: { decoder: { inputs, outputs } } });
    assert.equal(names.inputIds, "ids");
    assert.deepEqual(names.past, ["past.%d.k", "past_key_values.%d.value"]);
    assert.deepEqual(names.present, ["present.%d.key", "now.%d.v"]);
    assert.equal(names.logits, "scores");
  });

  it("refuses what is no name, and one without a place for the layer", () => {
    const named = (inputs: unknown) => () => readTensorNames({ model: { decoder: { inputs } } });
    assert.throws(named({ input_ids: 3 }), /no name inputs\.input_ids: 3/);
    assert.throws(named([]), /no name inputs\.input_ids/);
    assert.throws(named({ past_key_names: "past.key" }), /without one %d for the layer: "past\.key"/);
  });
});
