/**
 * What the server tells its operator: one line per event, on standard error, never with a prompt or an answer in it.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { CacheEvent } from "../cache/ledger/journal.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { WarmEvent } from "../warm/backend_cache.ts";

/** How grave an event is. */
export type LogLevel = "error" | "warn" | "info" | "debug";

/** How much to tell, least first. */
export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

/** Takes one event's line. */
export type Log = (level: LogLevel, message: string) => void;

/** A log that drops what is below `level`. */
export function lineLog(level: LogLevel, clock: Clock, write: (line: string) => void): Log {
  const most = LOG_LEVELS.indexOf(level);
  return (of, message) => {
    if (LOG_LEVELS.indexOf(of) <= most) write(`${new Date(clock.now()).toISOString()} ${of} ${message}`);
  };
}

/** A base's event as a line. */
export function warmEventLine(event: WarmEvent): [LogLevel, string] {
  const { type, base } = event;
  switch (type) {
    case "loading":
      return ["info", `loading ${base}`];
    case "draining":
      return ["debug", `${base} takes no more requests (${event.reason}), ${event.leases} are left`];
    case "pinned":
    case "unpinned":
      return ["info", `${type} ${base}`];
    case "adapter_dropped":
      return ["info", `adapter ${event.adapter} of ${base} made way for others`];
    case "loaded":
      return ["info", `loaded ${base} in ${event.seconds.toFixed(2)} s, ${mebibytes(event.bytes)}`];
    case "load_failed":
      return ["error", `loading ${base} failed: ${event.error.message}`];
    case "load_aborted":
      return ["info", `loading ${base} was given up: nobody waits for it, and another needs the room`];
    case "evicted":
      return ["info", `evicted ${base} (${event.reason}), ${mebibytes(event.bytes)} given back`];
    case "close_failed":
      return ["warn", `closing ${base} failed: ${messageOf(event.error)}`];
    case "worker_lost":
      return ["error", `the Worker of ${base} died: ${event.error?.message ?? "no reason given"}`];
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** A cache's event as a line. A full disk or a lock costs money, not answers: it is a warning. */
export function cacheEventLine(event: CacheEvent): [LogLevel, string] {
  const { type, model } = event;
  switch (type) {
    case "lookup_failed":
      return ["warn", `cache: looking up an answer of ${model} failed: ${messageOf(event.error)}`];
    case "write_failed":
      return ["warn", `cache: an answer of ${model} could not be stored: ${messageOf(event.error)}`];
    case "revalidation_failed":
      return ["warn", `cache: an expired answer of ${model} could not be bought anew: ${messageOf(event.error)}`];
    case "corrupt":
      return ["warn", `cache: a broken row of ${model} was passed over`];
    case "bypassed":
      return ["debug", `cache: a request to ${model} went past the cache: ${event.why}`];
    case "not_stored":
      return ["debug", `cache: an answer of ${model} was not stored: ${event.why}`];
  }
}
