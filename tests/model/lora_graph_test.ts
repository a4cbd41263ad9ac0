import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, it } from "node:test";
import { linearLayers, nodeName, withLoraInputs } from "../../src/model/graph/lora_graph.ts";
import { fieldsOf, text } from "../../src/model/graph/onnx_wire.ts";
import { KJV_TINY } from "../support/models.ts";

const model = await fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
const query = "model.layers.0.self_attn.q_proj";

/** Names of the graph's inputs, as ONNX's own field numbers say. */
function graphInputs(bytes: Uint8Array): string[] {
  const graph = [...fieldsOf(bytes)].find((field) => field.number === 7)!;
  const inputs = [...fieldsOf(graph.payload)].filter((field) => field.number === 11);
  return inputs.map((input) => text([...fieldsOf(input.payload)].find((field) => field.number === 1)!));
}

describe("nodeName", () => {
  it("turns a PyTorch module path into the name its exporter gives the node", () => {
    assert.equal(nodeName(query), "/model/layers.0/self_attn/q_proj/MatMul");
    assert.equal(nodeName("model.layers.11.mlp.down_proj"), "/model/layers.11/mlp/down_proj/MatMul");
    assert.equal(nodeName("lm_head"), "/lm_head/MatMul");
  });
});

describe("linearLayers", () => {
  it("finds every MatMul with a stored matrix, and none that multiplies activations", () => {
    const layers = linearLayers(model);
    assert.equal(layers.size, 4 * 7 + 1);
    assert.deepEqual(layers.get(nodeName(query)), { inputSize: 160, outputSize: 160 });
    assert.deepEqual(layers.get("/model/layers.3/mlp/down_proj/MatMul"), { inputSize: 432, outputSize: 160 });
    assert.equal(layers.has("/model/layers.0/self_attn/MatMul"), false);
  });

  it("refuses bytes that are no model", () => {
    assert.throws(() => linearLayers(new Uint8Array()), /no graph: 0 bytes/);
    assert.throws(() => linearLayers(model.subarray(0, 100_000)), /cut short/);
  });
});

describe("withLoraInputs", () => {
  it("leaves a model without targets as it is, byte for byte", () => {
    assert.equal(withLoraInputs(model, linearLayers(model), []), model);
  });

  it("adds two inputs a module and copies no weight more than once", () => {
    const layers = linearLayers(model);
    const rewritten = withLoraInputs(model, layers, [query]);
    const added = graphInputs(rewritten).filter((name) => !graphInputs(model).includes(name));
    assert.deepEqual(added, [`${query}.lora_A`, `${query}.lora_B`]);
    assert.ok(rewritten.length - model.length < 2_000);
  });
});
