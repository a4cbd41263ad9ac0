/**
 * What one cache is put together of. Its calls stand in files of their own; each is given all of this and takes what it
 * needs.
 *
 * @module
 */

import type { Clock } from "../runtime/runtime.ts";
import type { Store } from "../store/store.ts";
import type { CacheSettings } from "./cache_options.ts";
import type { KeepDefaults } from "./call_options.ts";
import { Answering, type Stations } from "./flow/answering.ts";
import { Claimant } from "./flow/claimant.ts";
import { FailureMemory } from "./flow/failures.ts";
import { Productions } from "./flow/production.ts";
import { Shelf } from "./flow/shelf.ts";
import { Journal } from "./ledger/journal.ts";
import { priceSamples } from "./ledger/pricing.ts";
import type { Sha256 } from "./request/key.ts";
import { RequestReader } from "./request/request_reader.ts";

/** The parts of a cache. */
export interface CacheParts extends Pick<Stations, "journal" | "shelf" | "failures" | "productions" | "price"> {
  readonly store: Store;
  readonly clock: Clock;
  /** Namespace of requests whose scope names none. */
  readonly namespace: string;
  /** How answers are kept where a call does not say. */
  readonly keep: KeepDefaults;
  readonly reader: RequestReader;
  readonly sha256: Sha256;
  readonly answering: Answering;
}

/** Puts a cache together. */
export function cacheParts(settings: CacheSettings): CacheParts {
  const { store, clock, sha256, digestFile, callContext, report, namespace, ignore, keep } = settings;
  const { refusedStore, priceOf, negativeTtl, claimDuration } = settings;
  const journal = new Journal(clock, report, store.ledger);
  const failures = new FailureMemory(store.failures, clock, journal, negativeTtl);
  const stations: Stations = {
    clock,
    journal,
    shelf: new Shelf(store, clock, journal, refusedStore),
    failures,
    claimant: new Claimant(store.claims, failures, clock, journal, claimDuration),
    productions: new Productions(callContext),
    price: (request, answer, plan) => priceSamples(priceOf, request, answer, plan),
    nearest: async (request) => {
      const { explainRequest } = await import("./explain/explanation.ts");
      return (await explainRequest(store, failures, request)).text;
    },
  };
  return {
    ...stations,
    store,
    namespace,
    keep,
    sha256,
    reader: new RequestReader({ namespace, ignore, sha256 }, digestFile, clock),
    answering: new Answering(stations),
  };
}
