/**
 * The `logprobs` of OpenAI's legacy completions: parallel arrays with a text, a log-probability and alternatives for
 * each token (https://platform.openai.com/docs/api-reference/completions/object). Servers differ in what they
 * leave out, so everything is looked at before it is used.
 *
 * @module
 */

/** A token as an endpoint shows it. */
export interface ApiToken {
  readonly text: string;
  /** `undefined` for a first token, which comes after nothing. */
  readonly logprob: number | undefined;
  /** Alternatives at its place by text, in the order of the answer; empty where there are none. */
  readonly top: readonly (readonly [text: string, logprob: number])[];
  /** The model's own id for it; `undefined` where the endpoint does not say. */
  readonly id: number | undefined;
}

/** What is wrong with an answer. */
export class UnusableAnswer extends Error {
  override readonly name = "UnusableAnswer";
}

/** What stands for a log-probability of minus infinity, which JSON cannot carry, at OpenAI and its likes. */
const UNLIKELY = -9999;

/** Whether a number stands for minus infinity. */
export function isUnlikely(logprob: unknown): boolean {
  return typeof logprob === "number" && logprob <= UNLIKELY;
}

/**
 * Reads the tokens of a choice.
 *
 * @param choice One of the answer's `choices`.
 * @param isBeginning Whether its first token comes after nothing, as that of an echoed text does.
 * @throws UnusableAnswer naming what is missing or means nothing.
 */
export function readTokens(choice: unknown, isBeginning: boolean): ApiToken[] {
  const { logprobs, token_ids: ownIds, prompt_token_ids: promptIds } = record(choice, "a choice");
  if (logprobs === null || logprobs === undefined) throw new UnusableAnswer("it ignored logprobs");
  const lists = record(logprobs, "logprobs");
  const tokens = list(lists.tokens, "logprobs.tokens");
  const logs = list(lists.token_logprobs, "logprobs.token_logprobs", tokens.length);
  const tops = lists.top_logprobs ?? undefined;
  const topLists = tops === undefined ? undefined : list(tops, "logprobs.top_logprobs", tokens.length);
  const ids = readIds([lists.token_ids, joined(promptIds, ownIds), ownIds], tokens.length);
  return tokens.map((text, at) => {
    if (typeof text !== "string") throw new UnusableAnswer(`logprobs.tokens[${at}] is no text: ${text}`);
    const logprob = logs[at];
    return {
      text,
      // Some say 0 for what comes after nothing.
      logprob: isBeginning && at === 0 && (logprob === null || logprob === 0)
        ? undefined
        : readLogprob(logprob, `token ${at}`),
      top: readTop(topLists?.[at]),
      id: ids?.[at],
    };
  });
}

/**
 * A number that can be the logarithm of a probability.
 *
 * @throws UnusableAnswer
 */
export function readLogprob(value: unknown, what: string): number {
  // A float32 of a probability of 1 may lie a hair above it.
  if (typeof value === "number" && value > UNLIKELY && value <= 1e-3) return value;
  if (isUnlikely(value)) {
    throw new UnusableAnswer(`the log-probability of ${what} stands for minus infinity, or for one that is not known`);
  }
  throw new UnusableAnswer(`the log-probability of ${what} is none: ${value}`);
}

function readTop(top: unknown): readonly (readonly [string, number])[] {
  if (top === null || top === undefined) return [];
  const alternatives = Object.entries(record(top, "logprobs.top_logprobs"));
  return alternatives.filter(([, logprob]) => !isUnlikely(logprob)).map(
    ([text, logprob]) => [text, readLogprob(logprob, `the alternative ${JSON.stringify(text)}`)],
  );
}

/** The first list that can be the ids of these tokens. */
function readIds(candidates: readonly unknown[], length: number): readonly number[] | undefined {
  return candidates.find((ids): ids is readonly number[] =>
    Array.isArray(ids) && ids.length === length && ids.every((id) => Number.isSafeInteger(id) && id >= 0)
  );
}

function joined(one: unknown, other: unknown): unknown {
  return Array.isArray(one) && Array.isArray(other) ? [...one, ...other] : one;
}

function list(value: unknown, name: string, length?: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new UnusableAnswer(`it has no ${name}`);
  if (length === undefined || value.length === length) return value;
  throw new UnusableAnswer(`${name} has ${value.length} values for ${length} tokens`);
}

/** @throws UnusableAnswer */
export function record(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UnusableAnswer(`it has no ${name}`);
}
