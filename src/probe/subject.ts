/**
 * Whom probes question: a base, its adapter, and what lies between and beside them. Probes know no cache, no lease and
 * no Worker; whoever runs a suite brings these in the form of a {@link Subject}.
 *
 * @module
 */

import type { NullAdapterOptions, ScoreAnswer, ScoreQuestion } from "../model/backend.ts";

/** One view of a model, as far as probes ask it. */
export interface Respondent {
  /** Answers many questions in order, each as if it had been asked alone. Rejects with what the model refuses first. */
  score<Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal): Promise<readonly ScoreAnswer<Q>[]>;
  /** Goes on from each prompt, greedily. */
  generate(
    prompts: readonly string[],
    options: { readonly maxTokens: number; readonly seed: number },
    signal?: AbortSignal,
  ): Promise<readonly string[]>;
}

/** A model that places texts in a space of meanings. */
export interface Embedder {
  /** One vector for each text. */
  embed(texts: readonly string[], signal?: AbortSignal): Promise<readonly ArrayLike<number>[]>;
}

/** A base and what is to be compared with it. */
export interface Subject {
  readonly base: Respondent;
  /** What was made of the base: nearly always the base with an adapter. */
  readonly adapter: Respondent;
  /** The base with λ times the adapter; `undefined` where the two sides are not one set of weights. */
  readonly scaled: ((scale: number) => Respondent) | undefined;
  /** The base with noise in the adapter's place; `undefined` where there is no adapter whose shape it could have. */
  readonly noise: ((options: NullAdapterOptions) => Respondent) | undefined;
  /** A model for embeddings by name; `undefined` when there is none of that name. */
  embedder(name: string): Promise<Embedder | undefined>;
}
