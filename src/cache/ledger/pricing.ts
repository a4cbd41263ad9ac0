/**
 * Puts prices on what was bought: what the caller says it cost, else what the price table says of the tokens that the
 * provider billed.
 *
 * @module
 */

import type { Answer } from "../answer/answer.ts";
import type { Plan } from "../call_options.ts";
import { type PriceOf, readBilledUsage } from "./prices.ts";
import type { CacheRequest } from "../request/request.ts";

/**
 * What each sample of an answer cost: by its own bill, else its even part of the one for all. What is no amount is not
 * known. Never throws: a price is worth no answer.
 */
export async function priceSamples(
  priceOf: PriceOf | undefined,
  { model, provider }: CacheRequest,
  { samples, bills }: Answer,
  { cost }: Plan,
): Promise<(number | null)[]> {
  const share = (total: number | null): (number | null)[] =>
    samples.map(() => total === null ? null : total / samples.length);
  // What was paid, was paid for an answer that nobody can read as well.
  if (typeof cost === "number" && bills.length !== samples.length) return share(amount(cost));
  const price = async (bill: unknown, index: number): Promise<number | null> => {
    if (typeof cost === "number") return cost;
    if (cost !== undefined) return cost(bill);
    const usage = readBilledUsage(bill);
    if (usage === null || priceOf === undefined) return null;
    const { modelAnswered, created } = samples[index]!;
    return await priceOf({ provider, modelAsked: model, modelAnswered, usage, created });
  };
  const costs = await Promise.all(bills.map((bill, index) => price(bill, index).catch(() => null)));
  const amounts = costs.map(amount);
  return bills.length === samples.length ? amounts : share(amounts.length === 1 ? amounts[0]! : null);
}

function amount(cost: number | null): number | null {
  return typeof cost === "number" && cost >= 0 && Number.isFinite(cost) ? cost : null;
}
