/**
 * Explains a request as its caller has it, which may be stored as many.
 *
 * @module
 */

import { readDivided } from "../batch/wrap_divided.ts";
import type { CacheParts } from "../parts.ts";
import { type BypassedRequest, type CacheRequest, isKeyed } from "../request/request.ts";
import type { Scope } from "../request/scope.ts";
import { explainRequest, type Explanation } from "./explanation.ts";

/** As {@link ../response_cache.ts ResponseCache.explain}. */
export async function explainBody(
  parts: CacheParts,
  body: object,
  scope: Scope,
  sees?: (namespace: string) => boolean,
): Promise<Explanation> {
  const requests = await readDivided(parts, body, scope);
  const keyed = requests.filter(isKeyed);
  const index = await firstMissing(parts, keyed);
  const request = keyed[index];
  if (request === undefined) {
    const { bypass } = requests[0] as BypassedRequest;
    return { key: null, bypass, samples: 0, failures: null, nearest: [], text: bypass };
  }
  const explanation = await explainRequest(parts.store, parts.failures, request, sees);
  return keyed.length === 1 ? explanation : { ...explanation, input: index };
}

/** Which of the inputs of a request is the first that is not there; the first of all where all are. */
async function firstMissing({ store }: CacheParts, requests: readonly CacheRequest[]): Promise<number> {
  if (requests.length <= 1) return 0;
  const found = await store.lookup(requests[0]!.model, requests.map(({ key }) => ({ key, samples: 1, peek: true })));
  return Math.max(0, found.findIndex(({ entries }) => entries.length === 0));
}
