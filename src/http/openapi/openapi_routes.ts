/**
 * `/openapi.json` and `/docs`: what the server answers, for programs and for people. Both answer anybody: what they tell
 * is in the public documentation, but for the names of the upstreams.
 *
 * @module
 */

import type { Hono } from "hono";
import { toBase64 } from "../../runtime/base64.ts";
import type { ServerParts } from "../parts.ts";

/** What is told, once it is made. */
interface Description {
  readonly json: string;
  readonly page: (origin: string, search: string) => string;
  readonly policy: string;
}

/** Longest text that is searched for. */
const LONGEST_SEARCH = 200;

/** Adds the routes. */
export function openapiRoutes(app: Hono, parts: ServerParts): void {
  let described: Promise<Description> | undefined;
  // Made when it is first asked for: a server that nobody asks starts no later for it.
  const description = (): Promise<Description> => described ??= describe(parts);

  app.get("/openapi.json", async () => {
    const { json } = await description();
    return new Response(json, { headers: { "Content-Type": "application/json", "Cache-Control": "no-cache" } });
  });
  app.get("/docs", async (context) => {
    const { page, policy } = await description();
    const search = (context.req.query("q") ?? "").slice(0, LONGEST_SEARCH);
    return new Response(page(new URL(context.req.url).origin, search), {
      headers: {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
      },
    });
  });
}

async function describe(parts: ServerParts): Promise<Description> {
  const [{ describeServer }, { docsPage }, { DOCS_STYLE }] = await Promise.all([
    import("./document.ts"),
    import("./docs_page.ts"),
    import("./docs_style.ts"),
  ]);
  const document = describeServer(parts);
  return {
    json: JSON.stringify(document),
    page: (origin, search) => docsPage(document, { origin, search }),
    policy: contentPolicy(parts.runtime.sha256(new TextEncoder().encode(DOCS_STYLE))),
  };
}

/** Nothing that is not in the page itself is loaded or run, not even a style, and no other site shows it in a frame. */
function contentPolicy(styleDigest: Uint8Array): string {
  return `default-src 'none'; style-src 'sha256-${toBase64(styleDigest)}'; base-uri 'none'; form-action 'self'; ` +
    "frame-ancestors 'none'";
}
