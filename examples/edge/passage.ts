/** What passes through the Worker, and what does not: whose key opens it, where a request goes, and what goes with it. */

/** What is meant for the next hop, or is this Worker's to say, or says who and where the caller is. */
const STAYS_HERE =
  /^(?:connection|keep-alive|te|trailer|transfer-encoding|upgrade|proxy-.*|host|accept-encoding|expect|cookie|forwarded|via|cdn-loop|true-client-ip|x-real-ip|x-forwarded-.*|x-warmcache-.*|x-api-key|x-goog-api-key|api-key|cf-(?!aig-).*)$/;

/** A response in the provider's words, so that its client reads them. */
export function refusal(status: number, message: string): Response {
  const type = status < 500 ? "invalid_request_error" : "api_error";
  const headers = new Headers(status === 502 || status === 503 ? { "x-should-retry": "true" } : {});
  return Response.json({ error: { message, type, param: null, code: null } }, { status, headers });
}

/**
 * Whether a request has the caller's key. Digests are compared, so that how long it takes tells nothing of the key.
 */
export async function isAdmitted(request: Request, key: string): Promise<boolean> {
  const [given, wanted] = await Promise.all([
    digest(request.headers.get("Authorization") ?? ""),
    digest(`Bearer ${key}`),
  ]);
  let difference = 0;
  for (const [index, byte] of given.entries()) difference |= byte ^ wanted[index]!;
  return difference === 0;
}

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

/** A caller's request, as the provider is asked it. */
export function forProvider(request: Request, upstream: string, key: string): Request {
  const { pathname, search } = new URL(request.url);
  // Joined as text: a path that begins with two slashes would otherwise name another host, which were then given the key.
  const address = upstream.replace(/\/+$/, "") + pathname + search;
  const headers = new Headers();
  for (const [name, value] of request.headers) if (!STAYS_HERE.test(name)) headers.append(name, value);
  headers.set("Authorization", `Bearer ${key}`);
  // Followed, a redirection would take the key along; the caller is told of it instead.
  return new Request(new Request(address, request), { headers, redirect: "manual" });
}

/** What is a provider's to say to its own callers, and not to ours. */
const STAYS_THERE = /^(?:set-cookie|access-control-.*)$/;

/** A provider's answer, as the caller is given it. An error that repeats the key it was asked with does not pass it on. */
export async function forCaller(response: Response, key: string): Promise<Response> {
  const body = response.ok ? response.body : (await response.text()).replaceAll(key, "[redacted]");
  const told = new Response(body === "" ? null : body, response);
  for (const name of [...told.headers.keys()]) if (STAYS_THERE.test(name)) told.headers.delete(name);
  if (!response.ok) { for (const name of ["Content-Encoding", "Content-Length"]) told.headers.delete(name); }
  return told;
}
