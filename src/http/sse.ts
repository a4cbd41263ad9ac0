/**
 * Server-sent events as OpenAI's streaming endpoints send them: one `data:` line of JSON per event, `[DONE]` at the
 * end (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * @module
 */

import { errorBody, toApiError } from "./errors.ts";

const encoder = new TextEncoder();

/**
 * A response that sends each chunk as an event, as fast as the client reads. An error in the middle becomes an error
 * event, since the status has long been sent; a client that goes away ends the iteration.
 */
export function eventStream(
  chunks: AsyncIterable<object>,
  headers: Record<string, string>,
  report: (error: unknown) => void,
): Response {
  const iterator = chunks[Symbol.asyncIterator]();
  let cancelled = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      let last = "[DONE]";
      try {
        const { done, value } = await iterator.next();
        if (cancelled) return;
        if (!done) return controller.enqueue(event(JSON.stringify(value)));
      } catch (error) {
        if (cancelled) return;
        const failure = toApiError(error);
        if (failure.status >= 500) report(error);
        last = JSON.stringify(errorBody(failure));
      }
      controller.enqueue(event(last));
      controller.close();
    },
    async cancel() {
      cancelled = true;
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
