/** What follows the encoder, as `modules.json` says. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readModules } from "../../src/model/embedding/sentence_modules.ts";
import { modulesJson } from "../support/tiny_bert.ts";

const json = (...names: string[]): string => JSON.stringify(modulesJson(...names));

describe("readModules", () => {
  it("reads whether vectors are normalised", () => {
    assert.deepEqual(readModules(json("Transformer", "Pooling", "Normalize"), false), { normalises: true });
    assert.deepEqual(readModules(json("Transformer", "Pooling"), false), { normalises: false });
  });

  it("knows modules wherever Sentence Transformers keeps them", () => {
    const types = ["base.modules.transformer.Transformer", "sentence_transformer.modules.Pooling"];
    const text = JSON.stringify(types.map((type) => ({ type: `sentence_transformers.${type}` })));
    assert.deepEqual(readModules(text, false), { normalises: false });
  });

  for (
    const [what, text, message] of [
      ["a Dense", json("Transformer", "Pooling", "Dense", "Normalize"), /module that is not supported: Dense/],
      ["a LayerNorm", json("Transformer", "Pooling", "LayerNorm"), /not supported: LayerNorm/],
      [
        "one from elsewhere",
        JSON.stringify([{ type: "custom_st.Transformer" }]),
        /not supported: custom_st\.Transformer/,
      ],
      [
        "none that pools",
        json("Transformer", "Normalize"),
        /does not say Transformer, Pooling, Normalize: Transformer, N/,
      ],
      ["another order", json("Pooling", "Transformer"), /does not say Transformer, Pooling: Pooling, Transformer/],
      ["no modules", json(), /does not say Transformer, Pooling: /],
      ["no list", "{}", /holds no list of modules: \{\}/],
      ["a module without a type", "[{}]", /holds no list of modules/],
      ["half a file", "[", /modules\.json is not JSON/],
    ] as const
  ) it(`refuses ${what}`, () => assert.throws(() => readModules(text, false), message));

  it("leaves what a graph has inside to the graph", () => {
    const modules = json("Transformer", "Pooling", "Dense", "Normalize");
    assert.deepEqual(readModules(modules, true), { normalises: true });
    assert.deepEqual(readModules(json("Transformer", "Pooling", "Dense"), true), { normalises: false });
  });
});
