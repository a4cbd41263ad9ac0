/** Answers made up from a seed, one kind for each protocol, and ways to cut their streams. */

import OpenAI from "openai";
import type { JsonObject } from "../../../src/cache/json.ts";
import type { Assembler, Expected, StreamProtocol } from "../../../src/cache/stream/protocol.ts";
import { formatEvent, type SseEvent, SseParser } from "../../../src/cache/stream/sse.ts";
import { seededRandom } from "../../../src/model/generation/random.ts";

export const ONE: Expected = { samples: 1, prompts: 1 };

/** The bytes of a stream that brings these events. */
export function sseBytes(events: Iterable<SseEvent>): Uint8Array {
  return new TextEncoder().encode(Array.from(events, formatEvent).join(""));
}

/** An assembler that was given all these events. */
export function assembled(protocol: StreamProtocol, events: readonly SseEvent[], expected: Expected = ONE): Assembler {
  const assembler = protocol.assembler(expected);
  for (const event of events) assembler.add(event);
  return assembler;
}

/** Events with these values as their data, as OpenAI sends them. */
export function dataEvents(...values: unknown[]): SseEvent[] {
  return values.map((value) => ({ data: typeof value === "string" ? value : JSON.stringify(value) }));
}

/** Events named by their type, as Anthropic sends them. */
export function typedEvents(...values: ({ type: string } & JsonObject)[]): SseEvent[] {
  return values.map((value) => ({ event: value.type, data: JSON.stringify(value) }));
}

/** What a parser makes of bytes that come in pieces of `size`. */
export function parseInPieces(bytes: Uint8Array, size: number): SseEvent[] {
  const parser = new SseParser();
  const events: SseEvent[] = [];
  for (let at = 0; at < bytes.length; at += size) events.push(...parser.push(bytes.slice(at, at + size)));
  return [...events, ...parser.end()];
}

/** The official client, on a provider that sends this stream. */
export function openaiFor(events: readonly SseEvent[]): OpenAI {
  const headers = { "Content-Type": "text/event-stream" };
  const send = (): Promise<Response> => Promise.resolve(new Response(sseBytes(events) as BodyInit, { headers }));
  return new OpenAI({ baseURL: "http://provider.test/v1", apiKey: "unused", maxRetries: 0, fetch: send });
}

const WORDS = [
  "rain",
  " ",
  "\n\n",
  "über",
  "日本語",
  "👩‍🚀",
  "🦊",
  '"',
  "\\",
  "data:",
  " the",
  " of",
  "}",
  "\u2028",
  "\r\n",
  "x",
];

/** Makes the same things of the same seed. */
export class Maker {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** An integer from `from` to `to`. */
  integer(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1));
  }

  chance(share = 0.5): boolean {
    return this.#random() < share;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.integer(0, values.length - 1)]!;
  }

  list<T>(from: number, to: number, make: (index: number) => T): T[] {
    return Array.from({ length: this.integer(from, to) }, (_, index) => make(index));
  }

  text(): string {
    return this.list(0, this.pick([3, 30, 120]), () => this.pick(WORDS)).join("");
  }

  name(): string {
    return `${this.pick(["get", "set", "call"])}_${this.integer(0, 1e6)}`;
  }

  object(): JsonObject {
    return { [this.name()]: this.text(), n: this.integer(0, 9) / 8, deep: { list: [1, "two", null, true] } };
  }

  /** One of several shapes of a member, or none. */
  maybe(name: string, ...values: unknown[]): JsonObject {
    return this.chance() ? { [name]: this.pick(values) } : {};
  }
}

/** Log-probabilities of tokens that are a text, or are not. */
function tokens(make: Maker, text: string): JsonObject[] {
  const points = make.chance(0.8) ? [...text] : ["�", "�"];
  return points.map((token) => ({ token, logprob: -make.integer(1, 99) / 8, bytes: [1, 2], top_logprobs: [] }));
}

function chatChoice(make: Maker, index: number): JsonObject {
  const content = make.chance(0.8) ? make.text() : null;
  const toolCalls = make.list(1, 3, (at) => ({
    id: `call_${at}_${make.name()}`,
    ...(make.chance(0.8)
      ? { type: "function", function: { name: make.name(), arguments: JSON.stringify(make.object()) } }
      : { type: "custom", custom: { name: make.name(), input: make.text() } }),
  }));
  const details = [
    { type: "reasoning.summary", summary: make.text(), index: 0, id: "r1" },
    { type: "reasoning.encrypted", data: make.text(), index: 0 },
    { type: "reasoning.text", text: make.text(), signature: "s", index: 1 },
  ];
  const refusal = make.chance(0.2) ? make.text() : null;
  return {
    index,
    message: {
      role: "assistant",
      content,
      refusal,
      ...(make.chance(0.1)
        ? { function_call: { name: make.name(), arguments: make.text() } }
        : make.maybe("tool_calls", toolCalls, [], null)),
      ...make.maybe("reasoning_content", make.text(), null),
      ...make.maybe("reasoning", make.text()),
      ...make.maybe("reasoning_details", details, []),
      ...make.maybe("annotations", [], [{ type: "url_citation", url_citation: { url: "https://example.com" } }]),
      ...make.maybe("audio", { id: "a", data: "AAAA", transcript: make.text(), expires_at: 1 }),
      ...make.maybe(make.name(), make.text(), 7, false, make.object(), null),
    },
    ...make.maybe("logprobs", null, {
      content: tokens(make, content ?? ""),
      refusal: refusal === null ? null : tokens(make, refusal),
    }),
    finish_reason: make.pick(["stop", "length", "tool_calls", "content_filter"]),
    ...make.maybe("content_filter_results", make.object()),
  };
}

function head(make: Maker, object: string): JsonObject {
  return {
    id: make.name(),
    object,
    created: make.integer(1, 2e9),
    model: "gpt-4o-mini-2024-07-18",
    ...make.maybe("system_fingerprint", "fp_1", null),
    ...make.maybe("service_tier", "default"),
    ...make.maybe("citations", ["https://example.com/1", "https://example.com/2"]),
  };
}

function usage(make: Maker): JsonObject {
  return {
    usage: {
      prompt_tokens: make.integer(1, 99),
      completion_tokens: make.integer(1, 99),
      total_tokens: make.integer(1, 99),
      completion_tokens_details: { reasoning_tokens: make.integer(0, 9) },
    },
  };
}

export function chatAnswer(make: Maker, samples: number = make.integer(1, 3)): JsonObject {
  return {
    ...head(make, "chat.completion"),
    choices: Array.from({ length: samples }, (_, index) => chatChoice(make, index)),
    ...(make.chance(0.8) && usage(make)),
  };
}

export function completionAnswer(make: Maker, choices: number = make.integer(1, 4)): JsonObject {
  return {
    ...head(make, "text_completion"),
    choices: Array.from({ length: choices }, (_, index) => {
      const text = make.text();
      const points = make.chance(0.8) ? [...text] : ["bytes:\\xf0"];
      const logprobs = {
        tokens: points,
        token_logprobs: points.map((_, at) => at === 0 ? null : -at / 8),
        top_logprobs: points.map((point) => ({ [point]: -1 })),
        text_offset: points.map((_, at) => at),
      };
      return {
        text,
        index,
        ...make.maybe("logprobs", null, logprobs),
        finish_reason: make.pick(["stop", "length"]),
        ...make.maybe("stop_reason", "###", null),
      };
    }),
    ...(make.chance(0.8) && usage(make)),
  };
}

function contentPart(make: Maker): JsonObject {
  const text = make.text();
  return make.pick<JsonObject>([
    {
      type: "output_text",
      text,
      annotations: make.list(0, 2, (at) => ({ type: "file_citation", file_id: `f${at}`, index: at })),
      ...make.maybe("logprobs", [], tokens(make, text)),
    },
    { type: "refusal", refusal: text },
    { type: "something_new", payload: make.object() },
  ]);
}

function outputItem(make: Maker, at: number): JsonObject {
  const id = `item_${at}_${make.name()}`;
  const status = "completed";
  return make.pick<JsonObject>([
    { id, type: "message", role: "assistant", status, content: make.list(1, 3, () => contentPart(make)) },
    {
      id,
      type: "function_call",
      call_id: `call_${at}`,
      name: make.name(),
      arguments: JSON.stringify(make.object()),
      status,
    },
    { id, type: "custom_tool_call", call_id: `call_${at}`, name: make.name(), input: make.text() },
    { id, type: "code_interpreter_call", container_id: "k", code: make.text(), outputs: null, status },
    { id, type: "web_search_call", action: make.object(), status },
    {
      id,
      type: "reasoning",
      summary: make.list(0, 2, () => ({ type: "summary_text", text: make.text() })),
      ...make.maybe("content", [{ type: "reasoning_text", text: make.text() }]),
      ...make.maybe("encrypted_content", "gAAA"),
    },
  ]);
}

export function responseAnswer(make: Maker): JsonObject {
  const isCut = make.chance(0.2);
  return {
    id: make.name(),
    object: "response",
    created_at: make.integer(1, 2e9),
    status: isCut ? "incomplete" : "completed",
    error: null,
    incomplete_details: isCut ? { reason: "max_output_tokens" } : null,
    model: "gpt-4o-2024-08-06",
    output: make.list(0, 4, (at) => outputItem(make, at)),
    tools: [],
    metadata: {},
    usage: { input_tokens: 1, output_tokens: 2, total_tokens: 3 },
    ...make.maybe(make.name(), make.object()),
  };
}

function block(make: Maker, at: number): JsonObject {
  return make.pick<JsonObject>([
    { type: "text", text: make.text(), ...make.maybe("citations", null, [], [{ type: "char_location", n: at }, {}]) },
    { type: "thinking", thinking: make.text(), signature: "EqQBCg==" },
    { type: "redacted_thinking", data: "EmwKAhgB" },
    { type: "tool_use", id: `toolu_${at}`, name: make.name(), input: make.chance(0.8) ? make.object() : {} },
    { type: "server_tool_use", id: `srvtoolu_${at}`, name: "web_search", input: { query: make.text() } },
    { type: "web_search_tool_result", tool_use_id: `srvtoolu_${at}`, content: [make.object()] },
    { type: make.name(), payload: make.object() },
  ]);
}

export function messageAnswer(make: Maker): JsonObject {
  return {
    id: make.name(),
    type: "message",
    role: "assistant",
    model: "claude-sonnet-4-20250514",
    content: make.list(0, 5, (at) => block(make, at)),
    stop_reason: make.pick(["end_turn", "max_tokens", "tool_use", "refusal"]),
    stop_sequence: make.chance(0.2) ? "###" : null,
    usage: {
      input_tokens: make.integer(1, 99),
      output_tokens: make.integer(1, 99),
      cache_read_input_tokens: make.integer(0, 9),
      ...make.maybe("server_tool_use", { web_search_requests: 1 }),
    },
    ...make.maybe("container", { id: "c", expires_at: "2026-01-01T00:00:00Z" }, null),
    ...make.maybe("stop_details", { category: make.name() }, null),
  };
}

/** Texts of a kind do not follow each other: a stream of them would be one. */
function contentParts(make: Maker): JsonObject[] {
  const signed = make.maybe("thoughtSignature", "CpcBAVSoXO4=");
  return [
    ...make.chance(0.4) ? [{ text: make.text(), thought: true }] : [],
    { text: make.text() },
    ...make.list(0, 2, () => ({ functionCall: { name: make.name(), args: make.object() }, ...signed })),
    ...make.chance(0.3) ? [{ text: "", thoughtSignature: "CpcB" }, { text: make.text() }] : [],
    ...make.chance(0.2) ? [{ inlineData: { mimeType: "image/png", data: "AAAA" } }, { text: make.text() }] : [],
  ];
}

export function contentAnswer(make: Maker): JsonObject {
  const candidates = Array.from({ length: make.pick([1, 1, 1, 2]) }, (_, index) => ({
    content: { parts: contentParts(make), role: "model" },
    finishReason: make.pick(["STOP", "MAX_TOKENS", "SAFETY"]),
    index,
    ...make.maybe("avgLogprobs", -0.25),
    ...make.maybe("safetyRatings", [{ category: "HARM_CATEGORY_HARASSMENT", probability: "NEGLIGIBLE" }]),
    ...make.maybe("citationMetadata", {
      citationSources: [{ startIndex: 1, endIndex: 9, uri: "https://example.com" }],
    }),
    ...make.maybe("groundingMetadata", make.object()),
  }));
  return {
    candidates,
    usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 7, totalTokenCount: 20, thoughtsTokenCount: 9 },
    modelVersion: "gemini-2.5-flash",
    responseId: make.name(),
    ...make.maybe("promptFeedback", { safetyRatings: [] }),
  };
}

function modelPart(make: Maker, at: number): JsonObject {
  const providerMetadata = { house: { signature: make.name() } };
  return make.pick<JsonObject>([
    { type: "text", text: make.text(), ...make.maybe("providerMetadata", providerMetadata) },
    { type: "text", text: make.text(), citations: [{ source: { type: "source", id: `s${at}` } }] },
    { type: "reasoning", text: make.text(), ...make.maybe("providerMetadata", providerMetadata) },
    { type: "tool-call", toolCallId: `c${at}`, toolName: make.name(), input: JSON.stringify(make.object()) },
    {
      type: "tool-call",
      toolCallId: `c${at}`,
      toolName: make.name(),
      input: "",
      providerExecuted: true,
      dynamic: true,
    },
    { type: "tool-result", toolCallId: `c${at}`, toolName: make.name(), result: make.object() },
    { type: "source", sourceType: "url", id: `s${at}`, url: "https://example.com" },
    { type: "file", mediaType: "image/png", data: { type: "data", data: { $type: "bytes", bytes: "AAAA" } } },
  ]);
}

export function modelAnswer(make: Maker): JsonObject {
  return {
    content: make.list(0, 5, (at) => modelPart(make, at)),
    finishReason: { unified: make.pick(["stop", "length", "tool-calls"]), raw: make.name() },
    usage: { inputTokens: { total: 11 }, outputTokens: { total: 7 }, raw: { prompt_tokens: 11 } },
    warnings: make.list(0, 1, () => ({ type: "other", message: make.text() })),
    ...make.maybe("providerMetadata", { house: make.object() }),
    ...make.maybe("response", { id: make.name(), timestamp: { $type: "date", date: "2026-01-01T00:00:00.000Z" } }),
    ...make.maybe("structuredOutputText", make.text()),
  };
}
