/**
 * The index of the search, made when the site is built: a document for every heading of every page.
 *
 * @module
 */

import MiniSearch from "minisearch";
import { SEARCH_OPTIONS } from "./client/search_options.ts";
import type { Section } from "./markdown.ts";

/** A page's part in it. */
export interface Searched {
  readonly title: string;
  /** The page's file. */
  readonly file: string;
  readonly sections: readonly Section[];
}

/** The longest text that is kept to be shown with a finding. */
const EXCERPT = 400;

/** A script that leaves the index where the page's own script looks for it. A script, since pages from a disk may not fetch. */
export function indexScript(pages: readonly Searched[]): string {
  const index = new MiniSearch(SEARCH_OPTIONS);
  let id = 0;
  for (const { title, file, sections } of pages) {
    for (const { heading, text } of sections) {
      const top = heading.level === 1;
      const href = top ? file : `${file}#${heading.anchor}`;
      index.add({
        id: id++,
        page: title,
        heading: top ? title : heading.text,
        text,
        href,
        excerpt: text.slice(0, EXCERPT),
      });
    }
  }
  return `globalThis.manualIndex=${JSON.stringify(JSON.stringify(index))};`;
}
