/**
 * Claims where there are several tiers: those of the one shared most widely, or processes on two machines would each be
 * the only one to call.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { refuseLongClaim } from "../limits.ts";
import type { ClaimReply, Claims, Key, MaybePromise } from "../store.ts";
import type { Tier } from "./tier.ts";

/** The claims of one tier. */
export class LayeredClaims implements Claims {
  readonly #tier: Tier;
  readonly #refuseClosed: (tried: string) => void;

  /** `tier` has to have claims. */
  constructor(tier: Tier, refuseClosed: (tried: string) => void) {
    this.#tier = tier;
    this.#refuseClosed = refuseClosed;
  }

  claim(model: string, key: Key, holder: string, duration: Milliseconds): MaybePromise<ClaimReply> {
    this.#refuseClosed("claim a request");
    refuseLongClaim(duration);
    return this.#tier.ask((store) => store.claims!.claim(model, key, holder, duration), { tried: "claim a request" });
  }

  /** A claim that cannot be given up ends by itself, so that is no error. */
  async release(model: string, key: Key, holder: string): Promise<void> {
    try {
      await this.#tier.ask((store) => store.claims!.release(model, key, holder), { tried: "give up a claim" });
    } catch {
      // Nobody has to wait for longer than it lasts.
    }
  }
}
