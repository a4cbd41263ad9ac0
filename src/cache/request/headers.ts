/**
 * Which headers belong to a question. Most of them say who asks, by which program and on whose behalf, and change no
 * answer. Some do: gateways choose the provider by a header, Groq the version of a system, Azure the content filter. As
 * with the body, the list is of what may be left out: a header that nobody here has heard of counts.
 *
 * Of those that count only a digest is kept, for it may be that they hold a secret.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";

const LEFT_OUT: ReadonlySet<string> = new Set([
  // How HTTP carries it: https://www.rfc-editor.org/rfc/rfc9110
  "accept",
  "accept-charset",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "connection",
  "content-length",
  "content-type",
  "date",
  "expect",
  "from",
  "host",
  "keep-alive",
  "pragma",
  "te",
  "trailer",
  "transfer-encoding",
  "user-agent",
  // From where, and by which way.
  "cdn-loop",
  "dnt",
  "forwarded",
  "http-referer",
  "origin",
  "priority",
  "referer",
  "true-client-ip",
  "upgrade-insecure-requests",
  "via",
  "x-openrouter-categories",
  "x-openrouter-title",
  "x-real-ip",
  "x-title",
  // Who asks, and who pays. Keys and tokens are below.
  "anthropic-dangerous-direct-browser-access",
  "cookie",
  "ocp-apim-subscription-key",
  "openai-organization",
  "openai-project",
  "x-goog-user-project",
  // What the clients say of themselves.
  "ai-gateway-auth-method",
  "ai-gateway-protocol-version",
  "idempotency-key",
  "x-goog-api-client",
  "x-server-timeout",
  // In the endpoint where it means something: `targetOf`.
  "anthropic-version",
  // Whose work it is part of.
  "b3",
  "baggage",
  "sentry-trace",
  "traceparent",
  "tracestate",
  "x-amzn-trace-id",
  "x-cloud-trace-context",
]);

/**
 * What networks in between add begins with their names, and some of it is another one with each request (`cf-ray`). What
 * `cf-aig-` begins is what a caller says to Cloudflare's gateway for models, and counts.
 */
const KINDS_LEFT_OUT =
  /(^|-)(authorization|auth|api-key|token|jwt|signature)$|(^|-)(request|correlation|trace)-id$|^(ai-o11y|cf(?!-aig-)|fly|sec|x-b3|x-datadog|x-forwarded|x-stainless|x-vercel)-/;

/**
 * A digest of the headers that belong to the question, 32 hexadecimal digits; `undefined` when none does.
 *
 * @param ignored names of further headers to leave out, in any case.
 */
export async function headersDigest(headers: Headers, ignored: readonly string[] = []): Promise<string | undefined> {
  const further = new Set(ignored.map((name) => name.toLowerCase()));
  const counted: [name: string, value: string][] = [];
  // On the hot path: an iterator of Deno's sorts all headers again at every step (16 µs for 17 of them; this takes 2).
  headers.forEach((value, name) => {
    if (!LEFT_OUT.has(name) && !KINDS_LEFT_OUT.test(name) && !further.has(name)) counted.push([name, value]);
  });
  if (counted.length === 0) return undefined;
  const bytes = new TextEncoder().encode(JSON.stringify(counted));
  return hexOf(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).subarray(0, 16));
}
