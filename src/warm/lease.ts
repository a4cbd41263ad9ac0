/**
 * The promise that a model is not closed under the request that uses it: closing it there would be a wrong answer, not
 * only an error.
 *
 * @module
 */

import type { Backend, ResolvedBase, View } from "../model/backend.ts";
import type { ResolvedModel } from "./identity.ts";

/** A warm model, kept until disposed: `await using lease = await backends.lease(spec)`. */
export interface Lease extends AsyncDisposable {
  /** The base in memory; other adapters may be used under the same lease. */
  readonly backend: Backend;
  /** The base with the adapter that was asked for. */
  readonly view: View;
  /**
   * View identity of what was leased. It is newer than what `identify` said before when the files changed in between:
   * an answer belongs under this one.
   */
  readonly identity: string;
  /** The base as it was resolved for this lease. */
  readonly base: ResolvedBase;
  /** Gives the model back. Twice is no error. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Makes a lease on a backend that is already held for it.
 *
 * @throws whatever the backend throws for a view it cannot give; the hold is released then.
 */
export function createLease(backend: Backend, model: ResolvedModel, release: () => void): Lease {
  let held = true;
  const dispose = (): void => {
    if (!held) return;
    held = false;
    release();
  };
  try {
    const { adapter, base, identity, scale } = model;
    const view = adapter === undefined ? backend.baseView() : backend.adapterView(adapter, { scale });
    return { backend, view, identity, base, [Symbol.asyncDispose]: () => Promise.resolve(dispose()) };
  } catch (error) {
    dispose();
    throw error;
  }
}
