/**
 * Answers with pages: what surrounds them is the same for all, and so is what becomes of an error.
 *
 * @module
 */

import type { Context } from "hono";
import { getCookie } from "hono/cookie";
import { isFault, toApiError } from "../errors.ts";
import { errorCodeOf, factsOf } from "../operations/watch_requests.ts";
import type { ServerParts } from "../parts.ts";
import { SESSION_COOKIE } from "./admission.ts";
import { type Html, markup } from "./html.ts";
import { type AssetAddresses, type Frame, page, pageResponse, type Theme, THEMES } from "./page.ts";
import type { Sessions } from "./sessions.ts";

/** The cookie of the colours. */
export const THEME_COOKIE = "warmcache_theme";

/** Which page it is. */
export type Named = Pick<Frame, "title" | "place">;

/** Writes the pages of a server. */
export class PageWriter {
  readonly #parts: Pick<ServerParts, "version" | "report">;
  readonly #sessions: Sessions;
  readonly #assets: AssetAddresses;

  constructor(parts: Pick<ServerParts, "version" | "report">, sessions: Sessions, assets: AssetAddresses) {
    this.#parts = parts;
    this.#sessions = sessions;
    this.#assets = assets;
  }

  /** Answers with a page. */
  async show(context: Context, named: Named, main: Html, status?: number): Promise<Response> {
    const { path, search } = placeOf(context);
    const frame = {
      ...named,
      // What was posted is not posted again when the colours change.
      path: context.req.method === "GET" ? `${path}${search}` : path,
      theme: themeOf(context),
      session: this.#sessions.holderOf(getCookie(context, SESSION_COOKIE))?.id,
      version: this.#parts.version,
      assets: this.#assets,
    };
    return await pageResponse(page(frame, main), status);
  }

  /** A handler whose errors are pages, too. */
  handler(handle: (context: Context) => Promise<Response>): (context: Context) => Promise<Response> {
    return async (context) => {
      try {
        return await handle(context);
      } catch (error) {
        const { status, message } = this.#reported(error);
        factsOf(context).errorCode = errorCodeOf(error);
        return await this.show(context, { title: "Error" }, problemPage(status, message), status);
      }
    };
  }

  #reported(error: unknown): ReturnType<typeof toApiError> {
    const answer = toApiError(error);
    if (isFault(answer)) this.#parts.report(error);
    return answer;
  }
}

function themeOf(context: Context): Theme {
  const said = getCookie(context, THEME_COOKIE);
  return THEMES.find((each) => each === said) ?? "auto";
}

/** Where a request is, as its sender knows it. */
export function placeOf({ req }: Context): Pick<URL, "origin" | "search"> & { readonly path: string } {
  const { origin, search } = URL.canParse(req.url) ? new URL(req.url) : { origin: "", search: "" };
  return { origin, search, path: req.path };
}

function problemPage(status: number, message: string): Html {
  return markup`<div class="page">
<h1>${status}</h1>
<p class="lead">${message}</p>
<p><a href="/">Back to the overview</a></p>
</div>`;
}
