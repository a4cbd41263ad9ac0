/**
 * Two models as a suite's subject, leased for each question that is asked and no longer: a suite that held one while it
 * waits for the other could wait for ever.
 *
 * @module
 */

import type { View } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { viewRespondent } from "../probe/view_respondent.ts";
import type { Embedder, Respondent, Subject } from "../probe/subject.ts";
import type { BackendCache } from "../warm/backend_cache.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import type { Lease } from "../warm/lease.ts";
import { parseModelName } from "../warm/spec.ts";

/** Which models, and whether they are one set of weights. */
export interface LeasedSides {
  readonly base: ResolvedModel;
  readonly ft: ResolvedModel;
  readonly isDifferential: boolean;
}

/** The models of a suite. */
export function leasedSubject(backends: BackendCache, { base, ft, isDifferential }: LeasedSides): Subject {
  const { adapter } = ft;
  const side = (model: ResolvedModel, viewOf: (lease: Lease) => View): Respondent => {
    const asked = <T>(ask: (respondent: Respondent) => Promise<T>, signal?: AbortSignal): Promise<T> =>
      underLease(backends, model, signal, (lease) => ask(viewRespondent(viewOf(lease))));
    return {
      score: (questions, signal) => asked((respondent) => respondent.score(questions, signal), signal),
      generate: (prompts, options, signal) =>
        asked((respondent) => respondent.generate(prompts, options, signal), signal),
    };
  };
  const isOneModel = isDifferential && adapter !== undefined;
  return {
    base: side(base, ({ view }) => view),
    adapter: side(ft, ({ view }) => view),
    scaled: isOneModel ? (scale) => side(ft, ({ backend }) => backend.adapterView(adapter, { scale })) : undefined,
    noise: isOneModel ? (noise) => side(ft, ({ backend }) => backend.nullView(adapter, noise)) : undefined,
    embedder: (name) => findEmbedder(backends, name),
  };
}

async function findEmbedder(backends: BackendCache, name: string): Promise<Embedder | undefined> {
  let model: ResolvedModel;
  try {
    model = await backends.identify(parseModelName(name));
  } catch (error) {
    if (error instanceof ModelError && error.code === "model_not_found") return undefined;
    throw error;
  }
  return {
    embed: (texts, signal) =>
      underLease(backends, model, signal, async ({ view }) => {
        const vectors: Float32Array[] = [];
        for await (const { vector } of view.embed(texts, {}, signal)) vectors.push(vector);
        return vectors;
      }),
  };
}

async function underLease<T>(
  backends: BackendCache,
  model: ResolvedModel,
  signal: AbortSignal | undefined,
  ask: (lease: Lease) => Promise<T>,
): Promise<T> {
  // Disposed by hand: Node 22 does not know `using`.
  const lease = await backends.lease(model.spec, signal === undefined ? {} : { signal });
  try {
    if (lease.identity !== model.identity) {
      throw new ModelError("identity_changed", `The files of ${model.base.name} changed while it was compared`);
    }
    return await ask(lease);
  } finally {
    await lease[Symbol.asyncDispose]();
  }
}
