/** Graphs of every layout and type of numbers in use, each held against a computation in float64 that knows no ONNX. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { GenerateEvent, ScoredToken } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type Llama, llamaLogits, logSoftmax } from "../support/llama_reference.ts";
import { REFERENCE_MAX_TOKENS, referenceCases } from "../support/models.ts";
import { randomBelow } from "../support/random.ts";
import { temporaryFolder } from "../support/temporary.ts";
import {
  exportLlama,
  kjvTiny,
  type LlamaDtype,
  type LlamaExport,
  randomLlama,
  SMALL,
  writeLlama,
} from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";

const runtime = await loadRuntime();

/** Float32 sums of some hundred numbers, in another order than the expectation's. */
const FLOAT32 = 1e-4;
/** Float16 keeps 11 bits: about 0.0005 of a number, at every step of every layer, in logits around 10. */
const FLOAT16 = 2e-2;
/**
 * Inputs of 8-bit layers are rounded to 255 steps between the smallest and the largest of a run, so what a run is made
 * of shows in all its numbers. A whole text is one run here and there; a cache makes the runs others.
 */
const INT8_OTHER_RUNS = 0.1;

const TOLERANCE: Readonly<Record<LlamaDtype, number>> = {
  fp32: FLOAT32,
  q4: FLOAT32,
  int8: FLOAT32,
  fp16: FLOAT16,
  q4f16: FLOAT16,
};

/** Longer than a block that prompts are read in. */
const PROMPT_TOKENS = 150;
const below = randomBelow(7);
const PROMPT = Array.from({ length: PROMPT_TOKENS }, () => 1 + below(SMALL.vocabulary - 1));

/** Asks a written model to score `PROMPT`, and to go on from it; returns the tokens with their log-probabilities. */
async function ask(llama: Llama, options: LlamaExport): Promise<readonly ScoredToken[]> {
  const base = await writeLlama(await temporaryFolder(), llama, options);
  const backend = await loadOnnxBackend(runtime, base);
  try {
    const request = { ...greedy({ prompt: { ids: PROMPT }, maxTokens: 6 }), topLogprobs: 1, echo: true };
    const events: GenerateEvent[] = await Array.fromAsync(backend.baseView().generate(request));
    return events.flatMap((event) =>
      event.type === "prompt" ? event.tokens : event.type === "token" ? event.token : []
    );
  } finally {
    await backend.close();
  }
}

/** Compares with the expectation: every log-probability, and that what was chosen was the likeliest. */
function compare(tokens: readonly ScoredToken[], llama: Llama, dtype: LlamaDtype): void {
  const ids = tokens.map(({ id }) => id);
  const rows = llamaLogits(llama, ids, { quantizesInputs: dtype === "int8" }).map(logSoftmax);
  const scored = llamaLogits(llama, PROMPT, { quantizesInputs: dtype === "int8" }).map(logSoftmax);
  for (const [index, { id, logprob, top }] of tokens.entries()) {
    if (index === 0) continue;
    const isPrompt = index < PROMPT.length;
    const row = (isPrompt ? scored : rows)[index - 1]!;
    const tolerance = dtype === "int8" && !isPrompt ? INT8_OTHER_RUNS : TOLERANCE[dtype];
    const close = (one: number, other: number, what: string): void =>
      assert.ok(Math.abs(one - other) < tolerance, `${what} ${index}: ${one} and ${other}`);
    close(logprob!, row[id]!, "token");
    close(top[0]!.logprob, Math.max(...row), "likeliest at");
    if (!isPrompt) assert.equal(id, top[0]!.id);
  }
}

describe("llamaLogits", () => {
  it("is what PyTorch computes for the example model", async () => {
    const llama = await kjvTiny();
    for (const { prompt_ids, completion_ids, base } of await referenceCases()) {
      const ids = [...prompt_ids, ...completion_ids];
      const rows = llamaLogits(llama, ids).map(logSoftmax);
      base.token_logprobs.forEach((expected, index) => {
        assert.ok(Math.abs(rows[index]![ids[index + 1]!]! - expected) < 2e-5, `${expected}`);
      });
    }
  });
});

describe("a causal language model's graph", () => {
  let small: Llama;
  before(() => {
    small = randomLlama(SMALL, 3, true);
  });

  const cases: readonly (readonly [what: string, options: LlamaExport])[] = [
    ...(["fp32", "fp16", "q4", "q4f16", "int8"] as const).flatMap((dtype) => [
      [`Optimum's, ${dtype}`, { layout: "optimum", dtype }] as const,
      [`onnxruntime-genai's, ${dtype}`, { layout: "genai", dtype, packed: dtype !== "fp32" }] as const,
    ]),
    ["Optimum's without position_ids", { layout: "optimum", positionIds: false }],
    ["Optimum's without attention_mask", { layout: "optimum", attentionMask: false }],
    ["Optimum's with num_logits_to_keep", { layout: "optimum", logitsToKeep: true }],
    ["Optimum's whose cache inputs do not say their sizes", { layout: "optimum", symbolicCache: true }],
    ["Optimum's merged one, without and with a cache", { layout: "merged", dtype: "fp32" }],
    ["Optimum's merged one, 4-bit", { layout: "merged", dtype: "q4" }],
    ["Optimum's without a cache", { layout: "no-cache" }],
    ["Optimum's without a cache, fp16", { layout: "no-cache", dtype: "fp16" }],
    [
      "onnxruntime-genai's, of other names",
      { layout: "genai", names: { past: ["past.%d.k", "past.%d.v"], present: ["now.%d.k", "now.%d.v"] } },
    ],
  ];
  for (const [what, options] of cases) {
    it(`is run: ${what}`, async () => {
      const { llama } = exportLlama(small, options);
      compare(await ask(small, options), llama, options.dtype ?? "fp32");
    });
  }

  for (const layout of ["merged", "genai"] as const) {
    it(`of the example's weights goes on as PyTorch does: ${layout}`, async () => {
      const base = await writeLlama(await temporaryFolder(), await kjvTiny(), { layout });
      const backend = await loadOnnxBackend(runtime, base);
      try {
        for (const { prompt, base: expected } of (await referenceCases()).slice(0, 2)) {
          const request = greedy({ prompt: { text: prompt }, maxTokens: REFERENCE_MAX_TOKENS });
          const events = await Array.fromAsync(backend.baseView().generate(request));
          const ids = events.flatMap((event) => event.type === "token" ? [event.token.id] : []);
          assert.deepEqual(ids, expected.greedy_ids);
        }
      } finally {
        await backend.close();
      }
    });
  }
});
