/**
 * What is counted of the response cache: what it holds, what it has saved, and where it fails, which costs money and no
 * answers, so that nobody would notice.
 *
 * @module
 */

import { Counter, Gauge, type Registry } from "prom-client";
import type { CacheStatistics } from "../../cache/ledger/statistics.ts";
import type { ServerParts } from "../parts.ts";
import { StoreSnapshot } from "./store_snapshot.ts";

interface Counted {
  readonly name: string;
  readonly help: string;
  readonly value: (statistics: CacheStatistics) => number | null;
}

const HELD: readonly Counted[] = [
  {
    name: "warmcache_cache_entries",
    help: "Answers stored, each sample by itself.",
    value: ({ store }) => store.entries,
  },
  {
    name: "warmcache_cache_body_bytes",
    help: "Bytes of the stored answers as they are returned.",
    value: ({ store }) => store.bodyBytes,
  },
  {
    name: "warmcache_cache_stored_bytes",
    help: "Bytes of the stored answers as stored, compressed.",
    value: ({ store }) => store.storedBytes,
  },
  {
    name: "warmcache_cache_size_bytes",
    help: "Bytes that all of the store takes where it lives.",
    value: ({ store }) => store.totalBytes,
  },
];

const COUNTED: readonly Counted[] = [
  {
    name: "warmcache_cache_saved_dollars_total",
    help: "US dollars that answers would have cost that did not have to be bought, as far as prices are known.",
    value: ({ saved }) => saved.costMicrodollars / 1e6,
  },
  {
    name: "warmcache_cache_spent_dollars_total",
    help: "US dollars that answers did cost, as far as prices are known.",
    value: ({ spentMicrodollars }) => spentMicrodollars / 1e6,
  },
  {
    name: "warmcache_cache_saved_seconds_total",
    help: "Time that models and providers took for these answers when they gave them first.",
    value: ({ saved }) => saved.latency / 1000,
  },
  {
    name: "warmcache_cache_saved_tokens_total",
    help: "Tokens, read and written, of answers that did not have to be bought.",
    value: ({ saved }) => saved.promptTokens + saved.completionTokens,
  },
  { name: "warmcache_cache_writes_total", help: "Answers stored.", value: ({ writes }) => writes },
  {
    name: "warmcache_cache_failed_writes_total",
    help: "Answers that could not be stored; the callers got them all the same.",
    value: ({ failedWrites }) => failedWrites,
  },
  {
    name: "warmcache_cache_failed_lookups_total",
    help: "Lookups that the store could not answer.",
    value: ({ failedLookups }) => failedLookups,
  },
  { name: "warmcache_cache_corrupt_total", help: "Stored answers found broken.", value: ({ corrupt }) => corrupt },
];

/** Adds them. */
export function cacheMetrics(registry: Registry, { cache, clock }: ServerParts): void {
  const snapshot = new StoreSnapshot(cache, clock);
  const valueOf = ({ value }: Counted): number | null => {
    const { latest } = snapshot;
    return latest === undefined ? null : value(latest);
  };
  for (const each of HELD) {
    const { name, help } = each;
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = valueOf(each);
        // What is not known is not 0.
        if (value === null) this.remove();
        else this.set(value);
      },
    });
  }
  for (const each of COUNTED) {
    const { name, help } = each;
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(valueOf(each) ?? 0);
      },
    });
  }
}
