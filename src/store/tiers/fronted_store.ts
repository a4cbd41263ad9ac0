/**
 * Memory in front of a store: what was read is read again without decompressing it, for as long as the store below says
 * that nothing about it has changed. It changes no answer, also where other processes write: each copy carries the stamp
 * that the store below gave before it was read, and counts only while that is still the same. So nothing is written here,
 * only read: the next lookup after a put brings exactly what was stored.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type {
  Claims,
  DailyLedger,
  Failures,
  Found,
  Key,
  ListedRequest,
  MaybePromise,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreFault,
  StoreSize,
  Want,
} from "../store.ts";
import { type VerifyOptions, type VerifyReport, verifyStore } from "../verify.ts";
import { Copies, type Stamp } from "./copies.ts";
import { isBorrowed } from "./borrowed.ts";
import { placeOf } from "../place.ts";
import { type Reading, Readings } from "./readings.ts";

/** How much is held in memory, and for how long it is believed. */
export interface FrontOptions {
  /** Bytes of answers to hold at most. */
  readonly maxBytes: number;
  /**
   * For how long a copy is served where the store below cannot tell whether it has changed: so long may what another
   * process removed or replaced be found here. 0, never, by default.
   */
  readonly freshFor?: Milliseconds;
}

/** What has to be asked of the store below. */
interface Missing {
  readonly index: number;
  readonly want: Want;
  readonly place: string;
  readonly stamp: Stamp;
}

/** A store with memory in front of it. */
export class FrontedStore implements Store {
  readonly name: string;
  readonly location: string;
  readonly claims?: Claims;
  readonly failures?: Failures;
  readonly ledger?: DailyLedger;
  readonly stamp?: (model: string, key: Key) => Stamp;
  readonly onFault?: (listener: (fault: StoreFault) => void) => void;
  readonly modelSizes?: () => MaybePromise<ReadonlyMap<string, StoreSize>>;
  readonly #below: Store;
  readonly #copies: Copies;
  readonly #readings = new Readings();

  constructor(below: Store, clock: Clock, { maxBytes, freshFor = 0 }: FrontOptions) {
    this.#below = below;
    this.#copies = new Copies(clock, maxBytes, freshFor);
    this.name = below.name;
    this.location = below.location;
    if (below.claims !== undefined) this.claims = below.claims;
    if (below.failures !== undefined) this.failures = below.failures;
    if (below.ledger !== undefined) this.ledger = below.ledger;
    if (below.stamp !== undefined) this.stamp = (model, key) => below.stamp!(model, key);
    if (below.onFault !== undefined) this.onFault = (listener) => below.onFault!(listener);
    if (below.modelSizes !== undefined) this.modelSizes = () => below.modelSizes!();
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    const found: Found[] = [];
    const missing: Missing[] = [];
    for (let index = 0; index < wants.length; index++) {
      const want = wants[index]!;
      const place = placeOf(model, want.key);
      // Asked for before anything is read: what is written in between makes it another one.
      const stamp = this.#below.stamp?.(model, want.key);
      const copy = this.#copies.find(place, want, stamp);
      if (copy === undefined) missing.push({ index, want, place, stamp });
      else found[index] = copy;
    }
    return missing.length === 0 ? found : this.#lookBelow(model, missing, found);
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    options?: PutOptions,
  ): MaybePromise<void> {
    const place = placeOf(model, request.key);
    const forget = (): void => {
      this.#readings.void(place);
      this.#copies.drop(place);
    };
    return around(forget, () => this.#below.put(model, request, entries, placement, options));
  }

  remove(selection: Selection): MaybePromise<Removed> {
    return around(() => {
      this.#readings.voidAll();
      this.#copies.clear();
    }, () => this.#below.remove(selection));
  }

  nearest(sketch: Uint8Array, limit: number, model?: string): MaybePromise<readonly RequestRecord[]> {
    return this.#below.nearest(sketch, limit, model);
  }

  list(selection?: Pick<Selection, "model" | "namespace">): AsyncIterable<ListedRequest> {
    return this.#below.list(selection);
  }

  /** Of what lies below: the front only has copies of it. */
  verify(options: VerifyOptions): Promise<VerifyReport> {
    return verifyStore(this.#below, options);
  }

  size(): MaybePromise<StoreSize> {
    return this.#below.size();
  }

  close(): MaybePromise<void> {
    return around(() => {
      this.#readings.voidAll();
      this.#copies.clear();
    }, () => this.#below.close());
  }

  #lookBelow(model: string, missing: readonly Missing[], found: Found[]): MaybePromise<readonly Found[]> {
    const below = this.#below.lookup(model, missing.map(({ want }) => want));
    if (below instanceof Promise) return this.#whenFound(below, missing, found);
    for (const [at, each] of missing.entries()) found[each.index] = this.#keep(each, below[at]!);
    return found;
  }

  async #whenFound(
    below: Promise<readonly Found[]>,
    missing: readonly Missing[],
    found: Found[],
  ): Promise<readonly Found[]> {
    const readings = missing.map(({ place }): Reading => this.#readings.begin(place));
    try {
      const answers = await below;
      for (const [at, each] of missing.entries()) {
        found[each.index] = readings[at]!.isVoid ? answers[at]! : this.#keep(each, answers[at]!);
      }
      return found;
    } finally {
      for (const [at, { place }] of missing.entries()) this.#readings.end(place, readings[at]!);
    }
  }

  #keep({ place, want, stamp }: Missing, found: Found): Found {
    // The stamp is that of the first tier, which did not have it.
    return this.#copies.keep(place, want, isBorrowed(found) ? undefined : stamp, found);
  }
}

/** Does something that may take time; `forget` is called before, and again after, whatever comes of it. */
function around<T>(forget: () => void, work: () => MaybePromise<T>): MaybePromise<T> {
  forget();
  let result: MaybePromise<T>;
  try {
    result = work();
  } catch (error) {
    forget();
    throw error;
  }
  if (result instanceof Promise) return result.finally(forget);
  forget();
  return result;
}
