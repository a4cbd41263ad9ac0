/** Habits of other servers that would give a wrong number without a word of warning. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GenerateRequest, View } from "../../src/model/backend.ts";
import { events, fails, HastyClock, refused, viewOf } from "../support/api_view.ts";
import { type Answer, choice, endpoint } from "../support/endpoint.ts";

type Tokens = Parameters<typeof choice>[0];

/** An answer with one choice; `text` is what the server shows, the tokens' own texts joined when left out. */
const answer = (tokens: Tokens, text?: string, more: object = {}): Answer => ({
  json: { choices: [choice(tokens, text === undefined ? {} : { text })], ...more },
});

async function logprobs(given: Answer, prompt: string, completion: string): Promise<readonly number[]> {
  await using server = await endpoint(() => given);
  return (await viewOf(server).logprobs({ text: prompt }, completion)).logprobs;
}

const rolling = (text: string) => (view: View): Promise<unknown> => view.rollingLogprobs(text);
const unplaced = { code: "endpoint_failed", message: /tokens do not make up the text/ };

describe("placing the tokens of an endpoint", () => {
  it("reads the marks of SentencePiece, with the space that it puts before a text", async () => {
    const tokens: Tokens = [["<s>", null], ["▁The", -3], ["▁", -2], ["<0xC3>", -1], ["<0xA9>", -0.5]];
    assert.deepEqual(await logprobs(answer(tokens, "The é"), "The", " é"), [-2, -1, -0.5]);
  });

  it("reads the alphabet of byte-level BPE", async () => {
    const tokens: Tokens = [["The", null], ["Ġ", -2], ["Ã", -1], ["©", -0.5], ["Ċ", -0.25]];
    assert.deepEqual(await logprobs(answer(tokens, "The é\n"), "The", " é\n"), [-2, -1, -0.5, -0.25]);
  });

  it("reads OpenAI's tokens of bytes, also where letters stand beside them", async () => {
    const tokens: Tokens = [["The", null], ["bytes: \\xc3", -1], ["bytes:\\xa9n", -0.5]];
    assert.deepEqual(await logprobs(answer(tokens, "The én"), "The", " én"), [-1, -0.5]);
  });

  it("takes a token without a text for part of what follows it", async () => {
    assert.deepEqual(await logprobs(answer([["The", null], ["", -2], ["é", -1]]), "The", "é"), [-2, -1]);
  });

  it("does not believe offsets that were counted by tokens' own texts, where these are not the text's", async () => {
    // vLLM shows parts of characters as U+FFFD: the offsets drift, and here they end where the text does.
    await fails(answer([["�", null], ["�", -1], ["a", -2], ["b", -3]], "éab"), rolling("éab"), unplaced);
    // The same with spaces left out and `<s>` shown.
    const spaceless: Tokens = [["<s>", null], ["a", -1], ["b", -2], ["c", -3], ["d", -4]];
    await fails(answer(spaceless, "a b c d"), rolling("a b c d"), unplaced);
    // vLLM with --return-tokens-as-token-ids: a name is as long as this text.
    const named: Tokens = [["token_id:42", null], ["token_id:77", -5]];
    await fails(answer(named, "hello world"), rolling("hello world"), unplaced);
  });

  it("notices an answer that begins with the prompt by chance, from a server that ignores echo", async () => {
    const generated: Tokens = [[" ha", -1], [" ha", -0.5], [" ha", -0.25]];
    const usage = { prompt_tokens: 3, completion_tokens: 3 };
    const expected = { code: "endpoint_failed", message: /ignored echo/ };
    await fails(answer(generated, undefined, { usage }), rolling(" ha ha ha"), expected);
  });

  it("refuses certainty of the only token that there is to score", async () => {
    await fails(answer([["The", null], [" sun", 0]]), rolling("The sun"), { message: /ignored logprobs/ });
  });
});

describe("the next token at an endpoint", () => {
  const next = async (tokens: Tokens, topK: number): Promise<readonly number[]> => {
    await using server = await endpoint(() => answer(tokens));
    return (await viewOf(server).nextToken({ text: "The" }, { topK })).logprobs;
  };

  it("keeps the chosen token's own number where another of the same text has taken its place", async () => {
    assert.deepEqual(await next([["the", -0.5, { the: -6, a: -2 }]], 2), [-0.5, -2]);
  });

  it("counts tokens whose text does not tell them apart among the others", async () => {
    assert.deepEqual(await next([["�", -0.5, { "�": -0.5, "": -3, a: -2 }]], 8), [-2]);
    const all = answer([["�", -0.5, { "�": -0.5 }]]);
    await fails(all, (view) => view.nextToken({ text: "The" }, { topK: 8 }), { message: /names no/ });
  });

  it("refuses the probabilities after a temperature of 0, where one token is certain and no other possible", async () => {
    const ask = (view: View): Promise<unknown> => view.nextToken({ text: "The" }, { topK: 2 });
    for (const top of [{ a: 0 }, { a: 0, b: -9999 }]) {
      await fails(answer([["a", 0, top]]), ask, { code: "endpoint_failed", message: /certain/ });
    }
    assert.deepEqual(await next([["a", 0, { a: 0, b: -20 }]], 2), [0, -20]);
  });

  it("does not learn from a refusal of echo that few alternatives are allowed", async () => {
    await using server = await endpoint(({ body }) =>
      body.echo
        ? refused("Setting 'echo' and 'logprobs' at the same time is not supported for this model.")
        : answer([["a", -1, { a: -1, b: -2 }]])
    );
    const view = viewOf(server);
    const echo = { ...REQUEST, echo: true, topLogprobs: 20 };
    await assert.rejects(Array.fromAsync(view.generate(echo)), { code: "invalid_request" });
    await view.nextToken({ text: "The" }, { topK: 256 });
    assert.equal(server.asked.at(-1)!.body.logprobs, 256);
  });
});

const REQUEST: GenerateRequest = {
  prompt: { text: "The" },
  maxTokens: 4,
  temperature: 0,
  seed: 1,
  stop: [],
  topLogprobs: undefined,
  echo: false,
};

describe("the stream of an endpoint", () => {
  const ended = (finish_reason: string): Answer => events([{ choices: [{ text: " sun", finish_reason }] }]);

  it("is no answer when it ends for a reason that is not one of an answer's", async () => {
    for (const reason of ["error", "abort", "tool_calls"]) {
      await fails(ended(reason), (view) => Array.fromAsync(view.generate(REQUEST)), {
        code: "endpoint_failed",
        message: new RegExp(`ended.*${reason}`),
      });
    }
    await using server = await endpoint((_, number) => ended(["eos_token", "max_tokens"][number]!));
    const reasons: unknown[] = [];
    for (const _ of [1, 2]) {
      const end = (await Array.fromAsync(viewOf(server).generate(REQUEST))).at(-1)!;
      reasons.push(end.type === "end" && end.finishReason);
    }
    assert.deepEqual(reasons, ["stop", "length"]);
  });

  it("is asked for without what changes nothing, where a server does not know it", async () => {
    const strange = "Unrecognized request argument supplied: repetition_penalty";
    await using server = await endpoint(({ body }) => "repetition_penalty" in body ? refused(strange) : ended("stop"));
    const view = viewOf(server);
    for (const _ of [1, 2]) await Array.fromAsync(view.generate({ ...REQUEST, repetitionPenalty: 1 }));
    assert.deepEqual(server.asked.map(({ body }) => body.repetition_penalty), [1, undefined, undefined]);
    const stronger = view.generate({ ...REQUEST, repetitionPenalty: 1.1 });
    await assert.rejects(Array.fromAsync(stronger), { code: "invalid_request", message: /repetition_penalty/ });
    assert.equal(server.asked.length, 4);
  });

  it("may name alternatives that have no probability to speak of, in chat too", async () => {
    const top_logprobs = [{ token: "Hi", logprob: -0.5 }, { token: "Ho", logprob: -9999 }];
    const content = [{ token: "Hi", logprob: -0.5, bytes: [72, 105], top_logprobs }];
    const one = { delta: { content: "Hi" }, logprobs: { content }, finish_reason: "stop" };
    await using server = await endpoint(() => events([{ choices: [one] }]));
    const prompt = { messages: [{ role: "user", content: "Hello" }] };
    const got = await Array.fromAsync(viewOf(server).generate({ ...REQUEST, prompt, topLogprobs: 2 }));
    assert.deepEqual(got.flatMap((event) => event.type === "token" ? event.token.top.map(({ text }) => text) : []), [
      "Hi",
    ]);
  });

  it("is not given up while its reader takes his time, nor for waits that the endpoint asked for", async () => {
    const clock = new HastyClock();
    const pieces = [" sun", " is"].map((text) => ({ choices: [{ text, finish_reason: "length" }] }));
    await using server = await endpoint((_, number) => number === 0 ? refused("busy", 503) : events(pieces));
    const waits = { sleep: clock.sleep.bind(clock) };
    clock.sleep = (duration, options = {}) => {
      if (!options.background) clock.advance(60_000);
      return waits.sleep(duration, options);
    };
    const texts: string[] = [];
    for await (const { text } of viewOf(server, { timeout: 30_000 }, clock).generate(REQUEST)) {
      texts.push(text);
      clock.advance(60_000);
    }
    assert.equal(texts.join(""), " sun is");
  });
});

describe("the key of an endpoint", () => {
  it("is in no message, even where the endpoint repeats it", async () => {
    const apiKey = "sk-very-secret-0123456789";
    const padding = "x".repeat(290);
    const answers: readonly Answer[] = [
      refused(`Incorrect API key provided: ${apiKey}`, 401),
      refused(`${padding} ${apiKey}`, 400),
      refused(`no model for ${apiKey}`, 404),
      { status: 500, json: { detail: `Bearer ${apiKey}` } },
      (response) => response.end(`<html>${apiKey}`),
      { json: { choices: [{ text: apiKey, logprobs: { tokens: [["The", apiKey]] } }] } },
    ];
    for (const given of answers) {
      await using server = await endpoint(() => given);
      const view = viewOf(server, { apiKey });
      const error = await view.logprobs({ text: "The" }, " sun").then(() => assert.fail(), (error) => error);
      const cause = error.cause as Error | undefined;
      assert.doesNotMatch(`${error.stack} ${cause?.stack} ${JSON.stringify([error, cause])}`, /sk-very/);
    }
    await using server = await endpoint(() => events([{ error: { message: `for ${apiKey}` } }]));
    const error = await Array.fromAsync(viewOf(server, { apiKey }).generate(REQUEST)).then(() => assert.fail(), String);
    assert.doesNotMatch(error as string, /sk-very/);
  });
});
