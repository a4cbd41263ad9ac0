/**
 * Requests of every kind, on a GPU that the CPU plays and on the CPU: what is looked through on the GPU says the same as
 * what is looked through in full.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Backend, GenerateEvent, GenerateRequest, ScoredToken } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const PROMPT = { ids: [5, 300, 17, 1999, 42, 7, 900, 3, 260] };
/** Float32 sums of some hundred numbers, in another order. */
const TOLERANCE = 1e-4;

const REQUESTS: Readonly<Record<string, Partial<GenerateRequest>>> = {
  "the likeliest tokens": {},
  "the likeliest tokens, of which the end of the text must not come": { minTokens: 8 },
  "the likeliest tokens, and what else was likely": { topLogprobs: 5 },
  "the likeliest tokens, and more of the others than come back by themselves": { topLogprobs: 70 },
  "tokens drawn among a few": { temperature: 0.8, topK: 20, topP: 0.9, seed: 3 },
  "tokens drawn among a few, reported": { temperature: 2, topK: 50, minP: 0.01, seed: 4, topLogprobs: 3, minTokens: 8 },
  "tokens drawn among more than come back by themselves": { temperature: 1, topK: 100, seed: 5, topLogprobs: 2 },
  "tokens drawn among all": { temperature: 1, topP: 0.95, seed: 6, topLogprobs: 1 },
  "tokens under penalties": { repetitionPenalty: 1.5, presencePenalty: 1, topLogprobs: 2 },
  "tokens under a bias": { temperature: 0.9, topK: 10, logitBias: [[77, 20], [5, -100]], seed: 7, topLogprobs: 1 },
  "its prompt as well": { echo: true, topLogprobs: 4 },
  "its prompt as well, with more than comes back by itself": { echo: true, topLogprobs: 80, temperature: 1 },
  "its prompt alone": { echo: true, maxTokens: 0, topLogprobs: 1 },
};

describe("an answer on webgpu:software", { skip: skipWithoutGpu }, () => {
  let gpu: Backend;
  let cpu: Backend;
  before(async () => {
    const runtime = await loadRuntime();
    const base = await writeLlama(await temporaryFolder(), randomLlama(SMALL, 3), { layout: "genai" });
    [gpu, cpu] = await Promise.all([
      loadOnnxBackend(runtime, { ...base, device: "webgpu:software" }),
      loadOnnxBackend(runtime, base),
    ]);
  });
  after(() => Promise.all([gpu?.close(), cpu?.close()]));

  for (const [what, changes] of Object.entries(REQUESTS)) {
    it(`is that of the CPU: ${what}`, async () => {
      const request = greedy({ prompt: PROMPT, maxTokens: 8, ...changes });
      const [found, expected] = await Promise.all(
        [gpu, cpu].map((backend) => Array.fromAsync(backend.baseView().generate(request))),
      );
      const [tokens, wanted] = [tokensOf(found!), tokensOf(expected!)];
      assert.deepEqual(tokens.map(({ id }) => id), wanted.map(({ id }) => id));
      for (const [index, token] of tokens.entries()) assertNear(token, wanted[index]!);
      assert.deepEqual(found!.at(-1), expected!.at(-1));
    });
  }

  it("is the same to the bit when all are asked for at once, and some are given up in the middle", async () => {
    const ask = (changes: Partial<GenerateRequest>): AsyncIterable<GenerateEvent> =>
      gpu.baseView().generate(greedy({ prompt: PROMPT, maxTokens: 8, ...changes }));
    const kinds = Object.values(REQUESTS);
    const alone: GenerateEvent[][] = [];
    for (const changes of kinds) alone.push(await Array.fromAsync(ask(changes)));
    const givenUp = kinds.slice(0, 6).map(async (changes, index) => {
      for await (const event of ask({ ...changes, maxTokens: 20, minTokens: 20 })) {
        if (event.type === "token" && index-- === 0) break;
      }
    });
    const scored = gpu.baseView().rollingLogprobs("In the beginning God created");
    const together = await Promise.all(kinds.map((changes) => Array.fromAsync(ask(changes))));
    await Promise.all([...givenUp, scored]);
    assert.deepEqual(together, alone);
  });

  it("is the same number for a token wherever that token is asked about", async () => {
    const view = gpu.baseView();
    const text = "In the beginning God created";
    const { ids, logprobs } = await view.rollingLogprobs(text);
    const { ids: likely, logprobs: next } = await view.nextToken({ ids: ids.slice(0, -1) }, { topK: SMALL.vocabulary });
    assert.equal(ids.length, logprobs.length + 1);
    const there = likely.indexOf(ids.at(-1)!);
    assert.ok(Math.abs(next[there]! - logprobs.at(-1)!) < TOLERANCE);
    const [few, many] = await Promise.all([1, 70].map(async (topLogprobs) => {
      const events = await Array.fromAsync(view.generate(greedy({ prompt: PROMPT, maxTokens: 6, topLogprobs })));
      return tokensOf(events).map(({ logprob }) => logprob);
    }));
    assert.deepEqual(few, many);
  });

  it("says of the next token what the CPU says: each one, and what is left", async () => {
    for (const topK of [1, 64, 65, SMALL.vocabulary]) {
      const [found, expected] = await Promise.all(
        [gpu, cpu].map((backend) => backend.baseView().nextToken(PROMPT, { topK })),
      );
      assert.deepEqual(found!.ids, expected!.ids);
      found!.logprobs.forEach((logprob, index) =>
        assert.ok(Math.abs(logprob - expected!.logprobs[index]!) < TOLERANCE)
      );
      if (expected!.tailLogprob === null) assert.equal(found!.tailLogprob, null);
      else assert.ok(Math.abs(found!.tailLogprob! - expected!.tailLogprob) < TOLERANCE);
    }
  });

  it("scores what the CPU scores", async () => {
    const text = "In the beginning God created the heaven and the earth. ".repeat(5);
    const [found, expected] = await Promise.all(
      [gpu, cpu].map(async (backend) => {
        const { total, logprobs } = await backend.baseView().logprobs({ text: "And" }, " God said");
        const rolling = await backend.baseView().rollingLogprobs(text);
        return [total, ...logprobs, ...rolling.logprobs];
      }),
    );
    found!.forEach((logprob, index) => assert.ok(Math.abs(logprob - expected![index]!) < TOLERANCE, `${index}`));
  });
});

function tokensOf(events: readonly GenerateEvent[]): ScoredToken[] {
  return events.flatMap((event) =>
    event.type === "token" ? [event.token] : event.type === "prompt" ? event.tokens : []
  );
}

function assertNear(token: ScoredToken, wanted: ScoredToken): void {
  assert.equal(token.logprob === null, wanted.logprob === null);
  assert.ok(Math.abs((token.logprob ?? 0) - (wanted.logprob ?? 0)) < TOLERANCE, `${token.logprob}`);
  assert.equal(token.top.length, wanted.top.length);
  // Two that are as likely but for rounding may have changed places.
  for (const [index, { logprob }] of token.top.entries()) {
    assert.ok(Math.abs(logprob! - wanted.top[index]!.logprob!) < TOLERANCE, `${logprob}`);
  }
}
