/**
 * Asks what is there, and buys nothing.
 *
 * @module
 */

import type { MaybePromise } from "../../store/store.ts";
import { type Entry, entryOf } from "../answer/entry.ts";
import { fillStatus, type GetOptions, type Plan } from "../call_options.ts";
import type { CacheParts } from "../parts.ts";
import { type BypassedRequest, type CacheRequest, isKeyed } from "../request/request.ts";
import type { Lookup } from "./shelf.ts";
import { inTurns, WHOLE_STEPS } from "./turns.ts";

/**
 * As {@link ../response_cache.ts ResponseCache.get}. The hot path: what it waits for, every hit pays for, so it waits for
 * nothing that is there already.
 */
export function findOne(
  parts: CacheParts,
  body: object,
  options: GetOptions,
  plan: Plan,
): MaybePromise<Entry | undefined> {
  const read = parts.reader.read(body, options, { bypass: notRead(options, plan) });
  if (read instanceof Promise) return read.then(({ request }) => lookUp(parts, request, options, plan));
  return lookUp(parts, read.request, options, plan);
}

/** As {@link ../response_cache.ts ResponseCache.getMany}. */
export async function findMany(
  parts: CacheParts,
  bodies: readonly object[],
  options: GetOptions,
  plan: Plan,
): Promise<(Entry | undefined)[]> {
  const { reader, shelf, clock } = parts;
  const bypass = notRead(options, plan);
  const reads = await reader.readAll(bodies, options, () => ({ bypass }));
  const lookups = await shelf.lookupAll(reads.map(({ request }) => request), withoutGrace(plan));
  const entries: (Entry | undefined)[] = [];
  const missing: [CacheRequest | BypassedRequest, Lookup][] = [];
  await inTurns(clock, reads, ({ request }) => {
    const lookup = isKeyed(request) ? lookups.get(request)! : bypassed(request);
    const isHit = lookup.outcome === "hit";
    entries.push(isHit ? hit(parts, request, lookup, options) : miss(parts, request, lookup, options, plan));
    if (!isHit) missing.push([request, lookup]);
  }, WHOLE_STEPS);
  const [first] = missing;
  if (plan.mode === "replay" && first !== undefined) await refuseMiss(parts, ...first);
  return entries;
}

function lookUp(
  parts: CacheParts,
  request: CacheRequest | BypassedRequest,
  options: GetOptions,
  plan: Plan,
): MaybePromise<Entry | undefined> {
  if (!isKeyed(request)) return judge(parts, request, bypassed(request), options, plan);
  const lookup = parts.shelf.lookupOne(request, withoutGrace(plan));
  if (lookup instanceof Promise) return lookup.then((lookup) => judge(parts, request, lookup, options, plan));
  return judge(parts, request, lookup, options, plan);
}

function judge(
  parts: CacheParts,
  request: CacheRequest | BypassedRequest,
  lookup: Lookup,
  options: GetOptions,
  plan: Plan,
): MaybePromise<Entry | undefined> {
  if (lookup.outcome === "hit") return hit(parts, request, lookup, options);
  miss(parts, request, lookup, options, plan);
  return plan.mode === "replay" ? refuseMiss(parts, request, lookup) : undefined;
}

async function refuseMiss(
  { answering }: CacheParts,
  request: CacheRequest | BypassedRequest,
  lookup: Lookup,
): Promise<never> {
  throw await answering.replayMiss(request, lookup);
}

function miss(
  { journal }: CacheParts,
  { model }: CacheRequest | BypassedRequest,
  { outcome, why }: Lookup,
  options: GetOptions,
  plan: Plan,
): undefined {
  journal.tallies.lookup(model, outcome);
  if (outcome === "corrupt") journal.tell({ type: "corrupt", model });
  if (outcome === "bypass" && plan.reads) journal.tell({ type: "bypassed", model, why: why ?? "" });
  fillStatus(options.status, { outcome, stored: false, shared: false, why });
}

function hit(
  { journal }: CacheParts,
  { model }: CacheRequest | BypassedRequest,
  { samples }: Lookup,
  { status }: GetOptions,
): Entry {
  const entry = entryOf(samples);
  journal.tallies.lookup(model, "hit");
  journal.tallies.save(model, entry);
  if (status !== undefined) {
    const { costMicrodollars, latency, created, expires } = entry;
    fillStatus(status, {
      outcome: "hit",
      stored: false,
      shared: false,
      why: undefined,
      costMicrodollars,
      billedMicrodollars: 0,
      latency,
      created,
      expires,
    });
  }
  return entry;
}

/** Why a `get` does not ask the cache; `undefined` when it does. */
function notRead({ bypass }: GetOptions, { reads, mode }: Plan): string | undefined {
  return bypass ?? (reads ? undefined : `the mode is ${mode}`);
}

/** Who only asks whether an answer is there wants none whose time has come. */
function withoutGrace(plan: Plan): Plan {
  const { staleWhileRevalidate, staleIfError } = plan;
  return staleWhileRevalidate + staleIfError === 0 ? plan : { ...plan, staleWhileRevalidate: 0, staleIfError: 0 };
}

function bypassed(request: BypassedRequest): Lookup {
  return { outcome: "bypass", samples: [], why: request.bypass };
}
