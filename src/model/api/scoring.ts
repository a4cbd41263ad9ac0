/**
 * How likely a text is to a model behind an endpoint: the text is sent, and comes back with the log-probability of each
 * of its tokens (`echo` with `logprobs`), the way evaluation harnesses ask. An endpoint that ignores one of both would
 * score everything alike, which is worse than no answer, so each answer is checked for it.
 *
 * @module
 */

import type { CompletionLogprobs, NextToken, NextTokenOptions, Prompt, RollingLogprobs } from "../backend.ts";
import { ModelError } from "../error.ts";
import { type ApiModel, askCompletion, explained, textOf } from "./api_model.ts";
import { type EchoedText, placeTokens } from "./echoed_text.ts";
import { type ApiToken, readTokens, record, UnusableAnswer } from "./legacy_logprobs.ts";
import { idOfText } from "./token_ids.ts";

/** Where all of it is asked. */
const PATH = "/completions";

/** Rounding of printed probabilities stays below this. */
const MASS_TOLERANCE = 1e-3;

/** {@link ../backend.ts View.logprobs} */
export async function completionLogprobs(
  model: ApiModel,
  prompt: Prompt,
  completion: string,
  signal: AbortSignal,
): Promise<CompletionLogprobs> {
  const before = textOf(model, prompt);
  refuseEmpty(completion, "completion");
  const { tokens, placed } = await echoed(model, before + completion, "completion", signal);
  const from = placed.tokenAt(before.length);
  if (from === undefined) {
    const message = "No token begins where the completion does: the endpoint's tokenizer joins it to the prompt";
    throw new ModelError("invalid_request", message, { parameter: "completion" });
  }
  if (tokens[from]?.logprob === undefined) {
    const message = "The completion comes after nothing, and what comes first has no probability: the prompt is empty";
    throw new ModelError("invalid_request", message, { parameter: "prompt" });
  }
  return withTotal(model, tokens.slice(from, placed.length), 0);
}

/** {@link ../backend.ts View.rollingLogprobs} */
export async function rollingLogprobs(model: ApiModel, text: string, signal: AbortSignal): Promise<RollingLogprobs> {
  refuseEmpty(text, "text");
  const { tokens, placed } = await echoed(model, text, "text", signal);
  return withTotal(model, tokens.slice(0, placed.length), 1);
}

/**
 * {@link ../backend.ts View.nextToken}. As many tokens as the endpoint names; how many there are it does not say. What
 * is left for the rest is at least what the sum of the others' probabilities resolves.
 */
export async function nextToken(
  model: ApiModel,
  prompt: Prompt,
  { topK }: NextTokenOptions,
  signal: AbortSignal,
): Promise<NextToken> {
  if (!Number.isSafeInteger(topK) || topK < 1) {
    throw new ModelError("invalid_request", `topK is not a positive integer: ${topK}`, { parameter: "topK" });
  }
  if ("messages" in prompt) textOf(model, prompt);
  const question = { prompt: "ids" in prompt ? prompt.ids : textOf(model, prompt), max_tokens: 1, alternatives: topK };
  return await checked(model, "prompt", async () => {
    const [token] = readTokens(choiceOf(await askCompletion(model, question, signal)), false);
    if (token === undefined) throw new UnusableAnswer("it generated no token, and so told nothing of the next one");
    if (token.top.length === 0) throw new UnusableAnswer("it ignored logprobs: it names no alternatives");
    // The likeliest of all, since nothing else is chosen at a temperature of 0: a number below its own is that of
    // another token with the same text.
    const named = new Map(token.top).set(token.text, token.logprob!);
    if (named.size === 1 && token.logprob === 0 && question.alternatives > 1) {
      throw new UnusableAnswer(
        "one token is said to be certain, and no other to be possible, as after a temperature of 0",
      );
    }
    for (const text of named.keys()) if (isAmbiguous(text)) named.delete(text);
    if (named.size === 0) throw new UnusableAnswer("it names no token by a text that tells it from others");
    const likeliest = [...named].sort(byProbability).slice(0, topK);
    const mass = likeliest.reduce((sum, [, logprob]) => sum + Math.exp(logprob), 0);
    if (mass > 1 + MASS_TOLERANCE) throw new UnusableAnswer(`the probabilities of the next token sum to ${mass}`);
    return {
      ids: likeliest.map(([text]) => idOfText(model.runtime, text)),
      logprobs: likeliest.map(([, logprob]) => logprob),
      vocabularySize: null,
      tailLogprob: Math.log(Math.max(1 - mass, Number.EPSILON)),
    };
  });
}

/** Parts of characters are all shown as U+FFFD by some, and like special tokens as nothing by others. */
function isAmbiguous(text: string): boolean {
  return text === "" || text.includes("\uFFFD");
}

/** A text that came back with its tokens. */
export interface Echo {
  readonly tokens: readonly ApiToken[];
  readonly placed: EchoedText;
}

/**
 * Sends a text and gets it back, token by token.
 *
 * @param parameter What of the question a refusal is about.
 * @param alternatives How many to name with each token.
 * @throws ModelError
 */
export async function echoed(
  model: ApiModel,
  text: string,
  parameter: string,
  signal: AbortSignal,
  alternatives = 1,
): Promise<Echo> {
  return await checked(model, parameter, async () => {
    const question = { prompt: text, echo: true, alternatives };
    const answer = await askCompletion(model, question, signal);
    const choice = choiceOf(answer);
    if (typeof choice.text !== "string" || !choice.text.includes(text)) {
      throw new UnusableAnswer(`it ignored echo: its text is not the one that was sent`);
    }
    const tokens = readTokens(choice, true);
    if (tokens[0]?.logprob !== undefined && tokens.length <= generatedIn(answer)) {
      throw new UnusableAnswer("it ignored echo: all of its tokens were generated");
    }
    const placed = placeTokens(tokens, text);
    const scored = tokens.slice(1, placed.length);
    const missing = scored.find(({ logprob }) => logprob === undefined);
    if (missing !== undefined) {
      throw new UnusableAnswer(`it gives no log-probability for ${JSON.stringify(missing.text)}`);
    }
    if (scored.length > 0 && scored.every(({ logprob }) => logprob === 0)) {
      throw new UnusableAnswer("it ignored logprobs: every token of the text is said to be certain");
    }
    return { tokens, placed };
  });
}

/** The id of a token: the model's own where the endpoint says it. */
export function idOf({ runtime }: ApiModel, { id, text }: Pick<ApiToken, "id" | "text">): number {
  return id ?? idOfText(runtime, text);
}

async function checked<T>(model: ApiModel, parameter: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw explained(model, error, PATH, parameter);
  }
}

function choiceOf(answer: unknown): Readonly<Record<string, unknown>> {
  const { choices } = record(answer, "an answer");
  return record(Array.isArray(choices) ? choices[0] : undefined, "choices");
}

/** How many tokens an answer says were generated; 0 when it does not say. */
function generatedIn(answer: unknown): number {
  const { usage } = record(answer, "an answer");
  const count = (usage as { readonly completion_tokens?: unknown } | null | undefined)?.completion_tokens;
  return typeof count === "number" ? count : 0;
}

function withTotal(model: ApiModel, tokens: readonly ApiToken[], from: number): CompletionLogprobs {
  const logprobs = tokens.slice(from).map(({ logprob }) => logprob!);
  return {
    ids: tokens.map((token) => idOf(model, token)),
    logprobs,
    total: logprobs.reduce((sum, logprob) => sum + logprob, 0),
  };
}

/** Likeliest first; of equals the first by text, so that the order is the same each time. */
function byProbability(
  [text, logprob]: readonly [string, number],
  [other, otherLog]: readonly [string, number],
): number {
  return otherLog - logprob || (text < other ? -1 : 1);
}

function refuseEmpty(text: string, parameter: string): void {
  if (text !== "") return;
  throw new ModelError("invalid_request", `There is nothing in ${parameter} to score`, { parameter });
}
