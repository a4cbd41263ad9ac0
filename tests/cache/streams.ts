/** Streams as providers send them and SDKs give them, and sources that show how they are read. */

import type { JsonObject } from "../../src/cache/json.ts";
import { gate } from "../support/gate.ts";
import type { ChatRequest } from "./support.ts";

export const CHAT: ChatRequest & { readonly stream: boolean } = {
  model: "gpt-4o-mini",
  stream: true,
  messages: [{ role: "user", content: "Will it rain?" }],
};
export const WITH_USAGE = { stream_options: { include_usage: true } };
export const USAGE = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };

/** The chunks of a chat completion that says these words, and then how much they were if that was asked for. */
export function chatChunks(
  words: readonly string[],
  { usage, index = 0, finish = "stop" }: { usage?: JsonObject; index?: number; finish?: string } = {},
): JsonObject[] {
  const chunk = (choices: JsonObject[], rest: JsonObject = {}): JsonObject => ({
    id: "chatcmpl-7",
    object: "chat.completion.chunk",
    created: 1767225600,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_1",
    choices,
    ...rest,
  });
  const piece = (delta: JsonObject, finish_reason: string | null = null): JsonObject[] => [
    { index, delta, logprobs: null, finish_reason },
  ];
  return [
    chunk(piece({ role: "assistant", content: "", refusal: null })),
    ...words.map((content) => chunk(piece({ content }))),
    chunk(piece({}, finish)),
    ...(usage === undefined ? [] : [chunk([], { usage })]),
  ];
}

/** What a chat completion says, from its chunks or whole. */
export function said(chunks: readonly unknown[], choice = 0): string {
  return (chunks as JsonObject[]).flatMap(({ choices }) => choices as JsonObject[])
    .filter(({ index }) => index === choice)
    .map(({ delta, message }) => ((delta ?? message) as JsonObject).content ?? "").join("");
}

/** The text of an event stream with these chunks, as OpenAI sends it. */
export function chatText(chunks: readonly JsonObject[]): string {
  return [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"].map((data) => `data: ${data}\n\n`).join("");
}

/** The text of an event stream whose events are named, as Anthropic and OpenAI's responses send it. */
export function typedText(events: readonly JsonObject[]): string {
  return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

export const RESPONSE: JsonObject = {
  id: "resp_7",
  object: "response",
  status: "completed",
  model: "gpt-4o-mini-2024-07-18",
  output: [{
    id: "msg_1",
    type: "message",
    role: "assistant",
    status: "completed",
    content: [{ type: "output_text", text: "It will rain.", annotations: [], logprobs: [] }],
  }],
  usage: { input_tokens: 10, output_tokens: 4, total_tokens: 14 },
};

/** The events of a response. */
export function responseEvents(): JsonObject[] {
  const at = { item_id: "msg_1", output_index: 0, content_index: 0 };
  const [item] = RESPONSE.output as [JsonObject];
  const [part] = item.content as [JsonObject];
  const begun = { ...RESPONSE, status: "in_progress", output: [], usage: null };
  const events: JsonObject[] = [
    { type: "response.created", response: begun },
    { type: "response.in_progress", response: begun },
    { type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress", content: [] } },
    { type: "response.content_part.added", ...at, part: { ...part, text: "" } },
    { type: "response.output_text.delta", ...at, delta: "It will", logprobs: [] },
    { type: "response.output_text.delta", ...at, delta: " rain.", logprobs: [] },
    { type: "response.output_text.done", ...at, text: part.text, logprobs: [] },
    { type: "response.content_part.done", ...at, part },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: RESPONSE },
  ];
  return events.map((event, sequence_number) => ({ ...event, sequence_number }));
}

export const MESSAGE: JsonObject = {
  id: "msg_7",
  type: "message",
  role: "assistant",
  model: "claude-haiku-4-5",
  content: [
    { type: "thinking", thinking: "Clouds.", signature: "c2ln" },
    { type: "text", text: "It will rain." },
    { type: "tool_use", id: "toolu_1", name: "umbrella", input: { open: true } },
  ],
  stop_reason: "tool_use",
  stop_sequence: null,
  usage: { input_tokens: 10, output_tokens: 24 },
};

/** The events of a message. */
export function messageEvents(): JsonObject[] {
  const block = (index: number, content_block: JsonObject, ...deltas: JsonObject[]): JsonObject[] => [
    { type: "content_block_start", index, content_block },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ];
  const begun = { ...MESSAGE, content: [], stop_reason: null, usage: { input_tokens: 10, output_tokens: 1 } };
  return [
    { type: "message_start", message: begun },
    { type: "ping" },
    ...block(
      0,
      { type: "thinking", thinking: "", signature: "" },
      { type: "thinking_delta", thinking: "Clouds." },
      { type: "signature_delta", signature: "c2ln" },
    ),
    ...block(
      1,
      { type: "text", text: "" },
      { type: "text_delta", text: "It will" },
      { type: "text_delta", text: " rain." },
    ),
    ...block(
      2,
      { type: "tool_use", id: "toolu_1", name: "umbrella", input: {} },
      { type: "input_json_delta", partial_json: '{"open"' },
      { type: "input_json_delta", partial_json: ": true}" },
    ),
    { type: "message_delta", delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 24 } },
    { type: "message_stop" },
  ];
}

/** Bytes of a text, in pieces of `size`. */
export function inPieces(text: string, size: number = Infinity): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  const count = size === Infinity ? 1 : Math.ceil(bytes.length / size);
  return Array.from(
    { length: count },
    (_, at) => bytes.slice(at * size, size === Infinity ? undefined : (at + 1) * size),
  );
}

/** A stream that shows how it is read, and stands still at a gate. */
export class Source<T> implements AsyncIterableIterator<T> {
  /** How many items were asked for, the end included. */
  pulls = 0;
  /** Whether whoever read it has said that he does not read on. */
  wasLeft = false;
  /** Nothing more comes until it is opened. */
  readonly door: ReturnType<typeof gate> = gate();
  readonly #items: readonly T[];
  readonly #stop: number;
  readonly #error: unknown;

  /** Stands still before the item number `stop`; throws `error`, if there is one, instead of ending. */
  constructor(items: readonly T[], { stop = Infinity, error }: { stop?: number; error?: unknown } = {}) {
    this.#items = items;
    this.#stop = stop;
    this.#error = error;
  }

  async next(): Promise<IteratorResult<T>> {
    const at = this.pulls++;
    if (at >= this.#stop) await this.door.pass();
    if (at < this.#items.length) return { done: false, value: this.#items[at]! };
    if (this.#error !== undefined) throw this.#error;
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<T>> {
    this.wasLeft = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** A provider of streams that counts its calls. */
export class Streams<T> {
  readonly sources: Source<T>[] = [];
  readonly bodies: unknown[] = [];
  readonly signals: AbortSignal[] = [];
  readonly #make: (call: number) => Source<T>;

  constructor(make: (call: number) => Source<T>) {
    this.#make = make;
  }

  readonly answer = (body: object, { signal }: { signal: AbortSignal }): Promise<Source<T>> => {
    this.bodies.push(structuredClone(body));
    this.signals.push(signal);
    const source = this.#make(this.sources.length);
    this.sources.push(source);
    return Promise.resolve(source);
  };

  get calls(): number {
    return this.sources.length;
  }
}

/** All that comes. */
export async function all<T>(stream: AsyncIterable<T> | ReadableStream<T>): Promise<T[]> {
  const items: T[] = [];
  if (stream instanceof ReadableStream) {
    const reader = stream.getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) items.push(next.value);
    return items;
  }
  for await (const item of stream) items.push(item);
  return items;
}

/** All that comes, as text. */
export async function textOf(stream: AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>): Promise<string> {
  const pieces = await all(stream);
  const decoder = new TextDecoder();
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}
