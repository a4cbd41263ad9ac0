/**
 * Prices from the table of `@pydantic/genai-prices`, which is kept up by its authors with the dates on which prices
 * changed. It is in the package: nothing is fetched. It is loaded (0.8 MB) when the first answer has been bought.
 *
 * `openCache` uses it by itself where there are files; in browsers and at the edge it is given:
 *
 * ```ts ignore
 * import { openCache } from "@warmcache/warmcache/browser";
 * import { tablePrices } from "@warmcache/warmcache/prices";
 *
 * const cache = await openCache({ priceOf: tablePrices() });
 * ```
 *
 * A price that is a guess is worse than none. The table is asked only for what it has a rate for.
 *
 * @module
 */

import type { BilledUsage, PricedCall, PriceOf } from "../cache/ledger/prices.ts";

export type { BilledUsage, PricedCall, PriceOf };
export type { MaybePromise } from "../store/store.ts";

/** The package that has the table. */
export type PriceTable = typeof import("@pydantic/genai-prices");

type Rates = NonNullable<ReturnType<PriceTable["calcPrice"]>>["model_price"];

/** Providers that state the cost of a call in US dollars: https://openrouter.ai/docs/use-cases/usage-accounting, and
 * https://docs.perplexity.ai/api-reference/chat-completions-post */
const STATE_DOLLARS: ReadonlySet<string> = new Set(["openrouter", "perplexity"]);

/** What the table must have a rate for if a call used any of it: charged like plain text it would be a wrong price. */
const RATED_APART: readonly (readonly [used: keyof BilledUsage, rate: string])[] = [
  ["cacheReadTokens", "cache_read_mtok"],
  ["cacheWriteTokens", "cache_write_mtok"],
  ["hourCacheWriteTokens", "cache_write_1h_mtok"],
  ["inputAudioTokens", "input_audio_mtok"],
  ["cacheReadAudioTokens", "cache_audio_read_mtok"],
  ["outputAudioTokens", "output_audio_mtok"],
  ["outputImageTokens", "output_image_mtok"],
  ["webSearches", "web_searches_kcount"],
];

/**
 * Makes a {@link PriceOf} that asks the table. The price is `null` when the provider or model is not in it, when the
 * answer was billed at another rate than the standard one or for more than tokens, and when the table cannot be loaded;
 * a provider that states its cost in dollars is believed. The model is the one that answered, or the one asked for where
 * the provider did not say or named a dated version of it.
 *
 * @param load gets the table; by default from the package.
 */
export function tablePrices(load: () => Promise<PriceTable> = () => import("@pydantic/genai-prices")): PriceOf {
  let table: PriceTable | undefined;
  let loading: Promise<PriceTable | undefined> | undefined;
  return (call) => {
    if (table !== undefined) return priceIn(table, call);
    loading ??= load().catch(() => undefined);
    return loading.then((loaded) => {
      table = loaded;
      return loaded === undefined ? null : priceIn(loaded, call);
    });
  };
}

function priceIn(table: PriceTable, call: PricedCall): number | null {
  try {
    return microdollars(dollars(table, call));
  } catch {
    // The table refuses usage that contradicts itself.
    return null;
  }
}

function dollars(
  table: PriceTable,
  { provider, modelAsked, modelAnswered, usage, created }: PricedCall,
): number | null {
  const seller = provider.includes("://")
    ? table.findProvider({ providerApiUrl: provider })
    : table.findProvider({ providerId: provider });
  // The table takes "my-openai" for OpenAI: a name has to be one of its own.
  if (seller === undefined || !(provider.includes("://") || provider === seller.id)) return null;
  if (STATE_DOLLARS.has(seller.id) && usage.statedCost !== null) return usage.statedCost;
  if (usage.rate !== "standard" || usage.billedApart !== null) return null;
  const model = modelAnswered ?? modelAsked;
  const options = { providerId: seller.id, timestamp: new Date(created) };
  const units = unitsOf(usage);
  const price = table.calcPrice(units, model, options) ??
    (isDatedVersion(model, modelAsked) ? table.calcPrice(units, modelAsked, options) : null);
  return price !== null && covers(price.model_price, usage) ? price.total_price : null;
}

function unitsOf(usage: BilledUsage): Record<string, number> {
  return {
    input_tokens: usage.inputTokens,
    cache_read_tokens: usage.cacheReadTokens,
    cache_write_tokens: usage.cacheWriteTokens,
    cache_write_1h_tokens: usage.hourCacheWriteTokens,
    input_audio_tokens: usage.inputAudioTokens,
    cache_audio_read_tokens: usage.cacheReadAudioTokens,
    output_tokens: usage.outputTokens,
    output_reasoning_tokens: usage.reasoningTokens,
    output_audio_tokens: usage.outputAudioTokens,
    output_image_tokens: usage.outputImageTokens,
    web_searches: usage.webSearches,
  };
}

/** `gpt-4o-2024-08-06` is a version of `gpt-4o`; `gpt-4o-mini` is not. */
function isDatedVersion(answered: string, asked: string): boolean {
  return answered.startsWith(asked) && /^[-@]\d{4}-?\d{2}-?\d{2}$/.test(answered.slice(asked.length));
}

/** Whether there is a rate for all that was used. A model without any is free, or unknown: the table does not tell. */
function covers(rates: Rates, usage: BilledUsage): boolean {
  if (rates.input_mtok === undefined) return false;
  if (usage.outputTokens > 0 && rates.output_mtok === undefined) return false;
  return RATED_APART.every(([used, rate]) => usage[used] === 0 || rates[rate] !== undefined);
}

/** To a millionth of a millionth, which removes what binary fractions add. */
function microdollars(amount: number | null): number | null {
  return amount === null ? null : Math.round(amount * 1e12) / 1e6;
}
