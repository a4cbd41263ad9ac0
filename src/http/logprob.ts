/**
 * Log-probabilities as JSON can carry them.
 *
 * @module
 */

/** OpenAI's value for what is too unlikely to have a number; JSON has no infinity. */
const UNLIKELY = -9999;

/** A log-probability as a finite number. */
export function finiteLogprob(logprob: number): number {
  return Number.isFinite(logprob) ? logprob : UNLIKELY;
}
