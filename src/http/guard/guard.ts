/**
 * What every request passes before anything is done for it, and before it is asked for a key: is it meant for this
 * server, and if a web page sent it, may that page ask? A browser on this machine sends here whatever any page tells it
 * to, with the cookie of whoever is logged in, so what an answer may be read by is not enough: what changes, spends or
 * takes time is not begun.
 *
 * @see https://fetch.spec.whatwg.org/#http-cors-protocol
 * @see https://www.w3.org/TR/fetch-metadata/
 * @module
 */

import type { Context, MiddlewareHandler } from "hono";
import { ApiError } from "../api_error.ts";
import { type HostRules, OwnHosts } from "./hosts.ts";
import { ListedOrigins } from "./origins.ts";

/** Who may ask a server, by its settings. */
export interface GuardRules extends HostRules {
  /** The origins of pages that may ask although they are not the server's own. */
  readonly corsOrigins: readonly string[];
  /** The first segments of paths behind which others answer, whom no link of another site's shall reach. */
  readonly upstreams: readonly string[];
}

const METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE";

/** How long a browser remembers what it was told, in seconds. */
const MAX_AGE = "600";

/** Names of headers with commas between; what is said back to a page is nothing else. */
const HEADER_NAMES = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+(?:\s*,\s*[A-Za-z0-9!#$%&'*+.^_`|~-]+)*$/;

/** What `Sec-Fetch-Site` says of requests that no page of another origin has made. */
const NOT_FOREIGN: ReadonlySet<string | null> = new Set([null, "same-origin", "none"]);

/** Checks whom requests are for and which pages they come from. */
export class Guard {
  readonly #hosts: OwnHosts;
  readonly #origins: ListedOrigins;
  readonly #upstreams: ReadonlySet<string>;

  /** @throws TypeError for a host that is none, and an origin that is none. */
  constructor(rules: GuardRules) {
    this.#hosts = new OwnHosts(rules);
    this.#origins = new ListedOrigins(rules.corsOrigins, rules);
    this.#upstreams = new Set(rules.upstreams);
  }

  /**
   * Lets requests pass, says to browsers which pages may read the answers, and answers when they ask that first.
   *
   * @throws ApiError 421 for a `Host` that is not the server's, 403 for a page that may not ask.
   */
  middleware(): MiddlewareHandler {
    return (context, next) => {
      const { headers, url } = context.req.raw;
      const host = headers.get("Host") || authorityOf(url);
      if (host !== undefined && !this.#hosts.has(host)) throw notOurs(host);
      const origin = headers.get("Origin");
      const site = headers.get("Sec-Fetch-Site");
      if (origin === null) {
        if (!NOT_FOREIGN.has(site) && !this.#isLink(context)) throw foreign("another site");
        return next();
      }
      // What the browser says of its page holds behind a gateway too that names the server otherwise.
      if (site === "same-origin" || origin === `http://${host}` || origin === `https://${host}`) return next();
      if (!this.#origins.has(origin)) throw foreign(origin);
      return answerPage(context, next, origin);
    };
  }

  /** Whether somebody has followed a link to here: the page that has it sees nothing of the answer. */
  #isLink({ req: { method, path, raw: { headers } } }: Context): boolean {
    return method === "GET" && headers.get("Sec-Fetch-Mode") === "navigate" &&
      headers.get("Sec-Fetch-Dest") === "document" && !this.#upstreams.has(path.split("/", 2)[1]!);
  }
}

/** A request without a `Host`, as of HTTP/1.0 and of HTTP/2, has what its runtime knows; Bun knows nothing. */
function authorityOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).host : undefined;
}

/** Without `Access-Control-Allow-Credentials`: a page shows a key of its own, never the cookie of whoever looks at it. */
async function answerPage(context: Context, next: () => Promise<void>, origin: string): Promise<Response | void> {
  const { method, raw: { headers } } = context.req;
  if (method === "OPTIONS" && headers.has("Access-Control-Request-Method")) {
    const wanted = headers.get("Access-Control-Request-Headers") ?? "";
    return new Response(null, {
      status: 204,
      headers: {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": METHODS,
        ...(HEADER_NAMES.test(wanted) && { "Access-Control-Allow-Headers": wanted }),
        "Access-Control-Max-Age": MAX_AGE,
        Vary: "Origin, Access-Control-Request-Headers",
      },
    });
  }
  await next();
  context.header("Access-Control-Allow-Origin", origin);
  context.header("Access-Control-Expose-Headers", "*");
  context.header("Vary", "Origin", { append: true });
}

function notOurs(host: string): ApiError {
  const name = host.slice(0, 260);
  const message = `The server does not answer as ${name}: start it with --allowed-host if that is one of its names`;
  return new ApiError(421, "invalid_request_error", message, { code: "unknown_host" });
}

function foreign(page: string): ApiError {
  const origin = page.slice(0, 260);
  const message =
    `A page of ${origin} may not ask this server: start it with --cors-origin if it is to be one of those`;
  return new ApiError(403, "authentication_error", message, { code: "foreign_origin" });
}
