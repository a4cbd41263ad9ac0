/** Graphs that are told of how many tokens logits are wanted. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LOGITS_FROM, withLogitsWindow } from "../../src/model/graph/logits_window.ts";
import { fieldsOf, text } from "../../src/model/graph/onnx_wire.ts";
import { GraphBuilder } from "../support/onnx_builder.ts";
import { exportLlama, type LlamaExport, randomLlama } from "../support/tiny_llama.ts";

const [GRAPH, INPUT, NAME] = [7, 11, 1];

function inputsOf(model: Uint8Array): string[] {
  const graph = fieldsOf(model).find(({ number }) => number === GRAPH)!.payload;
  return fieldsOf(graph).filter(({ number }) => number === INPUT)
    .map(({ payload }) => text(fieldsOf(payload).find(({ number }) => number === NAME)!)).toArray();
}

/** A graph whose logits are made of a product by one more operation. */
function withHead(head: (graph: GraphBuilder, product: string) => void): Uint8Array {
  const graph = new GraphBuilder();
  graph.input("x", "float32", [1, "length", 2]);
  head(graph, graph.node("MatMul", ["x", graph.floats("w", "float32", [2, 2], [1, 2, 3, 4])]));
  graph.output("logits", "float32", [1, "length", 2]);
  return graph.finish().graph;
}

describe("withLogitsWindow", () => {
  const llama = randomLlama();
  const windowed = (options: LlamaExport): boolean =>
    inputsOf(withLogitsWindow(exportLlama(llama, options).graph)).includes(LOGITS_FROM);

  for (const dtype of ["fp32", "fp16", "q4", "q4f16"] as const) {
    it(`gives a graph the input: ${dtype}`, () => {
      assert.ok(windowed({ layout: "optimum", dtype }));
      assert.ok(windowed({ layout: "genai", dtype }));
      assert.ok(windowed({ layout: "no-cache", dtype }));
    });
  }

  it("does so where the logits are scaled, capped or have a bias", () => {
    const scale = (graph: GraphBuilder): string => graph.floats("scale", "float32", [], [30]);
    const capped = withHead((graph, product) => {
      const tanh = graph.node("Tanh", [graph.node("Div", [product, scale(graph)])]);
      graph.node("Mul", [tanh, scale(graph)], { outputs: ["logits"] });
    });
    assert.ok(inputsOf(withLogitsWindow(capped)).includes(LOGITS_FROM));
    const biased = withHead((graph, product) => {
      graph.node("Add", [product, graph.floats("bias", "float32", [2], [1, 2])], { outputs: ["logits"] });
    });
    assert.ok(inputsOf(withLogitsWindow(biased)).includes(LOGITS_FROM));
  });

  it("leaves a graph as it is that has such an input, or whose logits it cannot cut", () => {
    const has = exportLlama(llama, { layout: "optimum", logitsToKeep: true }).graph;
    assert.deepEqual(withLogitsWindow(has), has);
    // 8-bit inputs are rounded by what all rows of a run have in common.
    assert.ok(!windowed({ layout: "optimum", dtype: "int8" }));
    assert.ok(!windowed({ layout: "merged" }));
  });

  it("leaves one whose tokens are looked at together behind the product", () => {
    const together = withHead((graph, product) => graph.node("Softmax", [product], { outputs: ["logits"] }));
    assert.deepEqual(withLogitsWindow(together), together);
    const added = withHead((graph, product) => graph.node("Add", [product, "x"], { outputs: ["logits"] }));
    assert.deepEqual(withLogitsWindow(added), added);
  });

  it("leaves one without logits, and refuses what is no model", () => {
    const graph = withHead((graph, product) => graph.node("Identity", [product], { outputs: ["last_hidden_state"] }));
    assert.deepEqual(withLogitsWindow(graph), graph);
    assert.throws(() => withLogitsWindow(new Uint8Array()), /no graph: 0 bytes/);
  });
});
