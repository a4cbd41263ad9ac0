/**
 * A loaded model as a {@link Subject}: what a program has that keeps its model itself, and no cache.
 *
 * @module
 */

import type { Backend, ResolvedAdapter, ScoreAnswer, ScoreQuestion, View } from "../model/backend.ts";
import type { Embedder, Respondent, Subject } from "./subject.ts";

/** What a {@link backendSubject} may have besides its model. */
export interface BackendSubjectOptions {
  /** Finds models for embeddings by name. Without it there are none. */
  readonly embedder?: (name: string) => Promise<Embedder | undefined>;
}

/** A base and one of its adapters in memory. */
export function backendSubject(
  backend: Backend,
  adapter: ResolvedAdapter,
  { embedder = () => Promise.resolve(undefined) }: BackendSubjectOptions = {},
): Subject {
  return {
    base: viewRespondent(backend.baseView()),
    adapter: viewRespondent(backend.adapterView(adapter)),
    scaled: (scale) => viewRespondent(backend.adapterView(adapter, { scale })),
    noise: (options) => viewRespondent(backend.nullView(adapter, options)),
    embedder,
  };
}

/** A view that is asked directly. */
export function viewRespondent(view: View): Respondent {
  return {
    score: async <Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal) => {
      const answers: ScoreAnswer<Q>[] = [];
      for await (const answer of view.scoreMany(questions, signal)) answers.push(answer);
      return answers;
    },
    generate: async (prompts, options, signal) => {
      const texts = [];
      for (const prompt of prompts) texts.push(await continuation(view, prompt, options, signal));
      return texts;
    },
  };
}

/** The greedy continuation of a prompt, whatever the model's own settings for sampling are. */
export async function continuation(
  view: View,
  prompt: string,
  { maxTokens, seed }: { readonly maxTokens: number; readonly seed: number },
  signal?: AbortSignal,
): Promise<string> {
  const request = {
    prompt: { text: prompt },
    maxTokens,
    temperature: 0,
    repetitionPenalty: 1,
    seed,
    stop: [],
    topLogprobs: undefined,
    echo: false,
  };
  let text = "";
  for await (const event of view.generate(request, signal)) text += event.text;
  return text;
}
