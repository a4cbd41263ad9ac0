/**
 * Failures as long as the process lives, for stores that have nowhere better to keep them. Those not asked for in the
 * longest time are forgotten first.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { hexOf } from "../runtime/hex.ts";
import { refuseLongError } from "./limits.ts";
import type { FailureRecord, Failures, Key, NewFailure } from "./store.ts";

/** A request of one model that failed. */
interface Failed {
  readonly model: string;
  readonly key: string;
  readonly failure: FailureRecord;
}

/** What a failure takes beside its error, about. */
const FAILURE_BYTES = 64;

/** Remembers failures in memory. */
export class FailuresInMemory implements Failures {
  readonly #failures: LRUCache<string, Failed>;

  /** Takes `maxBytes` at most. */
  constructor(maxBytes: number) {
    this.#failures = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: ({ failure }) => FAILURE_BYTES + failure.error.length,
    });
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#failures.calculatedSize;
  }

  record(model: string, key: Key, { last, expires, error }: NewFailure): void {
    refuseLongError(error);
    const name = hexOf(key);
    const place = name + model;
    const count = (this.#failures.peek(place)?.failure.count ?? 0) + 1;
    this.#failures.set(place, { model, key: name, failure: { count, last, expires, error: error.slice() } });
  }

  last(model: string, key: Key): FailureRecord | undefined {
    const failure = this.#failures.get(hexOf(key) + model)?.failure;
    return failure && { ...failure, error: failure.error.slice() };
  }

  /** Forgets all. */
  clear(): void {
    this.#failures.clear();
  }

  /** Forgets a request, whose key is given in hexadecimal. */
  forget(model: string, key: string): void {
    this.#failures.delete(key + model);
  }

  /** Forgets all requests, or those to one model, or those with some keys, in hexadecimal. */
  forgetAll(model: string | undefined, keys: ReadonlySet<string> | undefined): void {
    for (const [place, failed] of [...this.#failures.entries()]) {
      const fits = (model === undefined || model === failed.model) && keys?.has(failed.key) !== false;
      if (fits) this.#failures.delete(place);
    }
  }
}
