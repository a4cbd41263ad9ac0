/**
 * Records of safety-tooling (https://github.com/safety-research/safety-tooling): its FILE bins and the SQLite files of its
 * pull request 157. A record has the parameters, the prompt and all responses, filed under SHA-1 digests of the JSON of
 * the first two, so that a record that was changed, or filed wrongly, can be told.
 *
 * What its clients make of parameters and prompt before they send them is followed here, field by field; where that
 * depends on something it does not store, the record stays behind.
 *
 * @module
 */

import { isJsonObject, type JsonObject } from "../../cache/json.ts";
import { MODERATIONS } from "../../cache/batch/items.ts";
import { splitUsage } from "../../cache/answer/usage.ts";
import type { Scope } from "../../cache/request/scope.ts";
import { hexOf } from "../../runtime/hex.ts";
import type { Finding } from "../finding.ts";
import { left } from "../finding.ts";
import { findingsOfRecord, type ForeignAnswer, type ForeignSetting } from "../foreign.ts";
import { membersOfText } from "../reading/json_members.ts";

/** Where a record was found. */
export interface Filed {
  readonly id: string;
  /** The digest of the prompt, or of the texts, under which it is filed. */
  readonly digest: string;
  /** The digest of the parameters, where it is filed under one. */
  readonly params?: string | undefined;
  /** When it was stored, in milliseconds since 1970, where that is told. */
  readonly created?: number | undefined;
}

/** What its records never hold. */
export const SAFETY_TOOLING_NOTES: readonly string[] = [
  "safety-tooling does not store where it asked: official addresses are assumed (`provider` says another).",
  "It keeps neither the answer's id nor the time, the dated model and the fingerprint that the provider named; FILE bins " +
  "do not say when they were written, so their answers count as stored at the time of the migration.",
  "A cost of 0 is not known there (Anthropic, and all batches): it is carried as unknown. Cost and usage of a call for " +
  "several samples, which it repeats with each of them, are divided among them.",
];

/** Fields of a call that say how the client is to behave, or change the request in ways the record does not show. */
const CLIENT_FIELDS = ["extra_headers", "extra_query", "extra_body", "timeout", "include_thinking_in_completion"];
const COMPLETION_MODELS = /^(davinci|babbage|gpt-4-base|gpt-3\.5-turbo-instruct)/;
const OPENAI_MODELS = /^(gpt-|chatgpt-|o[1-9](-|$)|ft:(gpt|o[1-9])-)/;
const SPEECH = /s2s/;
const BATCH_ID = /^\d+_([0-9a-f]{40})$/;

/** Its four words for how an answer ended, in OpenAI's and in Anthropic's. Others are no answers of these two. */
const ENDINGS: Readonly<Record<string, readonly [openai: string, anthropic: string]>> = {
  stop_sequence: ["stop", "end_turn"],
  max_tokens: ["length", "max_tokens"],
  content_filter: ["content_filter", "refusal"],
};
const FAILURES = ["api_error", "prompt_blocked"];

/** A request that cannot be made again from the record, and why. */
class Incomplete {
  readonly why: string;
  constructor(why: string) {
    this.why = why;
  }
}

/** What one record of answers holds. `provider` is who was asked, where it is not who is asked as a rule. */
export async function* findingsOfAnswers(
  text: string,
  { id, digest, params: paramsDigest, created }: Filed,
  provider: string | undefined,
  setting: ForeignSetting,
): AsyncGenerator<Finding> {
  const record = parsed(text);
  const { params, prompt, responses } = record ?? {};
  if (record === undefined || !isJsonObject(params) || !isJsonObject(prompt) || typeof params.model !== "string") {
    yield left(id, "broken", "it is no record of parameters, prompt and responses");
    return;
  }
  const { model } = params;
  if (!Array.isArray(responses) || responses.length === 0) {
    yield left(id, "other_data", "it has no responses", model, 0);
    return;
  }
  const fail = (reason: Parameters<typeof left>[1], why: string): Finding =>
    left(id, reason, why, model, responses.length);
  const raw = membersOfText(text);
  if (await sha1(raw.get("prompt")!) !== digest) {
    yield fail("broken", "the prompt is not the one under whose digest it is filed");
    return;
  }
  if (paramsDigest !== undefined && await sha1(raw.get("params")!) !== paramsDigest) {
    yield fail("broken", "the parameters are not those under whose digest it is filed");
    return;
  }
  const isAnthropic = model.startsWith("claude");
  const isBatch = responses.some((each) => isJsonObject(each) && each.batch_custom_id != null);
  const asked = isAnthropic ? messagesRequest(params, prompt) : chatRequest(params, prompt, isBatch);
  if (asked instanceof Incomplete) {
    yield fail("request_incomplete", asked.why);
    return;
  }
  const answers: ForeignAnswer[] = [];
  const shared = !isAnthropic && !isBatch && areOneCall(responses);
  for (const [index, response] of responses.entries()) {
    const finding = (reason: Parameters<typeof left>[1], why: string): Finding => left(id, reason, why, model);
    if (!isJsonObject(response) || typeof response.completion !== "string") {
      yield finding("broken", "a response has no completion");
      continue;
    }
    const batch = BATCH_ID.exec(String(response.batch_custom_id ?? ""))?.[1];
    if (batch !== undefined && batch !== digest) {
      // Its batches once stored the answers of the last chunk under the prompts of the first: its pull request 164.
      yield finding("wrong_prompt", "the batch answered another prompt");
      continue;
    }
    if (FAILURES.includes(String(response.stop_reason))) {
      yield finding("outcome", "the call had failed");
      continue;
    }
    const answer = isAnthropic ? message(response, params) : completion(response, params);
    if (answer instanceof Incomplete) {
      yield finding("answer_incomplete", answer.why);
      continue;
    }
    const parts = shared ? responses.length : 1;
    const usage = usageOf(response.usage, isAnthropic);
    const cost = typeof response.cost === "number" && response.cost > 0 ? response.cost * 1e6 / parts : null;
    const { api_duration: seconds } = response;
    answers.push({
      answer: usage === undefined ? answer : { ...answer, usage: splitUsage(usage, parts)[shared ? index : 0] },
      modelAnswered: null,
      latency: typeof seconds === "number" && seconds >= 0 ? seconds * 1000 : null,
      created,
      costMicrodollars: cost,
    });
  }
  const scope: Scope = isAnthropic
    ? { provider: provider ?? "anthropic", endpoint: "/v1/messages" }
    : { provider: provider ?? "openai", endpoint: "/v1/chat/completions" };
  if (answers.length > 0) yield* findingsOfRecord({ id, body: asked, scope, answers }, setting);
}

/** What one record of moderations holds: a request for each of its texts. */
export async function* findingsOfModerations(
  text: string,
  { id, digest, created }: Filed,
  provider: string | undefined,
  setting: ForeignSetting,
): AsyncGenerator<Finding> {
  const record = parsed(text);
  const { texts, moderation } = record ?? {};
  const isWhole = Array.isArray(texts) && texts.every((each) => typeof each === "string") &&
    Array.isArray(moderation) && moderation.length === texts.length;
  if (!isWhole) {
    yield left(id, "broken", "it does not have a moderation for each text");
    return;
  }
  const digests = await Promise.all(texts.map((each) => sha1(each as string)));
  if (await sha1(digests.join(" ")) !== digest) {
    yield left(id, "broken", "the texts are not those under whose digest it is filed", undefined, texts.length);
    return;
  }
  for (const [index, input] of texts.entries()) {
    const tagged: unknown = moderation[index];
    const { model_id: model, moderation: result } = isJsonObject(tagged) ? tagged : {};
    const name = `${id}[${index}]`;
    if (typeof model !== "string" || !isJsonObject(result)) {
      yield left(name, "broken", "a moderation has no model or no result");
      continue;
    }
    const body = MODERATIONS.split({ model, input })!.items[0]!;
    const answer = { model, results: [asOpenAiSays(result)] };
    const scope = { provider: provider ?? "openai", endpoint: "/v1/moderations" };
    yield* findingsOfRecord({ id: name, body, scope, answers: [{ answer, created }], isItem: true }, setting);
  }
}

/** As its client for OpenAI's chat completions sends it, or its batches do. */
function chatRequest(params: JsonObject, prompt: JsonObject, isBatch: boolean): JsonObject | Incomplete {
  const model = params.model as string;
  if (COMPLETION_MODELS.test(model)) return new Incomplete("how the prompt of a completion was written is not stored");
  if (!OPENAI_MODELS.test(model) || SPEECH.test(model)) {
    return new Incomplete("who was asked for this model is not stored");
  }
  if (isGiven(params.thinking)) return new Incomplete("OpenAI takes no field `thinking`");
  const further = furtherFields(params);
  if (further instanceof Incomplete) return further;
  const messages = plainMessages(prompt, ["user", "system", "developer", "assistant"]);
  if (messages instanceof Incomplete) return messages;
  const { temperature, top_p, max_tokens, logprobs, seed, logit_bias, stop } = params;
  return {
    ...given({ temperature, top_p, seed, logit_bias, stop }),
    ...isGiven(max_tokens) && (isBatch ? { max_tokens } : { max_completion_tokens: max_tokens }),
    ...isGiven(logprobs) && (isBatch ? { logprobs } : { logprobs: true, top_logprobs: logprobs }),
    ...further,
    model,
    messages,
  };
}

/** As its client for Anthropic's messages sends it. */
function messagesRequest(params: JsonObject, prompt: JsonObject): JsonObject | Incomplete {
  const further = furtherFields(params);
  if (further instanceof Incomplete) return further;
  const all = plainMessages(prompt, ["user", "assistant", "system"]);
  if (all instanceof Incomplete) return all;
  const [first, ...others] = all;
  const system = first?.role === "system" ? first.content : undefined;
  const messages = first?.role === "system" ? others : all;
  if (messages.some(({ role }) => role === "system")) return new Incomplete("a system prompt stands between messages");
  // The seed only told its samples apart: it is taken out before the request is sent.
  const { model, temperature, top_p, max_tokens, logprobs, logit_bias, stop, thinking } = params;
  return {
    ...given({ temperature, top_p, logprobs, logit_bias, thinking }),
    ...isGiven(stop) && { stop_sequences: stop },
    ...further,
    ...system !== undefined && system !== "" && { system },
    model,
    max_tokens: isGiven(max_tokens) ? max_tokens : 2000,
    messages,
  };
}

function furtherFields({ unknown_kwargs: further = {}, tools }: JsonObject): JsonObject | Incomplete {
  if (isGiven(tools)) return new Incomplete("tools are stored as a text about them, not as they were sent");
  if (!isJsonObject(further)) return new Incomplete("its further fields cannot be read");
  const odd = CLIENT_FIELDS.find((name) => Object.hasOwn(further, name));
  if (odd !== undefined) return new Incomplete(`what became of \`${odd}\` is not stored`);
  if (typeof further.response_format === "string") {
    return new Incomplete("of a class as `response_format` only the names of its fields are stored");
  }
  return further;
}

/** Messages that are texts: pictures and sounds are stored as paths, and what was sent was what lay there then. */
function plainMessages(
  { messages }: JsonObject,
  roles: readonly string[],
): { readonly role: string; readonly content: string }[] | Incomplete {
  if (!Array.isArray(messages)) return new Incomplete("the prompt has no messages");
  const plain: { readonly role: string; readonly content: string }[] = [];
  for (const each of messages) {
    const { role, content } = isJsonObject(each) ? each : {};
    if (typeof role !== "string" || !roles.includes(role) || typeof content !== "string") {
      return new Incomplete("a message is no text of a system, user or assistant");
    }
    plain.push({ role, content });
  }
  return plain;
}

/** OpenAI's answer of one choice: as it came, where it was kept; else made of its text. */
function completion(response: JsonObject, params: JsonObject): JsonObject | Incomplete {
  const { completion: text, stop_reason: stopped, logprobs, model_id: model } = response;
  if (isGiven(response.audio_out)) return new Incomplete("sound is stored as the path of a file");
  const kept = keptContent(response);
  const whole = { object: "chat.completion", model };
  if (isJsonObject(kept) && isJsonObject(kept.message)) {
    if (kept.message.content !== text) return new Incomplete("the choice that was kept has another text");
    return { ...whole, choices: [{ ...kept, index: 0 }] };
  }
  if (kept !== undefined) return new Incomplete("what was generated is not kept as one choice");
  if (isGiven(params.logprobs) || isGiven(logprobs)) {
    return new Incomplete("of log-probabilities only the most likely tokens are kept, not which was chosen");
  }
  const ending = ENDINGS[String(stopped)]?.[0];
  if (ending === undefined) return new Incomplete("why it ended is told in no word of OpenAI's");
  const choice = { index: 0, message: { role: "assistant", content: text }, logprobs: null, finish_reason: ending };
  return { ...whole, choices: [choice] };
}

/** Anthropic's message, of the blocks that were kept; else of its text. */
function message(response: JsonObject, params: JsonObject): JsonObject | Incomplete {
  const { completion: text, stop_reason: stopped, model_id: model } = response;
  if (stopped === "stop_sequence" && isGiven(params.stop)) {
    return new Incomplete("whether it ended by itself or at a stop sequence is not stored");
  }
  const ending = ENDINGS[String(stopped)]?.[1];
  if (ending === undefined) return new Incomplete("why it ended is told in no word of Anthropic's");
  const kept = keptContent(response);
  if (kept === undefined && isGiven(params.thinking)) return new Incomplete("its thoughts are not kept");
  if (kept !== undefined && !Array.isArray(kept)) return new Incomplete("what was generated is not kept as blocks");
  const content = kept ?? (text === "" ? [] : [{ type: "text", text }]);
  return { type: "message", role: "assistant", model, content, stop_reason: ending, stop_sequence: null };
}

/** What the provider's client gave, where the record has it: newer ones do. */
function keptContent({ generated_content: generated }: JsonObject): unknown {
  if (!Array.isArray(generated) || generated.length === 0) return undefined;
  const [first] = generated;
  return generated.length === 1 && isJsonObject(first) && first.role === "assistant" ? first.content : null;
}

function usageOf(usage: unknown, isAnthropic: boolean): JsonObject | undefined {
  if (!isJsonObject(usage)) return undefined;
  const { input_tokens, output_tokens, total_tokens, prompt_tokens_details, completion_tokens_details } = usage;
  return isAnthropic ? given({ input_tokens, output_tokens }) : given({
    prompt_tokens: input_tokens,
    completion_tokens: output_tokens,
    total_tokens,
    prompt_tokens_details,
    completion_tokens_details,
  });
}

/** Whether responses are the choices of one call, each with the whole call's cost and usage. */
function areOneCall(responses: readonly unknown[]): boolean {
  if (responses.length < 2) return false;
  const bill = (each: unknown): string => {
    const { usage, cost, api_duration } = isJsonObject(each) ? each : {};
    return JSON.stringify([usage, cost, api_duration]);
  };
  return responses.every((each) => bill(each) === bill(responses[0]));
}

/** Names of OpenAI's categories that are no names in Python. */
const CATEGORIES: Readonly<Record<string, string>> = {
  harassment_threatening: "harassment/threatening",
  hate_threatening: "hate/threatening",
  illicit_violent: "illicit/violent",
  self_harm: "self-harm",
  self_harm_instructions: "self-harm/instructions",
  self_harm_intent: "self-harm/intent",
  sexual_minors: "sexual/minors",
  violence_graphic: "violence/graphic",
};

function asOpenAiSays(result: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(result).map(([name, value]) => [
      name,
      isJsonObject(value)
        ? Object.fromEntries(Object.entries(value).map(([category, each]) => [CATEGORIES[category] ?? category, each]))
        : value,
    ]),
  );
}

function given(fields: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => isGiven(value)));
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function parsed(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

async function sha1(text: string): Promise<string> {
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text))));
}
