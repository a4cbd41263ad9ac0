/**
 * Failures in Redis: a hash each, which goes with the answers of its request, or a week after the last failure.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { refuseLongError } from "../limits.ts";
import type { FailureRecord, Failures, Key, NewFailure } from "../store.ts";
import type { Keys } from "./keys.ts";
import type { Link } from "./link.ts";
import { textOf } from "./link.ts";
import { Refusal } from "./refusal.ts";
import type { Script } from "./scripts.ts";

/** Nobody removes the failures of requests that never had an answer. */
const REMEMBERED: Milliseconds = 7 * 24 * 60 * 60 * 1000;

/** The failures of a store. */
export class RedisFailures implements Failures {
  readonly #link: Link;
  readonly #keys: Keys;
  readonly #script: Script;

  constructor(link: Link, keys: Keys, script: Script) {
    this.#link = link;
    this.#keys = keys;
    this.#script = script;
  }

  async record(model: string, key: Key, { last, expires, error }: NewFailure): Promise<void> {
    refuseLongError(error);
    const tried = "record a failure";
    const { route, name } = this.#placeOf(model, key);
    const args = [String(last), String(expires ?? ""), error.slice(), String(REMEMBERED)];
    const [reply] = await this.#link.run(tried, [{ script: this.#script, route, keys: [name], args }]);
    this.#link.granted(tried, reply!);
  }

  async last(model: string, key: Key): Promise<FailureRecord | undefined> {
    const tried = "look for a failure";
    const { route, name } = this.#placeOf(model, key);
    const args = ["HMGET", name, "count", "last", "expires", "error"];
    const [reply] = await this.#link.send(tried, [{ route, key: name, args }]);
    if (reply instanceof Refusal && reply.code === "WRONGTYPE") return undefined;
    const [count, last, expires, error] = this.#link.list(tried, reply!);
    const numbers = [count, last].map((part) => part instanceof Uint8Array ? Number(textOf(part)) : NaN);
    if (!numbers.every(Number.isFinite) || !(expires instanceof Uint8Array) || !(error instanceof Uint8Array)) {
      return undefined;
    }
    const until = textOf(expires);
    return {
      count: numbers[0]!,
      last: numbers[1]!,
      expires: until === "" ? null : Number(until),
      error: new Uint8Array(error),
    };
  }

  #placeOf(model: string, key: Key): { route: string; name: string } {
    const route = this.#keys.route(model);
    return { route, name: this.#keys.of(route, "f", hexOf(key)) };
  }
}
