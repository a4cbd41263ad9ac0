/**
 * Fields of our own in OpenAI's requests: `keep_alive`, in Ollama's words, and `only_if_warm`. They say how a model is to
 * be kept, not what it is to answer, so the cache never sees them.
 *
 * @see https://github.com/ollama/ollama/blob/main/docs/api.md
 * @module
 */

import * as z from "zod";
import type { LeaseOptions } from "../warm/backend_cache.ts";
import { type KeepAlive, parseKeepAlive } from "../warm/keep_alive.ts";
import { readBody } from "./request_fields.ts";

/** For how long a model is to stay, in words of Ollama's. */
export const keepAliveSchema: z.ZodType<KeepAlive> = z.union([z.number(), z.string()], {
  error: 'expected seconds, a duration such as "10m", 0 or -1',
}).superRefine((value, { addIssue }) => {
  try {
    parseKeepAlive(value);
  } catch (error) {
    addIssue({ code: "custom", message: (error as Error).message });
  }
}).describe(
  'How long the model stays when nobody uses it: seconds, or a duration such as `"10m"`; -1: until its room is needed.',
);

const schema = z.object({
  keep_alive: keepAliveSchema.nullish(),
  only_if_warm: z.boolean({ error: "expected true or false" }).nullish()
    .describe("Whether to be refused, rather than to wait for the model to load."),
});

/** The fields, for the description of a body. */
export const OWN_SHAPE: z.ZodRawShape = schema.shape;

/** The names of the fields. */
export const OWN_FIELDS: readonly string[] = Object.keys(schema.shape);

/** How a request wants its model kept. */
export interface Residency {
  /** The model is not to be loaded for it. */
  readonly onlyIfWarm: boolean;
  /** How to lease it. */
  readonly lease: Pick<LeaseOptions, "keepAlive">;
}

/**
 * Takes the fields out of a body.
 *
 * @throws ApiError 400 with the field at fault.
 */
export function readOwnFields(
  { keep_alive = null, only_if_warm = null, ...body }: Record<string, unknown>,
): { readonly body: Record<string, unknown>; readonly residency: Residency } {
  const own = readBody(schema, { keep_alive, only_if_warm });
  const lease = own.keep_alive === null || own.keep_alive === undefined ? {} : { keepAlive: own.keep_alive };
  return { body, residency: { onlyIfWarm: own.only_if_warm ?? false, lease } };
}
