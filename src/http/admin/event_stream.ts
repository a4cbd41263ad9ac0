/**
 * `/admin/events`: what happens to models, as server-sent events that can be resumed.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { newsStream } from "../news_stream.ts";
import type { AdminEvent } from "./admin_event.ts";
import type { EventRing, Place } from "./event_ring.ts";

/** After how long a browser asks again when the connection has ended. */
const RETRY: Milliseconds = 2000;

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
  // All that is kept for a client.
  let place: Place = ring.placeAfter(lastEventId);
  return newsStream({
    greeting: `retry: ${RETRY}\n\n${textOf(ring.connected(place))}`,
    next: () => {
      const found = ring.read(place);
      place = found?.next ?? place;
      return found && textOf(found.event);
    },
    onceNew: (listener) => ring.onceAdded(listener),
    clock,
    signal,
  });
}

function textOf(event: AdminEvent): string {
  return `id: ${event.id}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}
