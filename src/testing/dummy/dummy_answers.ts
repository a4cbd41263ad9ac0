/**
 * What a dummy model knows: answers that a test wrote down, and for everything else a small formula, so that any
 * question has an answer and the same one each time.
 *
 * Its tokens are the bytes of UTF-8, ids 0 to 255, and after them the texts of {@link DummyAnswers.nextTokens}.
 *
 * @module
 */

import type { NullAdapterOptions } from "../../model/backend.ts";

/** What one side of a dummy model answers; by the formula where it says nothing. */
export interface DummyAnswers {
  /** By prompt: probabilities of next tokens by their texts, less than 1 together; the rest is spread over all others. */
  readonly nextTokens?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By prompt and completion: the log-probability of the whole completion, spread over its tokens. */
  readonly logprobs?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By prompt: how it goes on. */
  readonly generations?: Readonly<Record<string, string>>;
  /** By text: where it lies. */
  readonly vectors?: Readonly<Record<string, readonly number[]>>;
}

/** What is applied to the base, if anything. */
export type DummyApplied =
  | { readonly name: string; readonly answers: DummyAnswers; readonly scale: number }
  | { readonly name: string; readonly noise: Required<NullAdapterOptions> };

const BYTES = 256;

/** One side of a dummy model, asked. */
export class DummySide {
  readonly #seed: number;
  readonly #answers: DummyAnswers;
  /** Ids of the canned tokens, by text. */
  readonly #canned: ReadonlyMap<string, number>;
  /** How many tokens there are. */
  readonly vocabularySize: number;

  constructor(name: string, answers: DummyAnswers, canned: ReadonlyMap<string, number>) {
    this.#seed = hash(name, 0);
    this.#answers = answers;
    this.#canned = canned;
    this.vocabularySize = Math.max(BYTES, ...[...canned.values()].map((id) => id + 1));
  }

  /** Natural logarithms of the probabilities of all tokens after a text. */
  distribution(text: string): Float64Array {
    const named = this.#answers.nextTokens?.[text];
    return named === undefined ? this.#formula(text) : this.#named(named);
  }

  /** The log-probability of a completion, where it was written down. */
  total(prompt: string, completion: string): number | undefined {
    return this.#answers.logprobs?.[prompt]?.[completion];
  }

  /** How a text goes on, where it was written down. */
  continuation(text: string): string | undefined {
    return this.#answers.generations?.[text];
  }

  /** Where a text lies. */
  vector(text: string): readonly number[] {
    return this.#answers.vectors?.[text] ?? Array.from({ length: 8 }, (_, axis) => unit(hash(text, axis ^ this.#seed)));
  }

  #named(named: Readonly<Record<string, number>>): Float64Array {
    const given = Object.entries(named);
    const rest = given.reduce((left, [, probability]) => left - probability, 1);
    if (!(rest > 0) || given.some(([, probability]) => !(probability > 0))) {
      throw new RangeError(
        `A dummy's next tokens have probabilities that leave nothing to others: ${JSON.stringify(named)}`,
      );
    }
    const logs = new Float64Array(this.vocabularySize).fill(Math.log(rest / (this.vocabularySize - given.length)));
    for (const [text, probability] of given) logs[this.#canned.get(text)!] = Math.log(probability);
    return logs;
  }

  /** Printable characters are likely, each as the last character before it and its own number have it. */
  #formula(text: string): Float64Array {
    const weights = new Float64Array(this.vocabularySize).fill(1);
    const last = text.charCodeAt(text.length - 1) || 0;
    for (let byte = 32; byte < 127; byte++) weights[byte] = 2 + hash(`${last},${byte}`, this.#seed) % 1000;
    const sum = weights.reduce((one, other) => one + other);
    return weights.map((weight) => Math.log(weight / sum));
  }
}

/** The tokens of all canned distributions, by text, in one order. */
export function cannedTokens(sides: readonly DummyAnswers[]): ReadonlyMap<string, number> {
  const texts = new Set(sides.flatMap(({ nextTokens = {} }) => Object.values(nextTokens).flatMap(Object.keys)));
  const encoder = new TextEncoder();
  const ids = new Map<string, number>();
  let next = BYTES;
  for (const text of [...texts].sort()) {
    const bytes = encoder.encode(text);
    // A text of one byte has that byte's id, which is its token.
    ids.set(text, bytes.length === 1 ? bytes[0]! : next++);
  }
  return ids;
}

/** A base with λ times the difference that another side makes, on the logarithms; 0 and 1 are the sides themselves. */
export function between(base: Float64Array, other: Float64Array, scale: number): Float64Array {
  if (scale === 0) return base;
  if (scale === 1) return other;
  return normalised(base.map((log, token) => log + scale * (other[token]! - log)));
}

/** A base with noise on its logarithms. */
export function noisy(
  base: Float64Array,
  text: string,
  { seed, initScale, rankScale }: Required<NullAdapterOptions>,
): Float64Array {
  const strength = 10 * initScale * Math.sqrt(rankScale);
  return normalised(base.map((log, token) => log + strength * unit(hash(`${text}\n${token}`, seed))));
}

function normalised(logs: Float64Array): Float64Array {
  const most = logs.reduce((one, other) => Math.max(one, other));
  const sum = logs.reduce((all, log) => all + Math.exp(log - most), 0);
  return logs.map((log) => log - most - Math.log(sum));
}

/** FNV-1a with a last mix, 32 bits. http://www.isthe.com/chongo/tech/comp/fnv/ */
export function hash(text: string, seed: number): number {
  let state = (0x811c9dc5 ^ seed) >>> 0;
  for (let at = 0; at < text.length; at++) state = Math.imul(state ^ text.charCodeAt(at), 0x01000193) >>> 0;
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b) >>> 0;
  return (state ^ (state >>> 13)) >>> 0;
}

/** From -1 to 1. */
function unit(bits: number): number {
  return bits / 2 ** 31 - 1;
}
