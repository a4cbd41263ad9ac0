/**
 * `/dashboard/events`: what a page is told so that it need not ask all the time. Events name a base and what became of
 * it; that requests were answered is told without a word about them, once a second at most.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { newsStream } from "../news_stream.ts";
import type { Feed, Happening } from "./feed.ts";
import { inWords, toneOf } from "./happenings.ts";

/** After how long a browser asks again when the connection has ended. */
const RETRY: Milliseconds = 3000;

/** How a feed is followed. */
export interface FollowOptions {
  readonly clock: Clock;
  /** The number of the event that the page knows already. */
  readonly after: number;
  /** Aborted when there is to be no more: its reader has gone, or the server ends. */
  readonly closing: AbortSignal;
}

/** A response that tells news until its reader goes, or the server. */
export function newsResponse(feed: Feed, { clock, after, closing }: FollowOptions): Response {
  // All that is kept for a reader, however slow.
  let [number, pulses] = [Math.min(after, feed.last), feed.pulses];
  return newsStream({
    greeting: `retry: ${RETRY}\n\n`,
    next: () => {
      const happened = feed.after(number);
      const isPulse = pulses !== feed.pulses;
      if (happened.length === 0 && !isPulse) return undefined;
      [number, pulses] = [feed.last, feed.pulses];
      return happened.map(textOf).join("") + (isPulse ? "event: requests\ndata: {}\n\n" : "");
    },
    onceNew: (listener) => feed.onceNew(listener),
    clock,
    signal: closing,
  });
}

function textOf({ number, event }: Happening): string {
  const { base } = event;
  const told = { base, tone: toneOf(event), text: `${base} ${inWords(event)}` };
  return `id: ${number}\nevent: base\ndata: ${JSON.stringify(told)}\n\n`;
}
