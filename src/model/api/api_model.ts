/**
 * One model of an endpoint, and what was learned of how that endpoint wants to be asked: servers that speak OpenAI's
 * language differ in what they refuse.
 *
 * @module
 */

import type { Runtime } from "../../runtime/runtime.ts";
import type { ApiBase } from "../backend.ts";
import { ModelError } from "../error.ts";
import { type ApiClient, RefusedQuestion } from "./api_client.ts";
import { UnusableAnswer } from "./legacy_logprobs.ts";

/** A model behind an endpoint. */
export interface ApiModel {
  readonly base: ApiBase;
  readonly client: ApiClient;
  readonly runtime: Pick<Runtime, "sha256">;
  /** Learned from refusals. */
  readonly manners: Manners;
}

/** How an endpoint wants to be asked. */
export interface Manners {
  /** The fewest tokens that it generates: 0, or 1 where it refuses that. */
  fewestTokens: 0 | 1;
  /** The most alternatives that it names with a token. */
  mostAlternatives: number;
  /** Fields that it does not know; left out where they would change nothing. */
  readonly unknown: Set<string>;
}

/** How everybody is asked at first. */
export function newManners(): Manners {
  return { fewestTokens: 0, mostAlternatives: Infinity, unknown: new Set() };
}

const COMPLETIONS = "/completions";

/**
 * Asks for a completion of the kind that scoring needs. A refusal of `max_tokens: 0`, or of so many alternatives, is
 * learned from, and asked again.
 *
 * @throws RefusedQuestion, ModelError, the signal's reason.
 */
export async function askCompletion(
  { base, client, manners }: ApiModel,
  { alternatives, ...body }: { readonly alternatives: number } & Record<string, unknown>,
  signal: AbortSignal,
): Promise<unknown> {
  let most = Infinity;
  for (;;) {
    const logprobs = Math.min(alternatives, manners.mostAlternatives, most);
    const question = { model: base.model, max_tokens: manners.fewestTokens, temperature: 0, ...body, logprobs };
    try {
      const answer = await client.ask(COMPLETIONS, question, signal);
      // Only what helped was the reason.
      manners.mostAlternatives = Math.min(manners.mostAlternatives, most);
      return answer;
    } catch (error) {
      if (!(error instanceof RefusedQuestion)) throw error;
      // A prompt that is too long is told of in words that name the field, too.
      if (TOO_LONG.test(error.message)) throw error;
      if (isAbout(error, "max_tokens") && question.max_tokens === 0) manners.fewestTokens = 1;
      else {
        const fewer = CAPS.find((cap) => cap < logprobs);
        if (!isAbout(error, "logprobs") || fewer === undefined) throw error;
        most = fewer;
      }
    }
  }
}

/**
 * Asks for an answer as a stream. A refusal of a field that changes nothing is learned from, and asked again without it;
 * at other servers the field stays, since there it may stand against a default of the model's own.
 *
 * @throws RefusedQuestion, ModelError, the signal's reason.
 */
export async function* askStream(
  { client, manners }: ApiModel,
  path: string,
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): AsyncGenerator<unknown> {
  for (;;) {
    const fields = Object.entries(body).filter(([name, value]) =>
      !manners.unknown.has(name) || value !== NEUTRAL.get(name)
    );
    try {
      return yield* client.stream(path, Object.fromEntries(fields), signal);
    } catch (error) {
      // Thrown before anything was read.
      const message = error instanceof RefusedQuestion ? error.message : "";
      const refused = fields.find(([name, value]) => value === NEUTRAL.get(name) && message.includes(name));
      if (refused === undefined) throw error;
      manners.unknown.add(refused[0]);
    }
  }
}

/** What leaves an answer as it is. Not every server knows all of it. */
const NEUTRAL: ReadonlyMap<string, unknown> = new Map([
  ["repetition_penalty", 1],
  ["presence_penalty", 0],
  ["frequency_penalty", 0],
  ["top_p", 1],
  ["min_p", 0],
  ["min_tokens", 0],
]);

/** As many alternatives do servers name at most: ours, chat completions of OpenAI and vLLM, OpenAI's legacy ones. */
const CAPS: readonly number[] = [100, 20, 5, 1];

function isAbout({ message }: RefusedQuestion, field: "max_tokens" | "logprobs"): boolean {
  return (field === "logprobs" ? /log_?probs/i : /max_?(new_|output_|completion_)?tokens/i).test(message);
}

const TOO_LONG = /context.{0,20}(length|window|size)|maximum.{0,20}(length|context)|too (long|many tokens)/i;

/**
 * What went wrong, as a {@link ModelError}.
 *
 * @param path Where it was asked.
 * @param parameter What of the question an endpoint's refusal is about.
 */
export function explained({ client }: ApiModel, error: unknown, path: string, parameter: string): unknown {
  if (error instanceof UnusableAnswer) {
    return client.failure(path, `gave an answer that cannot be used: ${error.message}`);
  }
  if (!(error instanceof RefusedQuestion)) return error;
  const message = `The endpoint ${client.url}${path} refused what it was asked: ${error.message}`;
  const isTooLong = error.code === "context_length_exceeded" || TOO_LONG.test(error.message);
  return new ModelError(isTooLong ? "prompt_too_long" : "invalid_request", message, { parameter, cause: error });
}

/**
 * The text of a prompt.
 *
 * @throws ModelError `invalid_request`: it is none, and so cannot be put before a completion.
 */
export function textOf({ base }: ApiModel, prompt: object): string {
  if ("text" in prompt && typeof prompt.text === "string") return prompt.text;
  const reason = "messages" in prompt ? "its chat template is not known here" : "its tokenizer is not known here";
  const message = `Cannot score with ${base.name} by way of its endpoint but after a text, since ${reason}`;
  throw new ModelError("invalid_request", message, { parameter: "prompt" });
}
