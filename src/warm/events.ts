/**
 * What a backend cache tells of itself: every transition of every base, for logs, metrics, operators and tests.
 *
 * @module
 */

import type { ModelError } from "../model/error.ts";
import type { Milliseconds } from "../runtime/runtime.ts";

/** Which base an event is about. */
export interface About {
  /** The name it was loaded by. */
  readonly base: string;
  /** Base identity. */
  readonly identity: string;
}

/** Something happened to a base. */
export type WarmEvent =
  & About
  & (
    /**
     * Cold, or after a cooldown; `bytes` is what it is thought to need, `waitedSeconds` how long it was waited for until
     * there was room for it.
     */
    | { readonly type: "loading"; readonly bytes: number; readonly waitedSeconds: number }
    /** It is warm. */
    | { readonly type: "loaded"; readonly seconds: number; readonly bytes: number }
    /**
     * `error` is what every waiting request gets. `retryAt`, in milliseconds since 1970, is when its cooldown ends:
     * `Infinity` where only other files will do, `null` where there is none since the files changed meanwhile.
     */
    | { readonly type: "load_failed"; readonly error: ModelError; readonly retryAt: Milliseconds | null }
    /** Nobody waited for it any more and its place was needed, or the server is shutting down, or it was unloaded. */
    | { readonly type: "load_aborted" }
    /** It takes no more leases, and has so many. */
    | { readonly type: "draining"; readonly reason: EvictionReason; readonly leases: number }
    /**
     * Its Worker is gone; `bytes` is what it held, `idleSeconds` how long nobody had used it, `loadSeconds` how long
     * loading it took, `ageSeconds` how long ago that was, `closeSeconds` how long its Worker took to go.
     */
    | {
      readonly type: "evicted";
      readonly reason: EvictionReason;
      readonly bytes: number;
      readonly idleSeconds: number;
      readonly loadSeconds: number;
      readonly ageSeconds: number;
      readonly closeSeconds: number;
    }
    | { readonly type: "close_failed"; readonly error: unknown }
    /** The Worker died by itself. */
    | { readonly type: "worker_lost"; readonly error: Error | undefined }
    | { readonly type: "pinned" | "unpinned" }
    /** An adapter that was not used for the longest made way for others. */
    | { readonly type: "adapter_dropped"; readonly adapter: string }
  );

/**
 * Why a base was evicted: to make `room` for another, because nobody used it for as long as it was to be kept alive
 * (`idle`), because somebody said so (`unload`), or at the end of the program (`shutdown`).
 */
export type EvictionReason = "room" | "idle" | "unload" | "shutdown";
