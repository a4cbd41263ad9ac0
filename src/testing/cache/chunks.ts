/**
 * Streams as providers send them and SDKs give them.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";

/** A request for a stream that says when it ends how much it was. */
export const STREAMED: JsonObject = {
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Will it rain?" }],
  stream: true,
  stream_options: { include_usage: true },
};

/** What {@link chunksOf} say at their end. */
export const USAGE: JsonObject = { prompt_tokens: 10, completion_tokens: 4, total_tokens: 14 };

/** The chunks of a chat completion whose choice consists of these, the last of which is its end. */
export function chunksOf(deltas: readonly JsonObject[], finish_reason = "stop"): JsonObject[] {
  const head = {
    id: "chatcmpl-7",
    object: "chat.completion.chunk",
    created: 1767225600,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_1",
  };
  const choice = (delta: JsonObject, finish_reason: string | null): JsonObject => ({
    ...head,
    choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  });
  return [
    choice({ role: "assistant", content: "" }, null),
    ...deltas.map((delta) => choice(delta, null)),
    choice({}, finish_reason),
    { ...head, choices: [], usage: USAGE },
  ];
}

/** The chunks of a text, word by word. */
export function wordChunks(...words: string[]): JsonObject[] {
  return chunksOf(words.map((content) => ({ content })));
}

/** The server-sent events of these chunks, as OpenAI sends them. */
export function eventText(chunks: readonly JsonObject[], lineEnd = "\n"): string {
  const data = [...chunks.map((chunk) => JSON.stringify(chunk)), "[DONE]"];
  return data.map((each) => `data: ${each}${lineEnd}${lineEnd}`).join("");
}

/** The chunks of server-sent events. */
export function chunksIn(text: string): JsonObject[] {
  const data = text.split(/\r?\n/).filter((line) => line.startsWith("data: ")).map((line) => line.slice(6));
  return data.filter((each) => each !== "[DONE]").map((each) => JSON.parse(each));
}

/** The message whose chunks these are, as far as tests look at it. */
export function said(chunks: readonly JsonObject[]): string {
  const choices = chunks.flatMap(({ choices }) => choices as { delta: { content?: string } }[]);
  return choices.map(({ delta }) => delta.content ?? "").join("");
}

/** A source of items that can break off with an error. */
export async function* sourceOf<T>(items: readonly T[], error?: Error): AsyncGenerator<T> {
  for (const item of items) {
    // A source of real streams is never ahead of its reader.
    await Promise.resolve();
    yield item;
  }
  if (error !== undefined) throw error;
}

/** Bytes of a text, in pieces of `size`. */
export function piecesOf(text: string, size: number): Uint8Array[] {
  const bytes = new TextEncoder().encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.slice(at * size, (at + 1) * size));
}

/** All that comes, as text. */
export async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return await new Response(stream).text();
}
