/** Graphs that cannot be run as a causal language model: each is refused by the input or output that is wrong. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { contentFile, resolveBase } from "../support/models.ts";
import { type ElementType, GraphBuilder } from "../support/onnx_builder.ts";
import { temporaryFolder } from "../support/temporary.ts";

const runtime = await loadRuntime();

type Tensor = readonly [name: string, type: ElementType, dimensions: readonly (number | string)[]];
const IDS: Tensor = ["input_ids", "int64", ["batch", "length"]];
const KEY: Tensor = ["past_key_values.0.key", "float32", ["batch", 2, "past", 4]];

/** A graph that returns its ids as logits, and what it is given of a cache. */
function graphOf(inputs: readonly Tensor[], presents: readonly string[]): Uint8Array {
  const graph = new GraphBuilder();
  for (const [name, type, dimensions] of inputs) graph.input(name, type, dimensions);
  const ids = inputs.find(([name]) => /ids/.test(name))![0];
  const numbers = graph.node("Cast", [ids], { attributes: { to: 1 } });
  graph.node("Unsqueeze", [numbers, graph.integers([2])], { outputs: ["logits"] });
  graph.output("logits", "float32", ["batch", "length", 1]);
  for (const [index, name] of presents.entries()) {
    graph.node("Identity", [inputs[index + 1]![0]], { outputs: [name] });
    graph.output(name, inputs[index + 1]![1], ["a", "b", "c", "d"]);
  }
  return graph.finish().graph;
}

describe("loadOnnxBackend", () => {
  const refuse = async (graph: Uint8Array, message: RegExp): Promise<void> => {
    const base = await resolveBase();
    const path = `${await temporaryFolder()}/model.onnx`;
    await writeFile(path, graph);
    const broken = { ...base, files: { ...base.files, graph: await contentFile(path) } };
    await assert.rejects(loadOnnxBackend(runtime, broken), (error: Error & { code: string }) => {
      assert.equal(error.code, "model_load_failed");
      assert.match(error.message, message);
      return true;
    });
  };

  for (
    const [what, inputs, presents, message] of [
      ["without input_ids", [["my_ids", "int64", ["batch", "length"]]], [], /input that is not known: my_ids/],
      [
        "with ids of numbers",
        [["input_ids", "float32", ["b", "l"]]],
        [],
        /input_ids .* is not int64 or int32: float32/,
      ],
      ["with a mask of one dimension", [IDS, ["attention_mask", "int64", ["l"]]], [], /has not 2 dimensions: \[l\]/],
      ["that wants what is not known", [IDS, ["pixel_values", "float32", ["b", 3]]], [], /not known: pixel_values/],
      ["with a cache of three dimensions", [IDS, [KEY[0], "float32", ["b", 4, "p"]]], [], /has not 4 dimensions/],
      ["with a cache of integers", [IDS, [KEY[0], "int8", KEY[2]]], [], /is not float32 or float16: int8/],
      ["with a cache of one length", [IDS, [KEY[0], "float32", ["b", 2, 64, 4]]], [
        "present.0.key",
      ], /past_key_values\.0\.key of the graph is not \[1, heads, any length, size\]: \[b, 2, 64, 4\]/],
      ["without the cache's output", [IDS, KEY], [], /has no output present\.0\.key: logits/],
      ["whose switch is a number", [IDS, ["use_cache_branch", "int64", [1]]], [], /use_cache_branch .* is not bool/],
    ] as readonly (readonly [string, readonly Tensor[], readonly string[], RegExp])[]
  ) {
    it(`refuses a graph ${what}`, () => refuse(graphOf(inputs, presents), message));
  }

  it("refuses a graph that gives logits of the last token alone", async () => {
    const graph = new GraphBuilder();
    graph.input(...IDS);
    const last = graph.node("Gather", ["input_ids", graph.integers([-1])], { attributes: { axis: 1 } });
    const numbers = graph.node("Cast", [last], { attributes: { to: 1 } });
    graph.node("Unsqueeze", [numbers, graph.integers([2])], { outputs: ["logits"] });
    graph.output("logits", "float32", ["batch", "one", "vocabulary"]);
    await refuse(graph.finish().graph, /logits has not a row for each token: \[1,1,1\] for 2/);
  });
});
