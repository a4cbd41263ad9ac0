/**
 * `/admin`.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import { invalidateSchema, loadSchema, pinSchema, unloadSchema, unpinSchema } from "../admin/admin_request.ts";
import { type Answer, named, type Operation } from "./operation.ts";
import { EXAMPLE_MODEL } from "./parameters.ts";
import { adminEvent, modelStatus, modelStatusList, orderAnswer } from "./schemas/admin_answers.ts";
import { invalidated } from "./schemas/cache_answers.ts";

const DONE: Answer = {
  description: "It is carried out.",
  content: { "application/json": { schema: orderAnswer } },
};
const UNDER_WAY: Answer = {
  description: "It is under way, and goes on whether or not anybody waits.",
  content: { "application/json": { schema: orderAnswer } },
};

const PATIENCE =
  "Answered at once with 202. With `wait`, once it is done, or with 202 when the server's load timeout is " +
  "over: then ask again. An adapter is a view of its base, so what is said of one is done to its base.";

function order(name: string, summary: string, description: string, schema: z.ZodType, example: object): Operation {
  return {
    method: "post",
    path: `/admin/models/${name}`,
    tag: "Admin",
    summary,
    description,
    scope: "admin",
    body: { "application/json": { schema, example } },
    answers: { 200: DONE, 202: UNDER_WAY },
    errors: [400, 404, 413, 415, 503],
  };
}

/** What operators do. */
export const ADMIN_OPERATIONS: readonly Operation[] = [
  order("load", "Load a model", PATIENCE, named("LoadRequest", loadSchema), { model: EXAMPLE_MODEL, wait: true }),
  order(
    "unload",
    "Take a model out of memory",
    `Requests that use it are served before that, unless it is forced; a pin is taken off. ${PATIENCE}`,
    named("UnloadRequest", unloadSchema),
    { model: EXAMPLE_MODEL, wait: true },
  ),
  order(
    "pin",
    "Load a model and never evict it",
    PATIENCE,
    named("PinRequest", pinSchema),
    { model: EXAMPLE_MODEL },
  ),
  {
    ...order(
      "unpin",
      "Let it be evicted again",
      "It stays where it is until its room is needed.",
      named("UnpinRequest", unpinSchema),
      {
        model: EXAMPLE_MODEL,
      },
    ),
    answers: { 200: DONE },
  },
  {
    method: "get",
    path: "/admin/models",
    tag: "Admin",
    summary: "All models, and where they stand",
    description:
      "What is on the disk, with what of it is in memory and what was ordered; also what cannot be used, and why.",
    scope: "admin",
    answers: { 200: { description: "All of them.", content: { "application/json": { schema: modelStatusList } } } },
  },
  {
    method: "get",
    path: "/admin/models/{model}/load-status",
    tag: "Admin",
    summary: "Where one model stands",
    scope: "admin",
    parameters: [{
      name: "model",
      in: "path",
      description: "`base[:dtype][+adapter]`; a slash in it may be sent as it is.",
      example: EXAMPLE_MODEL,
    }],
    answers: { 200: { description: "Where it stands.", content: { "application/json": { schema: modelStatus } } } },
    errors: [404],
  },
  {
    method: "get",
    path: "/admin/events",
    tag: "Admin",
    summary: "What happens to models, as it happens",
    description:
      "Server-sent events: loads, evictions, pins, lost Workers. Whoever reconnects with `Last-Event-ID` is told " +
      "what happened meanwhile, as far back as the last 1024 events; what is lost beyond that a `gap` tells. It ends when " +
      "the server drains.",
    scope: "admin",
    parameters: [{ name: "Last-Event-ID", in: "header", description: "The last event that was heard." }],
    answers: {
      200: {
        description: "Events, for as long as anybody listens.",
        content: { "text/event-stream": { schema: adminEvent } },
      },
    },
  },
  {
    method: "post",
    path: "/admin/cache/invalidate",
    tag: "Admin",
    summary: "Remove entries of the cache",
    description: "Those with a tag, or of a model, in every namespace or in one.",
    scope: "admin",
    body: {
      "application/json": { schema: named("InvalidateRequest", invalidateSchema), example: { tag: "draft" } },
    },
    answers: { 200: { description: "They are gone.", content: { "application/json": { schema: invalidated } } } },
    errors: [400, 413, 415, 503],
  },
];
