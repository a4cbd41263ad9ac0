/**
 * lm-evaluation-harness' `local-completions`: the requests that it sends, and what it computes from the answers, as its
 * `openai_completions.py` does (https://github.com/EleutherAI/lm-evaluation-harness).
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { type ReferenceCase, referenceCases } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { post, testServer } from "./support.ts";

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: {
    readonly tokens: readonly string[];
    readonly token_logprobs: readonly (number | null)[];
    readonly top_logprobs: readonly (Record<string, number> | null)[];
  };
}

/** What the harness makes of a choice: the sum over the continuation, and whether it is what greedy decoding gives. */
function score({ logprobs: { token_logprobs, top_logprobs } }: Choice, context: number): [number, boolean] {
  // What was generated after the continuation is cut off.
  const chosen = token_logprobs.slice(context, -1) as number[];
  const tops = top_logprobs.slice(context, -1) as Record<string, number>[];
  const isGreedy = chosen.every((logprob, at) => logprob === Math.max(...Object.values(tops[at]!)));
  return [chosen.reduce((sum, logprob) => sum + logprob, 0), isGreedy];
}

describe("lm-evaluation-harness", () => {
  let server: RunningServer;
  let cases: ReferenceCase[];
  before(async () => {
    server = await testServer({ cache: await temporaryFolder(), hub: false });
    cases = await referenceCases();
  });
  after(() => server.stop());

  const ask = async (body: object): Promise<Choice[]> => {
    const response = await post(server, "/v1/completions", body);
    assert.equal(response.status, 200, await response.clone().text());
    const { choices } = await response.json();
    return choices.toSorted((one: Choice, other: Choice) => one.index - other.index);
  };
  const LOGLIKELIHOOD = { model: "kjv-tiny", temperature: 0, max_tokens: 1, logprobs: 1, seed: 1234, echo: true };

  it("scores a batch of token ids as PyTorch does", async () => {
    const prompt = cases.map(({ prompt_ids, completion_ids }) => [...prompt_ids, ...completion_ids]);
    const choices = await ask({ ...LOGLIKELIHOOD, prompt });
    assert.equal(choices.length, cases.length);
    for (const [at, { prompt_ids, base }] of cases.entries()) {
      const [sum] = score(choices[at]!, prompt_ids.length);
      assert.ok(Math.abs(sum - base.completion_logprob) < 1e-3, `${sum} is not ${base.completion_logprob}`);
    }
  });

  it("sees by exact equality whether a continuation is the greedy one", async () => {
    const { prompt_ids, base } = cases[0]!;
    const greedy = [...prompt_ids, ...base.greedy_ids.slice(0, 4)];
    const other = [...greedy.slice(0, -1), base.greedy_ids[3]! === 5 ? 6 : 5];
    const choices = await ask({ ...LOGLIKELIHOOD, prompt: [greedy, other] });
    assert.deepEqual(choices.map((choice) => score(choice, prompt_ids.length)[1]), [true, false]);
    for (const { logprobs: { tokens, token_logprobs, top_logprobs } } of choices) {
      assert.deepEqual([token_logprobs[0], top_logprobs[0]], [null, null]);
      for (let at = 1; at < tokens.length; at++) assert.equal(top_logprobs[at]![tokens[at]!], token_logprobs[at]);
    }
  });

  it("gets the same as older versions of it do, which ask for no token", async () => {
    const { prompt_ids, completion_ids } = cases[0]!;
    const prompt = [[...prompt_ids, ...completion_ids]];
    const [now] = await ask({ ...LOGLIKELIHOOD, prompt });
    const [before] = await ask({ ...LOGLIKELIHOOD, max_tokens: 0, logprobs: 10, prompt });
    assert.deepEqual(before!.logprobs.token_logprobs, now!.logprobs.token_logprobs.slice(0, -1));
  });

  it("generates until one of its words comes", async () => {
    const prompt = cases.slice(0, 2).map(({ prompt_ids }) => [...prompt_ids]);
    const request = { model: "kjv-tiny", prompt, max_tokens: 16, temperature: 0, stop: [" the", "\n\n"], seed: 1234 };
    const choices = await ask(request);
    assert.deepEqual(choices.map(({ index }) => index), [0, 1]);
    for (const { text } of choices) assert.ok(!text.includes(" the"));
  });
});
