/**
 * The Worker's end of a call: how much it may still send, and whether anybody wants it.
 *
 * @module
 */

import { WINDOW } from "./protocol.ts";

/** A caller's credit. */
export class Outlet {
  readonly #cancelled = new AbortController();
  #credit = WINDOW;
  #wake: (() => void) | undefined;

  /** Aborted when the caller wants no more. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  /** The caller has taken `count` values. */
  grant(count: number): void {
    this.#credit += count;
    this.#wake?.();
  }

  /** The caller wants no more. */
  cancel(): void {
    this.#cancelled.abort();
    this.#wake?.();
  }

  /**
   * One value was sent; waits until the next may be.
   *
   * @throws the signal's reason once the call is cancelled.
   */
  async spend(): Promise<void> {
    this.#credit--;
    if (this.#credit === 0 && !this.signal.aborted) await new Promise<void>((resolve) => this.#wake = resolve);
    this.signal.throwIfAborted();
  }
}
