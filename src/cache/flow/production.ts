/**
 * Knows the requests that are being answered further up the same chain of calls. What `wrap` calls may itself use the
 * cache, a client over a caching fetch for one; asking the very same, it would wait for itself for ever.
 *
 * @module
 */

import type { CallContext } from "../../runtime/runtime.ts";

/** An answer in the making. Made by the cache; a {@link CallContext} only hands it on. */
export interface Production {
  /** Which requests it answers. */
  readonly ids: ReadonlySet<string>;
  /** The answer it is made for, if it is made for another. */
  readonly outer: Production | undefined;
  /** A call that outlives the answer it was made for is nobody's part any more. */
  underWay: boolean;
}

/** The answers in the making, as far as the machine can tell who calls on whose behalf. */
export class Productions {
  readonly #context: CallContext<Production> | undefined;

  constructor(context: CallContext<Production> | undefined) {
    this.#context = context;
  }

  /** Whether the running call is part of making the answer to request `id`. */
  includes(id: string): boolean {
    let production = this.#context?.current();
    while (production !== undefined && !(production.underWay && production.ids.has(id))) production = production.outer;
    return production !== undefined;
  }

  /** Runs `work`, which makes the answer to request `id`. */
  async run<T>(id: string, work: () => Promise<T>): Promise<T> {
    return await this.runAll([id], work);
  }

  /** Runs `work`, which makes the answers to all these requests. */
  async runAll<T>(ids: Iterable<string>, work: () => Promise<T>): Promise<T> {
    if (this.#context === undefined) return await work();
    const production: Production = { ids: new Set(ids), outer: this.#context.current(), underWay: true };
    try {
      return await this.#context.run(production, work);
    } finally {
      production.underWay = false;
    }
  }
}
