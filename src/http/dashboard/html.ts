/**
 * How pages are written: tagged templates of Hono's, which escape whatever is put into them. Nothing here is ever marked
 * as markup that came from outside.
 *
 * @module
 */

import { html } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

/** Writes markup. Formatters know Hono's name for it and move blanks about, which mean something here. */
export const markup: (strings: TemplateStringsArray, ...values: readonly Piece[]) => Html = html;

/** A piece of a page, escaped. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** What a template may be given: pieces, lists of them, texts and numbers, or nothing. */
export type Piece = Html | string | number | undefined | readonly Piece[];

/** Nothing. */
export const NOTHING = "";

/** An attribute such as `aria-current="page"`, there or not. */
export function attribute(name: string, value: string | undefined): Piece {
  return value === undefined ? NOTHING : markup`${name}="${value}"`;
}
