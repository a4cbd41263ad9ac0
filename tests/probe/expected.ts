/** What the example model answers, computed in float64 without ONNX: what probes' numbers are held against. */

import { readFile } from "node:fs/promises";
import { type Llama, llamaLogits, logSoftmax, type Matrix } from "../support/llama_reference.ts";
import { type Lora, withLora } from "../support/lora.ts";
import { KJV_TINY } from "../support/models.ts";
import { kjvTiny } from "../support/tiny_llama.ts";

/** The example model with λ times its adapter. */
export class ExpectedModel {
  readonly #llama: Llama;
  private constructor(llama: Llama) {
    this.#llama = llama;
  }

  /** The base alone, the adapter as trained, and others. */
  static async at(...lambdas: readonly number[]): Promise<ExpectedModel[]> {
    const [llama, fortunes] = [await kjvTiny(), await readFortunes()];
    return lambdas.map((lambda) => new ExpectedModel(withLora(llama, fortunes, lambda)));
  }

  /** Logarithms of the next token's probabilities. */
  next(ids: readonly number[]): Float64Array {
    return logSoftmax(llamaLogits(this.#llama, ids).at(-1)!);
  }

  /** Log-probability of each token after the first. */
  rolling(ids: readonly number[]): number[] {
    const logits = llamaLogits(this.#llama, ids);
    return ids.slice(1).map((id, index) => logSoftmax(logits[index]!)[id]!);
  }
}

/** Jensen-Shannon divergence as its definition has it, over probabilities. */
export function jsOf(p: Float64Array, q: Float64Array): number {
  let sum = 0;
  for (let id = 0; id < p.length; id++) {
    const [one, other] = [Math.exp(p[id]!), Math.exp(q[id]!)];
    const mean = (one + other) / 2;
    sum += one * Math.log(one / mean) + other * Math.log(other / mean);
  }
  return sum / 2;
}

/** A distribution of which only the likeliest tokens are known, the rest spread evenly over what is left. */
export function cut(logprobs: Float64Array, topK: number): Float64Array {
  const order = [...logprobs.keys()].sort((one, other) => logprobs[other]! - logprobs[one]!).slice(0, topK);
  const rest = 1 - order.reduce((sum, id) => sum + Math.exp(logprobs[id]!), 0);
  const spread = new Float64Array(logprobs.length).fill(Math.log(rest / (logprobs.length - topK)));
  for (const id of order) spread[id] = logprobs[id]!;
  return spread;
}

/** Arithmetic mean. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

async function readFortunes(): Promise<Lora> {
  const folder = `${KJV_TINY}/adapters/fortunes`;
  const { r, lora_alpha } = JSON.parse(await readFile(`${folder}/adapter_config.json`, "utf8"));
  const bytes = new Uint8Array(await readFile(`${folder}/adapter_model.safetensors`));
  const headerLength = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  /** PEFT's matrices are [out, in], ours [in, out]. */
  const matrix = (name: string): Matrix => {
    const { shape: [columns, rows], data_offsets: [from, to] } = header[name];
    const stored = new Float32Array(bytes.slice(8 + headerLength + from, 8 + headerLength + to).buffer);
    const values = Float64Array.from(stored, (_, at) => stored[(at % columns) * rows + Math.floor(at / columns)]!);
    return { rows, columns, values };
  };
  const prefix = "base_model.model.";
  const modules = Object.keys(header).filter((name) => name.endsWith(".lora_A.weight"));
  return new Map(modules.map((name) => [
    name.slice(prefix.length, -".lora_A.weight".length),
    { down: matrix(name), up: matrix(name.replace("lora_A", "lora_B")), scale: lora_alpha / r },
  ]));
}
