/**
 * Server-sent events as OpenAI's streaming endpoints send them: one `data:` line of JSON per event, `[DONE]` at the
 * end (https://html.spec.whatwg.org/multipage/server-sent-events.html). While there is nothing to send, comments, which
 * clients pass over, keep the connection alive.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../runtime/runtime.ts";
import { errorBody } from "./api_error.ts";
import { isFault, toApiError } from "./errors.ts";

/** How long a stream is silent at most: proxies give up after 30 s and more. */
export const HEARTBEAT: Milliseconds = 5000;

/** How a stream is sent. */
export interface EventStreamOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Hears of errors that no client could have caused. */
  readonly report: (error: unknown) => void;
  readonly clock: Clock;
  /** What to say when there is nothing to send. */
  readonly comment: () => string;
  /** Called when the client goes away; ends a wait for the next chunk. */
  readonly leave?: () => void;
}

const encoder = new TextEncoder();

/**
 * A response that sends each chunk as an event, as fast as the client reads. An error in the middle becomes an error
 * event, since the status has long been sent; a client that goes away ends the iteration.
 */
export function eventStream(chunks: AsyncIterable<object>, options: EventStreamOptions): Response {
  const { headers, report, clock, comment, leave = () => {} } = options;
  const iterator = chunks[Symbol.asyncIterator]();
  let cancelled = false;
  let pulls = 0;
  let isWaiting = false;
  const over = new AbortController();
  const beat = async (controller: ReadableStreamDefaultController<Uint8Array>): Promise<never> => {
    const speak = (seen: number): void => {
      // Whoever does not read what was sent needs no more of it.
      const isSilent = isWaiting && seen === pulls && controller.desiredSize! > 0;
      if (isSilent) controller.enqueue(encoder.encode(`: ${comment()}\n\n`));
    };
    await new Promise<void>((resolve) => clock.afterTurn(resolve));
    for (speak(1);;) {
      const seen = pulls;
      await clock.sleep(HEARTBEAT, { signal: over.signal, background: true });
      speak(seen);
    }
  };
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // It ends by being aborted.
      beat(controller).catch(() => {});
    },
    async pull(controller) {
      pulls++;
      isWaiting = true;
      let last = "[DONE]";
      try {
        const { done, value } = await iterator.next();
        if (cancelled) return;
        if (!done) return controller.enqueue(event(JSON.stringify(value)));
      } catch (error) {
        if (cancelled) return;
        const failure = toApiError(error);
        if (isFault(failure)) report(error);
        last = JSON.stringify(errorBody(failure));
      } finally {
        isWaiting = false;
      }
      over.abort();
      controller.enqueue(event(last));
      controller.close();
    },
    async cancel() {
      cancelled = true;
      over.abort();
      leave();
      await iterator.return?.();
    },
  });
  return new Response(body, {
    headers: { ...headers, "Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache" },
  });
}

function event(data: string): Uint8Array {
  return encoder.encode(`data: ${data}\n\n`);
}
