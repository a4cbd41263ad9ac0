/**
 * How likely a given text is. Every call is one run over the whole text without a cache, so that its bits depend on the
 * text and the view alone.
 *
 * @module
 */

import type {
  CompletionLogprobs,
  NextToken,
  NextTokenOptions,
  Prompt,
  RollingLogprobs,
  ScoreAnswer,
  ScoreQuestion,
} from "../backend.ts";
import { Distribution } from "./distribution.ts";
import { ModelError } from "../error.ts";
import type { Feeds } from "../graph/graph.ts";
import { pace } from "./pace.ts";
import { encodeCompletion } from "../text/completion.ts";
import { checkLength, checkTokens, encodePrompt, encodeText, type PromptEncoder } from "../text/prompt.ts";
import type { CausalSession } from "../graph/session.ts";

/** What scoring needs of a loaded model. */
export interface Scorer extends PromptEncoder {
  readonly session: CausalSession;
}

/**
 * {@link ../backend.ts View.scoreMany}. Each question is read when the one before it has been answered and its answer
 * taken up, so ten thousand take no more memory than one, and end where their reader does.
 */
export async function* scoreMany(
  scorer: Scorer,
  adapter: Feeds,
  questions: readonly ScoreQuestion[],
  signal?: AbortSignal,
): AsyncGenerator<ScoreAnswer<ScoreQuestion>> {
  for (const question of questions) {
    switch (question.kind) {
      case "logprobs":
        yield await completionLogprobs(scorer, adapter, question.prompt, question.completion, signal);
        break;
      case "rollingLogprobs":
        yield await rollingLogprobs(scorer, adapter, question.text, signal);
        break;
      case "nextToken":
        yield await nextToken(scorer, adapter, question.prompt, question.options, signal);
    }
  }
}

/** {@link ../backend.ts View.logprobs} */
async function completionLogprobs(
  scorer: Scorer,
  adapter: Feeds,
  prompt: Prompt,
  completion: string,
  signal?: AbortSignal,
): Promise<CompletionLogprobs> {
  const encoded = encodePrompt(scorer, prompt);
  const ids = encodeCompletion(scorer, encoded, completion);
  checkTokens(scorer, ids, "completion");
  checkLength(scorer, encoded.ids.length, ids.length, encoded.parameter);
  const all = [...encoded.ids, ...ids];
  return withTotal(ids, await tokenLogprobs(scorer, adapter, all, encoded.ids.length, signal), "completion");
}

/** {@link ../backend.ts View.rollingLogprobs} */
async function rollingLogprobs(
  scorer: Scorer,
  adapter: Feeds,
  text: string,
  signal?: AbortSignal,
): Promise<RollingLogprobs> {
  const ids = encodeText(scorer, text, true, "text");
  checkTokens(scorer, ids, "text");
  checkLength(scorer, ids.length, 0, "text");
  return withTotal(ids, await tokenLogprobs(scorer, adapter, ids, 1, signal), "text");
}

/** {@link ../backend.ts View.nextToken} */
async function nextToken(
  scorer: Scorer,
  adapter: Feeds,
  prompt: Prompt,
  { topK }: NextTokenOptions,
  signal?: AbortSignal,
): Promise<NextToken> {
  if (!Number.isSafeInteger(topK) || topK < 1) {
    throw new ModelError("invalid_request", `topK is not a positive integer: ${topK}`, { parameter: "topK" });
  }
  const { ids: promptIds, parameter } = encodePrompt(scorer, prompt);
  checkLength(scorer, promptIds.length, 0, parameter);
  const logits = await scorer.session.score(promptIds, adapter, { whole: "last" }, signal);
  const distribution = new Distribution(logits.last());
  const ids = distribution.likeliest(topK);
  return {
    ids,
    logprobs: ids.map((id) => distribution.logprob(id)),
    vocabularySize: distribution.vocabularySize,
    tailLogprob: distribution.tailLogprob(ids),
  };
}

/** How likely each token from `from` on was. The last row, after which nothing comes, is read all the same. */
async function tokenLogprobs(
  { session }: Scorer,
  adapter: Feeds,
  ids: readonly number[],
  from: number,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const wanted = { rows: ids.length - from + 1, whole: "none", ids: ids.slice(from) } as const;
  const logits = await session.score(ids, adapter, wanted, signal);
  const worked = pace(signal);
  const logprobs: number[] = [];
  for (let index = from; index < ids.length; index++) {
    logprobs.push(new Distribution(logits.after(index - 1)).logprob(ids[index]!));
    await worked(logits.vocabularySize);
  }
  return logprobs;
}

function withTotal(ids: readonly number[], logprobs: readonly number[], parameter: string): CompletionLogprobs {
  const impossible = logprobs.findIndex((logprob) => !Number.isFinite(logprob));
  if (impossible >= 0) {
    const id = ids[ids.length - logprobs.length + impossible];
    throw new ModelError("invalid_request", `A token in ${parameter} is one that the model can never say: ${id}`, {
      parameter,
    });
  }
  return { ids, logprobs, total: logprobs.reduce((sum, logprob) => sum + logprob, 0) };
}
