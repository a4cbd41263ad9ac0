/**
 * The requests of all tiers, each once: most of them are in every tier.
 *
 * @module
 */

import type { NearestSketches } from "../nearest.ts";
import type { ListedRequest, RequestRecord, Selection } from "../store.ts";
import { placeOf } from "../place.ts";
import type { Asking, Tier } from "./tier.ts";

/** The nearest of what each tier found nearest. */
export function nearestOf(found: readonly (readonly RequestRecord[])[], near: NearestSketches): RequestRecord[] {
  const requests: RequestRecord[] = [];
  const known = new Set<string>();
  for (const some of found) {
    // A tier may have one key under two models: these are two.
    const others = some.filter(({ key }) => !known.has(placeOf("", key)));
    requests.push(...others);
    for (const { key } of others) known.add(placeOf("", key));
  }
  for (const [index, request] of requests.entries()) near.offer(index, request.sketch);
  return near.best().map(({ id }) => requests[id]!);
}

/**
 * What each tier lists.
 *
 * @throws CacheError what the first tier that failed threw, once the others are through: a list that is not whole must
 * not look like one.
 */
export async function* listed(
  tiers: readonly Tier[],
  asking: Asking<unknown>,
  selection?: Pick<Selection, "model" | "namespace">,
): AsyncGenerator<ListedRequest> {
  const known = new Set<string>();
  const failed: unknown[] = [];
  for (const tier of tiers) {
    let requests: AsyncIterator<ListedRequest> | undefined;
    try {
      for (;;) {
        const next: IteratorResult<ListedRequest> = await tier.ask((store) => {
          requests ??= store.list(selection)[Symbol.asyncIterator]();
          return requests.next();
        }, asking);
        if (next.done) break;
        const { model, request } = next.value;
        const place = placeOf(model, request.key);
        if (known.has(place)) continue;
        known.add(place);
        yield next.value;
      }
      requests = undefined;
    } catch (error) {
      failed.push(error);
      requests = undefined;
    } finally {
      // Whoever stops before the end lets go of what the tier holds for it.
      await requests?.return?.();
    }
  }
  if (failed.length > 0) throw failed[0];
}
