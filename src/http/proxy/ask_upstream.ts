/**
 * One request to a provider. It ends: with an answer, when its client has left, or when the provider has been silent for
 * too long. Why a connection failed is told without what was sent over it, for there may be a key in its address.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { ApiError } from "../api_error.ts";
import type { ServerParts } from "../parts.ts";
import { answerHeaders } from "./headers.ts";
import type { Upstream } from "./upstream.ts";

/** What to send. */
export interface UpstreamRequest {
  readonly address: URL;
  readonly method: string;
  readonly headers: Headers;
  readonly body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** Ends it when nobody wants the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * Asks. Redirections are answers like any other.
 *
 * @throws ApiError 502 when there is no connection, 504 when no answer begins in time; the signal's reason.
 */
export async function askUpstream(
  upstream: Upstream,
  { address, method, headers, body, signal }: UpstreamRequest,
  { clock, runtime }: Pick<ServerParts, "clock" | "runtime">,
): Promise<Response> {
  signal.throwIfAborted();
  const controller = new AbortController();
  const leave = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", leave);
  const over = new AbortController();
  over.signal.addEventListener("abort", () => signal.removeEventListener("abort", leave));
  const begun = new AbortController();
  const tooLate = (): void => controller.abort(timeout(upstream, "begun to answer", upstream.answerTimeout));
  clock.sleep(upstream.answerTimeout, { signal: begun.signal, background: true }).then(tooLate, () => {});
  const init = { method, headers, body, redirect: "manual", signal: controller.signal, duplex: "half" } as const;
  try {
    const response = await fetch(address, init);
    const { status, statusText } = response;
    const answer = response.body && watched(response.body, { upstream, clock, controller, over });
    if (answer === null) over.abort();
    return new Response(answer, { status, statusText, headers: answerHeaders(response.headers, runtime.name) });
  } catch (error) {
    over.abort();
    if (controller.signal.aborted) throw controller.signal.reason;
    throw unreachable(upstream, error);
  } finally {
    begun.abort();
  }
}

/** A body that ends when nothing has come for too long although somebody reads. */
function watched(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  { upstream, clock, controller, over }: {
    readonly upstream: Upstream;
    readonly clock: Clock;
    readonly controller: AbortController;
    readonly over: AbortController;
  },
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const reader = body.getReader();
  let asked = 0;
  let come = 0;
  const watch = async (): Promise<void> => {
    for (let seen = -1; asked === come || seen !== come;) {
      seen = come;
      await clock.sleep(upstream.idleTimeout, { signal: over.signal, background: true });
    }
    controller.abort(timeout(upstream, "gone on", upstream.idleTimeout));
  };
  // It ends by being aborted.
  watch().catch(() => {});
  return new ReadableStream({
    async pull(stream) {
      asked++;
      try {
        const { done, value } = await reader.read();
        come++;
        if (!done) return stream.enqueue(value);
        over.abort();
        stream.close();
      } catch (error) {
        over.abort();
        stream.error(controller.signal.aborted ? controller.signal.reason : brokenOff(upstream, error));
      }
    },
    async cancel(reason) {
      over.abort();
      controller.abort(reason);
      await reader.cancel(reason).catch(() => {});
    },
  }, { highWaterMark: 0 });
}

function timeout({ name }: Upstream, what: string, after: Milliseconds): ApiError {
  const message = `The upstream ${name} has not ${what} for ${after / 1000} s`;
  // It may be at work on it all the same, and bill it.
  return new ApiError(504, "server_error", message, {
    code: "upstream_timeout",
    headers: { "x-should-retry": "false" },
  });
}

function unreachable({ name, url }: Upstream, error: unknown): ApiError {
  const message = `Cannot reach the upstream ${name} at ${new URL(url).origin}: ${reasonOf(error)}`;
  return new ApiError(502, "server_error", message, {
    code: "upstream_unreachable",
    headers: { "x-should-retry": "true" },
  });
}

function brokenOff({ name }: Upstream, error: unknown): ApiError {
  const message = `The answer of the upstream ${name} broke off: ${reasonOf(error)}`;
  return new ApiError(502, "server_error", message, {
    code: "upstream_broke_off",
    headers: { "x-should-retry": "true" },
  });
}

/** Without the error's own message, which may have the address in it. */
function reasonOf(error: unknown): string {
  const { code, cause } = Object(error) as { code?: unknown; cause?: { code?: unknown } };
  const word = [code, cause?.code].find((code) => typeof code === "string" && /^[A-Za-z_]+$/.test(code));
  return word === undefined ? "the connection failed" : `the connection failed with ${word}`;
}
