/**
 * What all pages have in common: head, way round, and the headers that keep anything foreign out of them.
 *
 * @module
 */

import { attribute, type Html, markup, NOTHING, type Piece } from "./html.ts";

/** Which colours: `auto` follows the system. */
export const THEMES = ["auto", "light", "dark"] as const;

/** One of {@link THEMES}. */
export type Theme = typeof THEMES[number];

/** What surrounds a page. */
export interface Frame {
  readonly title: string;
  /** The path it has in the way round, and which is marked there. */
  readonly place?: string;
  /** Path and query of the page itself, to come back to. */
  readonly path: string;
  readonly theme: Theme;
  /** The id of the key that its reader has logged in with. */
  readonly session: string | undefined;
  readonly version: string;
  /** The addresses of what it links to, which change with their content. */
  readonly assets: AssetAddresses;
}

/** Where the static parts of a page are. */
export interface AssetAddresses {
  readonly style: string;
  readonly script: string;
  readonly icon: string;
}

/** Nothing from elsewhere, no script or style in the page itself, no frame around it. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
  "form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const PLACES = [["/", "Overview"], ["/dashboard/requests", "Requests"], ["/dashboard/explain", "Explain"]] as const;

const THEME_NAMES: Readonly<Record<Theme, string>> = { auto: "System", light: "Light", dark: "Dark" };

/** The mark: an ember in its hearth. */
export const MARK: Html = markup`<svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
<path class="hearth" d="M3.2 13.5a8.8 8.8 0 1 0 17.6 0" />
<path class="ember"
d="M12 2.6c.6 3.2 4.9 5 4.9 9.4a4.9 4.9 0 0 1-9.8 0c0-2 1-3.2 1.9-4.3.4 1.2 1 1.8 1.7 2.1-.3-2.600.2-5.200 1.300-7.200z" />
</svg>`;

/** A whole page. */
export function page(frame: Frame, main: Html): Html {
  const { title, theme, assets } = frame;
  return markup`<!DOCTYPE html>
<html lang="en" ${theme === "auto" ? NOTHING : markup`data-theme="${theme}"`}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · warmcache</title>
<link rel="icon" href="${assets.icon}" type="image/svg+xml">
<link rel="stylesheet" href="${assets.style}">
<script src="${assets.script}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
${header(frame)}
<main id="main" tabindex="-1">
${main}
</main>
</body>
</html>`;
}

function header({ place, path, theme, session, version }: Frame): Html {
  return markup`<header class="top">
<div class="width">
<a class="brand" href="/">${MARK}<span>warmcache</span></a>
<nav aria-label="Dashboard">
<ul>${
    PLACES.map(([to, name]) =>
      markup`<li><a href="${to}" ${attribute("aria-current", to === place ? "page" : undefined)}>${name}</a></li>`
    )
  }</ul>
</nav>
<div class="tools">
<a href="/docs">API</a>
<span class="version">v${version}</span>
<form class="theme" method="post" action="/dashboard/theme">
<input type="hidden" name="back" value="${path}">
<label for="theme">Colours</label>
<select id="theme" name="theme">${
    THEMES.map((each) =>
      markup`<option value="${each}" ${each === theme ? markup`selected` : NOTHING}>${THEME_NAMES[each]}</option>`
    )
  }</select>
<button class="quiet" type="submit">Set</button>
</form>
${
    session === undefined ? NOTHING : markup`<form method="post" action="/dashboard/logout">
<button class="quiet" type="submit">Log out<span class="unseen"> of the key ${session}</span></button></form>`
  }
</div>
</div>
</header>`;
}

/** A page as a response. */
export async function pageResponse(content: Html, status = 200): Promise<Response> {
  return new Response(String(await content), {
    status,
    headers: {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": POLICY,
      "Cache-Control": "no-store",
      // Not `no-referrer`, with which browsers hide the origin of forms, too.
      "Referrer-Policy": "same-origin",
      "X-Content-Type-Options": "nosniff",
      "Vary": "Cookie",
    },
  });
}

/** A part of a page: its name and what it is about on the left, what there is on the right; on top where it `is-wide`. */
export function section(id: string, name: string, about: Html | string, content: Html, look = ""): Html {
  return markup`<section class="part ${look}" aria-labelledby="${id}-name">
<div class="about">
<h2 id="${id}-name">${name}</h2>
<p>${about}</p>
</div>
<div class="content">${content}</div>
</section>`;
}

/** What is to be said of one thing, by name. */
export type Fact = readonly [name: string, value: Piece];

/** The same as a list. */
export function factList(facts: readonly Fact[], look = ""): Html {
  return markup`<dl class="facts ${look}">${
    facts.map(([name, value]) => markup`<div><dt>${name}</dt><dd>${value}</dd></div>`)
  }</dl>`;
}
