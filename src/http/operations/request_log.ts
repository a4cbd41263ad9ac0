/**
 * What the log tells of a request once it is over: who asked for what and how it ended, never what was said. A request
 * that went well is for those who look for something (`debug`): a busy server would drown the rest in such lines. For the
 * same reason no more than so many lines a second are about what went wrong.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { RequestRecord } from "./request_watch.ts";

/** How grave it is. */
export type RequestLogLevel = "error" | "warn" | "info" | "debug";

/** The fields of a line. */
export type RequestLogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Takes a line. */
export type WriteRequestLine = (level: RequestLogLevel, message: string, fields: RequestLogFields) => void;

/** An answer that takes longer to begin is worth a line. */
const SLOW: Milliseconds = 60_000;

/** How many lines a second there are about requests, but for `debug`. */
const MOST_LINES = 20;

/** What a caller asked to be told, or what passes by itself. */
const EXPECTED: ReadonlySet<string | undefined> = new Set(["not_cached", "model_loading", "not_warm"]);

/** What a word of a caller's may have in a line. */
const LONGEST_WORD = 128;

/** Writes a line about each request; to be given to `RequestWatch.on`. */
export function requestLog(clock: Clock, write: WriteRequestLine): (record: RequestRecord) => void {
  let second = -Infinity;
  let lines = 0;
  let left = 0;
  return (record) => {
    const level = levelOf(record);
    if (level !== "debug") {
      const now = Math.floor(clock.monotonic() / 1000);
      if (now !== second) {
        if (left > 0) {
          const event = "requests_left_out";
          write("warn", `${left} more requests failed, too many for a line each`, { event, count: left });
        }
        [second, lines, left] = [now, 0, 0];
      }
      if (++lines > MOST_LINES) {
        left++;
        return;
      }
    }
    write(level, messageOf(record), fieldsOf(record));
  };
}

function levelOf({ status, errorCode, firstByteTime, isAborted }: RequestRecord): RequestLogLevel {
  if (isAborted) return "debug";
  if (status >= 500) {
    if (EXPECTED.has(errorCode)) return "info";
    // Without a code it is the provider's own answer.
    return status === 500 && errorCode !== undefined ? "error" : "warn";
  }
  if (status >= 400) return "info";
  return errorCode !== undefined || firstByteTime >= SLOW ? "warn" : "debug";
}

/** `POST /v1/completions 200 in 12 ms, kjv-tiny, hit (0d5e…)` */
function messageOf(record: RequestRecord): string {
  const { id, method, route = "no route", status, errorCode, duration, model, cache, isAborted } = record;
  const more = [errorCode, model && wordOf(model), cache, isAborted ? "the client left" : undefined];
  const told = more.filter((word) => word !== undefined).map((word) => `, ${word}`).join("");
  return `${wordOf(method)} ${route} ${status} in ${Math.round(duration)} ms${told} (${id})`;
}

function fieldsOf(record: RequestRecord): RequestLogFields {
  const { id, method, route, status, duration, firstByteTime, isStream, isAborted } = record;
  const { provider, model, cache, keyId, errorCode, costMicrodollars, savedLatency, queueTime } = record;
  return {
    event: "request",
    id,
    method: wordOf(method),
    route,
    status,
    duration_ms: rounded(duration),
    first_byte_ms: rounded(firstByteTime),
    stream: isStream,
    aborted: isAborted,
    provider,
    model: model === undefined ? undefined : wordOf(model),
    cache,
    key: keyId,
    error: errorCode,
    cost_microdollars: costMicrodollars,
    saved_ms: savedLatency === undefined ? undefined : rounded(savedLatency),
    queue_ms: queueTime === undefined ? undefined : rounded(queueTime),
  };
}

function wordOf(word: string): string {
  return word.length <= LONGEST_WORD ? word : `${word.slice(0, LONGEST_WORD)}…`;
}

/** To a tenth of a millisecond. */
function rounded(time: Milliseconds): number {
  return Math.round(time * 10) / 10;
}
