/**
 * Web pages that ask: which of them are this machine's own, and how a browser is told that they may read an answer.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 * @module
 */

/** Whether an origin is on this machine, by its name. */
export function isHere(origin: string): boolean {
  const host = URL.canParse(origin) ? new URL(origin).hostname : "";
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

/**
 * Lets a page of this machine's read what no provider has answered to it. Else a page that providers allow to ask them
 * would read what is bought, and not what is stored.
 */
export function letPageRead(request: Headers, response: Headers): void {
  const origin = request.get("Origin");
  if (origin === null || !isHere(origin)) return;
  response.set("Access-Control-Allow-Origin", origin);
  response.append("Vary", "Origin");
}
