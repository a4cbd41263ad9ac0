/**
 * What requests to `/admin` may say. A body has to be JSON and to say so: what a page in a browser can send without being
 * asked first is none. And no cookie opens `/admin`, so no page can act for whoever looks at it.
 *
 * @module
 */

import type { Context } from "hono";
import * as z from "zod";
import type { KeepAlive } from "../../warm/keep_alive.ts";
import { ApiError } from "../api_error.ts";
import { keepAliveSchema } from "../own_fields.ts";
import type { ServerParts } from "../parts.ts";
import { readRequestBody } from "../request_body.ts";
import { readStrictBody } from "../request_fields.ts";

const model = z.string().min(1).describe("`base[:dtype][+adapter]`, as in requests for text.");
const wait = z.boolean().default(false)
  .describe("Whether to answer once it is done, or the server's patience is over; else at once.");

/** The body of `POST /admin/models/load`. */
export const loadSchema: z.ZodType<
  { model: string; wait: boolean; keep_alive?: KeepAlive | null | undefined },
  unknown
> = z.strictObject({ model, wait, keep_alive: keepAliveSchema.nullish() });

/** The body of `POST /admin/models/unload`. */
export const unloadSchema: z.ZodType<{ model: string; wait: boolean; force: boolean }, unknown> = z.strictObject({
  model,
  wait,
  force: z.boolean().default(false).describe("Not to wait for the requests that use it: they fail."),
});

/** The body of `POST /admin/models/pin`. */
export const pinSchema: z.ZodType<{ model: string; wait: boolean }, unknown> = z.strictObject({ model, wait });

/** The body of `POST /admin/models/unpin`. */
export const unpinSchema: z.ZodType<{ model: string }, unknown> = z.strictObject({ model });

/** The body of `POST /admin/cache/invalidate`. */
export const invalidateSchema: z.ZodType<
  { tag?: string | undefined; model?: string | undefined; namespace?: string | undefined },
  unknown
> = z.strictObject({
  tag: z.string().min(1).optional().describe("Of requests with this tag."),
  model: z.string().min(1).optional().describe("Of requests to this model, as the statistics call it."),
  namespace: z.string().optional()
    .describe("Of requests in this namespace and no other: those of an API key `alice` are in `key:alice`."),
}).refine(({ tag, model }) => tag !== undefined || model !== undefined, {
  error: "Say which entries to remove: those with a tag, or of a model",
});

/**
 * Reads a body.
 *
 * @throws ApiError 415 for another type than JSON; 400 with the field at fault.
 */
export async function readAdminBody<S extends z.ZodType>(
  context: Context,
  { limits }: Pick<ServerParts, "limits">,
  schema: S,
): Promise<z.output<S>> {
  const type = context.req.header("Content-Type") ?? "";
  if (!/^application\/json\s*(?:;|$)/i.test(type)) {
    const message = `Cannot take a body whose type is ${type || "not said"}: send Content-Type: application/json`;
    throw new ApiError(415, "invalid_request_error", message, { code: "unsupported_media_type" });
  }
  const { body } = await readRequestBody(context, limits);
  return readStrictBody(schema, body);
}
