/**
 * One request of a caller's, along its road, and what he is told of it afterwards.
 *
 * @module
 */

import { type CacheCallOptions, type CacheStatus, fillStatus, type Plan } from "../call_options.ts";
import type { LookupOutcome } from "../ledger/statistics.ts";
import type { CacheParts } from "../parts.ts";
import { type BypassedRequest, type CacheRequest, isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import type { Answered, Call, Supplier } from "./answering.ts";
import type { Productions } from "./production.ts";

/**
 * Answers a request, and fills in its status.
 *
 * @throws what its call to the provider throws; as {@link ./answering.ts Answering.answer} does.
 */
export async function answerOne(
  { answering, productions }: CacheParts,
  read: ReadRequest,
  plan: Plan,
  status: CacheStatus | undefined,
  supplier: Supplier,
  rest: Pick<Call, "found" | "onWait" | "onLive"> = {},
): Promise<Answered> {
  const request = unlessProducing(productions, read.request);
  const answered = isKeyed(request)
    ? await answering.answer({ request, plan, supplier: guarded(supplier, read), ...rest })
    : await answering.goRound(request, plan, supplier);
  fillStatus(status, statusOf(answered));
  const { failure } = answered.settled;
  if (failure !== undefined) throw failure.error;
  return answered;
}

/** A request whose answer the caller is about to make would wait for itself. */
export function unlessProducing(
  productions: Productions,
  request: CacheRequest | BypassedRequest,
): CacheRequest | BypassedRequest {
  if (!isKeyed(request) || !productions.includes(request.id)) return request;
  return { model: request.model, body: request.body, bypass: "the call produces the answer to this very request" };
}

/** What a caller is told of how his request fared. */
export function statusOf({ settled, led, shared, entry }: Answered): CacheStatus {
  const { outcome, stored, why, expiredServed = false, billed }: {
    outcome: LookupOutcome;
    stored: boolean;
    why?: string | undefined;
    expiredServed?: boolean;
    billed: number | null;
  } = settled;
  return {
    outcome,
    stored,
    shared,
    expiredServed,
    costMicrodollars: entry?.costMicrodollars ?? null,
    billedMicrodollars: led ? billed : 0,
    latency: entry?.latency ?? null,
    created: entry?.created,
    expires: entry?.expires,
    why,
  };
}

/** What the caller of a function that produces values gets. */
export function valueOf<T>({ settled: { produced }, led, entry }: Answered): T {
  // Whoever called the provider keeps the very value; everybody else gets a value of their own.
  if (produced !== undefined && (led || entry === undefined)) return produced.value as T;
  return entry!.json() as T;
}

/** Why a call does not ask the cache; `undefined` when it does. The mode `off` is a reason like any other. */
export function bypassOf({ bypass }: Pick<CacheCallOptions, "bypass">, { mode }: Plan): string | undefined {
  return bypass ?? (mode === "off" ? "the mode is off" : undefined);
}

/** A supplier whose answer is not stored when a file that the request names has changed meanwhile. */
function guarded(supplier: Supplier, read: ReadRequest): Supplier {
  const { detached } = supplier;
  return {
    check: () => supplier.check(),
    ...(detached && { detached: () => guarded(detached(), read) }),
    async buy(gap) {
      const bought = await supplier.buy(gap);
      const fault = bought.answer && await read.changed();
      return fault === undefined ? bought : { ...bought, answer: { ...bought.answer!, fault } };
    },
  };
}
