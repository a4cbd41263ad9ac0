import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, it } from "node:test";
import { linearLayers } from "../../src/model/graph/layer_search.ts";
import { withLoraInputs } from "../../src/model/graph/lora_graph.ts";
import { type Graph, readGraph } from "../../src/model/graph/onnx_graph.ts";
import { fieldsOf, text } from "../../src/model/graph/onnx_wire.ts";
import { KJV_TINY } from "../support/models.ts";
import { exportLlama, randomLlama } from "../support/tiny_llama.ts";

const model = await fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
const query = "model.layers.0.self_attn.q_proj";

/** Names of the graph's inputs, as ONNX's own field numbers say. */
function graphInputs(bytes: Uint8Array): string[] {
  const graph = [...fieldsOf(bytes)].find((field) => field.number === 7)!;
  const inputs = [...fieldsOf(graph.payload)].filter((field) => field.number === 11);
  return inputs.map((input) => text([...fieldsOf(input.payload)].find((field) => field.number === 1)!));
}

describe("withLoraInputs", () => {
  it("leaves a model without targets as it is, byte for byte", () => {
    assert.equal(withLoraInputs(model, linearLayers(model), []), model);
  });

  it("adds two inputs a layer and copies no weight more than once", () => {
    const rewritten = withLoraInputs(model, linearLayers(model), [query]);
    const added = graphInputs(rewritten).filter((name) => !graphInputs(model).includes(name));
    assert.deepEqual(added, [`${query}.lora_A`, `${query}.lora_B`]);
    assert.ok(rewritten.length - model.length < 2_000);
  });

  it("puts the branch behind the layer, under the name that its output had", () => {
    const before = readGraph(model).nodes;
    const after = readGraph(withLoraInputs(model, linearLayers(model), [query])).nodes;
    const place = before.findIndex(({ name }) => name === "/model/layers.0/self_attn/q_proj/MatMul");
    const { inputs: [input], outputs: [output] } = before[place]!;
    assert.equal(after.length, before.length + 3);
    const [base, down, up, sum] = after.slice(place, place + 4);
    assert.notEqual(base!.outputs[0], output);
    assert.deepEqual(down!.inputs, [input, `${query}.lora_A`]);
    assert.deepEqual(up!.inputs, [down!.outputs[0], `${query}.lora_B`]);
    assert.deepEqual([sum!.operator, sum!.inputs], ["Add", [base!.outputs[0], up!.outputs[0]]]);
    assert.deepEqual(sum!.outputs, [output]);
    assert.deepEqual(
      after.slice(place + 4).map(({ outputs }) => outputs),
      before.slice(place + 1).map((node) => node.outputs),
    );
  });

  it("adds a branch in each graph that computes the layer, and the inputs once", () => {
    const merged = exportLlama(randomLlama(), { layout: "merged" }).graph;
    const rewritten = withLoraInputs(merged, linearLayers(merged), [query]);
    assert.equal(graphInputs(rewritten).filter((name) => name.startsWith(query)).length, 2);
    const readers = ({ nodes }: Graph): number => {
      const own = nodes.filter(({ inputs }) => inputs.includes(`${query}.lora_A`)).length;
      return own + nodes.flatMap(({ graphs }) => graphs).reduce((sum, graph) => sum + readers(graph), 0);
    };
    assert.equal(readers(readGraph(rewritten)), 2);
  });
});
