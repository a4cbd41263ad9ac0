/**
 * What the server tells its operator: one line per event, on standard error, never with a prompt or an answer in it. A
 * line is a sentence for people; the same as fields is for programs, who get it as JSON.
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

/** How a line is written: a sentence, or a JSON object with the fields of the event in it. */
export type LogFormat = "text" | "json";

/** Both. */
export const LOG_FORMATS: readonly LogFormat[] = ["text", "json"];

/** What an event is made of, for programs. What is `undefined` is left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Takes one event: a sentence that says it all, and the same as fields. */
export type Log = (level: LogLevel, message: string, fields?: LogFields) => void;

/** A log that drops what is below `level`. */
export function lineLog(
  level: LogLevel,
  clock: Clock,
  write: (line: string) => void,
  format: LogFormat = "text",
): Log {
  const most = LOG_LEVELS.indexOf(level);
  return (of, message, fields) => {
    if (LOG_LEVELS.indexOf(of) > most) return;
    const time = new Date(clock.now()).toISOString();
    write(
      format === "json"
        ? JSON.stringify({ time, level: of, message, ...fields })
        : `${time} ${of} ${onOneLine(message)}`,
    );
  };
}

/** What others have said must not look like lines of the log's own, nor speak to the terminal that shows it. */
function onOneLine(message: string): string {
  // deno-lint-ignore no-control-regex -- these are meant
  return message.replaceAll(/\r?\n/g, "\n    ").replaceAll(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]/g, "?");
}

/** A base's event as a line. */
export function warmEventLine(event: WarmEvent): [LogLevel, string, LogFields] {
  const { type, base, identity } = event;
  const fields = { event: `model_${type}`, model: base, identity };
  switch (type) {
    case "loading":
      return ["info", `loading ${base}`, { ...fields, waited_seconds: event.waitedSeconds }];
    case "draining": {
      const { reason, leases } = event;
      return ["debug", `${base} takes no more requests (${reason}), ${leases} are left`, { ...fields, reason, leases }];
    }
    case "pinned":
    case "unpinned":
      return ["info", `${type} ${base}`, fields];
    case "adapter_dropped":
      return ["info", `adapter ${event.adapter} of ${base} made way for others`, { ...fields, adapter: event.adapter }];
    case "loaded": {
      const { seconds, bytes } = event;
      return ["info", `loaded ${base} in ${seconds.toFixed(2)} s, ${mebibytes(bytes)}`, { ...fields, seconds, bytes }];
    }
    case "load_failed": {
      const { message, code } = event.error;
      return ["error", `loading ${base} failed: ${message}`, { ...fields, error: code }];
    }
    case "load_aborted":
      return ["info", `loading ${base} was given up: nobody waits for it, and another needs the room`, fields];
    case "evicted": {
      const { reason, bytes, ageSeconds, idleSeconds } = event;
      const more = { reason, bytes, age_seconds: ageSeconds, idle_seconds: idleSeconds };
      return ["info", `evicted ${base} (${reason}), ${mebibytes(bytes)} given back`, { ...fields, ...more }];
    }
    case "close_failed":
      return ["warn", `closing ${base} failed: ${messageOf(event.error)}`, fields];
    case "worker_lost":
      return ["error", `the Worker of ${base} died: ${event.error?.message ?? "no reason given"}`, fields];
  }
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** A cache's event as a line. A full disk or a lock costs money, not answers: it is a warning. */
export function cacheEventLine(event: CacheEvent): [LogLevel, string, LogFields] {
  const { type, model } = event;
  const fields = { event: `cache_${type}`, model };
  switch (type) {
    case "lookup_failed":
      return ["warn", `cache: looking up an answer of ${model} failed: ${messageOf(event.error)}`, fields];
    case "write_failed":
      return ["warn", `cache: an answer of ${model} could not be stored: ${messageOf(event.error)}`, fields];
    case "revalidation_failed":
      return [
        "warn",
        `cache: an expired answer of ${model} could not be bought anew: ${messageOf(event.error)}`,
        fields,
      ];
    case "corrupt":
      return ["warn", `cache: a broken row of ${model} was passed over`, fields];
    case "bypassed":
      return ["debug", `cache: a request to ${model} went past the cache: ${event.why}`, fields];
    case "not_stored":
      return ["debug", `cache: an answer of ${model} was not stored: ${event.why}`, fields];
  }
}
