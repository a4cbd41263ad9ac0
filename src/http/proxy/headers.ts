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

/** Codings that `fetch` undoes, so that what they say of the body is no longer so. */
const DECODED = /^(?:gzip|x-gzip|deflate|br|zstd)$/i;

/** The headers of a request, for the provider. Its length is told by whoever sends it. */
export function requestHeaders(headers: Headers): Headers {
  return kept(headers, (name) => !OF_THE_CALLER.has(name) && !name.startsWith(OWN_HEADERS));
}

/** The headers of a provider's answer, for the client. */
export function answerHeaders(headers: Headers): Headers {
  const isDecoded = DECODED.test(headers.get("Content-Encoding") ?? "");
  return kept(headers, (name) => !isDecoded || (name !== "content-encoding" && name !== "content-length"));
}

function kept(headers: Headers, keeps: (name: string) => boolean): Headers {
  const named = (headers.get("Connection") ?? "").toLowerCase().split(",").map((name) => name.trim());
  return new Headers([...headers].filter(([name]) => !HOP_BY_HOP.has(name) && !named.includes(name) && keeps(name)));
}
