/**
 * `/admin/events`: what happens to models, as server-sent events that can be resumed. It is sent as fast as it is read
 * and not faster; while nothing happens, comments keep the connection alive.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { HEARTBEAT } from "../sse.ts";
import type { AdminEvent } from "./admin_event.ts";
import type { EventRing, Place } from "./event_ring.ts";

/** After how long a browser asks again when the connection has ended. */
const RETRY: Milliseconds = 2000;

const encoder = new TextEncoder();

/** How events are followed. */
export interface FollowOptions {
  readonly clock: Clock;
  /** What the caller has heard last. */
  readonly lastEventId: string | undefined;
  /** Aborted when there is to be no more: the client has gone, or the server ends. */
  readonly signal: AbortSignal;
}

/** A response that tells events until its signal is aborted. */
export function eventResponse(ring: EventRing, { clock, lastEventId, signal }: FollowOptions): Response {
  const over = new AbortController();
  let place: Place = ring.placeAfter(lastEventId);
  let end = (): void => {};
  // A place in the ring is all that is kept for a client: the queue has room for one event.
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(`retry: ${RETRY}\n\n${textOf(ring.connected(place))}`));
      end = () => {
        over.abort();
        // At once: whoever reads nothing asks for nothing more, and must not keep a server from ending.
        controller.close();
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    },
    async pull(controller) {
      if (ring.read(place) === undefined) await nextEvent(ring, clock, over.signal);
      if (over.signal.aborted) return;
      const found = ring.read(place);
      place = found?.next ?? place;
      controller.enqueue(encoder.encode(found === undefined ? ": nothing new\n\n" : textOf(found.event)));
    },
    cancel() {
      signal.removeEventListener("abort", end);
      over.abort();
    },
  });
  return new Response(body, {
    headers: { "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store" },
  });
}

function textOf(event: AdminEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Waits for an event, but no longer than a connection may be silent, and not when all is over. */
function nextEvent(ring: EventRing, clock: Clock, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = new AbortController();
    const end = (): void => {
      forget();
      over.removeEventListener("abort", end);
      done.abort();
      resolve();
    };
    const forget = ring.onceAdded(end);
    over.addEventListener("abort", end);
    if (over.aborted) return end();
    clock.sleep(HEARTBEAT, { signal: done.signal, background: true }).then(end, () => {});
  });
}
