/** A loaded model as a suite's subject, asked directly. */

import type { Backend, ResolvedAdapter } from "../../src/model/backend.ts";
import type { Subject } from "../../src/probe/subject.ts";
import { viewRespondent } from "../../src/probe/view_respondent.ts";

/** A base and one of its adapters in memory; there are no models for embeddings. */
export function backendSubject(backend: Backend, adapter: ResolvedAdapter): Subject {
  return {
    base: viewRespondent(backend.baseView()),
    adapter: viewRespondent(backend.adapterView(adapter)),
    scaled: (scale) => viewRespondent(backend.adapterView(adapter, { scale })),
    noise: (options) => viewRespondent(backend.nullView(adapter, options)),
    embedder: () => Promise.resolve(undefined),
  };
}
