/**
 * A provider on loopback: a real HTTP server that speaks the wire formats of OpenAI, Anthropic and Gemini and tells what
 * it was asked. The answers are those of `@copilotkit/aimock`, which knows nothing of us, unless a test gives its own:
 * bytes cut anywhere, streams that wait or break, and errors are the test's to choose.
 */

import { LLMock } from "@copilotkit/aimock";
import type { JsonObject } from "../../../src/cache/json.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import { inPieces } from "../../cache/streams.ts";
import { gate } from "../gate.ts";

/** A request that reached the provider. */
export interface Asked {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers: Headers;
  /** The JSON that was sent; `{}` where none was. */
  readonly body: JsonObject;
  /** Aborted when the client has left. */
  readonly signal: AbortSignal;
}

/** What to answer; nothing leaves it to the mock. */
export type Answerer = (asked: Asked) => Response | undefined | Promise<Response | undefined>;

/** The provider. */
export interface Upstream {
  /** Origin, without a slash at the end. */
  readonly url: string;
  /** What it was asked, in order. */
  readonly asked: Asked[];
  /** What to say to whom: `mock.onMessage("rain", { content: "It will." })`. Without a fitting word it answers 404. */
  readonly mock: LLMock;
  /** Asked first. */
  answer: Answerer;
  /** Forgets what was asked and what to answer. */
  reset(): void;
  close(): Promise<void>;
}

/** Starts one, on a port of its own. */
export async function startUpstream(): Promise<Upstream> {
  const runtime = await loadRuntime();
  const mock = new LLMock({ host: "127.0.0.1", port: 0, logLevel: "silent" });
  await mock.start();
  const fetchAnswer = async (request: Request): Promise<Response> => {
    const { pathname, search } = new URL(request.url);
    const { method, headers, signal } = request;
    const text = await request.text();
    const asked = { method, path: `${pathname}${search}`, headers, body: text === "" ? {} : JSON.parse(text), signal };
    upstream.asked.push(asked);
    const own = await upstream.answer(asked);
    if (own !== undefined) return own;
    const sent = text === "" ? {} : { body: text };
    return await fetch(`${mock.url}${asked.path}`, { method, headers: mockable(headers), signal, ...sent });
  };
  const listener = await runtime.serveHttp({ hostname: "127.0.0.1", port: 0, fetch: fetchAnswer });
  const upstream: Upstream = {
    url: `http://127.0.0.1:${listener.port}`,
    asked: [],
    mock,
    answer: () => undefined,
    reset() {
      upstream.asked.length = 0;
      upstream.answer = () => undefined;
      mock.reset();
    },
    async close() {
      // Deno now and then waits for ever for a connection that its own client keeps open for the next request.
      const patience = runtime.clock.sleep(2000, { background: true });
      await Promise.race([listener.shutdown().then(() => mock.stop()), patience]);
    },
  };
  return upstream;
}

/** Headers that are the first server's own affair, or would have the answer compressed, are not the mock's. */
function mockable(headers: Headers): Headers {
  const own = ["host", "connection", "content-length", "transfer-encoding", "accept-encoding"];
  return new Headers([...headers].filter(([name]) => !own.includes(name)));
}

/** How a stream comes. */
export interface StreamManners {
  /** Bytes in a piece. */
  readonly size?: number;
  /** Before the piece of this number it waits at the door. */
  readonly stop?: number;
  readonly door?: { pass(): Promise<void> };
  /** Before the piece of this number the connection breaks. */
  readonly breakAt?: number;
}

/** An answer that brings the text of an event stream in pieces, cut wherever they end. */
export function streaming(
  text: string,
  { size = 100, stop = Infinity, door = gate(), breakAt = Infinity }: StreamManners = {},
): Response {
  const pieces = inPieces(text, size);
  let at = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      if (at === stop) await door.pass();
      if (at === breakAt) return controller.error(new Error("the cable is cut"));
      const piece = pieces[at++];
      if (piece === undefined) controller.close();
      else controller.enqueue(piece as Uint8Array<ArrayBuffer>);
    },
  });
  const headers = { "Content-Type": "text/event-stream; charset=utf-8", "X-Request-Id": "req_7" };
  return new Response(body, { headers });
}

/** A refusal in OpenAI's words. */
export function refusal(status: number, message: string, headers: Record<string, string> = {}): Response {
  return Response.json({ error: { message, type: "error", param: null, code: null } }, { status, headers });
}
