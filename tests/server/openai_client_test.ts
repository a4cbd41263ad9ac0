/** The official client gets from a warm model what PyTorch computed, from base and adapter. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type OpenAI from "openai";
import type { RunningServer } from "../../src/compose/server.ts";
import { REFERENCE_MAX_TOKENS, type ReferenceCase, referenceCases } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { openai, testServer } from "./support.ts";

const VIEWS = [["kjv-tiny", "base"], ["kjv-tiny+fortunes", "fortunes"]] as const;

/** How far log-probabilities may be from the reference, in nats. */
const TOLERANCE = 1e-3;

describe("the openai client", () => {
  let server: RunningServer;
  let client: OpenAI;
  let cases: ReferenceCase[];
  before(async () => {
    server = await testServer({ cache: await temporaryFolder() });
    client = openai(server);
    cases = await referenceCases();
  });
  after(() => server.stop());

  for (const [model, view] of VIEWS) {
    it(`gets the greedy text of ${model} from completions`, async () => {
      for (const reference of cases) {
        const completion = await client.completions.create({
          model,
          prompt: reference.prompt,
          max_tokens: REFERENCE_MAX_TOKENS,
          temperature: 0,
        });
        assert.equal(completion.model, model);
        assert.equal(completion.choices[0]!.text, reference[view].greedy_text);
        assert.equal(completion.choices[0]!.finish_reason, reference[view].finish_reason);
        assert.equal(completion.usage!.prompt_tokens, reference.prompt_ids.length);
      }
    });

    it(`gets the greedy token ids of ${model} from token ids`, async () => {
      for (const reference of cases) {
        const completion = await client.completions.create({
          model,
          prompt: [...reference.prompt_ids],
          max_tokens: REFERENCE_MAX_TOKENS,
          temperature: 0,
          logprobs: 0,
        });
        const { token_ids } = completion.choices[0]!.logprobs as unknown as { token_ids: number[] };
        const generated = token_ids.slice(0, reference[view].greedy_ids.length);
        assert.deepEqual(generated, reference[view].greedy_ids);
      }
    });

    it(`gets the log-probabilities of ${model} with echo`, async () => {
      for (const reference of cases) {
        const completion = await client.completions.create({
          model,
          prompt: [...reference.prompt_ids, ...reference.completion_ids],
          max_tokens: 0,
          echo: true,
          logprobs: 1,
          temperature: 0,
        });
        const [choice] = completion.choices;
        assert.equal(choice!.text, reference.prompt + reference.completion);
        const { token_logprobs, tokens, top_logprobs, text_offset } = choice!.logprobs!;
        assert.equal(token_logprobs![0], null);
        const scored = token_logprobs!.slice(1);
        assert.equal(scored.length, reference[view].token_logprobs.length);
        reference[view].token_logprobs.forEach((expected, at) => {
          assert.ok(Math.abs(scored[at]! - expected) < TOLERANCE, `token ${at}: ${scored[at]} is not ${expected}`);
        });
        tokens!.forEach((token, at) => {
          assert.equal(choice!.text.slice(text_offset![at]!).startsWith(token), true);
          // What evaluation harnesses rely on: the chosen token is among the alternatives, with the identical number.
          if (at > 0) {
            assert.equal((top_logprobs as unknown as Record<string, number>[])[at]![token], token_logprobs![at]);
          }
        });
      }
    });
  }

  it("gets one choice per prompt and sample, in order", async () => {
    const prompt = cases.slice(0, 2).map((reference) => reference.prompt);
    const completion = await client.completions.create({ model: "kjv-tiny", prompt, n: 2, max_tokens: 8, seed: 7 });
    assert.deepEqual(completion.choices.map(({ index }) => index), [0, 1, 2, 3]);
    assert.equal(new Set(completion.choices.map(({ text }) => text)).size, 4, "samples differ");
  });

  it("gets the same first samples with a seed, however many it asks for", async () => {
    const prompt = cases.slice(0, 2).map((reference) => reference.prompt);
    const ask = async (n: number, user: string) => {
      // Another value of a field that the model does not see, so that the cache does not answer.
      const request = { model: "kjv-tiny", prompt, n, max_tokens: 8, seed: 7, unseen: user };
      return (await client.completions.create(request)).choices.map(({ text }) => text);
    };
    const [one, three] = [await ask(1, "a"), await ask(3, "b")];
    assert.deepEqual(one, [three[0], three[3]]);
  });

  it("streams log-probabilities that add up to those of the whole answer", async () => {
    const request = { model: "kjv-tiny", prompt: "And they came", max_tokens: 6, temperature: 0, logprobs: 2 };
    const stream = await client.completions.create({ ...request, echo: true, stream: true });
    const streamed: Record<string, unknown[]> = {};
    for await (const { choices: [choice] } of stream) {
      for (const [name, values] of Object.entries(choice!.logprobs ?? {})) (streamed[name] ??= []).push(...values);
    }
    const whole = await client.completions.create({ ...request, echo: true });
    assert.deepEqual(streamed, whole.choices[0]!.logprobs);
  });

  it("holds a conversation", async () => {
    const chat = await client.chat.completions.create({
      model: "kjv-tiny",
      messages: [{ role: "user", content: "In the beginning God" }],
      max_completion_tokens: 12,
      temperature: 0,
      logprobs: true,
      top_logprobs: 2,
    });
    const [choice] = chat.choices;
    assert.equal(choice!.message.role, "assistant");
    assert.ok(choice!.message.content!.length > 0);
    assert.equal(chat.usage!.total_tokens, chat.usage!.prompt_tokens + chat.usage!.completion_tokens);
    assert.equal(choice!.logprobs!.content!.length, chat.usage!.completion_tokens);
    for (const { logprob, top_logprobs } of choice!.logprobs!.content!) {
      assert.equal(top_logprobs.length, 2);
      assert.equal(top_logprobs[0]!.logprob, logprob, "greedy takes the likeliest");
    }
  });

  it("streams a conversation whose chunks add up to the whole answer", async () => {
    const request = {
      model: "kjv-tiny+fortunes",
      messages: [{ role: "user" as const, content: "The first law of" }],
      max_completion_tokens: 16,
      temperature: 0,
    };
    for (const source of ["the model", "the cache"]) {
      const stream = await client.chat.completions.create({
        ...request,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      const reasons = [];
      let usage;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        if (chunk.choices[0]?.finish_reason) reasons.push(chunk.choices[0].finish_reason);
        if (chunk.choices.length > 0) assert.equal(chunk.usage, null, "named, and empty until the end");
        else usage = chunk.usage;
      }
      const whole = await client.chat.completions.create(request);
      assert.equal(text, whole.choices[0]!.message.content, source);
      assert.deepEqual(reasons, [whole.choices[0]!.finish_reason], source);
      assert.deepEqual(usage, whole.usage, source);
    }
  });

  it("lists base and adapter, the adapter with its parent", async () => {
    const models = [];
    for await (const model of client.models.list()) models.push(model as OpenAI.Model & { parent: string | null });
    assert.deepEqual(models.map(({ id, parent }) => [id, parent]), [
      ["kjv-tiny", null],
      ["kjv-tiny+fortunes", "kjv-tiny"],
    ]);
    assert.equal((await client.models.retrieve("kjv-tiny+fortunes")).id, "kjv-tiny+fortunes");
  });
});
