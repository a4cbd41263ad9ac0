import assert from "node:assert/strict";
import fs from "node:fs/promises";
import { describe, it } from "node:test";
import { linearLayers } from "../../src/model/graph/layer_search.ts";
import type { LinearLayers } from "../../src/model/graph/linear_layers.ts";
import { KJV_TINY } from "../support/models.ts";
import { GraphBuilder, type NodeOptions } from "../support/onnx_builder.ts";
import { exportLlama, type LlamaExport, randomLlama, SMALL } from "../support/tiny_llama.ts";

const model = await fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
const query = "model.layers.0.self_attn.q_proj";

/** Layers of a graph that reads `x`, and stores `weight` of 3 rows and 2 columns, or of other dimensions. */
function layersOf(build: (graph: GraphBuilder) => void, name = "weight", dimensions = [3, 2]): LinearLayers {
  const graph = new GraphBuilder();
  graph.input("x", "float32", ["rows", 3]);
  graph.floats(name, "float32", dimensions, new Float32Array(dimensions.reduce((one, other) => one * other)));
  build(graph);
  return linearLayers(graph.finish().graph);
}

const proj: NodeOptions = { name: "/net/proj/MatMul" };
const shapeOf = (layers: LinearLayers, name = "net.proj"): unknown => {
  const layer = layers.get(name);
  return layer && [layer.inputSize, layer.outputSize, layer.type];
};

describe("linearLayers", () => {
  it("finds every product with a stored matrix, and none of two activations", () => {
    const layers = linearLayers(model);
    assert.equal(layers.size, 4 * 7);
    assert.deepEqual(shapeOf(layers, query), [160, 160, "float32"]);
    assert.deepEqual(shapeOf(layers, "model.layers.3.mlp.down_proj"), [432, 160, "float32"]);
    assert.equal(layers.get("model.layers.0.self_attn"), undefined);
  });

  it("knows the element type of what goes in and out, whatever the weights are", () => {
    for (
      const [dtype, type] of [
        ["fp32", "float32"],
        ["fp16", "float16"],
        ["q4", "float32"],
        ["q4f16", "float16"],
        ["int8", "float32"],
      ] as const
    ) {
      const layers = linearLayers(exportLlama(randomLlama(), { layout: "optimum", dtype }).graph);
      assert.equal(layers.size, SMALL.layers * 7 + 1, dtype);
      assert.deepEqual(shapeOf(layers, "model.layers.0.self_attn.k_proj"), [48, 32, type], dtype);
    }
  });

  it("reads what an int8 layer has not yet rounded, and adds to what it has scaled back", () => {
    const layers = linearLayers(exportLlama(randomLlama(), { layout: "optimum", dtype: "int8" }).graph);
    const { input, output } = layers.get(query)!.sites[0]!;
    assert.doesNotMatch(input, /quantized/);
    assert.equal(output, "/model.layers.0/self_attn/q_proj/MatMul_output_0");
  });

  it("finds both places of a layer that an `If` computes in one branch or the other", () => {
    const layers = linearLayers(exportLlama(randomLlama(), { layout: "merged" }).graph);
    assert.equal(layers.get(query)!.sites.length, 2);
  });

  it("leaves out a layer that it knows in one branch of an `If` alone: its adapter would be applied by half", () => {
    const layers = layersOf((graph) => {
      const [one, other] = [graph.branch(), graph.branch()];
      one.node("MatMul", ["x", "weight"], { name: "/net/proj/MatMul" });
      one.node("MatMul", ["x", "weight"], { name: "/net/fc/MatMul" });
      other.node("MatMul", ["x", "weight"], { name: "/net/fc/MatMul" });
      other.node("FusedMatMul", ["x", "weight"], { name: "/net/proj/MatMul", domain: "com.microsoft" });
      graph.node("If", ["x"], { attributes: { then_branch: { graph: one }, else_branch: { graph: other } } });
    });
    assert.deepEqual(layers.locate("net.proj"), []);
    assert.equal(layers.get("net.fc")!.sites.length, 2);
  });

  it("takes a Gemm for a layer, with its matrix either way round", () => {
    const named = (attributes: NodeOptions["attributes"] = {}) => ({ name: "/net/proj/Gemm", attributes });
    const gemm = (attributes?: NodeOptions["attributes"]) => {
      return shapeOf(layersOf((graph) => graph.node("Gemm", ["x", "weight"], named(attributes))));
    };
    assert.deepEqual(gemm(), [3, 2, "float32"]);
    assert.deepEqual(gemm({ transB: 1 }), [2, 3, "float32"]);
    assert.equal(gemm({ transA: 1 }), undefined);
    assert.equal(gemm({ alpha: { float: 0.5 } }), undefined);
  });

  it("sees a stored matrix through what is done to it before anything else is known", () => {
    const through = (operator: string, inputs: string[], attributes: NodeOptions["attributes"] = {}) => {
      return shapeOf(layersOf((graph) => {
        graph.floats("scale", "float16", [2], [1, 1]);
        graph.node("MatMul", ["x", graph.node(operator, inputs, { attributes })], proj);
      }));
    };
    assert.deepEqual(through("Transpose", ["weight"]), [2, 3, "float32"]);
    assert.deepEqual(through("Transpose", ["weight"], { perm: [1, 0] }), [2, 3, "float32"]);
    assert.deepEqual(through("Transpose", ["weight"], { perm: [0, 1] }), [3, 2, "float32"]);
    assert.deepEqual(through("Identity", ["weight"]), [3, 2, "float32"]);
    assert.deepEqual(through("Cast", ["weight"], { to: 10 }), [3, 2, "float16"]);
    assert.deepEqual(through("DequantizeLinear", ["weight", "scale"], { axis: 1 }), [3, 2, "float16"]);
    assert.equal(through("Relu", ["weight"]), undefined);
    assert.equal(through("Cast", ["weight"], { to: 16 }), undefined);
  });

  it("takes products that round x themselves for layers of float32", () => {
    const layers = layersOf((graph) => {
      const matrix = graph.store("whole", "int8", [3, 2], new Uint8Array(6));
      const scale = graph.floats("scale", "float32", [2], [1, 1]);
      graph.node("DynamicQuantizeMatMul", ["x", matrix, scale], { ...proj, domain: "com.microsoft" });
    });
    assert.deepEqual(shapeOf(layers), [3, 2, "float32"]);
  });

  it("goes by the weight's name where the node's says nothing, as newer exporters leave it", () => {
    const layers = layersOf((graph) => {
      graph.node("MatMul", ["x", graph.node("Transpose", ["net.0.proj.weight"])], { name: "node_MatMul_7" });
    }, "net.0.proj.weight");
    assert.deepEqual(shapeOf(layers, "net.0.proj"), [2, 3, "float32"]);
  });

  it("leaves out a name that stands for layers of different shapes", () => {
    const layers = layersOf((graph) => {
      graph.node("MatMul", ["x", "weight"], { name: "/net/proj/MatMul" });
      graph.node("MatMul", ["x", graph.node("Transpose", ["weight"])], { name: "/net/proj/MatMul_1" });
    });
    assert.equal(layers.size, 0);
  });

  it("finds every call of a module that is called several times, as ALBERT's are", () => {
    const layers = layersOf((graph) => {
      graph.node("MatMul", ["x", "weight"], { name: "/net/proj/MatMul" });
      graph.node("MatMul", ["x", "weight"], { name: "/net/proj_1/MatMul" });
      graph.node("MatMul", ["x", "weight"], { name: "/net/proj_12/MatMul_quant" });
    });
    assert.equal(layers.size, 1);
    assert.equal(layers.get("net.proj")!.sites.length, 3);
  });

  it("leaves out a module that may or may not be called several times: its adapter would be applied by half", () => {
    const layers = layersOf((graph) => {
      graph.floats("other", "float32", [3, 2], new Float32Array(6));
      graph.node("MatMul", ["x", "weight"], { name: "/net/proj/MatMul" });
      graph.node("MatMul", ["x", "other"], { name: "/net/proj_1/MatMul" });
      graph.node("MatMul", ["x", "other"], { name: "/net/fc_1/MatMul" });
    });
    assert.deepEqual(layers.locate("net.proj"), []);
    assert.equal(layers.locate("net.fc_1").length, 1);
  });

  it("leaves out vectors, stacks of matrices, and what is not computed in float32 or float16", () => {
    assert.equal(layersOf((graph) => graph.node("MatMul", ["x", "weight"], proj), "weight", [3]).size, 0);
    assert.equal(layersOf((graph) => graph.node("MatMul", ["x", "weight"], proj), "weight", [2, 3, 2]).size, 0);
    const integers = layersOf((graph) => {
      graph.node("MatMul", ["x", graph.store("whole", "int32", [3, 2], new Uint8Array(24))], proj);
    });
    assert.equal(integers.size, 0);
  });

  it("refuses bytes that are no model", () => {
    assert.throws(() => linearLayers(new Uint8Array()), /no graph: 0 bytes/);
    assert.throws(() => linearLayers(model.subarray(0, 100_000)), /cut short/);
  });
});

describe("locate", () => {
  const of = (options: LlamaExport) => linearLayers(exportLlama(randomLlama(), options).graph);
  const places = (layers: LinearLayers, module: string) => {
    return layers.locate(module).map(({ layer, column, source, columns }) => [layer.name, column, source, columns]);
  };

  it("finds a module under its own name, and a name of a layer under itself", () => {
    assert.deepEqual(places(of({ layout: "optimum" }), query), [[query, 0, 0, 64]]);
    assert.deepEqual(places(of({ layout: "optimum" }), "lm_head"), [["lm_head", 0, 0, 2048]]);
  });

  it("knows what onnxruntime-genai calls attention", () => {
    const layers = of({ layout: "genai" });
    assert.deepEqual(places(layers, query), [["model.layers.0.attn.q_proj", 0, 0, 64]]);
    assert.deepEqual(places(layers, "model.layers.1.self_attn.dense"), [["model.layers.1.attn.o_proj", 0, 0, 48]]);
  });

  it("finds a module's columns in a layer that computes several, by the heads of its attention", () => {
    const layers = of({ layout: "genai", packed: true });
    const together = "model.layers.0.attn.qkv_proj";
    assert.deepEqual(places(layers, query), [[together, 0, 0, 64]]);
    assert.deepEqual(places(layers, query.replace("q_proj", "k_proj")), [[together, 64, 0, 32]]);
    assert.deepEqual(places(layers, query.replace("q_proj", "v_proj")), [[together, 96, 0, 32]]);
    assert.deepEqual(places(layers, query.replace("q_proj", "qkv_proj")), [[together, 0, 0, 128]]);
    assert.deepEqual(places(layers, "model.layers.1.mlp.up_proj"), [["model.layers.1.mlp.gate_up_proj", 80, 0, 80]]);
  });

  it("finds the same behind a bias", () => {
    const biased = exportLlama(randomLlama(SMALL, 1, true), { layout: "genai", packed: true }).graph;
    assert.deepEqual(places(linearLayers(biased), query), [["model.layers.0.attn.qkv_proj", 0, 0, 64]]);
  });

  it("finds a module that is computed apart", () => {
    assert.deepEqual(places(of({ layout: "genai" }), "model.layers.0.mlp.gate_up_proj"), [
      ["model.layers.0.mlp.gate_proj", 0, 0, 80],
      ["model.layers.0.mlp.up_proj", 0, 80, 80],
    ]);
  });

  it("finds a module whatever it is wrapped in", () => {
    const layers = of({ layout: "optimum" });
    for (const wrapped of ["layers.0.self_attn.q_proj", "language_model.model.layers.0.self_attn.q_proj"]) {
      assert.deepEqual(places(layers, wrapped), [[query, 0, 0, 64]]);
    }
    const bert = layersOf((graph) => graph.node("MatMul", ["x", "weight"], { name: "/encoder/layer.0/query/MatMul" }));
    assert.deepEqual(places(bert, "bert.encoder.layer.0.query"), [["encoder.layer.0.query", 0, 0, 2]]);
  });

  it("does not guess: another layer, another module, or two that could be meant are nowhere", () => {
    const layers = of({ layout: "genai", packed: true });
    for (const module of ["model.layers.7.self_attn.q_proj", "q_proj", "vision.layers.0.self_attn.q_proj", ""]) {
      assert.deepEqual(layers.locate(module), []);
    }
    const two = layersOf((graph) => {
      graph.node("MatMul", ["x", "weight"], { name: "/model/proj/MatMul" });
      graph.node("MatMul", ["x", "weight"], { name: "/bert/proj/MatMul" });
    });
    assert.deepEqual(two.locate("proj"), []);
    assert.equal(two.locate("bert.proj").length, 1);
  });

  it("does not cut a layer into queries, keys and values where no attention says how", () => {
    const layers = layersOf((graph) => graph.node("MatMul", ["x", "weight"], { name: "/net/qkv_proj/MatMul" }));
    assert.deepEqual(layers.locate("net.k_proj"), []);
  });
});
