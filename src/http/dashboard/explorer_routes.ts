/**
 * The routes of the explorer: the list of stored requests, one of them, and how a request differs from them. Each shows a
 * key what it would be told by `/cache/explain`, and nothing of another's.
 *
 * @module
 */

import type { Context, Hono, MiddlewareHandler } from "hono";
import { isJsonObject } from "../../cache/json.ts";
import { parseRequest } from "../../cache/request/raw_json.ts";
import type { StoredRequest } from "../../cache/request/stored_request.ts";
import { messageOf } from "../../runtime/message.ts";
import { CacheError } from "../../store/error.ts";
import { callerOf, requireScope } from "../auth.ts";
import { ApiError } from "../api_error.ts";
import type { ServerParts } from "../parts.ts";
import { visibleModels } from "../statistics.ts";
import { namespaceOf, ownerOf, seenBy } from "../tenancy.ts";
import { readForm } from "./admission.ts";
import { explainPage, type Finding, type Question } from "./explain_page.ts";
import { entryPage, requestList } from "./explorer.ts";
import type { Observer } from "./observer.ts";
import { findRequest, type Looking, readPage, type Wanted } from "./stored_requests.ts";
import type { PageWriter } from "./writer.ts";

const [REQUESTS, EXPLAIN] = ["/dashboard/requests", "/dashboard/explain"] as const;

const NO_QUESTION: Question = { request: "", scope: { provider: "", endpoint: "", namespace: "", identity: "" } };

/** What the routes need. */
export interface ExplorerParts extends Pick<ServerParts, "cache" | "clock" | "limits" | "sharedCache"> {
  readonly observer: Observer;
  readonly pages: PageWriter;
}

/**
 * Adds the routes, for whom `admission` lets pass. Where all share what is stored, these pages have everybody's words,
 * which whoever only watches the server is not to see: they need what `/cache/explain` needs as well.
 */
export function explorerRoutes(app: Hono, parts: ExplorerParts, admission: MiddlewareHandler): void {
  const { cache, clock, observer, pages, sharedCache } = parts;
  const reader: MiddlewareHandler = async (context, next) => {
    const holder = callerOf(context);
    if (sharedCache && holder !== undefined) requireScope(holder, "cache");
    await next();
  };
  const looking = (context: Context): Looking => ({ cache, clock, signal: context.req.raw.signal });
  /** The stored request that an address means. */
  const meant = async (context: Context, key: string): Promise<StoredRequest> => {
    const { model, namespace } = wordsOf(context);
    const place = { model, namespace: namespaceOf(ownerOf(context, parts), namespace) };
    const request = await findRequest(looking(context), key, place);
    if (request !== undefined) return request;
    throw new ApiError(404, "invalid_request_error", `No such request is stored: ${key}`, { code: "not_stored" });
  };
  const explain = async (context: Context, { request, scope }: Question): Promise<Finding> => {
    const owner = ownerOf(context, parts);
    const said = Object.fromEntries(Object.entries(scope).filter(([, value]) => value !== ""));
    try {
      const { body } = parseRequest(request);
      if (!isJsonObject(body)) return { problem: "A request is a JSON object." };
      const namespace = namespaceOf(owner, said.namespace);
      const where = { ...said, ...namespace !== undefined && { namespace } };
      return { explanation: await cache.explain(body, where, { sees: seenBy(owner) }) };
    } catch (error) {
      if (error instanceof CacheError) throw error;
      return { problem: messageOf(error) };
    }
  };

  app.get(
    REQUESTS,
    admission,
    reader,
    pages.handler(async (context) => {
      const wanted = wordsOf(context);
      const owner = ownerOf(context, parts);
      const namespace = namespaceOf(owner, wanted.namespace);
      const [found, { perModel, allTime }] = await Promise.all([
        readPage(looking(context), { ...wanted, namespace }),
        observer.statistics(),
      ]);
      const models = Object.keys(visibleModels((allTime ?? { perModel }).perModel, owner));
      return await pages.show(
        context,
        { title: "Stored requests", place: REQUESTS },
        requestList(wanted, found, models),
      );
    }),
  );

  app.get(
    `${REQUESTS}/:key`,
    admission,
    reader,
    pages.handler(async (context) => {
      const request = await meant(context, context.req.param("key")!);
      const entry = await cache.stored(request);
      const main = entryPage(request, entry, { namespace: wordsOf(context).namespace, now: clock.now() });
      return await pages.show(context, { title: `Request ${request.key.slice(0, 12)}`, place: REQUESTS }, main);
    }),
  );

  app.get(
    EXPLAIN,
    admission,
    reader,
    pages.handler(async (context) => {
      const key = context.req.query("key");
      const question = key === undefined
        ? NO_QUESTION
        : questionOf(await meant(context, key), wordsOf(context).namespace);
      return await pages.show(context, { title: "Explain", place: EXPLAIN }, explainPage(question, undefined));
    }),
  );
  app.post(
    EXPLAIN,
    admission,
    reader,
    pages.handler(async (context) => {
      const form = await readForm(context.req.raw, parts);
      const read = (name: string): string => form.get(name) ?? "";
      const question = {
        // As it was typed, but for the line ends that forms have.
        request: read("request").replaceAll("\r\n", "\n"),
        scope: {
          provider: read("provider"),
          endpoint: read("endpoint"),
          namespace: read("namespace"),
          identity: read("identity"),
        },
      };
      const finding = await explain(context, question);
      const status = finding !== undefined && "problem" in finding ? 400 : 200;
      return await pages.show(context, { title: "Explain", place: EXPLAIN }, explainPage(question, finding), status);
    }),
  );
}

/** What an address says of the requests that it is about. */
function wordsOf(context: Context): Wanted {
  const { model = "", namespace = "", text = "", from = "" } = context.req.query();
  const place = Number(from);
  return {
    model: model === "" ? undefined : model,
    namespace: namespace === "" ? undefined : namespace,
    text,
    from: Number.isSafeInteger(place) && place > 0 ? place : 0,
  };
}

/** A stored request as a question, to be changed. */
function questionOf({ body, provider, endpoint, identity }: StoredRequest, namespace: string | undefined): Question {
  const scope = { provider, endpoint, namespace: namespace ?? "", identity: identity ?? "" };
  return { request: JSON.stringify(body, null, 2), scope };
}
