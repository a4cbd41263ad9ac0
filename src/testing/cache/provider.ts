/**
 * Requests, and a provider that answers them: OpenAI's chat completions, since every cache of ours knows them best.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";

/** A request that asks about `topic`. */
export function ask(topic: string, rest: JsonObject = {}): JsonObject {
  return { model: "gpt-4o-mini", messages: [{ role: "user", content: topic }], ...rest };
}

/** An answer that says these texts, a choice each. */
export function answerOf(texts: readonly string[], rest: JsonObject = {}): JsonObject {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1767225600,
    model: "gpt-4o-mini-2024-07-18",
    system_fingerprint: "fp_1",
    choices: texts.map((content, index) => ({
      index,
      message: { role: "assistant", content },
      finish_reason: "stop",
    })),
    usage: { prompt_tokens: 10, completion_tokens: 5 * texts.length, total_tokens: 10 + 5 * texts.length },
    ...rest,
  };
}

/** What an answer says, choice by choice. */
export function saidBy(answer: unknown): unknown[] {
  const { choices } = answer as { choices: { message: { content: unknown } }[] };
  return choices.map(({ message }) => message.content);
}

/** A provider whose every choice is another text, `text 1`, `text 2`, …, and who remembers what it was asked. */
export class Provider {
  /** Bodies it was called with. */
  readonly calls: JsonObject[] = [];
  #said = 0;

  /** As many choices as the body asks for. */
  readonly answer = (body: object): Promise<JsonObject> => {
    const { n = 1 } = body as { n?: number };
    this.calls.push({ ...body });
    return Promise.resolve(answerOf(this.texts(n)));
  };

  /** As many answers of one choice as are asked for. */
  readonly samples = (count: number): Promise<JsonObject[]> => {
    this.calls.push({ n: count });
    return Promise.resolve(this.texts(count).map((text) => answerOf([text])));
  };

  /** Texts that it has not said before. */
  texts(count: number): string[] {
    return Array.from({ length: count }, () => `text ${++this.#said}`);
  }
}

/** Called where nobody may be. */
export function never(): Promise<never> {
  return Promise.reject(new Error("the provider was called, although the answer is there or nobody may call"));
}
