/**
 * A view as a {@link Respondent}: what is asked where there is no cache before the model.
 *
 * @module
 */

import type { ScoreAnswer, ScoreQuestion, View } from "../model/backend.ts";
import type { Respondent } from "./subject.ts";

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
