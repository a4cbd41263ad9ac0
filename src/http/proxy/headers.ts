/**
 * Which headers a proxy passes on: those that are meant for the other end, not for the next hop.
 *
 * @module
 */

import { OWN_HEADERS } from "../cache_directives.ts";

/** RFC 9110 section 7.6.1, and what stood there in its predecessors. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The proxy is another host; it reads codings of its own; and waits for no one before it sends a body. */
const OF_THE_CALLER: ReadonlySet<string> = new Set(["host", "accept-encoding", "expect"]);

/**
 * Codings that `fetch` undoes, so that what they say of the body is no longer so. Deno's undoes the two that it asks for,
 * and Node's several, one after the other; a provider may send what nobody has asked it for.
 */
const DECODED: Readonly<Record<string, RegExp>> = {
  deno: /^(?:gzip|br)$/i,
  node: /^(?:x-gzip|gzip|deflate|br|zstd)(?:\s*,\s*(?:x-gzip|gzip|deflate|br|zstd))*$/i,
  bun: /^(?:gzip|x-gzip|deflate|br|zstd)$/i,
};

/** The headers of a request, for the provider. Its length is told by whoever sends it. */
export function requestHeaders(headers: Headers): Headers {
  return kept(headers, (name) => !OF_THE_CALLER.has(name) && !name.startsWith(OWN_HEADERS));
}

/** The headers of a provider's answer, for the client; `runtime` is the name of the one whose `fetch` has got them. */
export function answerHeaders(headers: Headers, runtime: string): Headers {
  const isDecoded = DECODED[runtime]?.test(headers.get("Content-Encoding") ?? "") ?? false;
  return kept(headers, (name) => !isDecoded || (name !== "content-encoding" && name !== "content-length"));
}

function kept(headers: Headers, keeps: (name: string) => boolean): Headers {
  const named = (headers.get("Connection") ?? "").toLowerCase().split(",").map((name) => name.trim());
  return new Headers([...headers].filter(([name]) => !HOP_BY_HOP.has(name) && !named.includes(name) && keeps(name)));
}
