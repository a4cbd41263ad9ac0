/**
 * `/v1/models`: what can be asked for. An adapter is a model whose `parent` is its base.
 *
 * @module
 */

import type { Hono } from "hono";
import type { Listing } from "../warm/catalogue.ts";
import { ApiError } from "./errors.ts";
import type { ServerParts } from "./parts.ts";

/** Adds the routes. */
export function modelRoutes(app: Hono, { catalogue }: ServerParts): void {
  app.get("/v1/models", async (context) => {
    return context.json({ object: "list", data: (await catalogue.list()).filter(usable).map(toModel) });
  });
  // Names may contain a slash, which clients send as it is or encoded.
  app.get("/v1/models/:name{.+}", async (context) => {
    const name = context.req.param("name");
    const listing = (await catalogue.list()).filter(usable).find(({ id }) => id === name);
    if (listing) return context.json(toModel(listing));
    throw new ApiError(404, "invalid_request_error", `The model '${name}' does not exist`, {
      code: "model_not_found",
      param: "model",
    });
  });
}

function usable({ problem }: Listing): boolean {
  return problem === undefined;
}

function toModel({ id, created, parent }: Listing): object {
  return { id, object: "model", created, owned_by: "local", parent: parent ?? null, root: parent ?? id };
}
