/**
 * From a row of numbers for each token to one for the text, as the Pooling module of Sentence Transformers
 * (https://sbert.net/docs/package_reference/sentence_transformer/models.html) defines it. Sums are made in float64 and
 * in the order of the tokens, so that they have the same bits everywhere.
 *
 * @module
 */

import type { JsonObject } from "../files/model_files.ts";

/** How rows become one. */
export type PoolingMode = "cls" | "max" | "mean" | "mean_sqrt_len_tokens" | "weightedmean" | "lasttoken";

/** What a model's `1_Pooling/config.json` says. */
export interface Pooling {
  /** What each gives is joined, in this order. */
  readonly modes: readonly PoolingMode[];
  /** Whether the tokens of a prompt that is put before the text count. */
  readonly includePrompt: boolean;
  /** Numbers in a token's row; `undefined` when it is not said. */
  readonly width: number | undefined;
}

/** For models that say nothing. */
export const MEAN_POOLING: Pooling = { modes: ["mean"], includePrompt: true, width: undefined };

/** The names of the switches, in the order in which what they give is joined. */
const SWITCHES: Readonly<Record<string, PoolingMode>> = {
  pooling_mode_cls_token: "cls",
  pooling_mode_max_tokens: "max",
  pooling_mode_mean_tokens: "mean",
  pooling_mode_mean_sqrt_len_tokens: "mean_sqrt_len_tokens",
  pooling_mode_weightedmean_tokens: "weightedmean",
  pooling_mode_lasttoken: "lasttoken",
};

/**
 * Reads a pooling configuration, as Sentence Transformers does: a `pooling_mode` by name beats the switches, and where
 * none of these is on, it is the mean.
 *
 * @throws Error naming what is missing or not known.
 */
export function readPooling(config: JsonObject): Pooling {
  const { pooling_mode: named, include_prompt: includePrompt = true } = config;
  if (typeof includePrompt !== "boolean") {
    throw new Error(`the pooling's include_prompt is not true or false: ${JSON.stringify(includePrompt)}`);
  }
  const modes = named == null ? switchedOn(config) : namedModes(named);
  const width = config.word_embedding_dimension ?? config.embedding_dimension;
  if (width != null && !(Number.isSafeInteger(width) && (width as number) > 0)) {
    throw new Error(`the pooling's word_embedding_dimension is not a positive integer: ${JSON.stringify(width)}`);
  }
  return { modes, includePrompt, width: width == null ? undefined : width as number };
}

function switchedOn(config: JsonObject): readonly PoolingMode[] {
  const unknown = Object.keys(config).find((name) => {
    return name.startsWith("pooling_mode_") && !Object.hasOwn(SWITCHES, name) && config[name] !== false;
  });
  if (unknown !== undefined) throw new Error(`the pooling is not supported: ${unknown}`);
  const modes = Object.keys(SWITCHES).filter((name) => {
    const isOn = config[name] ?? false;
    if (typeof isOn !== "boolean") {
      throw new Error(`the pooling's ${name} is not true or false: ${JSON.stringify(isOn)}`);
    }
    return isOn;
  }).map((name) => SWITCHES[name]!);
  return modes.length === 0 ? MEAN_POOLING.modes : modes;
}

function namedModes(named: unknown): readonly PoolingMode[] {
  const names: readonly unknown[] = Array.isArray(named) ? named : [named];
  const modes = Object.values(SWITCHES);
  const unknown = names.find((name) => !modes.includes(name as PoolingMode));
  if (unknown !== undefined) throw new Error(`the pooling is not supported: ${JSON.stringify(unknown)}`);
  if (names.length === 0) throw new Error("the pooling has no mode: pooling_mode is empty");
  return names as readonly PoolingMode[];
}

/**
 * Pools the rows of one text.
 *
 * @param rows As many as the text has tokens, one after the other.
 * @param from The first token that counts: those before it are the prompt's.
 */
export function pool(
  rows: Float32Array,
  width: number,
  modes: readonly PoolingMode[],
  from: number,
): Float64Array<ArrayBuffer> {
  const pooled = new Float64Array(modes.length * width);
  modes.forEach((mode, at) => POOL[mode](rows, width, from, pooled.subarray(at * width, (at + 1) * width)));
  return pooled;
}

/** Fills `into` with one row made of those from `from` on. */
type Pool = (rows: Float32Array, width: number, from: number, into: Float64Array) => void;

const POOL: Readonly<Record<PoolingMode, Pool>> = {
  // The first token is the classifier's, prompt or not.
  cls: (rows, width, _, into) => into.set(rows.subarray(0, width)),
  lasttoken: (rows, _, __, into) => into.set(rows.subarray(-into.length)),
  max(rows, width, from, into) {
    into.fill(-Infinity);
    for (let at = from * width; at < rows.length; at++) {
      // What is not a number stays to the end, to be refused there.
      if (rows[at]! > into[at % width]! || Number.isNaN(rows[at])) into[at % width] = rows[at]!;
    }
  },
  mean: (...given) => average(...given, () => 1, (sum) => sum),
  mean_sqrt_len_tokens: (...given) => average(...given, () => 1, Math.sqrt),
  // Muennighoff, SGPT (https://arxiv.org/abs/2202.08904): the place of a token, counted from 1, is its weight.
  weightedmean: (...given) => average(...given, (token) => token + 1, (sum) => sum),
};

function average(
  rows: Float32Array,
  width: number,
  from: number,
  into: Float64Array,
  weight: (token: number) => number,
  divisor: (weights: number) => number,
): void {
  let weights = 0;
  for (let token = from; token < rows.length / width; token++) {
    const each = weight(token);
    weights += each;
    for (let at = 0; at < width; at++) into[at]! += each * rows[token * width + at]!;
  }
  for (let at = 0; at < width; at++) into[at]! /= divisor(weights);
}

/** A vector's direction, of length 1; one of zeros stays as it is. As PyTorch's `normalize`, in float64. */
export function normalise(vector: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  let squares = 0;
  for (const number of vector) squares += number * number;
  const length = Math.max(Math.sqrt(squares), SHORTEST);
  return vector.map((number) => number / length);
}

const SHORTEST = 1e-12;
