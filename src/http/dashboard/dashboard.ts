/**
 * The dashboard's routes. Pages are whole when they leave here; the only script makes the overview follow what happens.
 * What a page shows of requests, stored and answered, is what `/cache/stats` and `/cache/explain` would tell its reader.
 *
 * @module
 */

import type { Hono } from "hono";
import { watchOn } from "../operations/watch_requests.ts";
import type { ServerParts } from "../parts.ts";
import { ownerOf } from "../tenancy.ts";
import { admitted } from "./admission.ts";
import { assetRoutes } from "./assets.ts";
import { newsResponse } from "./events.ts";
import { explorerRoutes } from "./explorer_routes.ts";
import { Observer } from "./observer.ts";
import { overview } from "./overview.ts";
import { sessionRoutes } from "./session_routes.ts";
import { Sessions } from "./sessions.ts";
import { PageWriter, placeOf } from "./writer.ts";

/** Adds the routes. */
export function dashboardRoutes(app: Hono, parts: ServerParts): void {
  const { clock, runtime, lifecycle, limits } = parts;
  const observer = new Observer(parts);
  const sessions = new Sessions(clock, runtime.sha256);
  const pages = new PageWriter(parts, sessions, assetRoutes(app, runtime));
  const admission = admitted(parts, sessions);

  app.get(
    "/",
    admission,
    pages.handler(async (context) => {
      const { origin } = placeOf(context);
      const main = await overview(parts, observer, { owner: ownerOf(context, parts), origin });
      return await pages.show(context, { title: "Overview", place: "/" }, main);
    }),
  );

  // Where one looks for it who has not read on.
  app.get("/dashboard", (context) => context.redirect("/", 303));

  app.get("/dashboard/events", admission, (context) => {
    const watched = watchOn(context);
    limits.streams.begin(watched);
    const over = new AbortController();
    // Whoever asked with HEAD reads nothing, and so does not leave either.
    watched.whenOver(() => over.abort());
    const { req } = context;
    const after = Number(req.header("Last-Event-ID") ?? req.query("after") ?? NaN);
    const known = Number.isSafeInteger(after) && after >= 0 ? after : observer.feed.last;
    return newsResponse(observer.feed, {
      clock,
      after: known,
      closing: AbortSignal.any([over.signal, lifecycle.closing]),
    });
  });

  explorerRoutes(app, { ...parts, observer, pages }, admission);
  sessionRoutes(app, parts, sessions, pages);
}
