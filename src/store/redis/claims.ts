/**
 * Claims in Redis: an expiring key each. They are timed by the server's clock, since those who compare them may be on
 * machines whose clocks differ.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { LONGEST_BINDING, refuseLongClaim } from "../limits.ts";
import type { ClaimReply, Claims, Key } from "../store.ts";
import type { Keys } from "./keys.ts";
import type { Link, Run } from "./link.ts";
import { NONSENSE, textOf } from "./link.ts";
import type { Scripts } from "./scripts.ts";

const TRIED = "claim a request";

/** The claims of a store. */
export class RedisClaims implements Claims {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #scripts: Scripts;

  constructor(link: Link, keys: Keys, scripts: Scripts) {
    this.#link = link;
    this.#keys = keys;
    this.#scripts = scripts;
  }

  async claim(model: string, key: Key, holder: string, duration: Milliseconds): Promise<ClaimReply> {
    refuseLongClaim(duration);
    const args = [holder, String(this.#link.now), String(duration), String(LONGEST_BINDING)];
    const [reply] = await this.#link.run(TRIED, [this.#runOf("claim", model, key, args)]);
    const granted = this.#link.granted(TRIED, reply!);
    if (granted === 1) return { granted: true };
    const expires = Number(textOf(granted));
    if (!Number.isFinite(expires)) throw NONSENSE.toError(TRIED, this.#link.location);
    return { granted: false, expires: this.#link.ours(expires) };
  }

  async release(model: string, key: Key, holder: string): Promise<void> {
    try {
      await this.#link.run("give up a claim", [this.#runOf("release", model, key, [holder])]);
    } catch (error) {
      // It ends by itself.
      if (!(error instanceof CacheError)) throw error;
    }
  }

  #runOf(script: "claim" | "release", model: string, key: Key, args: readonly string[]): Run {
    const route = this.#keys.route(model);
    return { script: this.#scripts[script], route, keys: [this.#keys.of(route, "c", hexOf(key))], args };
  }
}
