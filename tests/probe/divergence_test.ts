import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NextToken } from "../../src/model/backend.ts";
import { divergence } from "../../src/probe/divergence.ts";
import { seededRandom } from "../support/random.ts";

const logs = (...probabilities: number[]): number[] => probabilities.map(Math.log);

function near(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-12, `${actual} is not ${expected}`);
}

/** The likeliest tokens by id, with the rest as a tail over a vocabulary. */
function top(vocabularySize: number | null, probabilities: Record<number, number>, tail: number | null): NextToken {
  const ids = Object.keys(probabilities).map(Number);
  return {
    ids,
    logprobs: logs(...Object.values(probabilities)),
    vocabularySize,
    tailLogprob: tail === null ? null : Math.log(tail),
  };
}

describe("divergence", () => {
  it("is what the definitions say, in nats", () => {
    const { kl, js } = divergence(logs(0.5, 0.5), logs(0.9, 0.1));
    near(kl, 0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(0.5 / 0.1));
    near(
      js,
      (0.5 * Math.log(0.5 / 0.7) + 0.5 * Math.log(0.5 / 0.3) + 0.9 * Math.log(0.9 / 0.7) + 0.1 * Math.log(0.1 / 0.3)) /
        2,
    );
  });

  it("is zero between equals, and JS is the same both ways round", () => {
    const [p, q] = [logs(0.2, 0.3, 0.5), logs(0.1, 0.1, 0.8)];
    assert.deepEqual(divergence(p, p), { kl: 0, js: 0 });
    near(divergence(p, q).js, divergence(q, p).js);
    assert.notEqual(divergence(p, q).kl, divergence(q, p).kl);
  });

  it("reaches ln 2 between distributions that share next to nothing", () => {
    const { js } = divergence([0, -700], [-700, 0]);
    near(js, Math.LN2);
    assert.ok(js <= Math.LN2);
  });

  it("takes typed arrays as models give them", () => {
    const p = Float32Array.from(logs(0.25, 0.75));
    assert.ok(divergence(p, logs(0.25, 0.75)).kl < 1e-7);
  });

  it("spreads a tail evenly over the tokens that are not named", () => {
    const whole = divergence(logs(0.6, 0.2, 0.1, 0.1), logs(0.1, 0.1, 0.1, 0.7));
    const cut = divergence(top(4, { 0: 0.6, 1: 0.2 }, 0.2), top(4, { 3: 0.7 }, 0.3));
    near(cut.kl, whole.kl);
    near(cut.js, whole.js);
    const mixed = divergence(top(4, { 0: 0.6, 1: 0.2 }, 0.2), logs(0.1, 0.1, 0.1, 0.7));
    near(mixed.kl, whole.kl);
  });

  it("counts the tokens that neither side names", () => {
    const { kl } = divergence(top(1002, { 0: 0.5, 1: 0.1 }, 0.4), top(1002, { 0: 0.1, 1: 0.1 }, 0.8));
    near(kl, 0.5 * Math.log(5) + 0.4 * Math.log(0.5));
  });

  it("needs no tail where every token is named, in any order", () => {
    near(divergence(top(2, { 1: 0.75, 0: 0.25 }, null), logs(0.25, 0.75)).kl, 0);
  });

  it("is a lower bound where nobody knows the vocabulary, from tokens that one side or both name", () => {
    const [p, q] = [top(null, { 0: 0.6, 1: 0.2 }, 0.2), top(null, { 0: 0.1, 3: 0.7 }, 0.2)];
    // Token 1 is not among the likeliest of q, and so at most as likely as the last of them; token 3 is at most p's rest.
    const cuts = [
      divergence(logs(0.6, 0.2, 0.2), logs(0.1, 0.1, 0.8)),
      divergence(logs(0.6, 0.2, 0.2), logs(0.1, 0.7, 0.2)),
    ];
    const { kl, js } = divergence(p, q);
    near(kl, Math.max(...cuts.map(({ kl }) => kl)));
    near(js, Math.max(...cuts.map(({ js }) => js)));
    const whole = divergence(logs(0.6, 0.2, 0.1, 0.1), logs(0.1, 0.1, 0.1, 0.7));
    assert.ok(kl < whole.kl + 1e-12 && js < whole.js + 1e-12);
    // The one token that both name did not move; those that one side alone names tell them apart.
    const [one, other] = [top(null, { 1: 0.9, 3: 0.05 }, 0.05), top(null, { 2: 0.9, 3: 0.05 }, 0.05)];
    assert.ok(divergence(one, other).js > 0.4);
    const apart = top(null, { 7: 0.5 }, 0.5);
    assert.throws(() => divergence(p, apart), { name: "RangeError", message: /no token in common/ });
    assert.deepEqual(divergence(p, p), { kl: 0, js: 0 });
    assert.throws(() => divergence(p, top(4, { 0: 0.5 }, 0.5)), {
      name: "RangeError",
      message: /differ in size: null, 4/,
    });
    assert.throws(() => divergence(p, top(null, { 0: 0.5 }, null)), { message: /other tokens is not finite: null/ });
  });

  it("is never above the true one, whatever the likeliest tokens of two sides are", () => {
    const random = seededRandom(7);
    const side = (): number[] => {
      const weights = Array.from({ length: 24 }, () => Math.exp(8 * random()));
      const sum = weights.reduce((one, other) => one + other);
      return weights.map((weight) => Math.log(weight / sum));
    };
    const likeliest = (all: readonly number[], count: number): NextToken => {
      const ids = [...all.keys()].sort((one, other) => all[other]! - all[one]!).slice(0, count);
      const mass = ids.reduce((sum, id) => sum + Math.exp(all[id]!), 0);
      return { ids, logprobs: ids.map((id) => all[id]!), vocabularySize: null, tailLogprob: Math.log(1 - mass) };
    };
    for (let time = 0; time < 500; time++) {
      const [p, q] = [side(), side()];
      // With 13 of 24 there is one that both name.
      const [found, whole] = [divergence(likeliest(p, 13), likeliest(q, 13)), divergence(p, q)];
      assert.ok(found.kl <= whole.kl + 1e-9 && found.js <= whole.js + 1e-9);
    }
  });

  it("refuses what is no distribution, and says why", () => {
    const good = logs(0.5, 0.5);
    const cases: [Parameters<typeof divergence>[0], RegExp][] = [
      [[NaN, Math.log(0.5)], /token 0 is not finite: NaN/],
      [[0, -Infinity], /token 1 is not finite: -Infinity/],
      [[Infinity, 0], /token 0 is not finite: Infinity/],
      [[1.5, 0.2], /do not sum to 1: 5\.7/],
      [logs(0.2, 0.2), /do not sum to 1: 0\.4/],
      [[], /do not sum to 1: 0/],
      [top(2, { 0: 0.5 }, null), /the other 1 tokens is not finite: null/],
      [top(2, { 0: 1 }, 0), /the other 1 tokens is not finite: -Infinity/],
      [{ ids: [0, 0], logprobs: good, vocabularySize: 2, tailLogprob: null }, /named twice: 0/],
      [{ ids: [0, 2], logprobs: good, vocabularySize: 2, tailLogprob: null }, /outside a vocabulary of 2: 2/],
      [{ ids: [0], logprobs: good, vocabularySize: 2, tailLogprob: null }, /differ in number: 1, 2/],
      [logs(0.5, 0.25, 0.25), /differ in size: 3, 2|differ in size: 2, 3/],
    ];
    for (const [bad, message] of cases) {
      assert.throws(() => divergence(bad, good), { name: "RangeError", message });
      assert.throws(() => divergence(good, bad), { name: "RangeError", message });
    }
  });
});
