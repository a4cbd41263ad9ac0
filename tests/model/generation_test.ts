/** Generation on a loaded model: how tokens are chosen, and that what was read before changes no answer by a bit. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type {
  Backend,
  GenerateEvent,
  GenerateRequest,
  OnnxBase,
  ResolvedAdapter,
  ScoredToken,
  View,
} from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { LlamaShape } from "../support/llama_reference.ts";
import { copyModel, referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { type LlamaExport, randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";

const runtime = await loadRuntime();

function answer(view: View, changes: Partial<GenerateRequest>): Promise<GenerateEvent[]> {
  return Array.fromAsync(view.generate(greedy(changes)));
}

function idsOf(events: readonly GenerateEvent[]): number[] {
  return events.flatMap((event) => event.type === "token" ? [event.token.id] : []);
}

function textOf(events: readonly GenerateEvent[]): string {
  return events.slice(1).map(({ text }) => text).join("");
}

/** The tokens of an echoed prompt. */
function promptOf(events: readonly GenerateEvent[]): readonly ScoredToken[] {
  return events.flatMap((event) => event.type === "prompt" ? event.tokens : []);
}

function logprobsOf(events: readonly GenerateEvent[]): number[] {
  return events.flatMap((event) => event.type === "token" ? [event.token.logprob!] : []);
}

describe("choosing tokens", () => {
  let backend: Backend;
  let view: View;
  before(async () => {
    backend = await loadOnnxBackend(runtime, await resolveBase());
    view = backend.baseView();
  });
  after(() => backend.close());

  it("gives this text for seed 7, on every runtime", async () => {
    const events = await answer(view, { temperature: 1, topP: 0.95, topK: 100, minP: 0.01, seed: 7 });
    const text =
      " to give them all to be stopped, lest they should deliver them again unto our fathers:\nThat now I should";
    assert.equal(textOf(events), text);
  });

  it("favours a token by its bias, and reports the model's own log-probability", async () => {
    const { ids: [first, second], logprobs } = await view.nextToken({ text: "God" }, { topK: 2 });
    const ask = async (logitBias: GenerateRequest["logitBias"]) => {
      const events = await answer(view, { prompt: { text: "God" }, maxTokens: 1, topLogprobs: 0, logitBias });
      return { ids: idsOf(events), logprobs: logprobsOf(events) };
    };
    assert.deepEqual(await ask([[first!, -100]]), { ids: [second], logprobs: [logprobs[1]] });
    assert.deepEqual(await ask([[first!, 0]]), { ids: [first], logprobs: [logprobs[0]] });
    assert.deepEqual((await ask([[77, 100]])).ids, [77]);
  });

  it("does not end before the fewest tokens that were asked for, by a token or by a stop text", async () => {
    const end = { logitBias: [[0, 100]] } as const;
    assert.partialDeepStrictEqual((await answer(view, end)).at(-1), { finishReason: "stop", completionTokens: 0 });
    const later = await answer(view, { ...end, minTokens: 3 });
    assert.partialDeepStrictEqual(later.at(-1), { finishReason: "stop", completionTokens: 3 });
    const stopped = await answer(view, { stop: [" "], minTokens: 5 });
    assert.partialDeepStrictEqual(stopped.at(-1), { finishReason: "stop" });
    assert.ok(idsOf(stopped).length >= 5);
    assert.ok(textOf(stopped).includes(" "));
    const full = await answer(view, { ...end, minTokens: 4, maxTokens: 4 });
    assert.partialDeepStrictEqual(full.at(-1), { finishReason: "length", completionTokens: 4 });
  });

  it("refuses fewest tokens for which there is no room", async () => {
    await assert.rejects(answer(view, { minTokens: 5, maxTokens: 4 }), {
      code: "invalid_request",
      parameter: "minTokens",
    });
    await assert.rejects(answer(view, { minTokens: 256, maxTokens: undefined }), { code: "prompt_too_long" });
  });

  it("repeats nothing where a token costs more each time", async () => {
    const ids = idsOf(await answer(view, { frequencyPenalty: 2, presencePenalty: 2, repetitionPenalty: 1e9 }));
    assert.equal(new Set(ids).size, ids.length);
  });

  it("refuses a bias for a token that the model does not have", async () => {
    await assert.rejects(answer(view, { logitBias: [[2048, 1]] }), {
      code: "invalid_request",
      parameter: "logitBias",
      message: /2048 tokens: 2048/,
    });
  });

  it("follows the model's generation config where the request says nothing", async () => {
    const folder = await copyModel(await temporaryFolder(), "recommended");
    const recommended = { eos_token_id: 0, do_sample: true, temperature: 0.9, top_k: 1 };
    await writeFile(join(folder, "generation_config.json"), JSON.stringify(recommended));
    const other = await loadOnnxBackend(runtime, await resolveBase(folder));
    try {
      const unsaid = { temperature: undefined, topP: undefined, seed: 3 };
      assert.deepEqual(idsOf(await answer(other.baseView(), unsaid)), (await referenceCases())[0]!.base.greedy_ids);
      const said = idsOf(await answer(other.baseView(), { ...unsaid, temperature: 1, topK: 0 }));
      assert.deepEqual(said, idsOf(await answer(view, unsaid)));
    } finally {
      await other.close();
    }
  });
});

const LONG: LlamaShape = { ...SMALL, positions: 1024 };

/** Prompts of up to five blocks that share beginnings of all kinds: none, some tokens, whole blocks, everything. */
const ids = (length: number, salt: number): number[] =>
  Array.from({ length }, (_, index) => (index * 37 + salt * index * index) % 2048);
const PROMPTS: readonly (readonly number[])[] = [
  ids(300, 1),
  [...ids(300, 1), ...ids(200, 2)],
  [...ids(260, 1), ...ids(40, 3)],
  [...ids(100, 1), ...ids(200, 4)],
  ids(256, 1),
];

const LAYOUTS: readonly LlamaExport[] = [
  { layout: "optimum" },
  { layout: "genai", packed: true, dtype: "fp16" },
  { layout: "optimum", dtype: "int8" },
];

for (const layout of LAYOUTS) {
  describe(`a model of layout ${JSON.stringify(layout)}, asked what it has read before`, () => {
    let base: OnnxBase;
    before(async () => {
      const written = await writeLlama(await temporaryFolder(), randomLlama(LONG), layout);
      // The example's would say that it knows 256 tokens.
      const { tokenizerConfig: _, ...files } = written.files;
      base = { ...written, files };
    });

    const request = (prompt: readonly number[]) => ({ prompt: { ids: prompt }, maxTokens: 3, topLogprobs: 5 });

    it("answers with the same bits as one that has read nothing", async () => {
      const warm = await loadOnnxBackend(runtime, base);
      const ask = (prompt: readonly number[]) => answer(warm.baseView(), request(prompt));
      try {
        const [first, ...others] = PROMPTS;
        const cold = [await ask(first!)];
        for (const prompt of others) {
          const fresh = await loadOnnxBackend(runtime, base);
          try {
            cold.push(await answer(fresh.baseView(), request(prompt)));
          } finally {
            await fresh.close();
          }
        }
        for (const prompt of PROMPTS) assert.deepEqual(await ask(prompt), cold[PROMPTS.indexOf(prompt)]);
        assert.deepEqual(await Promise.all(PROMPTS.map(ask)), cold);
        assert.deepEqual(await Promise.all(PROMPTS.toReversed().map(ask)), cold.toReversed());
      } finally {
        await warm.close();
      }
    });

    it("reads blocks as it would read everything at once", async () => {
      const backend = await loadOnnxBackend(runtime, base);
      try {
        // Dynamic quantisation scales by all the tokens that are read at once.
        const tolerance = { int8: 0.5, fp16: 0.02 }[layout.dtype as string] ?? 1e-4;
        for (const prompt of PROMPTS) {
          const events = await answer(backend.baseView(), request(prompt));
          const all = [...prompt, ...idsOf(events)];
          const scored = await answer(backend.baseView(), {
            ...request(all),
            maxTokens: 0,
            echo: true,
          });
          const expected = promptOf(scored).slice(prompt.length);
          logprobsOf(events).forEach((logprob, index) => {
            const error = Math.abs(logprob - expected[index]!.logprob!);
            assert.ok(error < tolerance, `${prompt.length} + ${index}: ${error}`);
          });
        }
      } finally {
        await backend.close();
      }
    });
  });
}

describe("views that have read the same", () => {
  let backend: Backend;
  let adapter: ResolvedAdapter;
  before(async () => {
    adapter = await resolveAdapter();
    backend = await loadOnnxBackend(runtime, await resolveBase());
  });
  after(() => backend.close());

  const prompt = { text: "And it came to pass, that the king said unto the people of the land, ".repeat(10) };
  const long = { prompt, maxTokens: 4, topLogprobs: 3 };

  it("keep what they read apart, by adapter and by λ", async () => {
    const views = (): View[] => [
      backend.baseView(),
      backend.adapterView(adapter),
      backend.adapterView(adapter, { scale: 0.5 }),
    ];
    const alone = [];
    for (const view of views()) alone.push(await answer(view, long));
    assert.equal(new Set(alone.map((events) => JSON.stringify(events))).size, 3);
    for (let again = 0; again < 2; again++) {
      assert.deepEqual(await Promise.all(views().map((view) => answer(view, long))), alone);
    }
    await backend.dropAdapter(adapter.identity);
    assert.deepEqual(await answer(backend.adapterView(adapter), long), alone[1]);
  });

  it("do not change how texts are scored, nor the log-probabilities of an echoed prompt", async () => {
    const fresh = await loadOnnxBackend(runtime, await resolveBase());
    const ask = async (view: View) => {
      const echoed = await answer(view, { ...long, echo: true });
      return { echoed, rolling: await view.rollingLogprobs(prompt.text) };
    };
    try {
      const cold = await ask(fresh.baseView());
      await answer(backend.baseView(), long);
      assert.deepEqual(await ask(backend.baseView()), cold);
      assert.deepEqual(promptOf(cold.echoed).slice(1).map(({ logprob }) => logprob), cold.rolling.logprobs);
      assert.deepEqual(idsOf(cold.echoed), idsOf(await answer(backend.baseView(), long)));
    } finally {
      await fresh.close();
    }
  });

  it("serve others between the blocks of a long prompt, and stop reading one that was given up", async () => {
    const controller = new AbortController();
    const given = Array.fromAsync(backend.baseView().generate(greedy(long), controller.signal));
    const other = backend.baseView().nextToken({ text: "God" }, { topK: 1 });
    controller.abort(new Error("client went away"));
    await assert.rejects(given, /client went away/);
    assert.equal((await other).ids.length, 1);
  });
});
