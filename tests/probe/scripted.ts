/** Subjects whose every answer a test writes down, for what no real model does when it is asked to. */

import type { NextToken, ScoreAnswer, ScoreQuestion } from "../../src/model/backend.ts";
import type { ProbeContext } from "../../src/probe/probe.ts";
import type { Respondent, Subject } from "../../src/probe/subject.ts";

/** Answers one question; what it throws is the model's refusal. */
export type Script = (question: ScoreQuestion) => ScoreAnswer<ScoreQuestion>;

/** A side that answers by a script, and goes on from every prompt with the same text. */
export function scripted(script: Script, text = ""): Respondent {
  return {
    score: <Q extends ScoreQuestion>(questions: readonly Q[], signal?: AbortSignal) => {
      return new Promise<ScoreAnswer<Q>[]>((resolve) => {
        signal?.throwIfAborted();
        resolve(questions.map(script) as ScoreAnswer<Q>[]);
      });
    },
    generate: (prompts) => Promise.resolve(prompts.map(() => text)),
  };
}

/** Two sides and nothing else. */
export function twoSides(base: Respondent, adapter: Respondent, more: Partial<Subject> = {}): Subject {
  return { base, adapter, scaled: undefined, noise: undefined, embedder: () => Promise.resolve(undefined), ...more };
}

/** A next-token distribution over a vocabulary of as many tokens as it has probabilities. */
export function distribution(...probabilities: readonly number[]): NextToken {
  const order = [...probabilities.keys()].sort((one, other) => probabilities[other]! - probabilities[one]!);
  return {
    ids: order,
    logprobs: order.map((id) => Math.log(probabilities[id]!)),
    vocabularySize: probabilities.length,
    tailLogprob: null,
  };
}

/** A side that finds the same tokens likely after every prompt, and every text as likely as every other. */
export function constant(...probabilities: readonly number[]): Respondent {
  return scripted(({ kind }) => {
    return kind === "nextToken" ? distribution(...probabilities) : { ids: [0, 1], logprobs: [-1], total: -1 };
  });
}

/** What a probe gets from a suite. */
export function contextOf(subject: Subject, more: Partial<ProbeContext> = {}): ProbeContext {
  const pause = (): Promise<void> => Promise.resolve();
  return { subject, seed: 0, topK: 256, signal: undefined, baselines: [], later: [], pause, ...more };
}
