/** What a GPU is asked for, what goes there and what comes back. The counts are the same on every GPU. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { GenerateRequest, ResolvedAdapter, View } from "../../src/model/backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { modulesOf, randomLora, writeLora } from "../support/lora.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import type { Traffic } from "./counting_gpu_worker.ts";
import { type CountedBackend, loadCounted, moved, movedByStep } from "./gpu_traffic.ts";
import { greedy } from "./requests.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const LOGITS_BYTES = SMALL.vocabulary * 2;
const PROMPT = [5, 300, 17, 1999, 42];

describe("what goes over to a GPU and back", { skip: skipWithoutGpu }, () => {
  let counted: CountedBackend;
  let adapter: ResolvedAdapter;
  before(async () => {
    const folder = await temporaryFolder();
    const llama = randomLlama();
    const base = await writeLlama(folder, llama, { layout: "genai", dtype: "fp16" });
    const lora = randomLora(llama, modulesOf(llama));
    adapter = await writeLora(`${folder}/adapter`, lora, { config: { r: 4, lora_alpha: 8 } });
    const options = { knownAdapterWeights: [adapter.files.weights.path] };
    counted = await loadCounted(await loadRuntime(), { ...base, device: "webgpu:software" }, options);
  });
  after(() => counted?.backend.close());

  const answer = (view: View, request: Partial<GenerateRequest> = {}) => (maxTokens: number): Promise<unknown> => {
    const asked = greedy({ prompt: { ids: PROMPT }, maxTokens, minTokens: maxTokens, ...request });
    return Array.fromAsync(view.generate(asked));
  };
  const step = (request: Partial<GenerateRequest>): Promise<Traffic> =>
    movedByStep(counted, answer(counted.backend.baseView(), request));

  it("is, of a step, the token and the likeliest next one: logits, keys, values and adapters stay there", async () => {
    const { backend } = counted;
    for (const view of [backend.baseView(), backend.adapterView(adapter)]) {
      const { up, down, fetches, copied } = await movedByStep(counted, answer(view));
      assert.ok(down < 100, `${down} bytes are fetched`);
      assert.ok(copied < 200, `${copied} bytes are copied`);
      assert.equal(fetches, 1);
      // Of each shader, how large its tensors are.
      assert.ok(up < 10_000, `${up} bytes are written`);
    }
    const { bytes } = backend.adapters[0]!;
    assert.ok(bytes > 20_000, `${bytes} bytes of an adapter would be seen`);
  });

  it("is a few hundred bytes where a few tokens are drawn among, or reported", async () => {
    const { down } = await step({ temperature: 0.8, topK: 20, topP: 0.9, topLogprobs: 5 });
    assert.ok(down < 500, `${down} bytes are fetched`);
  });

  it("is all logits where any token may be drawn, or any number changed", async () => {
    for (const request of [{ temperature: 1 }, { repetitionPenalty: 1.1 }, { logitBias: [[7, 1]] }] as const) {
      const { down, fetches } = await step(request);
      assert.ok(down >= LOGITS_BYTES && down < LOGITS_BYTES + 100, `${down} bytes are fetched`);
      assert.equal(fetches, 1);
    }
  });

  it("is a few bytes for each token that is scored", async () => {
    const view = counted.backend.baseView();
    const text = "In the beginning God ".repeat(10);
    const { ids } = await view.rollingLogprobs(text);
    const { down, fetches } = await moved(counted, () => view.rollingLogprobs(text));
    assert.ok(down < 50 * ids.length, `${down} bytes for ${ids.length} tokens`);
    assert.equal(fetches, 1);
  });

  it("is an adapter once, however often it is used", async () => {
    const { backend } = counted;
    const switching = async (steps: number): Promise<void> => {
      for (let turn = 0; turn < steps; turn++) {
        await backend.adapterView(adapter).nextToken({ ids: PROMPT }, { topK: 1 });
        await backend.baseView().nextToken({ ids: PROMPT }, { topK: 1 });
      }
    };
    const { up } = await movedByStep(counted, switching, 1, 3);
    assert.ok(up < backend.adapters[0]!.bytes, `${up} bytes are written by a switch there and back`);
  });
});
