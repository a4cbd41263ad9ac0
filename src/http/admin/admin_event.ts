/**
 * What a backend cache tells of itself, as HTTP clients get it: with underscores, dates as ISO 8601, and errors as what can
 * be said of them.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { EvictionReason, WarmEvent } from "../../warm/backend_cache.ts";

/** What has gone wrong. */
export interface AdminError {
  /** A word programs can test; `null` where there is none. */
  readonly code: string | null;
  /** The same for people. */
  readonly message: string;
}

/** What has happened to a base; see `WarmEvent` for what each type means. */
export type AdminEventBody =
  & {
    /** What the base is called. */
    readonly base: string;
    /** Base identity. */
    readonly identity: string;
  }
  & (
    | { readonly type: "loading"; readonly bytes: number; readonly waited_seconds: number }
    | { readonly type: "loaded"; readonly seconds: number; readonly bytes: number }
    | {
      readonly type: "load_failed";
      readonly error: AdminError;
      /** When it may be tried again, in ISO 8601; `null` where only other files will do, or where nothing speaks against it. */
      readonly retry_at: string | null;
      /** Whether only other files will do. */
      readonly permanent: boolean;
    }
    | { readonly type: "load_aborted" }
    | { readonly type: "draining"; readonly reason: EvictionReason; readonly leases: number }
    | {
      readonly type: "evicted";
      readonly reason: EvictionReason;
      readonly bytes: number;
      readonly idle_seconds: number;
      readonly load_seconds: number;
      readonly age_seconds: number;
      readonly close_seconds: number;
    }
    | { readonly type: "close_failed"; readonly error: AdminError }
    | { readonly type: "worker_lost"; readonly error: AdminError | null }
    | { readonly type: "pinned" | "unpinned" }
    | { readonly type: "adapter_dropped"; readonly adapter: string }
  );

/** Events that can no longer be told. */
export interface GapBody {
  /** Which event it is. */
  readonly type: "gap";
  /** How many; `null` where that cannot be known, since they were another server's. */
  readonly missed: number | null;
}

/** What comes first: from here on everything is told. */
export interface ConnectedBody {
  /** Which event it is. */
  readonly type: "connected";
}

/** An event of `/admin/events`. */
export type AdminEvent =
  & {
    /** What to resume after: the `Last-Event-ID` of a later request. */
    readonly id: string;
    /** When it happened, in ISO 8601; of a gap, when it was told. */
    readonly time: string;
  }
  & (AdminEventBody | ConnectedBody | GapBody);

/** An event without the things that only this process can use. */
export function adminEventBody(event: WarmEvent): AdminEventBody {
  const { base, identity } = event;
  switch (event.type) {
    case "loading":
      return { type: "loading", base, identity, bytes: event.bytes, waited_seconds: event.waitedSeconds };
    case "loaded":
      return { type: "loaded", base, identity, seconds: event.seconds, bytes: event.bytes };
    case "draining":
      return { type: "draining", base, identity, reason: event.reason, leases: event.leases };
    case "adapter_dropped":
      return { type: "adapter_dropped", base, identity, adapter: event.adapter };
    case "load_aborted":
    case "pinned":
    case "unpinned":
      return { type: event.type, base, identity };
    case "load_failed": {
      const { retryAt } = event;
      const isDate = retryAt !== null && retryAt !== Infinity;
      return {
        type: "load_failed",
        base,
        identity,
        error: adminError(event.error),
        retry_at: isDate ? new Date(retryAt).toISOString() : null,
        permanent: retryAt === Infinity,
      };
    }
    case "evicted":
      return {
        type: "evicted",
        base,
        identity,
        reason: event.reason,
        bytes: event.bytes,
        idle_seconds: event.idleSeconds,
        load_seconds: event.loadSeconds,
        age_seconds: event.ageSeconds,
        close_seconds: event.closeSeconds,
      };
    case "close_failed":
      return { type: "close_failed", base, identity, error: adminError(event.error) };
    case "worker_lost":
      return { type: "worker_lost", base, identity, error: event.error === undefined ? null : adminError(event.error) };
  }
}

/** What can be said of an error. */
export function adminError(error: unknown): AdminError {
  const code = (error as { readonly code?: unknown } | null | undefined)?.code;
  return { code: typeof code === "string" ? code : null, message: messageOf(error) };
}
