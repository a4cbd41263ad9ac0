/**
 * Failures where there are several tiers: written to the nearest and to the one shared most widely, and the newest of
 * both is the last one.
 *
 * @module
 */

import { refuseLongError } from "../limits.ts";
import type { FailureRecord, Failures, Key, NewFailure } from "../store.ts";
import type { Tier } from "./tier.ts";

/** The failures of one tier, or of two. */
export class LayeredFailures implements Failures {
  readonly #tiers: readonly Tier[];
  readonly #refuseClosed: (tried: string) => void;

  /** `tiers` have to have failures. */
  constructor(tiers: readonly Tier[], refuseClosed: (tried: string) => void) {
    this.#tiers = tiers;
    this.#refuseClosed = refuseClosed;
  }

  /** Resolves when all tiers have answered; rejects when none took it. */
  async record(model: string, key: Key, { last, expires, error }: NewFailure): Promise<void> {
    this.#refuseClosed("record a failure");
    refuseLongError(error);
    const [failed, kept] = [key.slice(), { last, expires, error: error.slice() }];
    const results = await Promise.allSettled(this.#tiers.map(async (tier) => {
      await tier.ask((store) => store.failures!.record(model, failed, kept), { tried: "record a failure", model });
    }));
    const lost = results.filter((result) => result.status === "rejected");
    if (lost.length === results.length) throw lost[0]!.reason;
  }

  /**
   * Rejects when one of the tiers does not answer: what the other one says may be older than what was said before, and
   * whoever waits for news would take that for news.
   */
  async last(model: string, key: Key): Promise<FailureRecord | undefined> {
    this.#refuseClosed("look for a failure");
    const records = await Promise.all(this.#tiers.map(async (tier) => {
      return await tier.ask((store) => store.failures!.last(model, key), { tried: "look for a failure", model });
    }));
    return records.reduce((newest, record) => record && isNewer(record, newest) ? record : newest, undefined);
  }
}

function isNewer({ last, count }: FailureRecord, than: FailureRecord | undefined): boolean {
  return than === undefined || last > than.last || (last === than.last && count > than.count);
}
