/**
 * Requests with many inputs, each stored by itself: a call for all of them, and what is stored of them.
 *
 * @module
 */

import { answerOne, bypassOf } from "../flow/answer_one.ts";
import type { ProduceContext } from "../flow/supplier.ts";
import type { WrappedCall } from "../flow/wrap.ts";
import type { CacheParts } from "../parts.ts";
import type { BypassedRequest, CacheRequest } from "../request/request.ts";
import { DEFAULT_ENDPOINT, type Scope } from "../request/scope.ts";
import { answerMany } from "./answer_many.ts";
import { type ItemKind, itemsOf, wrapItems } from "./items.ts";

/** As {@link ../response_cache.ts ResponseCache.wrapEmbeddings} and its likes. */
export async function wrapDivided<T, B extends object>(
  parts: CacheParts,
  kind: ItemKind,
  { body, produce, options, plan }: WrappedCall<B, T>,
): Promise<T> {
  const { reader, clock, productions } = parts;
  return await wrapItems(kind, {
    body,
    plan,
    options,
    clock,
    productions,
    bypass: bypassOf(options, plan),
    produce: produce as (body: object, context: ProduceContext) => Promise<unknown>,
    read: (body, reading) => reader.read(body, options, reading),
    readAll: (items, reading) => reader.readAll(items, options, () => reading),
    answerMany: (reads, plan, batch, supplierOf) => answerMany(parts, reads, plan, batch, supplierOf),
    answer: (read, supplier) => answerOne(parts, read, plan, options.status, supplier),
  }) as T;
}

/** A request as what it is stored as: one, or one for each of its inputs. */
export async function readDivided(
  { reader }: CacheParts,
  body: object,
  scope: Scope,
): Promise<(CacheRequest | BypassedRequest)[]> {
  const items = itemsOf(body, scope.endpoint ?? DEFAULT_ENDPOINT);
  const reads = await reader.readAll(items ?? [body], scope, () => ({ isItem: true }));
  return reads.map(({ request }) => request);
}
