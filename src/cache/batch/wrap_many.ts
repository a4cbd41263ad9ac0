/**
 * Many requests, and one call for all that is missing.
 *
 * @module
 */

import { readJson } from "../answer/answer.ts";
import type { CacheStatus, Plan } from "../call_options.ts";
import { bypassOf, valueOf } from "../flow/answer_one.ts";
import { callersSupplier } from "../flow/callers_supplier.ts";
import type { ProduceContext } from "../flow/supplier.ts";
import { inTurns, WHOLE_STEPS } from "../flow/turns.ts";
import { streamOf } from "../flow/wrap.ts";
import type { CacheParts } from "../parts.ts";
import type { Scope } from "../request/scope.ts";
import { answerMany } from "./answer_many.ts";
import { Batch } from "./batch.ts";

/** Many calls that a function of the caller's answers. */
export interface WrappedCalls<B extends object, T> {
  readonly bodies: readonly B[];
  readonly produce: (missing: readonly B[], context: ProduceContext) => Promise<readonly (T | PromiseLike<T>)[]>;
  readonly scope: Scope;
  readonly plan: Plan;
  /** Filled in, request by request. */
  readonly statuses: CacheStatus[];
}

/** As {@link ../response_cache.ts ResponseCache.wrapMany}. */
export async function wrapMany<T, B extends object>(parts: CacheParts, calls: WrappedCalls<B, T>): Promise<T[]> {
  const { clock, reader, productions } = parts;
  const { bodies, produce, scope, plan, statuses } = calls;
  const reads = await reader.readAll(bodies, scope, (body) => ({ bypass: bypassOf({ bypass: streamOf(body) }, plan) }));
  const batch = new Batch<B>({ members: reads, clock, productions, produce });
  const results = await answerMany(
    parts,
    reads,
    { ...plan, form: "value" },
    batch,
    (read, index) =>
      callersSupplier(clock, {
        body: bodies[index]!,
        produce: (want: B, { signal }) => batch.ask(read, want, signal),
        read,
        reader: readJson,
        isJoint: (error) => batch.isJoint(error),
      }),
  );
  results.forEach(({ status }, index) => statuses[index] = status);
  for (const { failure } of results) if (failure !== undefined) throw failure.error;
  const values: T[] = [];
  await inTurns(clock, results, ({ answered }) => values.push(valueOf<T>(answered!)), WHOLE_STEPS);
  return values;
}
