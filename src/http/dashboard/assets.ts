/**
 * What pages link to: one style sheet, one script, one icon, all from here. Their addresses have a digest of their content
 * in them, so a browser keeps them for ever and never shows a new page with an old style.
 *
 * @module
 */

import type { Hono } from "hono";
import { hexOf } from "../../runtime/hex.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { AssetAddresses } from "./page.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** The mark, as an icon. */
export const ICON: string =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none"><path d="M3.2 13.5a8.8 8.8 0 1 0 17.6 0" stroke="#8a8178" stroke-width="2.2" stroke-linecap="round"/><path d="M12 2.6c.6 3.2 4.9 5 4.9 9.4a4.9 4.9 0 0 1-9.8 0c0-2 1-3.2 1.9-4.3.4 1.2 1 1.8 1.7 2.1-.3-2.6.2-5.2 1.3-7.2z" fill="#e0622a"/></svg>`;

/** Adds the routes, which answer anybody: the page to log in at needs them. */
export function assetRoutes(app: Hono, { sha256 }: Pick<Runtime, "sha256">): AssetAddresses {
  const serve = (name: string, type: string, content: string): string => {
    const bytes = new TextEncoder().encode(content);
    app.get(`/dashboard/${name}`, () =>
      new Response(bytes, {
        headers: {
          "Content-Type": type,
          "Cache-Control": "public, max-age=31536000, immutable",
          "X-Content-Type-Options": "nosniff",
        },
      }));
    return `/dashboard/${name}?v=${hexOf(sha256(bytes)).slice(0, 12)}`;
  };
  return {
    style: serve("style.css", "text/css; charset=utf-8", STYLE),
    script: serve("script.js", "text/javascript; charset=utf-8", SCRIPT),
    icon: serve("icon.svg", "image/svg+xml", ICON),
  };
}
