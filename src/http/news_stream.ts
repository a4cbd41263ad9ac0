/**
 * Server-sent events that tell what happens until a reader goes, or the server: sent as fast as they are read and not
 * faster, so that a slow reader costs his place in what is told and nothing else. While nothing happens, comments keep
 * the connection alive.
 *
 * @see https://html.spec.whatwg.org/multipage/server-sent-events.html
 * @module
 */

import type { Clock } from "../runtime/runtime.ts";
import { HEARTBEAT } from "./sse.ts";

const encoder = new TextEncoder();

/** What is told, and to whom for how long. */
export interface News {
  /** What every reader is told first, as the text of events. */
  readonly greeting: string;
  /** What this reader has not been told yet, as the text of events; `undefined` while there is nothing. */
  readonly next: () => string | undefined;
  /** Calls `listener` once, when there is something new, unless the function that is returned is called before. */
  readonly onceNew: (listener: () => void) => () => void;
  readonly clock: Clock;
  /** Aborted when there is to be no more: the reader has gone, or the server ends. */
  readonly signal: AbortSignal;
}

/** A response that tells news until its signal is aborted. */
export function newsStream({ greeting, next, onceNew, clock, signal }: News): Response {
  const over = new AbortController();
  let end = (): void => {};
  // The queue has room for one piece: what comes next is asked for when that has been taken.
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(greeting));
      end = () => {
        over.abort();
        // At once: whoever reads nothing asks for nothing more, and must not keep a server from ending.
        controller.close();
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    },
    async pull(controller) {
      let text = next();
      if (text === undefined) {
        await somethingNew(onceNew, clock, over.signal);
        text = next() ?? ": nothing new\n\n";
      }
      if (!over.signal.aborted) controller.enqueue(encoder.encode(text));
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

/** Waits for news, but no longer than a connection may be silent, and not when all is over. */
function somethingNew(onceNew: News["onceNew"], clock: Clock, over: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = new AbortController();
    const end = (): void => {
      forget();
      over.removeEventListener("abort", end);
      done.abort();
      resolve();
    };
    const forget = onceNew(end);
    over.addEventListener("abort", end);
    if (over.aborted) return end();
    clock.sleep(HEARTBEAT, { signal: done.signal, background: true }).then(end, () => {});
  });
}
