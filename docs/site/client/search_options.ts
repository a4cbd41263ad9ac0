/**
 * How the manual is searched: the same for whoever makes the index and for whoever reads it.
 *
 * @module
 */

import type { Options } from "minisearch";

/** A heading with what is below it. */
export interface Finding {
  readonly id: number;
  /** The page's name. */
  readonly page: string;
  readonly heading: string;
  readonly text: string;
  readonly href: string;
  /** The text's beginning. */
  readonly excerpt: string;
}

/** Words are those of prose and of code: `openCache` is found by `open`, too. */
export const SEARCH_OPTIONS: Options<Finding> = {
  fields: ["heading", "page", "text"],
  storeFields: ["page", "heading", "href", "excerpt"],
  tokenize: (text) =>
    text.split(/[^\p{L}\p{N}_]+/u).flatMap((word) => {
      const parts = word.split(/_|(?<=[a-z])(?=[A-Z])/).filter((part) => part !== "");
      return parts.length > 1 ? [word, ...parts] : parts;
    }),
  searchOptions: {
    boost: { heading: 4, page: 2 },
    prefix: true,
    fuzzy: (term) => term.length > 4 ? 0.2 : false,
    combineWith: "AND",
  },
};
