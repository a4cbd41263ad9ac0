/** What a GPU is asked for in each decoded token: counts, which do not depend on the GPU. */

import { rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { GenerateRequest, View } from "../../src/model/backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { loadCounted, movedByStep } from "../../tests/model/gpu_traffic.ts";
import { greedy } from "../../tests/model/requests.ts";
import type { BenchModel } from "./model.ts";
import { randomAdapter } from "./adapter.ts";

const PROMPT = [10, 20, 30, 40];
/** Tokens of a short answer, and of a longer one. */
const [FEW, MORE] = [2, 4];

/** Counts by what is done. */
export async function countPerToken(
  model: BenchModel,
  device: string,
): Promise<Readonly<Record<string, Readonly<Record<string, number>>>>> {
  const runtime = await loadRuntime();
  const base = { ...model.base, device };
  const counts: Record<string, Readonly<Record<string, number>>> = {};
  const answer = (view: View, request: Partial<GenerateRequest> = {}) => (maxTokens: number): Promise<unknown> =>
    Array.fromAsync(view.generate(greedy({ prompt: { ids: PROMPT }, maxTokens, minTokens: maxTokens, ...request })));
  const plain = await loadCounted(runtime, base);
  try {
    const view = plain.backend.baseView();
    counts["greedy"] = { ...await movedByStep(plain, answer(view), FEW, MORE) };
    counts["top 20"] = { ...await movedByStep(plain, answer(view, { temperature: 0.7, topK: 20 }), FEW, MORE) };
    counts["any token"] = { ...await movedByStep(plain, answer(view, { temperature: 1 }), FEW, MORE) };
  } finally {
    await plain.backend.close();
  }
  const folder = join(model.weights, "..", `counted-adapter-${process.pid}`);
  const adapter = await randomAdapter(folder, model);
  try {
    const rewritten = await loadCounted(runtime, base, { knownAdapterWeights: [adapter.files.weights.path] });
    try {
      counts["greedy, base beside adapters"] = {
        ...await movedByStep(rewritten, answer(rewritten.backend.baseView()), FEW, MORE),
      };
      const view = rewritten.backend.adapterView(adapter);
      counts["greedy, adapter"] = { ...await movedByStep(rewritten, answer(view), FEW, MORE) };
    } finally {
      await rewritten.backend.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
  return counts;
}
