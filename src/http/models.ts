/**
 * `/v1/models`: what can be asked for. An adapter is a model whose `parent` is its base; the `dtypes` of a base may be
 * asked for as `base:dtype`.
 *
 * @module
 */

import type { Hono } from "hono";
import type { Listing } from "../warm/catalogue.ts";
import { formatModelName, type ModelSpec, parseModelName } from "../warm/spec.ts";
import { ApiError } from "./api_error.ts";
import type { ServerParts } from "./parts.ts";

/** Adds the routes. */
export function modelRoutes(app: Hono, { catalogue }: ServerParts): void {
  app.get("/v1/models", async (context) => {
    return context.json({
      object: "list",
      data: (await catalogue.list()).filter(usable).map((listing) => toModel(listing)),
    });
  });
  app.all("/v1/models", (context) => wrongMethod(context.req.method));
  // Names may contain a slash, which clients send as it is or encoded.
  app.get("/v1/models/:name{.+}", async (context) => {
    const name = context.req.param("name");
    const asked = readName(name);
    const listings = asked === undefined ? [] : (await catalogue.list()).filter(usable);
    const listing = listings.find(({ id }) => id === formatModelName({ ...asked!, dtype: "auto" }));
    const hasDtype = asked?.dtype === "auto" ||
      listings.some(({ id, dtypes }) => id === asked?.base && dtypes?.some((dtype) => dtype === asked.dtype));
    if (listing && hasDtype) return context.json(toModel(listing, name));
    throw new ApiError(404, "invalid_request_error", `The model '${name}' does not exist`, {
      code: "model_not_found",
      param: "model",
    });
  });
  app.all("/v1/models/:name{.+}", (context) => wrongMethod(context.req.method));
}

function wrongMethod(method: string): never {
  throw new ApiError(405, "invalid_request_error", `Not allowed to ${method} on models, only to GET`, {
    code: "method_not_allowed",
    headers: { Allow: "GET, HEAD" },
  });
}

/** A name as requests write it; `undefined` when nothing can have it. */
function readName(name: string): ModelSpec | undefined {
  try {
    return parseModelName(name);
  } catch {
    return undefined;
  }
}

function usable({ problem }: Listing): boolean {
  return problem === undefined;
}

function toModel({ id, created, parent, dtypes }: Listing, asked: string = id): object {
  const model = { id: asked, object: "model", created, owned_by: "local", parent: parent ?? null, root: parent ?? id };
  return dtypes === undefined ? model : { ...model, dtypes };
}
