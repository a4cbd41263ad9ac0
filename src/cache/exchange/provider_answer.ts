/**
 * What providers answer over HTTP: which of it is an answer to the question, which is a failure whatever its status says,
 * and how either is told to a client that was not the one who asked.
 *
 * @module
 */

import { decodeText, isJsonObject, type JsonObject } from "../json.ts";
import { featureOf } from "../explain/election.ts";
import type { EndpointKind } from "../request/ignore_list.ts";
import type { Asker } from "./asker.ts";

/** The media type of a stream of events. */
export const EVENT_STREAM = "text/event-stream";

/** What an answer has, one of these at least. Gateways have words of their own for failures, and send some with 200. */
const MEMBERS: Readonly<Partial<Record<EndpointKind, readonly string[]>>> = {
  chat_completions: ["choices"],
  completions: ["choices"],
  responses: ["output"],
  messages: ["content"],
  generate_content: ["candidates", "promptFeedback"],
  embed_content: ["embedding", "embeddings"],
};

/** HTTP status codes that may be about who asks: his key, his bill, his rights, the models he may use, his rate. */
const OF_THE_ASKER: ReadonlySet<number> = new Set([401, 402, 403, 404, 429]);

/** Headers of a failure that are about the failure, and not about who asked. */
const FOR_ALL: ReadonlySet<string> = new Set(["content-type", "retry-after", "retry-after-ms", "x-should-retry"]);

/** An answer that is none to keep: it is passed on as it is, to everybody who waits for it, and never stored. */
export class Failure extends Error {
  override readonly name = "Failure";
  /** What other processes may tell of it; absent where the provider did not call it a failure. */
  readonly status: number | undefined;
  /** The same of its body, without what the asker asked with. */
  readonly body: string;
  /** Who asked, as a number that means nothing outside this process; absent where it does not matter. */
  readonly code: number | undefined;
  readonly #response: Response;
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #asker: Asker;

  /** Of a response whose body has been read. */
  constructor(response: Response, bytes: Uint8Array<ArrayBuffer>, asker: Asker) {
    super(`the provider answered with ${response.status} ${response.headers.get("Content-Type") ?? ""}`.trimEnd());
    this.status = response.ok ? undefined : response.status;
    this.body = asker.redact(new TextDecoder().decode(bytes));
    this.code = OF_THE_ASKER.has(response.status) ? markOf(asker) : undefined;
    this.#response = response;
    this.#bytes = bytes;
    this.#asker = asker;
  }

  /** Whether this is what another, who asks with other credentials, would be told as well. */
  isFor({ id }: Asker): boolean {
    return id === this.#asker.id || !OF_THE_ASKER.has(this.#response.status);
  }

  /** The response, for each who waits for it. Who asks with other credentials hears nothing of the asker's own. */
  toResponse(asker: Asker): Response {
    if (asker.id === this.#asker.id) {
      const told = rebuilt(this.#response, this.#bytes);
      // Many may ask with the one credential of a server's; a session is of the one who was given it.
      if (asker !== this.#asker) told.headers.delete("Set-Cookie");
      return told;
    }
    const { status, statusText, headers } = this.#response;
    const told = new Headers([...headers].filter(([name]) => FOR_ALL.has(name)));
    return rebuilt(new Response(null, { status, statusText, headers: told }), new TextEncoder().encode(this.body));
  }
}

/** Whether a body is an answer to this kind of question. What is not must not be kept, for it would never be asked again. */
export function isAnswer(kind: EndpointKind, bytes: Uint8Array): boolean {
  const members = MEMBERS[kind];
  if (members === undefined) return true;
  try {
    const answer: unknown = JSON.parse(decodeText(bytes));
    return isJsonObject(answer) && members.some((name) => name in answer);
  } catch {
    return false;
  }
}

/** Whether headers say that what they are of is of this type. */
export function isOf(mediaType: string, headers: Headers): boolean {
  const [said = ""] = (headers.get("Content-Type") ?? "").split(";");
  return said.trim().toLowerCase() === mediaType;
}

/** Made when it is first asked for: at the edge, a program that is starting gets no random numbers. */
let salt: number | undefined;

/** So that whoever asked is known again, and nothing of what he asked with is stored. */
function markOf({ id }: Asker): number {
  salt ??= crypto.getRandomValues(new Int32Array(1))[0]!;
  return featureOf(salt, id);
}

/** Whether a call that is remembered to have failed may have failed for who made it, and that was another. */
export function isOfAnother(error: unknown, asker: Asker): boolean {
  const { code, cause } = Object(error) as { code?: unknown; cause?: unknown };
  const { status, code: mark } = Object(cause) as { status?: number; code?: unknown };
  if (code !== "call_failed" || !OF_THE_ASKER.has(status!)) return false;
  return typeof mark === "number" && mark !== markOf(asker);
}

/** What was remembered of a call that failed, here or in another process, as the provider's answer that it was. */
export function recordedFailure(error: unknown): Response | undefined {
  const { code, cause } = Object(error) as { code?: unknown; cause?: unknown };
  const { status, body, ...said } = Object(cause) as { status?: unknown; body?: unknown } & JsonObject;
  const isFailure = typeof status === "number" && status >= 400 && status <= 599;
  if (code !== "call_failed" || !isFailure) return undefined;
  if (typeof body === "string") {
    const type = isJsonText(body) ? "application/json" : "text/plain";
    return new Response(body, { status, headers: { "Content-Type": type } });
  }
  const { type = null, param = null } = said;
  const reason = typeof said.code === "string" ? said.code : null;
  return Response.json({ error: { message: (cause as Error).message, type, param, code: reason } }, { status });
}

function isJsonText(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** A response with this body: the provider's own headers where it was asked, less those of the transport. */
export function rebuilt(
  source: Response | undefined,
  body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>,
  mediaType = "application/json",
): Response {
  // A status such as 204 may not have a body, not even an empty one.
  const content = "length" in body && body.length === 0 ? null : body;
  if (source === undefined) return new Response(content, { headers: { "Content-Type": mediaType } });
  const headers = new Headers(source.headers);
  for (const name of ["Content-Encoding", "Content-Length", "Transfer-Encoding"]) headers.delete(name);
  const { status, statusText } = source;
  return new Response(content, { status, statusText, headers });
}
