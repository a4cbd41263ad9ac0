/** A model that is none: what its answers are, and that it keeps the contract of the real ones. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { GenerateRequest, View } from "../../src/model/backend.ts";
import { divergence } from "../../src/probe/divergence.ts";
import { dummyAdapter, dummyBackend, dummyBase } from "../../src/testing/testing.ts";

const PROMPT = { text: "The sky is" };
const OPTIONS = {
  base: {
    nextTokens: { "The sky is": { " blue": 0.5, " grey": 0.25 } },
    logprobs: { "The sky is": { " blue": -2 } },
    generations: { "The sky is": " blue." },
    vectors: { sky: [1, 0] },
  },
  adapters: {
    night: { nextTokens: { "The sky is": { " black": 0.5 } }, logprobs: { "The sky is": { " blue": -6 } } },
  },
};
const NIGHT = dummyAdapter("night");
const ALL = { topK: 1000 };

const REQUEST: GenerateRequest = { prompt: PROMPT, maxTokens: 9, seed: 0, stop: [], topLogprobs: 1, echo: false };

async function textOf(view: View, more: Partial<GenerateRequest> = {}): Promise<readonly [string, string | undefined]> {
  const events = await Array.fromAsync(view.generate({ ...REQUEST, ...more }));
  const end = events.at(-1)!;
  return [events.map(({ text }) => text).join(""), end.type === "end" ? end.finishReason : undefined];
}

describe("dummyBackend", () => {
  it("gives the answers that were written down", async () => {
    const view = dummyBackend(OPTIONS).baseView();
    const { ids, logprobs, tailLogprob } = await view.nextToken(PROMPT, { topK: 2 });
    assert.deepEqual(ids, [257, 258]);
    assert.deepEqual(logprobs, [Math.log(0.5), Math.log(0.25)]);
    assert.ok(Math.abs(tailLogprob! - Math.log(0.25)) < 1e-12);
    assert.equal((await view.logprobs(PROMPT, " blue")).total, -2);
    assert.deepEqual(await textOf(view), [" blue.", "stop"]);
    assert.deepEqual(await textOf(view, { maxTokens: 3 }), [" bl", "length"]);
    assert.deepEqual(await textOf(view, { echo: true }), ["The sky is blue.", "stop"]);
    assert.deepEqual([...(await Array.fromAsync(view.embed(["sky"])))[0]!.vector], [1, 0]);
  });

  it("goes on in whole characters, in tokens that were written down, and up to a stop text", async () => {
    const generations = { é: "né — ok", x: "one two three" };
    const view = dummyBackend({ ...OPTIONS, base: { nextTokens: OPTIONS.base.nextTokens, generations } }).baseView();
    assert.deepEqual(await textOf(view, { prompt: { text: "é" }, maxTokens: 99 }), ["né — ok", "stop"]);
    assert.deepEqual(await textOf(view, { prompt: { text: "x" }, stop: ["two", "zzz"], maxTokens: 99 }), [
      "one ",
      "stop",
    ]);
    const events = await Array.fromAsync(view.generate({ ...REQUEST, maxTokens: 1 }));
    const [token] = events.flatMap((event) => event.type === "token" ? [event.token] : []);
    assert.deepEqual([token!.id, token!.text, token!.top[0]!.text], [257, " blue", " blue"]);
    assert.deepEqual(new TextDecoder().decode(Uint8Array.from(token!.bytes)), " blue");
    const next = { ids: [...new TextEncoder().encode("The sky is"), 257] };
    const after = await view.nextToken({ text: "The sky is blue" }, ALL);
    assert.deepEqual(await view.nextToken(next, ALL), after);
  });

  it("scores the prompt that it echoes", async () => {
    const view = dummyBackend().baseView();
    const events = await Array.fromAsync(view.generate({ ...REQUEST, echo: true, maxTokens: 0 }));
    const tokens = events.flatMap((event) => event.type === "prompt" ? event.tokens : []);
    const { logprobs } = await view.rollingLogprobs(PROMPT.text);
    assert.deepEqual(tokens.map(({ logprob }) => logprob), [null, ...logprobs]);
    assert.deepEqual(tokens.map(({ top }) => top.length), [0, ...logprobs.map(() => 1)]);
  });

  it("answers everything else by a formula: the same each time, and a distribution", async () => {
    const ask = async (): Promise<unknown[]> => {
      const view = dummyBackend().baseView();
      const questions = [
        { kind: "nextToken", prompt: { text: "x" }, options: ALL },
        { kind: "logprobs", prompt: { text: "é" }, completion: "è" },
        { kind: "rollingLogprobs", text: "abc" },
      ] as const;
      return [...await Array.fromAsync(view.scoreMany(questions)), await textOf(view, { prompt: { text: "y" } })];
    };
    assert.deepEqual(await ask(), await ask());
    const { logprobs, vocabularySize, tailLogprob } = await dummyBackend().baseView().nextToken({ ids: [120] }, ALL);
    assert.deepEqual([logprobs.length, vocabularySize, tailLogprob], [256, 256, null]);
    assert.ok(Math.abs(logprobs.reduce((sum, log) => sum + Math.exp(log), 0) - 1) < 1e-9);
    const rolling = await dummyBackend().baseView().rollingLogprobs("é");
    assert.deepEqual([rolling.ids.length, rolling.logprobs.length], [2, 1]);
  });

  it("lies between base and adapter as λ says: 0 is the base and 1 the adapter, to the bit", async () => {
    const backend = dummyBackend(OPTIONS);
    const at = (scale: number) => backend.adapterView(NIGHT, { scale });
    assert.deepEqual(await at(0).nextToken(PROMPT, ALL), await backend.baseView().nextToken(PROMPT, ALL));
    const vector = async (view: View) => (await Array.fromAsync(view.embed(["sky"])))[0]!.vector;
    assert.deepEqual(await vector(at(0)), await vector(backend.baseView()));
    assert.notDeepEqual(await vector(at(1)), await vector(backend.baseView()));
    assert.equal((await at(1).nextToken(PROMPT, { topK: 1 })).logprobs[0], Math.log(0.5));
    assert.equal((await at(0.5).logprobs(PROMPT, " blue")).total, -4);
    const [none, near, far] = await Promise.all([0, 0.5, 1].map((scale) => at(scale).nextToken(PROMPT, ALL)));
    assert.ok(divergence(none!, far!).kl > divergence(none!, near!).kl && divergence(none!, near!).kl > 0);
  });

  it("has noise by its seed, weaker or stronger", async () => {
    const backend = dummyBackend(OPTIONS);
    const noise = async (options: object) =>
      await backend.nullView(NIGHT, { seed: 1, ...options }).nextToken(PROMPT, ALL);
    assert.deepEqual(await noise({}), await noise({}));
    assert.notDeepEqual(await noise({}), await noise({ seed: 2 }));
    assert.notDeepEqual(await noise({}), await noise({ initScale: 0.1 }));
  });

  it("keeps the contract: adapters in memory, aborts, ends, refusals", async () => {
    const backend = dummyBackend(OPTIONS);
    backend.adapterView(NIGHT);
    assert.deepEqual(backend.adapters.map(({ name }) => name), ["night"]);
    await backend.dropAdapter(NIGHT.identity);
    assert.deepEqual(backend.adapters, []);
    assert.throws(() => backend.adapterView(dummyAdapter("day")), { code: "model_load_failed", message: /day/ });
    assert.throws(() => backend.adapterView(NIGHT, { scale: NaN }), { name: "RangeError" });
    const view = backend.baseView();
    const reason = new Error("enough");
    await assert.rejects(view.logprobs(PROMPT, "x", AbortSignal.abort(reason)), reason);
    await assert.rejects(view.logprobs(PROMPT, ""), { code: "invalid_request", parameter: "completion" });
    await assert.rejects(view.rollingLogprobs("x"), { code: "invalid_request", parameter: "text" });
    await assert.rejects(view.nextToken(PROMPT, { topK: 0 }), { code: "invalid_request", parameter: "topK" });
    await assert.rejects(Array.fromAsync(view.embed([""])), { code: "invalid_request" });
    await backend.close();
    await assert.rejects(textOf(view), { code: "worker_failed" });
    assert.equal(await backend.closed, undefined);
  });

  it("refuses canned tokens that leave nothing to others", async () => {
    const view = dummyBackend({ base: { nextTokens: { x: { a: 0.5, b: 0.5 } } } }).baseView();
    await assert.rejects(view.nextToken({ text: "x" }, ALL), { name: "RangeError" });
  });
});

describe("dummyBase", () => {
  it("has the identity of its answers", () => {
    assert.match(dummyBase().identity, /^[0-9a-f]{64}$/);
    assert.equal(dummyBase(OPTIONS).identity, dummyBase(structuredClone(OPTIONS)).identity);
    assert.notEqual(dummyBase(OPTIONS).identity, dummyBase({ ...OPTIONS, adapters: {} }).identity);
  });
});
