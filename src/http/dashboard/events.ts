/**
 * `/dashboard/events`: what a page is told so that it need not ask all the time. Events name a base and what became of
 * it; that requests were answered is told without a word about them, once a second at most.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { HEARTBEAT } from "../sse.ts";
import type { Feed, Happening } from "./feed.ts";
import { inWords, toneOf } from "./happenings.ts";

/** After how long a browser asks again when the connection has ended. */
const RETRY: Milliseconds = 3000;

const encoder = new TextEncoder();

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
  const over = new AbortController();
  // All that is kept for a reader, however slow.
  let [number, pulses] = [Math.min(after, feed.last), feed.pulses];
  let end = (): void => {};
  const news = (): string | undefined => {
    const happened = feed.after(number);
    const isPulse = pulses !== feed.pulses;
    if (happened.length === 0 && !isPulse) return undefined;
    [number, pulses] = [feed.last, feed.pulses];
    return happened.map(textOf).join("") + (isPulse ? "event: requests\ndata: {}\n\n" : "");
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${RETRY}\n\n`));
      end = () => {
        over.abort();
        // At once: whoever reads nothing asks for nothing more, and must not keep a server from ending.
        controller.close();
      };
      if (closing.aborted) end();
      else closing.addEventListener("abort", end, { once: true });
    },
    async pull(controller) {
      let text = news();
      if (text === undefined) {
        await somethingNew(feed, clock, over.signal);
        text = news() ?? ": nothing new\n\n";
      }
      if (!over.signal.aborted) controller.enqueue(encoder.encode(text));
    },
    cancel() {
      closing.removeEventListener("abort", end);
      over.abort();
    },
  });
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store" },
  });
}

function textOf({ number, event }: Happening): string {
  const { base } = event;
  const told = { base, tone: toneOf(event), text: `${base} ${inWords(event)}` };
  return `id: ${number}\nevent: base\ndata: ${JSON.stringify(told)}\n\n`;
}

/** Waits for news, but no longer than a connection may be silent, and not when all is over. */
function somethingNew(feed: Feed, clock: Clock, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = new AbortController();
    const end = (): void => {
      forget();
      over.removeEventListener("abort", end);
      done.abort();
      resolve();
    };
    const forget = feed.onceNew(end);
    over.addEventListener("abort", end);
    if (over.aborted) return end();
    clock.sleep(HEARTBEAT, { signal: done.signal, background: true }).then(end, () => {});
  });
}
