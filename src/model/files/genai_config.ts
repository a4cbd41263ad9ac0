/**
 * What `genai_config.json` says of an export by onnxruntime-genai: how its graph's inputs and outputs are called, which
 * otherwise are Optimum's names.
 * Format: https://onnxruntime.ai/docs/genai/reference/config.html
 *
 * @module
 */

import { isObject, type JsonObject } from "./model_files.ts";

/** Names of a graph's inputs and outputs; `%d` is the number of a layer. */
export interface TensorNames {
  readonly inputIds: string;
  readonly attentionMask: string;
  readonly positionIds: string;
  /** Of keys, and of values. */
  readonly past: readonly [string, string];
  readonly present: readonly [string, string];
  readonly logits: string;
}

/**
 * The names in use; Optimum's where nothing else is said.
 *
 * @throws Error naming the entry that is wrong.
 */
export function readTensorNames(genai: JsonObject = {}): TensorNames {
  const { decoder } = object(genai, "model");
  const { inputs = {}, outputs = {} } = isObject(decoder) ? decoder : {};
  const input = nameIn("inputs", inputs);
  const output = nameIn("outputs", outputs);
  return {
    inputIds: input("input_ids", "input_ids"),
    attentionMask: input("attention_mask", "attention_mask"),
    positionIds: input("position_ids", "position_ids"),
    past: [
      layered(input("past_key_names", "past_key_values.%d.key")),
      layered(input("past_value_names", "past_key_values.%d.value")),
    ],
    present: [
      layered(output("present_key_names", "present.%d.key")),
      layered(output("present_value_names", "present.%d.value")),
    ],
    logits: output("logits", "logits"),
  };
}

/** What the file says of the model as a whole, under the names of its `model` entry. */
export function genaiModel(genai: JsonObject = {}): JsonObject {
  return object(genai, "model");
}

function object(container: JsonObject, name: string): JsonObject {
  const value = container[name] ?? {};
  if (!isObject(value)) throw new Error(`genai_config.json has no object ${name}: ${JSON.stringify(value)}`);
  return value;
}

function nameIn(group: string, names: unknown): (name: string, usual: string) => string {
  return (name, usual) => {
    const value = isObject(names) ? names[name] ?? usual : names;
    if (typeof value === "string" && value !== "") return value;
    throw new Error(`genai_config.json has no name ${group}.${name}: ${JSON.stringify(value)}`);
  };
}

function layered(name: string): string {
  if (name.split("%d").length === 2) return name;
  throw new Error(`genai_config.json has a name without one %d for the layer: ${JSON.stringify(name)}`);
}
