/**
 * How a route asks a model that is kept warm: under the identity it looked its answer up by, for as long as the client
 * is there.
 *
 * @module
 */

import type { View } from "../model/backend.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import { ModelError } from "../model/error.ts";
import { CacheError } from "../store/error.ts";
import type { LeaseOptions } from "../warm/backend_cache.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import type { Lease } from "../warm/lease.ts";
import type { ModelSpec } from "../warm/spec.ts";
import type { Activity } from "./activity.ts";
import { isAbort } from "./api_error.ts";
import type { ServerParts } from "./parts.ts";

/** How often a request starts over because model files changed under it, before it gives up. */
const MOST_ATTEMPTS = 3;

/** What asking takes. */
export interface AskingParts extends Pick<ServerParts, "backends" | "clock"> {
  readonly activity: Pick<Activity, "run">;
}

/** A signal for the client's going away; the reasons that runtimes give differ, and not all are errors. */
export function departure({ signal }: Request): AbortSignal {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  else signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller.signal;
}

/** Answers for the model that `spec` means now; starts over when its files change meanwhile. */
export async function underIdentity<T>(
  { backends }: Pick<ServerParts, "backends">,
  spec: ModelSpec,
  signal: AbortSignal,
  answer: (model: ResolvedModel) => Promise<T>,
): Promise<T> {
  for (let attempt = 1;;) {
    const model = await backends.identify(spec);
    try {
      return await answer(model);
    } catch (error) {
      // Somebody else's request, whose answer this one was to share, was given up: one of those who wait goes on.
      if (isAbort(error) && !signal.aborted) continue;
      const changed = error instanceof ModelError && error.code === "identity_changed";
      // Another server with the same cache was asked it at the same time, and failed: that need not be so here.
      const failedElsewhere = error instanceof CacheError && error.code === "call_failed";
      if (!(changed || failedElsewhere) || attempt++ === MOST_ATTEMPTS) throw error;
    }
  }
}

/**
 * Asks under a lease, which the request holds before the model's load starts and until the last value. A client that
 * goes away ends the wait and the work.
 *
 * @throws ModelError `identity_changed` when the model is another one by now.
 */
export async function* askModel<T>(
  parts: AskingParts,
  model: ResolvedModel,
  { queued, ...options }: Pick<LeaseOptions, "signal" | "keepAlive"> & {
    /** Is told how long the lease was waited for. */
    readonly queued?: (time: Milliseconds) => void;
  },
  ask: (view: View, lease: Lease) => AsyncIterable<T>,
): AsyncGenerator<T> {
  // Disposed by hand: Node 22 does not know `using`.
  const asked = parts.clock.monotonic();
  const lease = await parts.backends.lease(model.spec, options);
  queued?.(parts.clock.monotonic() - asked);
  try {
    if (lease.identity !== model.identity) {
      throw new ModelError(
        "identity_changed",
        `Cannot answer under another identity than was looked up: ${lease.identity}`,
      );
    }
    const done = parts.activity.run();
    try {
      yield* ask(lease.view, lease);
    } finally {
      done();
    }
  } finally {
    await lease[Symbol.asyncDispose]();
  }
}
