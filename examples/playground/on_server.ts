/** Answers from a warmcache server at the page's own address: its models, its cache. */

import { SseParser } from "../../src/cache/stream/sse.ts";
import type { Answer, Answerer, Fate } from "./answerer.ts";
import type { CompletionChunk } from "./pieces.ts";
import { bodyOf, type Question, type Side } from "./question.ts";

/** Asks a server. */
export class ServerAnswerer implements Answerer {
  readonly #models: Readonly<Record<Side, string>>;

  constructor(models: Readonly<Record<Side, string>>) {
    this.#models = models;
  }

  /** Asks it. */
  async ask(side: Side, question: Question, signal: AbortSignal): Promise<Answer> {
    const model = this.#models[side];
    const response = await fetch("/v1/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...bodyOf(question), model }),
      signal,
    });
    if (!response.ok || response.body === null) {
      throw new Error(`Cannot ask the server for ${model}: ${await reasonIn(response)}`);
    }
    return { chunks: readChunks(response.body), fate: () => fateIn(response.headers) };
  }
}

/** The chunks of a stream, which ends with `[DONE]`; an error of the server's may come in place of one. */
async function* readChunks(body: ReadableStream<Uint8Array>): AsyncGenerator<CompletionChunk> {
  const parser = new SseParser();
  const reader = body.getReader();
  try {
    for (let isDone = false; !isDone;) {
      const { done, value } = await reader.read();
      isDone = done;
      for (const { data } of done ? parser.end() : parser.push(value)) {
        if (data === "[DONE]") return;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Error(`The server broke off: ${chunk.error.message}`);
        yield chunk;
      }
    }
  } finally {
    await reader.cancel();
  }
}

async function reasonIn(response: Response): Promise<string> {
  const text = await response.text();
  try {
    return JSON.parse(text).error.message;
  } catch {
    return `${response.status} ${text.slice(0, 200) || response.statusText}`;
  }
}

/** `Cache-Status` (RFC 9211) says what the cache did, `Age` (RFC 9111) how old a stored answer is, in seconds. */
function fateIn(headers: Headers): Fate {
  const status = headers.get("Cache-Status") ?? "";
  if (!/;\s*hit\b/.test(status)) return { outcome: /;\s*collapsed\b/.test(status) ? "shared" : "generated" };
  const age = headers.get("Age");
  return { outcome: "hit", ...age !== null && { created: Date.now() - Number(age) * 1000 } };
}
