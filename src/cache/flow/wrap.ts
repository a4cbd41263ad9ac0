/**
 * Calls with a function of the caller's that makes the answer where there is none, as a value or as bytes.
 *
 * @module
 */

import { readAnswer, readJson } from "../answer/answer.ts";
import type { Entry } from "../answer/entry.ts";
import type { CacheCallOptions, Plan } from "../call_options.ts";
import type { CacheParts } from "../parts.ts";
import { valueAsSent } from "../request/canonical.ts";
import { answerOne, bypassOf, valueOf } from "./answer_one.ts";
import { callersSupplier } from "./callers_supplier.ts";
import type { ProduceContext } from "./supplier.ts";

/** A call that a function of the caller's answers. */
export interface WrappedCall<B extends object, A> {
  readonly body: B;
  readonly produce: (body: B, context: ProduceContext) => Promise<A>;
  readonly options: CacheCallOptions;
  readonly plan: Plan;
}

/** As {@link ../response_cache.ts ResponseCache.wrap}, for a request that is answered as a whole. */
export async function wrapValue<T, B extends object>(parts: CacheParts, call: WrappedCall<B, T>): Promise<T> {
  const { body, produce, options, plan } = call;
  const bypass = options.bypass ?? streamOf(body);
  const read = await parts.reader.read(body, options, { bypass: bypassOf({ bypass }, plan) });
  const supplier = callersSupplier(parts.clock, { body, produce, read, reader: readJson });
  return valueOf(await answerOne(parts, read, { ...plan, form: "value" }, options.status, supplier));
}

/** As {@link ../response_cache.ts ResponseCache.wrapEntry}. */
export async function wrapEntry<B extends object>(parts: CacheParts, call: WrappedCall<B, object>): Promise<Entry> {
  const { body, produce, options, plan } = call;
  const read = await parts.reader.read(body, options, { bypass: bypassOf(options, plan) });
  const supplier = callersSupplier(parts.clock, { body, produce, read, reader: readAnswer });
  const { entry, settled: { produced } } = await answerOne(parts, read, plan, options.status, supplier);
  if (entry === undefined) {
    throw new TypeError(`Cannot make an entry of what produce answered (JSON or bytes): ${typeof produced?.value}`);
  }
  return entry;
}

/** Why a request's answer, which is to come as a value, cannot be had from the cache. */
export function streamOf(body: object): string | undefined {
  const { stream } = Object(valueAsSent(body, "")) as { stream?: unknown };
  return stream ? "the answer is a stream: wrapStream, wrapEvents" : undefined;
}
