/**
 * Logging in and out, and the colours: what a browser is given a cookie for.
 *
 * @module
 */

import type { Hono } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import { factsOf } from "../operations/watch_requests.ts";
import type { ServerParts } from "../parts.ts";
import { logIn, loginForm, pathOf, readForm, requireOwnPage, SESSION_COOKIE, setSession } from "./admission.ts";
import { THEMES } from "./page.ts";
import type { Sessions } from "./sessions.ts";
import { type PageWriter, THEME_COOKIE } from "./writer.ts";

const LOGIN = "/login";
const A_YEAR_SECONDS = 31_536_000;

/** Longest form of somebody who has shown no key: an address to go back to is the longest there is in it. */
const LONGEST_FORM_BYTES = 16 * 1024;

/** Adds the routes, which answer anybody. */
export function sessionRoutes(
  app: Hono,
  parts: Pick<ServerParts, "apiKeys" | "limits">,
  sessions: Sessions,
  pages: PageWriter,
): void {
  const limits = { maxBodyBytes: Math.min(parts.limits.maxBodyBytes, LONGEST_FORM_BYTES) };

  app.post("/dashboard/theme", async (context) => {
    const form = await readForm(context.req.raw, { limits });
    const theme = THEMES.find((each) => each === form.get("theme")) ?? "auto";
    setCookie(context, THEME_COOKIE, theme, { path: "/", sameSite: "Lax", maxAge: A_YEAR_SECONDS, httpOnly: true });
    return context.redirect(pathOf(form.get("back")), 303);
  });

  app.get(
    LOGIN,
    pages.handler(async (context) => {
      const back = pathOf(context.req.query("back"));
      if (parts.apiKeys === undefined) return context.redirect(back, 303);
      return await pages.show(context, { title: "Log in" }, loginForm(back));
    }),
  );
  app.post(
    LOGIN,
    pages.handler(async (context) => {
      requireOwnPage(context.req.raw.headers);
      const form = await readForm(context.req.raw, { limits });
      const back = pathOf(form.get("back"));
      const done = logIn(parts, sessions, form.get("key") ?? "");
      if ("problem" in done) {
        factsOf(context).errorCode = done.code;
        return await pages.show(context, { title: "Log in" }, loginForm(back, done.problem), 401);
      }
      setSession(context, done.token);
      return context.redirect(back, 303);
    }),
  );
  app.post("/dashboard/logout", (context) => {
    requireOwnPage(context.req.raw.headers);
    const token = getCookie(context, SESSION_COOKIE);
    if (token !== undefined) sessions.end(token);
    setSession(context, undefined);
    return context.redirect(LOGIN, 303);
  });
}
