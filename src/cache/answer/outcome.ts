/**
 * What became of a request, read from the provider's own words: what is kept of it hangs on that.
 *
 * @module
 */

import type { Outcome } from "../../store/store.ts";
import { isJsonObject, type JsonObject } from "../json.ts";

// From the worst to the best: of several choices the worst names the answer.
const SEVERITY: readonly Outcome[] = [
  "error",
  "invalid",
  "empty",
  "content_filter",
  "refusal",
  "length",
  "tool_calls",
  "stop",
];

// Each provider's words for why the model stopped; any other word counts as `stop`.
const REASONS: ReadonlyMap<unknown, Outcome> = new Map<unknown, Outcome>([
  ["length", "length"],
  ["max_tokens", "length"],
  ["max_output_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["tool_calls", "tool_calls"],
  ["function_call", "tool_calls"],
  ["tool_use", "tool_calls"],
  ["content_filter", "content_filter"],
  ["refusal", "refusal"],
  ["error", "error"],
  ["MAX_TOKENS", "length"],
  ["SAFETY", "content_filter"],
  ["RECITATION", "content_filter"],
  ["BLOCKLIST", "content_filter"],
  ["PROHIBITED_CONTENT", "content_filter"],
  ["SPII", "content_filter"],
  ["IMAGE_SAFETY", "content_filter"],
  ["IMAGE_PROHIBITED_CONTENT", "content_filter"],
  ["MALFORMED_FUNCTION_CALL", "invalid"],
  ["UNEXPECTED_TOOL_CALL", "invalid"],
  ["tool-calls", "tool_calls"],
  ["content-filter", "content_filter"],
  ["interrupted", "error"],
]);

// A response that is neither completed nor incomplete is no answer, or not yet one.
const RESPONSE_STATUS: ReadonlyMap<unknown, Outcome> = new Map<unknown, Outcome>([
  ["failed", "error"],
  ["cancelled", "error"],
  ["queued", "invalid"],
  ["in_progress", "invalid"],
]);

/** The worst of several outcomes; `empty` for none. */
export function worstOutcome(outcomes: readonly Outcome[]): Outcome {
  return SEVERITY.find((outcome) => outcomes.includes(outcome)) ?? "empty";
}

/**
 * Classifies an answer by its shape: OpenAI's chat completions, completions and responses, Anthropic's messages,
 * Gemini's `generateContent`, and results of the AI SDK's models. In any other shape an answer without `error` counts as `stop`; what is no object or list
 * is `invalid`.
 */
export function classify(answer: unknown): Outcome {
  if (Array.isArray(answer)) return answer.length === 0 ? "empty" : "stop";
  if (!isJsonObject(answer)) return "invalid";
  if (isPresent(answer.error) || answer.object === "error") return "error";
  if ("choices" in answer) return ofChoices(answer.choices);
  if (answer.type === "message") return ofParts(answer.content, answer.stop_reason);
  if (answer.object === "response") return ofResponse(answer);
  if (isJsonObject(answer.finishReason)) return ofParts(answer.content, answer.finishReason.unified);
  if ("candidates" in answer || "promptFeedback" in answer) return ofCandidates(answer);
  return Object.keys(answer).length === 0 ? "empty" : "stop";
}

function ofChoices(choices: unknown): Outcome {
  if (!Array.isArray(choices) || !choices.every(isJsonObject)) return "invalid";
  return worstOutcome(choices.map(ofChoice));
}

function ofChoice(choice: JsonObject): Outcome {
  if (isPresent(choice.error)) return "error";
  const message = isJsonObject(choice.message) ? choice.message : {};
  if (isPresent(message.refusal)) return "refusal";
  const said = [choice.text, message.content, message.tool_calls, message.function_call, message.audio, message.images];
  const thought = [message.reasoning_content, message.reasoning];
  return concluded(choice.finish_reason, [...said, ...thought].some(isPresent));
}

function ofParts(content: unknown, reason: unknown): Outcome {
  if (!Array.isArray(content)) return "invalid";
  return concluded(
    reason,
    content.some((part) => isJsonObject(part) && saysSomething(part)),
  );
}

function ofResponse(response: JsonObject): Outcome {
  const ended = RESPONSE_STATUS.get(response.status);
  if (ended !== undefined) return ended;
  const details = isJsonObject(response.incomplete_details) ? response.incomplete_details : {};
  const output = Array.isArray(response.output) ? response.output.filter(isJsonObject) : [];
  const called = output.some((item) => item.type === "function_call" || item.type === "custom_tool_call");
  const parts = output.flatMap((item) => (Array.isArray(item.content) ? item.content.filter(isJsonObject) : []));
  if (parts.some((part) => part.type === "refusal")) return "refusal";
  const saidSomething = output.some((item) => item.type !== "message") || parts.some(saysSomething);
  const reason = response.status === "incomplete" ? "length" : called ? "tool_calls" : "stop";
  return concluded(details.reason ?? reason, saidSomething);
}

function ofCandidates({ candidates = [], promptFeedback }: JsonObject): Outcome {
  if (!Array.isArray(candidates) || !candidates.every(isJsonObject)) return "invalid";
  if (isJsonObject(promptFeedback) && isPresent(promptFeedback.blockReason)) return "content_filter";
  return worstOutcome(candidates.map(({ content, finishReason }) => {
    const parts = isJsonObject(content) && Array.isArray(content.parts) ? content.parts.filter(isJsonObject) : [];
    const called = finishReason === "STOP" && parts.some((part) => "functionCall" in part);
    return concluded(called ? "tool_calls" : finishReason, parts.some((part) => part.text !== ""));
  }));
}

/** Whether a part of an answer is more than an empty text. */
function saysSomething({ type, text }: JsonObject): boolean {
  return (type !== "text" && type !== "output_text") || isPresent(text);
}

/** Joins the provider's word with whether it said anything: a filtered answer is filtered, said or not. */
function concluded(reason: unknown, saidSomething: boolean): Outcome {
  const outcome = REASONS.get(reason) ?? "stop";
  const speaksForItself = outcome === "content_filter" || outcome === "refusal" || outcome === "error";
  return saidSomething || speaksForItself ? outcome : "empty";
}

/** Whether a field says something: neither absent, `null`, an empty text nor an empty list. */
function isPresent(value: unknown): boolean {
  return value !== undefined && value !== null && value !== "" && !(Array.isArray(value) && value.length === 0);
}
