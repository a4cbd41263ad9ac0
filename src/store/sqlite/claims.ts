/**
 * Claims of a SQLite store: each goes with what else is written in its turn of the event loop, so a thousand calls that
 * begin together are claimed at the price of one transaction.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { refuseLongClaim } from "../limits.ts";
import type { ClaimReply, Claims, Key, MaybePromise } from "../store.ts";
import type { Databases } from "./databases.ts";

/** What a claim writes, about. */
const CLAIM_BYTES = 128;

/** The claims of a store. */
export class SqliteClaims implements Claims {
  readonly #databases: Databases;

  constructor(databases: Databases) {
    this.#databases = databases;
  }

  claim(model: string, key: Key, holder: string, duration: Milliseconds): MaybePromise<ClaimReply> {
    refuseLongClaim(duration);
    this.#databases.refuseClosed();
    if (this.#databases.peek(model)?.keepsClaims === false) return { granted: true };
    const claimed = key.slice();
    return this.#databases.write(model, {
      purpose: "claim a request",
      bytes: CLAIM_BYTES,
      run: ({ claims }) => claims.claim(claimed, holder, duration),
    });
  }

  /** A claim that cannot be given up ends by itself, so that is no error. */
  async release(model: string, key: Key, holder: string): Promise<void> {
    const claimed = key.slice();
    try {
      // Who has cleared the folder has cleared the claim, too.
      if (this.#databases.peek(model)?.keepsClaims === false || !this.#databases.has(model)) return;
      await this.#databases.write(model, {
        purpose: "give up a claim",
        bytes: CLAIM_BYTES,
        run: ({ claims }) => claims.release(claimed, holder),
      });
    } catch {
      // Nobody has to wait for longer than it lasts.
    }
  }
}
