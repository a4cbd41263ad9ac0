/**
 * How a server ends without losing a request: first it says that it will, while it still serves, so that whoever sends it
 * requests sends them elsewhere; then it takes no more and finishes those it has.
 *
 * ```text
 * running ──▶ draining (serves, /readyz is 503) ──▶ closing (the listener is closed, requests finish)
 * ```
 *
 * @module
 */

/** Where a server is on its way. */
export type LifecycleState = "running" | "draining" | "closing";

/** A server's way from its start to its end; there is none back. */
export class Lifecycle {
  readonly #closing = new AbortController();
  #state: LifecycleState = "running";

  /** Where it is. */
  get state(): LifecycleState {
    return this.#state;
  }

  /** Aborted when the listener closes. What has no end of its own, such as a stream of events to come, ends by it. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** From now on it is not ready. */
  drain(): void {
    if (this.#state === "running") this.#state = "draining";
  }

  /** From now on it takes no requests. */
  close(): void {
    this.#state = "closing";
    this.#closing.abort();
  }
}
