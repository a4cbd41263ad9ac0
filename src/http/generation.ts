/**
 * Runs what an OpenAI request asks for on a model: each prompt as often as `n` says, in the order of the choices.
 *
 * @module
 */

import type { GenerateEvent, GenerateRequest, Prompt, ScoredToken, View } from "../model/backend.ts";

/** Everything about a generation but its prompt and its seed. */
export type Sampling = Omit<GenerateRequest, "prompt" | "seed">;

/** What is to be generated: choices `prompt * n + sample`, as OpenAI numbers them. */
export interface GenerationPlan {
  readonly prompts: readonly Prompt[];
  readonly n: number;
  readonly sampling: Sampling;
  /**
   * Sample `s` of prompt `p` is drawn with `seed + s * prompts + p`: no two choices of a request share a seed, and a
   * choice keeps its own whatever `n` is, since a stored one may answer a request for fewer.
   */
  readonly seed: number;
}

/** One finished choice. */
export interface Choice {
  readonly index: number;
  /** The answer, after the prompt where `echo` was asked for. */
  readonly text: string;
  /** Its tokens, the prompt's first where `echo` was asked for. */
  readonly tokens: readonly ScoredToken[];
  readonly finishReason: "stop" | "length";
}

/** Tokens read and written. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** A step of a generation and the choice it belongs to. */
export interface ChoiceEvent {
  readonly index: number;
  readonly event: GenerateEvent;
}

/** Generates all choices, one after the other, until the signal is aborted. */
export async function* generateChoices(
  view: View,
  { prompts, n, sampling, seed }: GenerationPlan,
  signal: AbortSignal,
): AsyncGenerator<ChoiceEvent> {
  for (const [position, prompt] of prompts.entries()) {
    for (let sample = 0; sample < n; sample++) {
      const request = { ...sampling, prompt, seed: (seed + sample * prompts.length + position) >>> 0 };
      for await (const event of view.generate(request, signal)) yield { index: position * n + sample, event };
    }
  }
}

/** Gathers events into choices and usage. */
export class ChoiceCollector {
  readonly #n: number;
  readonly #choices: Choice[] = [];
  #text = "";
  #tokens: ScoredToken[] = [];
  #promptTokens = 0;
  #completionTokens = 0;

  /** @param n Choices per prompt, whose prompt tokens count once. */
  constructor(n: number) {
    this.#n = n;
  }

  /** Takes one event in. */
  add({ index, event }: ChoiceEvent): void {
    this.#text += event.text;
    switch (event.type) {
      case "prompt":
        // Not all as arguments of one call: a prompt has more tokens than a stack has room for.
        for (const token of event.tokens) this.#tokens.push(token);
        this.#countPrompt(index, event.promptTokens);
        break;
      case "token":
        this.#tokens.push(event.token);
        break;
      case "end":
        this.#completionTokens += event.completionTokens;
        this.#countPrompt(index, event.promptTokens);
        this.#choices.push({ index, text: this.#text, tokens: this.#tokens, finishReason: event.finishReason });
        this.#text = "";
        this.#tokens = [];
    }
  }

  /** The beginning of a choice says it, or the end; those of one prompt say the same. */
  #countPrompt(index: number, tokens: number | null | undefined): void {
    if (index % this.#n === 0) this.#promptTokens += tokens ?? 0;
  }

  /** The choices that are finished. */
  get choices(): readonly Choice[] {
    return this.#choices;
  }

  get usage(): Usage {
    return {
      prompt_tokens: this.#promptTokens,
      completion_tokens: this.#completionTokens,
      total_tokens: this.#promptTokens + this.#completionTokens,
    };
  }
}
