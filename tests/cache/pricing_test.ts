import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Answer, newSample } from "../../src/cache/answer/answer.ts";
import type { Plan } from "../../src/cache/call_options.ts";
import type { PricedCall, PriceOf } from "../../src/cache/ledger/prices.ts";
import { priceSamples } from "../../src/cache/ledger/pricing.ts";
import type { CacheRequest } from "../../src/cache/request/request.ts";

const REQUEST = { model: "asked", provider: "openai" } as CacheRequest;
const perToken: PriceOf = ({ usage }) => usage.inputTokens + 2 * usage.outputTokens;
const bill = (tokens: number): object => ({
  model: "answered",
  usage: { prompt_tokens: tokens, completion_tokens: 0 },
});

function answerOf(samples: number, bills: readonly unknown[]): Answer {
  const stamp = { modelAsked: "asked", latency: 1, created: 5, expires: () => null };
  const body = new Uint8Array();
  return { body, bills, samples: Array.from({ length: samples }, () => newSample(bill(1), body, stamp)) };
}

function price(answer: Answer, priceOf?: PriceOf, cost?: Plan["cost"]): Promise<(number | null)[]> {
  return priceSamples(priceOf, REQUEST, answer, { cost } as Plan);
}

describe("priceSamples", () => {
  it("asks the price table about the tokens of each bill", async () => {
    const calls: PricedCall[] = [];
    const costs = await price(answerOf(1, [bill(10)]), (call) => {
      calls.push(call);
      return perToken(call);
    });
    assert.deepEqual(costs, [10]);
    const { provider, modelAsked, modelAnswered, created } = calls[0]!;
    assert.deepEqual([provider, modelAsked, modelAnswered, created], ["openai", "asked", "answered", 5]);
  });

  it("divides one bill among the samples it is for, and leaves each its own", async () => {
    assert.deepEqual(await price(answerOf(4, [bill(10)]), perToken), [2.5, 2.5, 2.5, 2.5]);
    assert.deepEqual(await price(answerOf(2, [bill(10), bill(20)]), perToken), [10, 20]);
  });

  it("takes the caller's word instead", async () => {
    assert.deepEqual(await price(answerOf(1, [bill(10)]), perToken, 3), [3]);
    assert.deepEqual(await price(answerOf(2, [bill(10)]), perToken, 3), [1.5, 1.5]);
    assert.deepEqual(await price(answerOf(2, [bill(10), bill(20)]), perToken, 3), [3, 3]);
    assert.deepEqual(await price(answerOf(1, [bill(10)]), perToken, (answer) => Object.keys(answer as object).length), [
      2,
    ]);
    assert.deepEqual(await price(answerOf(1, []), perToken, 3), [3], "what nobody can read was paid for as well");
  });

  it("makes nothing up", async () => {
    const fails: PriceOf = () => {
      throw new Error("no table");
    };
    assert.deepEqual(await price(answerOf(1, [bill(10)])), [null]);
    assert.deepEqual(await price(answerOf(1, [{}]), perToken), [null]);
    assert.deepEqual(await price(answerOf(1, [bill(10)]), fails), [null]);
    assert.deepEqual(await price(answerOf(1, [bill(10)]), () => null), [null]);
    assert.deepEqual(await price(answerOf(1, [bill(10)]), () => Promise.reject(new Error("offline"))), [null]);
    for (const odd of [NaN, -1, Infinity]) {
      assert.deepEqual(await price(answerOf(1, [bill(10)]), () => odd), [null]);
      assert.deepEqual(await price(answerOf(2, [bill(10)]), undefined, odd), [null, null]);
    }
    assert.deepEqual(await price(answerOf(1, [bill(10)]), perToken, () => "3" as unknown as number), [null]);
    assert.deepEqual(await price(answerOf(3, [bill(10), bill(20)]), perToken), [null, null, null]);
    assert.deepEqual(await price(answerOf(0, []), perToken), []);
  });
});
