/**
 * The fields of a stored answer by themselves, for whoever keeps a copy of it: an entry may read them from its row when
 * they are asked for, so spreading it would copy none.
 *
 * @module
 */

import type { EntryFields } from "../store.ts";

/** What is known of an answer besides its bytes. */
export function fieldsOf(entry: EntryFields): EntryFields {
  return {
    mediaType: entry.mediaType,
    outcome: entry.outcome,
    modelAsked: entry.modelAsked,
    modelAnswered: entry.modelAnswered,
    fingerprint: entry.fingerprint,
    promptTokens: entry.promptTokens,
    completionTokens: entry.completionTokens,
    costMicrodollars: entry.costMicrodollars,
    latency: entry.latency,
    created: entry.created,
    expires: entry.expires,
  };
}
