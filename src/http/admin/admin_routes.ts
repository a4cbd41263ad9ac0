/**
 * `/admin/*`: what operators do to a running server. Orders are answered at once with 202 and carried out whether or not
 * anybody waits; whoever wants to wait says so, or follows the events.
 *
 * @module
 */

import type { Context, Hono } from "hono";
import type { KeepAlive } from "../../warm/keep_alive.ts";
import { type ModelSpec, parseModelName } from "../../warm/spec.ts";
import { authorize } from "../auth.ts";
import { ApiError } from "../api_error.ts";
import { departure } from "../local_model.ts";
import { watchOn } from "../operations/watch_requests.ts";
import type { ServerParts } from "../parts.ts";
import { invalidateSchema, loadSchema, pinSchema, readAdminBody, unloadSchema, unpinSchema } from "./admin_request.ts";
import { EventRing } from "./event_ring.ts";
import { eventResponse } from "./event_stream.ts";
import { allStatuses, type ModelStatus, statusNamed } from "./model_status.ts";
import { type Action, Orders, within } from "./orders.ts";

/** What an order is answered with. */
export interface OrderAnswer {
  /** What was ordered. */
  readonly action: Action | "unpin";
  /** Whether it is carried out; what is not is under way. */
  readonly done: boolean;
  /** Whether it changed anything: nothing is unloaded that was not loaded. `null` while that is not known. */
  readonly changed: boolean | null;
  /** Where the model stands now; `null` for one that is nowhere any more. */
  readonly model: ModelStatus | null;
}

/** What `GET /admin/models` answers. */
export interface ModelStatusList {
  readonly object: "list";
  readonly data: readonly ModelStatus[];
}

/** What `POST /admin/cache/invalidate` answers. */
export interface Invalidated {
  /** How many entries are gone. */
  readonly entries: number;
  /** How many bytes they took as they were stored. */
  readonly stored_bytes: number;
}

const STATUS = "/load-status";

/** Adds the routes. */
export function adminRoutes(app: Hono, parts: ServerParts): void {
  const { backends, cache, catalogue, clock, lifecycle, limits, loadTimeout } = parts;
  const ring = new EventRing(backends, clock);
  const orders = new Orders(clock, parts.report);
  const statusParts = { ...parts, orders };

  app.use("/admin/*", authorize(parts, "admin"));

  const answer = async (action: OrderAnswer["action"], spec: ModelSpec, changed: boolean | null): Promise<Response> => {
    const done = changed !== null;
    const model = await statusNamed(statusParts, spec) ?? null;
    const body: OrderAnswer = { action, done, changed, model };
    return Response.json(body, { status: done ? 200 : 202 });
  };
  const carryOut = async (
    context: Context,
    action: Action,
    spec: ModelSpec,
    { wait, ...options }: { readonly wait: boolean; readonly force?: boolean; readonly keepAlive?: KeepAlive },
    work: () => Promise<boolean>,
  ): Promise<Response> => {
    const order = orders.give(action, spec, options, work);
    const signal = AbortSignal.any([departure(context.req.raw), lifecycle.closing]);
    const patience = { clock, time: loadTimeout, signal };
    return await answer(action, spec, wait ? await within(order, patience) ?? null : null);
  };

  app.post("/admin/models/load", async (context) => {
    const { model, keep_alive: keepAlive, ...options } = await readAdminBody(context, parts, loadSchema);
    const spec = parseModelName(model);
    await catalogue.locate(spec);
    const stay = keepAlive === undefined || keepAlive === null ? {} : { keepAlive };
    return await carryOut(context, "load", spec, { ...options, ...stay }, async () => {
      const [before] = await warmBases(spec);
      await backends.preload(spec, stay);
      return before === undefined;
    });
  });
  app.post("/admin/models/pin", async (context) => {
    const { model, ...options } = await readAdminBody(context, parts, pinSchema);
    const spec = parseModelName(model);
    await catalogue.locate(spec);
    return await carryOut(context, "pin", spec, options, async () => {
      const wasPinned = (await warmBases(spec)).some(({ pinned }) => pinned);
      await backends.pin(spec);
      return !wasPinned;
    });
  });
  app.post("/admin/models/unload", async (context) => {
    const { model, wait, force } = await readAdminBody(context, parts, unloadSchema);
    const spec = parseModelName(model);
    return await carryOut(context, "unload", spec, { wait, force }, () => backends.unload(spec, { force }));
  });
  app.post("/admin/models/unpin", async (context) => {
    const { model } = await readAdminBody(context, parts, unpinSchema);
    const spec = parseModelName(model);
    return await answer("unpin", spec, backends.unpin(spec));
  });

  /** What a name means is known by its content: the same may be in memory under another name. */
  const warmBases = async (spec: ModelSpec): Promise<{ readonly pinned: boolean }[]> => {
    const { base: { identity } } = await backends.identify(spec);
    return backends.loaded().filter((each) => each.identity === identity && each.state === "warm");
  };

  app.get("/admin/models", async (context) => {
    const body: ModelStatusList = { object: "list", data: await allStatuses(statusParts) };
    return context.json(body);
  });
  // Names may contain a slash, which clients send as it is or encoded.
  app.get(`/admin/models/:path{.+${STATUS}}`, async (context) => {
    const name = context.req.param("path").slice(0, -STATUS.length);
    const status = await statusNamed(statusParts, parseModelName(name));
    if (status !== undefined) return context.json(status);
    throw new ApiError(404, "invalid_request_error", `The model '${name}' does not exist`, {
      code: "model_not_found",
      param: "model",
    });
  });
  app.get("/admin/events", (context) => {
    const watched = watchOn(context);
    limits.streams.begin(watched);
    const over = new AbortController();
    // Whoever asked with HEAD reads nothing, and so does not leave either.
    watched.whenOver(() => over.abort());
    const signal = AbortSignal.any([over.signal, lifecycle.closing]);
    return eventResponse(ring, { clock, lastEventId: context.req.header("Last-Event-ID"), signal });
  });

  app.post("/admin/cache/invalidate", async (context) => {
    const { tag, model, namespace } = await readAdminBody(context, parts, invalidateSchema);
    const { entries, storedBytes } = await cache.prune({
      ...tag !== undefined && { tag },
      ...model !== undefined && { model },
      ...namespace !== undefined && { namespace },
    });
    const body: Invalidated = { entries, stored_bytes: storedBytes };
    return context.json(body);
  });
}
