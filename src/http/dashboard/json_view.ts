/**
 * JSON as people read it: indented and coloured. A request may have megabytes; a page shows the beginning.
 *
 * @module
 */

import { bytes } from "../../runtime/readable.ts";
import { type Html, markup, NOTHING, type Piece } from "./html.ts";

/** UTF-16 code units that are shown at most. */
export const SHOWN_JSON = 60_000;

/** A string that is a name, a string, a number, a word; what lies between is punctuation. */
const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** A value as `JSON.parse` gives it. */
export function jsonView(value: unknown, label: string): Html {
  return codeView(JSON.stringify(value, null, 2) ?? "", label, coloured);
}

/** Any text, as it is. */
export function textView(text: string, label: string): Html {
  return codeView(text, label, (shown) => shown);
}

function codeView(text: string, label: string, paint: (shown: string) => Piece): Html {
  const shown = text.slice(0, SHOWN_JSON);
  return markup`<pre class="json" tabindex="0" role="region" aria-label="${label}"><code>${paint(shown)}</code></pre>${
    shown.length === text.length
      ? NOTHING
      : markup`<p class="faint">The first ${bytes(shown.length)} of ${bytes(text.length)}.</p>`
  }`;
}

function coloured(text: string): Piece {
  const pieces: Piece[] = [];
  let last = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [whole, string, colon, number] = match;
    pieces.push(text.slice(last, match.index));
    last = match.index + whole.length;
    if (string !== undefined && colon !== undefined) pieces.push(markup`<b>${string}</b>${colon}`);
    else if (string !== undefined) pieces.push(markup`<i>${string}</i>`);
    else pieces.push(markup`<u>${number ?? whole}</u>`);
  }
  return [...pieces, text.slice(last)];
}
