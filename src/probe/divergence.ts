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
    for (const id of shared) add(one.named.get(id)!, other.named.get(id)!, 1);
    add(besides(one, shared), besides(other, shared), 1);
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

function logAddExp(one: number, other: number): number {
  const [larger, smaller] = one > other ? [one, other] : [other, one];
  return larger + Math.log1p(Math.exp(smaller - larger));
}

function refusal(problem: string, received: unknown): RangeError {
  return new RangeError(`Cannot compare distributions, ${problem}: ${received}`);
}
