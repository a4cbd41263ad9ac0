/**
 * What a backend cache tells of itself, for logs and metrics.
 *
 * @module
 */

import type { ModelError } from "../model/error.ts";

/** Which base an event is about. */
interface About {
  /** The name it was loaded by. */
  readonly base: string;
  /** Base identity. */
  readonly identity: string;
}

/** Something happened to a base. */
export type WarmEvent =
  & About
  & (
    | { readonly type: "loading" }
    | { readonly type: "loaded"; readonly seconds: number; readonly bytes: number }
    /** `error` is what every waiting request gets; `identity_changed` is not followed by a cooldown. */
    | { readonly type: "load_failed"; readonly error: ModelError }
    /** Nobody waited for it any more, and its place was needed. */
    | { readonly type: "load_aborted" }
    /** Its Worker is gone; `bytes` is what it held. */
    | { readonly type: "evicted"; readonly reason: EvictionReason; readonly bytes: number }
    | { readonly type: "close_failed"; readonly error: unknown }
    /** The Worker died by itself. */
    | { readonly type: "worker_lost"; readonly error: Error | undefined }
  );

/** Why a base was evicted: to make room for another, or because all are. */
export type EvictionReason = "room" | "shutdown";
