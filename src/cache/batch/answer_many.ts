/**
 * Many requests of a caller's, along their roads together.
 *
 * @module
 */

import type { CacheStatus, Plan } from "../call_options.ts";
import { answerOne, statusOf } from "../flow/answer_one.ts";
import type { Supplier } from "../flow/answering.ts";
import type { Lookup } from "../flow/shelf.ts";
import { inTurns, WHOLE_STEPS } from "../flow/turns.ts";
import type { CacheParts } from "../parts.ts";
import { type CacheRequest, isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import type { Batch } from "./batch.ts";
import type { OneOfMany } from "./items.ts";

/** Answers many requests, those that mean the same together. */
export async function answerMany(
  parts: CacheParts,
  reads: readonly ReadRequest[],
  plan: Plan,
  batch: Pick<Batch<unknown>, "decide">,
  supplierOf: (read: ReadRequest, index: number) => Supplier,
): Promise<OneOfMany[]> {
  const { shelf, clock, answering } = parts;
  // Of those that mean the same, the one that wants most asks for all.
  const speakers = new Map<string, number>();
  reads.forEach(({ request }, index) => {
    if (!isKeyed(request)) return;
    const other = speakers.get(request.id);
    const most = other === undefined ? 0 : (reads[other]!.request as CacheRequest).shape.samples;
    if (request.shape.samples > most) speakers.set(request.id, index);
  });
  const speakerOf = ({ request }: ReadRequest, index: number): number =>
    isKeyed(request) ? speakers.get(request.id)! : index;
  const lookups = plan.reads
    ? await shelf.lookupAll(reads.map(({ request }) => request), plan)
    : new Map<CacheRequest, Lookup>();
  const flows: Promise<OneOfMany>[] = [];
  const flowOf = async (read: ReadRequest, index: number): Promise<OneOfMany> => {
    const found = isKeyed(read.request) ? lookups.get(read.request) : undefined;
    const onWait = (): void => batch.decide(read);
    const status: CacheStatus = {};
    try {
      const supplier = supplierOf(read, index);
      const answered = await answerOne(parts, read, plan, status, supplier, { ...(found && { found }), onWait });
      return { status, answered };
    } catch (error) {
      return { status, failure: { error } };
    } finally {
      batch.decide(read);
    }
  };
  await inTurns(clock, reads, (read, index) => {
    if (speakerOf(read, index) === index) flows[index] = flowOf(read, index);
    else batch.decide(read);
  });
  const results: OneOfMany[] = [];
  for (const [index, flow] of flows.entries()) if (flow !== undefined) results[index] = await flow;
  await inTurns(clock, reads, (read, index) => {
    const { status, answered, failure } = results[speakerOf(read, index)]!;
    if (results[index] !== undefined) return;
    if (answered === undefined) return void (results[index] = { status: { ...status }, failure: failure! });
    const part = answering.partOf(answered, read.request as CacheRequest, plan);
    results[index] = { status: statusOf(part), answered: part };
  }, WHOLE_STEPS);
  return results;
}
