/** An adapter for a model of random weights, itself random. */

import type { ResolvedAdapter } from "../../src/model/backend.ts";
import { randomLora, writeLora } from "../../tests/support/lora.ts";
import type { BenchModel } from "./model.ts";

const RANK = 8;

/** Writes an adapter of all linear layers into a new folder. */
export function randomAdapter(folder: string, { shape }: BenchModel): Promise<ResolvedAdapter> {
  const { hidden, inner, heads, keyValueHeads, headSize } = shape;
  const sizes: Readonly<Record<string, readonly [number, number]>> = {
    "self_attn.q_proj": [hidden, heads * headSize],
    "self_attn.k_proj": [hidden, keyValueHeads * headSize],
    "self_attn.v_proj": [hidden, keyValueHeads * headSize],
    "self_attn.o_proj": [heads * headSize, hidden],
    "mlp.gate_proj": [hidden, inner],
    "mlp.up_proj": [hidden, inner],
    "mlp.down_proj": [inner, hidden],
  };
  const matrices = new Map(
    Array.from({ length: shape.layers }, (_, layer) => {
      return Object.entries(sizes).map(([name, [rows, columns]]) => {
        return [`model.layers.${layer}.${name}`, { rows, columns, values: new Float64Array() }] as const;
      });
    }).flat(),
  );
  const lora = randomLora({ matrices }, [...matrices.keys()], () => RANK, () => 0.01);
  return writeLora(folder, lora, { config: { r: RANK, lora_alpha: RANK } });
}
