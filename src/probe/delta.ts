/**
 * What an adapter changes at one prompt. Both sides run on the same weights in memory and the same token ids, so a
 * difference is the adapter's and nothing else's.
 *
 * @module
 */

import type { AdapterOptions, Backend, NextToken, Prompt, ResolvedAdapter } from "../model/backend.ts";
import { type Divergence, divergence } from "./divergence.ts";

/** How to measure. */
export interface NextTokenDeltaOptions extends AdapterOptions {
  /** How many of the likeliest tokens to report of each side; 10 when left out. The divergence is over all tokens. */
  readonly top?: number;
  /** Ends the measurement. */
  readonly signal?: AbortSignal;
}

/** The base's next-token distribution and the adapter's, compared; `kl` is KL(base ‖ adapter). */
export interface NextTokenDelta extends Divergence {
  /** The base's likeliest tokens, likeliest first. */
  readonly base: readonly LikelyToken[];
  /** The adapter's likeliest tokens, likeliest first. */
  readonly adapter: readonly LikelyToken[];
}

/** A token and the natural logarithm of its probability. */
export interface LikelyToken {
  readonly id: number;
  readonly logprob: number;
}

/**
 * Measures what an adapter changes in the distribution of the token after a prompt.
 *
 * @throws RangeError for a `top` below 0, or when a side's distribution is not one (a broken adapter gives NaN).
 * @throws ModelError as the backend does.
 */
export async function nextTokenDelta(
  backend: Backend,
  adapter: ResolvedAdapter,
  prompt: Prompt,
  options: NextTokenDeltaOptions = {},
): Promise<NextTokenDelta> {
  const { scale = 1, top = 10, signal } = options;
  const unknown = Object.keys(options).find((name) => !["scale", "top", "signal"].includes(name));
  if (unknown !== undefined) throw new TypeError(`Cannot measure a delta: unknown option: ${unknown}`);
  if (!(Number.isInteger(top) && top >= 0)) {
    throw new RangeError(`Cannot measure a delta: top is not a whole number from 0: ${top}`);
  }
  const whole = { topK: Number.MAX_SAFE_INTEGER };
  const [base, adapted] = await Promise.all([
    backend.baseView().nextToken(prompt, whole, signal),
    backend.adapterView(adapter, { scale }).nextToken(prompt, whole, signal),
  ]);
  return { ...divergence(base, adapted), base: likeliest(base, top), adapter: likeliest(adapted, top) };
}

function likeliest({ ids, logprobs }: NextToken, count: number): LikelyToken[] {
  return ids.slice(0, count).map((id, index) => ({ id, logprob: logprobs[index]! }));
}
