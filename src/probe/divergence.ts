/**
 * How far apart two next-token distributions are. The numbers decide whether an adapter is said to have changed
 * anything, so whatever would make them meaningless is refused rather than computed with.
 *
 * @module
 */

import type { NextToken } from "../model/backend.ts";

/**
 * A distribution over a vocabulary: the log-probability (natural logarithm) of every token by its id, or the likeliest
 * tokens and what the rest has together, which is taken to be spread evenly over the rest. Where nobody says how large
 * the vocabulary is, the rest is one event.
 */
export type Distribution = ArrayLike<number> | NextToken;

/** Two distributions, compared. */
export interface Divergence {
  /** Kullback-Leibler divergence KL(p ‖ q) in nats, 0 or more. */
  readonly kl: number;
  /** Jensen-Shannon divergence in nats, from 0 to ln 2. */
  readonly js: number;
}

/** Rounding of a float32 model over a large vocabulary stays below this; logits in place of log-probabilities do not. */
const MASS_TOLERANCE = 1e-3;

/**
 * Compares two distributions over the same vocabulary.
 *
 * Where its size is unknown, only tokens that both sides name are told apart, and all others are taken together. Events
 * joined can only look more alike (the data-processing inequality; Cover and Thomas, Elements of Information Theory,
 * section 2.8), so what is found is then a lower bound.
 *
 * @throws RangeError when a log-probability is not finite, a distribution does not sum to 1, names a token twice or
 * one outside its vocabulary, or the vocabularies differ in size.
 */
export function divergence(p: Distribution, q: Distribution): Divergence {
  const [one, other] = [tabulate(p), tabulate(q)];
  if (one.vocabularySize !== other.vocabularySize) {
    throw refusal("the vocabularies differ in size", `${one.vocabularySize}, ${other.vocabularySize}`);
  }
  const { vocabularySize } = one;
  let [kl, jsOne, jsOther] = [0, 0, 0];
  const add = (logP: number, logQ: number, tokens: number): void => {
    const logMean = logAddExp(logP, logQ) - Math.LN2;
    kl += tokens * Math.exp(logP) * (logP - logQ);
    jsOne += tokens * Math.exp(logP) * (logP - logMean);
    jsOther += tokens * Math.exp(logQ) * (logQ - logMean);
  };
  if (vocabularySize === null) {
    const shared = new Set([...one.named.keys()].filter((id) => other.named.has(id)));
    if (shared.size === 0) {
      throw refusal("they name no token in common, so all there is to compare is one event; ask for more tokens", 0);
    }
    for (const id of shared) add(one.named.get(id)!, other.named.get(id)!, 1);
    const before = [kl, jsOne + jsOther] as const;
    const bounds = remainders(one, other, shared).map((events) => {
      [kl, jsOne, jsOther] = [before[0], before[1], 0];
      for (const [logP, logQ] of events) add(logP, logQ, 1);
      return [kl, jsOne + jsOther] as const;
    });
    // Each is a lower bound, and so is the largest.
    [kl, jsOne, jsOther] = [Math.max(...bounds.map(([kl]) => kl)), Math.max(...bounds.map(([, js]) => js)), 0];
  } else {
    let unnamed = vocabularySize - one.named.size;
    for (const [id, logP] of one.named) add(logP, other.named.get(id) ?? other.rest, 1);
    for (const [id, logQ] of other.named) {
      if (one.named.has(id)) continue;
      add(one.rest, logQ, 1);
      unnamed--;
    }
    if (unnamed > 0) add(one.rest, other.rest, unnamed);
  }
  // Rounding may lead a hair below zero where the truth is zero.
  return { kl: Math.max(0, kl), js: Math.min(Math.max(0, (jsOne + jsOther) / 2), Math.LN2) };
}

/** A distribution as one log-probability for each named token and one that all others share. */
interface Table {
  /** `null`: unknown; all others are one event then. */
  readonly vocabularySize: number | null;
  readonly named: ReadonlyMap<number, number>;
  readonly rest: number;
}

/** Events that make up what is beside the shared tokens, as pairs of logarithms. */
type Events = readonly (readonly [logP: number, logQ: number])[];

/**
 * Ways of cutting up what is beside the shared tokens. What one side alone names is an event of its own, to which the
 * other side gives as much as it can: it names the likeliest tokens, so each of the others is at most as likely as the
 * last of these, and all together are not more than its rest. As close as that to the one side is the least different
 * that they can be.
 */
function remainders(one: Table, other: Table, shared: ReadonlySet<number>): readonly Events[] {
  const [p, q] = [besides(one, shared), besides(other, shared)];
  const within = (side: Table, all: number, far: Table, farAll: number): readonly [number, number] => {
    const own = [...side.named].filter(([id]) => !shared.has(id));
    const mass = own.reduce((sum, [, logprob]) => logAddExp(sum, logprob), -Infinity);
    const least = Math.min(...far.named.values()) + Math.log(own.length);
    // In proportion it would be no event of its own.
    return [mass, Math.min(mass - all + farAll, far.rest, least)];
  };
  const cut = (logP: number, logQ: number): Events =>
    logP === -Infinity ? [[p, q]] : [[logP, logQ], [logSubExp(p, logP), logSubExp(q, logQ)]];
  const [ownP, farQ] = within(one, p, other, q);
  const [ownQ, farP] = within(other, q, one, p);
  return [cut(ownP, farQ), cut(farP, ownQ)];
}

/** What all tokens but some have together. */
function besides({ named, rest }: Table, some: ReadonlySet<number>): number {
  let sum = rest;
  for (const [id, logprob] of named) if (!some.has(id)) sum = logAddExp(sum, logprob);
  return sum;
}

function tabulate(distribution: Distribution): Table {
  const table = "ids" in distribution ? tabulateTop(distribution) : {
    vocabularySize: distribution.length,
    named: new Map(Array.from(distribution, (logprob, id) => [id, logprob])),
    rest: -Infinity,
  };
  const unnamed = table.vocabularySize === null ? 1 : table.vocabularySize - table.named.size;
  let mass = unnamed === 0 ? 0 : unnamed * Math.exp(table.rest);
  for (const [id, logprob] of table.named) {
    if (!Number.isFinite(logprob)) throw refusal(`the log-probability of token ${id} is not finite`, logprob);
    mass += Math.exp(logprob);
  }
  if (Math.abs(mass - 1) > MASS_TOLERANCE) throw refusal("the probabilities do not sum to 1", mass);
  return table;
}

function tabulateTop({ ids, logprobs, vocabularySize, tailLogprob }: NextToken): Table {
  if (ids.length !== logprobs.length) {
    throw refusal("ids and log-probabilities differ in number", `${ids.length}, ${logprobs.length}`);
  }
  const named = new Map<number, number>();
  for (const [index, id] of ids.entries()) {
    if (!(Number.isInteger(id) && id >= 0 && id < (vocabularySize ?? Infinity))) {
      throw refusal(`a token lies outside a vocabulary of ${vocabularySize}`, id);
    }
    if (named.has(id)) throw refusal("a token is named twice", id);
    named.set(id, logprobs[index]!);
  }
  const unnamed = vocabularySize === null ? "" : ` ${vocabularySize - named.size}`;
  if (vocabularySize === named.size) return { vocabularySize, named, rest: -Infinity };
  if (tailLogprob === null || !Number.isFinite(tailLogprob)) {
    throw refusal(`the log-probability of the other${unnamed} tokens is not finite`, tailLogprob);
  }
  if (vocabularySize === null) return { vocabularySize, named, rest: tailLogprob };
  return { vocabularySize, named, rest: tailLogprob - Math.log(vocabularySize - named.size) };
}

function logSubExp(larger: number, smaller: number): number {
  return larger + Math.log(Math.max(-Math.expm1(smaller - larger), Number.EPSILON));
}

function logAddExp(one: number, other: number): number {
  if (one === -Infinity) return other;
  const [larger, smaller] = one > other ? [one, other] : [other, one];
  return larger + Math.log1p(Math.exp(smaller - larger));
}

function refusal(problem: string, received: unknown): RangeError {
  return new RangeError(`Cannot compare distributions, ${problem}: ${received}`);
}
