/**
 * What is around the text of every page: the way round, the search, the page's own headings, and what comes next.
 *
 * @module
 */

import { MARK } from "../../src/http/dashboard/page.ts";
import { escaped } from "./html.ts";
import type { Heading } from "./markdown.ts";
import { FRONT, GROUPS, type Place, PLACES } from "./navigation.ts";

/** A page to be framed. */
export interface Framed {
  readonly title: string;
  /** The page's file in the site. */
  readonly file: string;
  /** Where it stands in the navigation; what only is linked to, stands nowhere. */
  readonly place: Place | undefined;
  readonly html: string;
  readonly headings: readonly Heading[];
  /** What it is about, for search engines. */
  readonly description: string;
  readonly version: string;
}

const THEMES = [["auto", "System"], ["light", "Light"], ["dark", "Dark"]] as const;

/** Before anything is painted, so that nothing flashes. */
const EARLY = 'try{const t=localStorage.getItem("theme");if(t==="light"||t==="dark")' +
  "document.documentElement.dataset.theme=t}catch{}";

const LENS = '<svg class="lens" viewBox="0 0 16 16" aria-hidden="true"><circle cx="7" cy="7" r="4.6"/>' +
  '<path d="m10.5 10.5 4 4"/></svg>';

const BARS = '<svg class="lens" viewBox="0 0 16 16" aria-hidden="true"><path d="M1.5 4h13M1.5 8h13M1.5 12h13"/></svg>';

/** A command at the end of a heading is too long for the margin. */
const COMMAND = /(?:: |(\?) )<code.*$/;

/** The whole page. */
export async function framed(page: Framed): Promise<string> {
  const { title, file, place, html, headings, description, version } = page;
  const base = "../".repeat(file.split("/").length - 1);
  const front = place === FRONT;
  const mark = String(await MARK);
  return `<!DOCTYPE html>
<html lang="en" data-base="${base}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escaped(front ? "warmcache: the manual" : `${title} · warmcache`)}</title>
<meta name="description" content="${escaped(description)}">
<link rel="icon" href="${base}icon.svg" type="image/svg+xml">
<script>${EARLY}</script>
<link rel="stylesheet" href="${base}style.css">
<script src="${base}manual.js" defer></script>
</head>
<body${front ? ' class="is-front"' : ""}>
<a class="skip" href="#main">Skip to content</a>
<header class="top">
<button class="quiet menu" type="button" popovertarget="manual" aria-label="Contents">${BARS}</button>
<a class="brand" href="${base}index.html">${mark}<span>warmcache</span></a>
<span class="version">v${escaped(version)}</span>
<button class="seek" type="button" data-search hidden aria-keyshortcuts="/">${LENS}<span>Search</span><kbd>/</kbd></button>
<div class="theme" hidden><label class="unseen" for="theme">Colours</label><select id="theme">${
    THEMES.map(([value, name]) => `<option value="${value}">${name}</option>`).join("")
  }</select></div>
</header>
<div class="sheet">
<nav id="manual" class="side" popover aria-label="Manual">
${contents(base, place)}
</nav>
<main id="main" tabindex="-1">
<article>
${crumb(place)}${front ? withDoors(html) : html}</article>
${neighbours(base, place)}
</main>
<aside class="toc">${onThisPage(headings)}</aside>
</div>
<dialog id="search" aria-label="Search the manual">
<div class="field">${LENS}<input type="search" role="combobox" aria-expanded="true" aria-controls="found" aria-label="Search the manual" placeholder="Search the manual" autocomplete="off" spellcheck="false"><button class="quiet" type="button" data-close>Esc</button></div>
<ul id="found" role="listbox" aria-label="Found"></ul>
<p role="status"></p>
</dialog>
</body>
</html>
`;
}

function contents(base: string, here: Place | undefined): string {
  return GROUPS.map(({ name, places }) =>
    `<section><h2>${escaped(name)}</h2>\n<ul>${
      places.map((place) => {
        const current = place === here ? ' aria-current="page"' : "";
        const label = place === FRONT ? "What it is" : place.name;
        return `<li><a href="${base}${place.address}.html"${current}>${escaped(label)}</a></li>`;
      }).join("\n")
    }</ul></section>`
  ).join("\n");
}

/** The first page has ways in, below its first paragraph. */
function withDoors(html: string): string {
  const [first] = GROUPS;
  const doors = [first!.places[1]!, GROUPS[1]!.places[0]!, GROUPS[2]!.places[0]!];
  const links = doors.map(({ address, name }, index) =>
    `<a${index === 0 ? ' class="is-first"' : ""} href="${address}.html">${escaped(name)}</a>`
  );
  return html.replace("</p>", `</p>\n<p class="doors">${links.join("\n")}</p>`);
}

function crumb(place: Place | undefined): string {
  if (place === FRONT) return "";
  const group = GROUPS.find(({ places }) => place !== undefined && places.includes(place));
  return `<p class="crumb">${escaped(group?.name ?? "A file of the repository")}</p>\n`;
}

function onThisPage(headings: readonly Heading[]): string {
  const shown = headings.filter(({ level }) => level === 2 || level === 3);
  if (shown.length < 2) return "";
  const items = shown.map(({ level, html, anchor }) =>
    `<li class="is-${level}"><a href="#${anchor}">${html.replace(COMMAND, "$1")}</a></li>`
  );
  return `<h2>On this page</h2>\n<ul>${items.join("\n")}</ul>`;
}

function neighbours(base: string, place: Place | undefined): string {
  if (place === undefined) return "";
  const at = PLACES.indexOf(place);
  const link = (to: Place | undefined, word: string, kind: string): string =>
    to === undefined
      ? "<span></span>"
      : `<a class="${kind}" rel="${kind}" href="${base}${to.address}.html"><span>${word}</span><strong>${
        escaped(to === FRONT ? "What it is" : to.name)
      }</strong></a>`;
  return `<nav class="neighbours" aria-label="Before and after">${link(PLACES[at - 1], "Before", "prev")}${
    link(PLACES[at + 1], "Next", "next")
  }</nav>`;
}
