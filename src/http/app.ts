/**
 * The server's routes, joined.
 *
 * @module
 */

import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { textRoute } from "./answer.ts";
import { authenticate } from "./auth.ts";
import { chatCompletions } from "./chat_completions.ts";
import { completions } from "./completions.ts";
import { EMBEDDINGS_PATH, embeddingsRoute } from "./embeddings.ts";
import { ApiError, errorResponse, isFault, toApiError } from "./errors.ts";
import { healthRoutes } from "./health.ts";
import { modelRoutes } from "./models.ts";
import type { ServerParts } from "./parts.ts";
import { proxyRoutes } from "./proxy/proxy.ts";
import { RUN_PATH, runRoute, SCORE_PATH, scoreRoute } from "./run.ts";
import { cacheRoutes, storeRoutes } from "./store/store_routes.ts";

/** Everything the server answers. */
export function createApp(parts: ServerParts): Hono {
  const app = new Hono();
  app.onError((error) => {
    const answer = toApiError(error);
    if (isFault(answer)) parts.report(error);
    return errorResponse(answer);
  });
  app.notFound((context) => {
    const { method, path } = context.req;
    return errorResponse(
      new ApiError(404, "invalid_request_error", `Unknown request URL: ${method} ${path}`, { code: "unknown_url" }),
    );
  });
  app.use(requestId());
  app.use(async (context, next) => {
    await next();
    // Set on the finished response: routes and errors make their own, which would not carry it.
    // A provider's own is what he knows the request by.
    if (!context.res.headers.has("X-Request-Id")) context.header("X-Request-Id", context.get("requestId"));
  });
  proxyRoutes(app, parts);
  storeRoutes(app, parts);
  if (parts.apiKeys !== undefined) app.use(authenticate(parts.apiKeys));
  healthRoutes(app, parts);
  cacheRoutes(app, parts);
  for (const endpoint of [completions, chatCompletions]) {
    app.post(endpoint.path, textRoute(endpoint, parts));
    app.all(endpoint.path, (context) => wrongMethod(context.req.method, endpoint.path));
  }
  app.post(EMBEDDINGS_PATH, embeddingsRoute(parts));
  app.all(EMBEDDINGS_PATH, (context) => wrongMethod(context.req.method, EMBEDDINGS_PATH));
  for (const [path, route] of [[RUN_PATH, runRoute(parts)], [SCORE_PATH, scoreRoute(parts)]] as const) {
    app.post(path, route);
    app.all(path, (context) => wrongMethod(context.req.method, path));
  }
  modelRoutes(app, parts);
  return app;
}

function wrongMethod(method: string, path: string): never {
  throw new ApiError(405, "invalid_request_error", `Not allowed to ${method} on ${path}, only to POST`, {
    code: "method_not_allowed",
    headers: { Allow: "POST" },
  });
}
