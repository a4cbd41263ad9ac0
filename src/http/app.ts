/**
 * The server's routes, joined.
 *
 * @module
 */

import { Hono } from "hono";
import { requestId } from "hono/request-id";
import { adminRoutes } from "./admin/admin_routes.ts";
import { textRoute } from "./answer.ts";
import { authorize } from "./auth.ts";
import { chatCompletions } from "./chat_completions.ts";
import { completions } from "./completions.ts";
import { dashboardRoutes } from "./dashboard/dashboard.ts";
import { EMBEDDINGS_PATH, embeddingsRoute } from "./embeddings.ts";
import { ApiError } from "./api_error.ts";
import { errorResponse, isFault, toApiError } from "./errors.ts";
import { healthRoutes } from "./health.ts";
import { limitRate } from "./limits/limit_rate.ts";
import { modelRoutes } from "./models.ts";
import { servedBy } from "./operations/served_by.ts";
import { metricsRoutes } from "./operations/metrics.ts";
import { probeRoutes } from "./operations/probes.ts";
import { errorCodeOf, factsOf, watchRequests } from "./operations/watch_requests.ts";
import { openapiRoutes } from "./openapi/openapi_routes.ts";
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
    const message = `Unknown request URL: ${method} ${path}`;
    const error = new ApiError(404, "invalid_request_error", message, { code: "unknown_url" });
    factsOf(context).errorCode = errorCodeOf(error);
    return errorResponse(error);
  });
  probeRoutes(app, parts);
  app.use(requestId());
  app.use(watchRequests(parts));
  if (parts.serverName !== undefined) app.use(servedBy(parts.serverName));
  app.use(async (context, next) => {
    await next();
    // Set on the finished response: routes and errors make their own, which would not carry it.
    // A provider's own is what he knows the request by.
    if (!context.res.headers.has("X-Request-Id")) context.header("X-Request-Id", context.get("requestId"));
  });
  app.use(parts.guard.middleware());
  proxyRoutes(app, parts);
  storeRoutes(app, parts);
  app.use("/stats", authorize(parts, "status"));
  app.use("/v1/*", authorize(parts, "models"));
  for (const path of [RUN_PATH, SCORE_PATH]) app.use(path, authorize(parts, "models"));
  for (const path of ["/v1/*", RUN_PATH, SCORE_PATH]) app.use(path, limitRate(parts));
  healthRoutes(app, parts);
  metricsRoutes(app, parts);
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
  adminRoutes(app, parts);
  openapiRoutes(app, parts);
  dashboardRoutes(app, parts);
  return app;
}

function wrongMethod(method: string, path: string): never {
  throw new ApiError(405, "invalid_request_error", `Not allowed to ${method} on ${path}, only to POST`, {
    code: "method_not_allowed",
    headers: { Allow: "POST" },
  });
}
