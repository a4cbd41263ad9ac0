/**
 * Stores an answer that somebody has already.
 *
 * @module
 */

import { type AnswerStamp, readAnswer } from "../answer/answer.ts";
import { fillStatus, type Plan, type PutCallOptions } from "../call_options.ts";
import type { CacheParts } from "../parts.ts";
import { isKeyed } from "../request/request.ts";

/** As {@link ../response_cache.ts ResponseCache.put}. */
export async function deposit(
  { reader, journal, clock, shelf, price }: CacheParts,
  body: object,
  answer: object,
  options: PutCallOptions,
  plan: Plan,
): Promise<void> {
  const { status, bypass = plan.writes ? undefined : `the mode is ${plan.mode}` } = options;
  const { request } = await reader.read(body, options, { bypass });
  if (!isKeyed(request)) {
    if (plan.writes) journal.tell({ type: "not_stored", model: request.model, why: request.bypass });
    return fillStatus(status, { stored: false, shared: false, why: request.bypass });
  }
  const created = clock.now();
  const stamp: AnswerStamp = {
    modelAsked: request.model,
    latency: null,
    created,
    expires: (outcome) => plan.gate.expires(outcome, created, plan.ttl),
  };
  const read = readAnswer(answer, request.shape, stamp);
  if (read === undefined || read.fault !== undefined) {
    throw new TypeError(`Cannot store an answer: ${read?.fault ?? `the answer is no plain JSON: ${typeof answer}`}`);
  }
  const costs = await price(request, read, plan);
  const samples = read.samples.map((sample, index) => ({ ...sample, costMicrodollars: costs[index]! }));
  const placement = request.shape.fixed ? "replace_all" : "replace";
  const { error, stored, why } = await shelf.write(request, { ...read, samples }, placement, plan);
  fillStatus(status, { stored, shared: false, why });
  if (error !== undefined) throw error;
}
