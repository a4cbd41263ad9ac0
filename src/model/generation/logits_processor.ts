/**
 * What a request asks of single tokens, applied to the model's logits before one is chosen. The log-probabilities that
 * an answer reports are the model's own, from before.
 *
 * @module
 */

import type { Candidates } from "./row.ts";

/** What to change, and by how much. */
export interface LogitsProcessorOptions {
  /**
   * Divides positive and multiplies negative logits of tokens in prompt and answer (https://arxiv.org/abs/1909.05858).
   */
  readonly repetitionPenalty: number;
  /** Taken from the logits of tokens in the answer. */
  readonly presencePenalty: number;
  /** Taken from them once for each time that the answer has them. */
  readonly frequencyPenalty: number;
  /** Added to the logits of tokens, by id. */
  readonly logitBias: readonly (readonly [id: number, bias: number])[];
}

/**
 * Changes logits in the order of transformers' processors, which is vLLM's as well: bias, repetition penalty, then
 * OpenAI's two penalties (https://platform.openai.com/docs/api-reference/completions/create).
 */
export class LogitsProcessor {
  readonly #options: LogitsProcessorOptions;
  /** Whether it changes no number, but for tokens that must not come now. */
  readonly isNeutral: boolean;
  /** Tokens of prompt and answer. */
  readonly #seen: Set<number>;
  /** How often the answer has its tokens. */
  readonly #counts = new Map<number, number>();

  /** @param prompt Ids of the prompt's tokens. */
  constructor(options: LogitsProcessorOptions, prompt: readonly number[]) {
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = options;
    this.#options = options;
    this.isNeutral = repetitionPenalty === 1 && presencePenalty === 0 && frequencyPenalty === 0 &&
      logitBias.length === 0;
    this.#seen = new Set(prompt);
  }

  /** The answer has one more token. */
  took(id: number): void {
    this.#seen.add(id);
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
  }

  /**
   * The logits to choose the next token by: those of the model, untouched, or a copy.
   *
   * @param candidates Of all tokens, unless it is neutral.
   * @param banned Ids of tokens that must not come now.
   */
  process({ logits, ids }: Candidates, banned: ReadonlySet<number>): Float32Array | Float64Array {
    if (this.isNeutral && banned.size === 0) return logits;
    if (ids !== undefined) return logits.map((logit, index) => banned.has(ids[index]!) ? -Infinity : logit);
    const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = this.#options;
    const changed = new Float64Array(logits);
    for (const [id, bias] of logitBias) changed[id] = changed[id]! + bias;
    if (repetitionPenalty !== 1) {
      for (const id of this.#seen) changed[id] = penalised(changed[id]!, repetitionPenalty);
    }
    for (const [id, count] of this.#counts) changed[id] = changed[id]! - presencePenalty - count * frequencyPenalty;
    for (const id of banned) if (id < changed.length) changed[id] = -Infinity;
    return changed;
  }
}

/** A logit under the repetition penalty, which may be huge or tiny, and must not make a number infinite. */
function penalised(logit: number, penalty: number): number {
  if (logit === -Infinity) return logit;
  return logit > 0 ? Math.min(logit / penalty, Number.MAX_VALUE) : Math.max(logit * penalty, -Number.MAX_VALUE);
}
