/**
 * What things are called in Redis: `wc1:{model hash}:kind:request key`. The braces make one slot of all keys of a model, so
 * that one script may touch several of them on a Cluster, and `wc1` is the version of the layout: another layout would
 * be another prefix, and neither would see the other's keys.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";

/** What a key holds: `e` a request and its answers, `f` its failures, `c` the claim on it. */
export type Kind = "e" | "f" | "c";

/** A key, taken apart. */
export interface KeyParts {
  /** First 16 hexadecimal digits of the SHA-256 of the model's name in UTF-8. */
  readonly route: string;
  /** The request's key in hexadecimal. */
  readonly hex: string;
}

const ROUTE_BYTES = 8;
const encoder = new TextEncoder();

/** The names of one store's keys. */
export class Keys {
  readonly #prefix: string;
  readonly #sha256: Runtime["sha256"];
  readonly #routes = new Map<string, string>();

  constructor(prefix: string, sha256: Runtime["sha256"]) {
    this.#prefix = prefix;
    this.#sha256 = sha256;
  }

  /** What all keys of a model have between their braces. */
  route(model: string): string {
    let route = this.#routes.get(model);
    if (route === undefined) {
      route = hexOf(this.#sha256(encoder.encode(model)).subarray(0, ROUTE_BYTES));
      // A program has few models; one that makes up names must not fill the memory.
      if (this.#routes.size >= 1024) this.#routes.clear();
      this.#routes.set(model, route);
    }
    return route;
  }

  /** The key of some kind for a request. */
  of(route: string, kind: Kind, hex: string): string {
    return `${this.#prefix}:{${route}}:${kind}:${hex}`;
  }

  /** The hash in which the daily amounts of all models are added up. */
  get ledger(): string {
    return `${this.#prefix}:{ledger}:amounts`;
  }

  /** What says that amounts have been added already. Lies in the slot of {@link ledger}. */
  posted(id: string): string {
    return `${this.#prefix}:{ledger}:posted:${id}`;
  }

  /** A glob that all keys of a kind match, of one model if it is given. Others may match too: see {@link parse}. */
  pattern(kind: Kind, route?: string): string {
    return `${this.#prefix}:{${route ?? "*"}}:${kind}:*`;
  }

  /** Takes a key of some kind apart; `undefined` when it is none of ours. */
  parse(key: string, kind: Kind): KeyParts | undefined {
    const start = `${this.#prefix}:{`;
    if (!key.startsWith(start)) return undefined;
    const match = /^([0-9a-f]{16})\}:([efc]):([0-9a-f]{64})$/.exec(key.slice(start.length));
    return match?.[2] === kind ? { route: match[1]!, hex: match[3]! } : undefined;
  }
}
