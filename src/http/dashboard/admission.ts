/**
 * Who may see the dashboard: whoever has a key with the scope `status`, shown in a header, or once at `/login`, after
 * which a cookie stands for it. The cookie opens these pages only, and what it sends has to come from one of them.
 *
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { authorize, presentedKey, setCaller, unauthenticated } from "../auth.ts";
import { ApiError } from "../api_error.ts";
import type { ServerParts } from "../parts.ts";
import { readBytes } from "../proxy/request_bytes.ts";
import { type Html, markup, NOTHING } from "./html.ts";
import { MARK } from "./page.ts";
import { SESSION_TIME, type Sessions } from "./sessions.ts";
import { addressOf } from "./tables.ts";

/** The cookie of a session. */
export const SESSION_COOKIE = "warmcache_session";

/** The scope that the dashboard needs. */
const SCOPE = "status";

/** A form is no larger than a request, and most are much smaller. */
export type FormParts = { readonly limits: Pick<ServerParts["limits"], "maxBodyBytes"> };

/**
 * Lets a request for a page pass, or sends its reader to log in first.
 *
 * @throws ApiError 401, 403
 */
export function admitted(parts: Pick<ServerParts, "apiKeys">, sessions: Sessions): MiddlewareHandler {
  const byKey = authorize(parts, SCOPE);
  return async (context, next) => {
    const { method, path, raw: { headers, url } } = context.req;
    if (parts.apiKeys === undefined || presentedKey(headers) !== undefined) return await byKey(context, next);
    const token = getCookie(context, SESSION_COOKIE);
    const holder = sessions.holderOf(token);
    if (holder !== undefined) {
      if (method !== "GET" && method !== "HEAD") requireOwnPage(headers);
      setCaller(context, holder);
      return await next();
    }
    const wantsPage = method === "GET" && (headers.get("Accept") ?? "").includes("text/html");
    if (!wantsPage) throw unauthenticated("Missing API key in the Authorization header", token);
    const back = `${path}${new URL(url).search}`;
    return context.redirect(addressOf("/login", { back: back === "/" ? undefined : back }), 303);
  };
}

/**
 * Checks that a request with a cookie was sent by a page of this server. `SameSite` sees no difference between ports.
 *
 * @throws ApiError 403
 */
export function requireOwnPage(headers: Headers): void {
  const origin = headers.get("Origin");
  const isOwn = headers.get("Sec-Fetch-Site") === "same-origin" ||
    (origin !== null && URL.canParse(origin) && new URL(origin).host === headers.get("Host"));
  if (isOwn) return;
  throw new ApiError(403, "authentication_error", "Only a page of this server may send this", {
    code: "foreign_origin",
  });
}

/** The fields of a form. */
export async function readForm(request: Request, { limits }: FormParts): Promise<URLSearchParams> {
  return new URLSearchParams(new TextDecoder().decode(await readBytes(request, limits)));
}

/** Where to go on after a form: a path of this server's, whatever the form says. */
export function pathOf(back: string | null | undefined): string {
  // `//host` and `/\host` are other servers to a browser.
  return back != null && /^\/(?![/\\])[\x20-\x7e]*$/.test(back) ? back : "/";
}

/** Gives a browser the cookie of a session; without a token, takes it away. */
export function setSession(context: Context, token: string | undefined): void {
  const isSecure = URL.canParse(context.req.url) && new URL(context.req.url).protocol === "https:" ||
    context.req.header("X-Forwarded-Proto") === "https";
  setCookie(context, SESSION_COOKIE, token ?? "", {
    httpOnly: true,
    sameSite: "Strict",
    path: "/",
    maxAge: token === undefined ? 0 : SESSION_TIME / 1000,
    secure: isSecure,
  });
}

/** Logs in with a key: the session's token, or why there is none. */
export function logIn(
  { apiKeys }: Pick<ServerParts, "apiKeys">,
  sessions: Sessions,
  key: string,
): { readonly token: string } | { readonly problem: string; readonly code: string } {
  const holder = apiKeys?.holderOf(key);
  if (holder === undefined) return { problem: "That is no API key of this server.", code: "invalid_api_key" };
  if (!holder.scopes.has(SCOPE)) {
    return { problem: `The API key ${holder.id} does not have the scope ${SCOPE}.`, code: "insufficient_scope" };
  }
  return { token: sessions.begin(holder) };
}

/** What the page of `/login` has. */
export function loginForm(back: string, problem?: string): Html {
  return markup`<div class="login">
${MARK}
<h1>Log in</h1>
<p>An API key of this server with the scope <code>${SCOPE}</code> opens the dashboard. It is kept nowhere: a cookie stands for it for 12 hours.</p>
${problem === undefined ? NOTHING : markup`<p class="error" id="problem" role="alert">${problem}</p>`}
<form method="post" action="/login">
<input type="hidden" name="back" value="${back}">
<label for="key">API key</label>
<input id="key" name="key" type="password" autocomplete="current-password" required autofocus${
    problem === undefined ? NOTHING : markup` aria-invalid="true" aria-describedby="problem"`
  }>
<button type="submit">Log in</button>
</form>
</div>`;
}
