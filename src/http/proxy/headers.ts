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

/** Which pages may read an answer is the server's to say that gives it: it may have more to lose than the provider has. */
const PAGES_RIGHTS = "access-control-";

/** What no browser takes for a page. */
const INERT = /^(?:application\/json|text\/event-stream)\s*(?:;|$)/i;

/** The headers of a request, for the provider. Its length is told by whoever sends it. */
export function requestHeaders(headers: Headers): Headers {
  return kept(headers, (name) => !OF_THE_CALLER.has(name) && !name.startsWith(OWN_HEADERS));
}

/** The headers of a provider's answer, for the client; `runtime` is the name of the one whose `fetch` has got them. */
export function answerHeaders(headers: Headers, runtime: string): Headers {
  const isDecoded = DECODED[runtime]?.test(headers.get("Content-Encoding") ?? "") ?? false;
  const answer = kept(headers, (name) => {
    return !name.startsWith(PAGES_RIGHTS) && (!isDecoded || (name !== "content-encoding" && name !== "content-length"));
  });
  // Whoever opens it in a browser would have its scripts run as the server's own.
  if (!INERT.test(headers.get("Content-Type") ?? "")) {
    answer.set("Content-Security-Policy", "sandbox");
    answer.set("X-Content-Type-Options", "nosniff");
  }
  return answer;
}

function kept(headers: Headers, keeps: (name: string) => boolean): Headers {
  const named = (headers.get("Connection") ?? "").toLowerCase().split(",").map((name) => name.trim());
  // On the hot path. Deno's iterators sort all headers again at every step, and its constructor uses one to copy: of 17
  // headers it takes 80 µs, and leaves 100 KB to collect; this takes 3.
  const those = new Headers();
  headers.forEach((value, name) => {
    if (!HOP_BY_HOP.has(name) && !named.includes(name) && keeps(name)) those.append(name, value);
  });
  return those;
}
