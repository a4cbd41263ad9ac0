/**
 * One call of `fetch`, as its client made it. What it was made with goes on to the wrapped `fetch`, though a `Request`
 * could not hold it: Bun's `proxy` and `tls`, an agent, a dispatcher. Sent without them, a request would go where its
 * client never meant it to.
 *
 * @module
 */

import { type Asker, askerOf } from "../cache/exchange/asker.ts";

/** A call, read. */
export interface FetchCall {
  /** What it asks for. */
  readonly request: Request;
  /** Who makes it. */
  readonly asker: Asker;
  /** Makes it as it was made. */
  pass(): Promise<Response>;
  /** Makes it with this text for a body, until the signal ends it. */
  send(body: string, signal: AbortSignal): Promise<Response>;
}

/**
 * Reads a call.
 *
 * @throws TypeError as `fetch` does.
 */
export function readFetchCall(
  send: typeof fetch,
  input: Parameters<typeof fetch>[0],
  init: RequestInit | undefined,
): FetchCall {
  const request = new Request(input, init);
  // Where it was made with a request, or with what cannot be copied from, all that can be had is in this one.
  const isCopy = input instanceof Request || !isPlain(init);
  const further = isPlain(init) ? init : undefined;
  const address = isCopy ? request : input;
  return {
    request,
    asker: askerOf(request),
    pass() {
      if (further === undefined) return send(address);
      // The request has taken over what can be read only once.
      const body = isCopy ? undefined : isReadOnce(further.body) ? request.body : further.body;
      return send(address, { ...further, ...(body !== undefined && { body }) });
    },
    send(body, signal) {
      const headers = new Headers(request.headers);
      headers.delete("Content-Length");
      return send(address, { ...further, headers, body, signal });
    },
  };
}

function isPlain(init: RequestInit | undefined): boolean {
  if (init === undefined) return true;
  const prototype: unknown = Object.getPrototypeOf(init);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

function isReadOnce(body: unknown): boolean {
  return typeof body === "object" && body !== null && (body instanceof ReadableStream || Symbol.asyncIterator in body);
}
