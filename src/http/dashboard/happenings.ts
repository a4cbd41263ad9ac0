/**
 * What happened to bases, in words, the newest first.
 *
 * @module
 */

import type { WarmEvent } from "../../warm/backend_cache.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Happening } from "./feed.ts";
import { bytes, clockTime, counted, dateTime, duration } from "../../runtime/readable.ts";
import { type Html, markup } from "./html.ts";
import { section } from "./page.ts";

/** How many the page shows. */
const SHOWN = 12;

const REASONS = {
  room: "another needed its room",
  idle: "nobody used it for as long as it was to be kept",
  unload: "it was told to go",
  shutdown: "the server stops",
} as const;

/** How an event looks: `up` came, `down` went, `bad` failed, `note` else. */
export function toneOf({ type }: WarmEvent): "up" | "down" | "bad" | "note" {
  if (type === "loaded") return "up";
  if (type === "evicted") return "down";
  return type === "load_failed" || type === "close_failed" || type === "worker_lost" ? "bad" : "note";
}

/** What happened, without the base's name, which stands before it. */
export function inWords(event: WarmEvent): string {
  switch (event.type) {
    case "loading":
      return `is loading; ${bytes(event.bytes)} predicted`;
    case "loaded":
      return `is warm after ${duration(event.seconds * 1000)}, with ${bytes(event.bytes)}`;
    case "load_failed":
      return `could not be loaded: ${event.error.message}`;
    case "load_aborted":
      return "is not loaded after all: nobody waited for it";
    case "draining":
      return `takes no more requests: ${REASONS[event.reason]}${
        event.leases === 0 ? "" : `; ${counted(event.leases, "request")} to finish`
      }`;
    case "evicted":
      return `is gone: ${REASONS[event.reason]}; ${bytes(event.bytes)} given back after ${
        duration(event.ageSeconds * 1000)
      } in memory`;
    case "close_failed":
      return `did not close in good order: ${messageOf(event.error)}`;
    case "worker_lost":
      return `lost its Worker${event.error === undefined ? "" : `: ${event.error.message}`}`;
    case "pinned":
      return "is pinned";
    case "unpinned":
      return "is no longer pinned";
    case "adapter_dropped":
      return `let go of the adapter ${event.adapter}, which was not used for longest`;
  }
}

/** The section. */
export function happeningsSection(happenings: readonly Happening[]): Html {
  const about = "Loads and evictions as they happen. Times are UTC.";
  const newest = happenings.slice(-SHOWN).reverse();
  return section(
    "live",
    "Live",
    about,
    newest.length === 0
      ? markup`<p class="empty">Nothing was loaded or evicted since the server started.</p>`
      : markup`<ol class="happenings">${
        newest.map(({ time, event }) =>
          markup`<li class="is-${toneOf(event)}"><time datetime="${new Date(time).toISOString()}" title="${
            dateTime(
              time,
            )
          }">${clockTime(time)}</time> <span><strong>${event.base}</strong> ${inWords(event)}</span></li>`
        )
      }</ol>`,
  );
}
