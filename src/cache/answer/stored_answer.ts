/**
 * The answers to a request that is known to be stored, for whoever looks at the store itself.
 *
 * @module
 */

import { bytesOfHex } from "../../runtime/hex.ts";
import type { Store } from "../../store/store.ts";
import type { StoredRequest } from "../request/stored_request.ts";
import { streamProtocol } from "../stream/protocols.ts";
import { type Entry, entryOf } from "./entry.ts";
import { asJson } from "./recorded_sample.ts";
import { sampleShape } from "./samples.ts";

/** As {@link ../response_cache.ts ResponseCache.stored}. */
export async function storedAnswer(store: Store, request: StoredRequest): Promise<Entry | undefined> {
  const { key, model, endpoint, body } = request;
  const [found] = await store.lookup(model, [{ key: bytesOfHex(key), samples: Number.MAX_SAFE_INTEGER, peek: true }]);
  const shape = sampleShape(endpoint, { ...body, n: 1 });
  const samples = found!.entries.map((entry) => asJson(entry, streamProtocol(endpoint), shape));
  return samples.length === 0 ? undefined : entryOf(samples);
}
