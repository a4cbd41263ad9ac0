/**
 * What the dashboard remembers: nobody else keeps what was loaded and evicted, or which requests were slow. All of it is
 * bounded, and lives as long as the server.
 *
 * @module
 */

import type { CacheStatistics } from "../../cache/ledger/statistics.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { ServerParts } from "../parts.ts";
import { Feed } from "./feed.ts";
import { Minutes } from "./minutes.ts";
import { Rankings } from "./rankings.ts";

/** What it needs of the server. */
export type Observed = Pick<ServerParts, "backends" | "cache" | "clock" | "requests">;

/** Statistics are read this often at most, however many look at them: a store may have to be asked over the network. */
const FRESH: Milliseconds = 500;

/** Watches a server from when it is made. */
export class Observer {
  readonly feed: Feed;
  readonly minutes: Minutes = new Minutes();
  readonly rankings: Rankings = new Rankings();
  readonly #parts: Observed;
  /** When each base that is in memory became warm, by identity. */
  readonly #warmSince = new Map<string, Milliseconds>();
  #statistics: { readonly at: Milliseconds; readonly value: Promise<CacheStatistics> } | undefined;

  constructor(parts: Observed) {
    this.#parts = parts;
    this.feed = new Feed(parts.clock);
    parts.backends.on((event) => {
      if (event.type === "loaded") this.#warmSince.set(event.identity, parts.clock.now());
      else if (event.type === "evicted" || event.type === "worker_lost") this.#warmSince.delete(event.identity);
      this.feed.add(event);
    });
    parts.requests.on((record) => {
      this.minutes.add(record);
      this.rankings.add(record);
      if (record.model !== undefined) this.feed.pulse();
    });
  }

  /** When a base became warm, in milliseconds since 1970; `undefined` when it is not. */
  warmSince(identity: string): Milliseconds | undefined {
    return this.#warmSince.get(identity);
  }

  /**
   * The cache's statistics, as they were half a second ago at worst.
   *
   * @throws CacheError `closed`
   */
  statistics(): Promise<CacheStatistics> {
    const now = this.#parts.clock.monotonic();
    if (this.#statistics !== undefined && now - this.#statistics.at < FRESH) return this.#statistics.value;
    const value = this.#parts.cache.stats();
    this.#statistics = { at: now, value };
    return value;
  }
}
