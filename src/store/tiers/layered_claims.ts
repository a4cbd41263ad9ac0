/**
 * Claims where there are several tiers: those of the one shared most widely, or processes on two machines would each be
 * the only one to call. While that one cannot be asked, those of the tier above it keep at least the processes of one
 * machine from buying an answer twice.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { refuseLongClaim } from "../limits.ts";
import type { ClaimReply, Claims, Key } from "../store.ts";
import { placeOf } from "../place.ts";
import type { Tier } from "./tier.ts";

/** The claims of several tiers. */
export class LayeredClaims implements Claims {
  readonly #tiers: readonly Tier[];
  readonly #refuseClosed: (tried: string) => void;
  /** Where a holder's claim may be besides the first of the tiers. */
  readonly #elsewhere = new Map<string, Set<Tier>>();

  /** `tiers` have to have claims: the one shared most widely first. */
  constructor(tiers: readonly Tier[], refuseClosed: (tried: string) => void) {
    this.#tiers = tiers;
    this.#refuseClosed = refuseClosed;
  }

  async claim(model: string, key: Key, holder: string, duration: Milliseconds): Promise<ClaimReply> {
    this.#refuseClosed("claim a request");
    refuseLongClaim(duration);
    const claimed = key.slice();
    const asking = { tried: "claim a request", model };
    const errors: unknown[] = [];
    for (const tier of this.#tiers) {
      try {
        const reply = await tier.ask((store) => store.claims!.claim(model, claimed, holder, duration), asking);
        if (reply.granted && errors.length > 0) this.#remember(placeOf(model + holder, claimed), tier);
        return reply;
      } catch (error) {
        errors.push(error);
      }
    }
    throw errors[0];
  }

  /** A claim that cannot be given up ends by itself, so that is no error. */
  async release(model: string, key: Key, holder: string): Promise<void> {
    const released = key.slice();
    const place = placeOf(model + holder, released);
    const tiers = [this.#tiers[0]!, ...this.#elsewhere.get(place) ?? []];
    this.#elsewhere.delete(place);
    await Promise.allSettled(tiers.map(async (tier) => {
      await tier.ask((store) => store.claims!.release(model, released, holder), { tried: "give up a claim", model });
    }));
  }

  #remember(place: string, tier: Tier): void {
    const tiers = this.#elsewhere.get(place);
    if (tiers === undefined) this.#elsewhere.set(place, new Set([tier]));
    else tiers.add(tier);
  }
}
