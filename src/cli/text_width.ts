/**
 * Text in a terminal's columns. A sign of Chinese or an emoji takes two of them, an accent or a colour none; and what is
 * stored was written by strangers, so that nothing of it may be an order to the terminal.
 *
 * @module
 */

import stringWidth from "string-width";

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** Code units of one sign that people see, at most: what has more is no sign of any writing. */
const LONGEST_SIGN = 32;

/** How many columns a text takes. Colours take none. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** As much of a text, without colours, as fits in `width` columns; `…` stands for what does not. */
export function cutTo(text: string, width: number): string {
  const seen = text.slice(0, LONGEST_SIGN * (width + 1));
  if (seen.length === text.length && widthOf(text) <= width) return text;
  return width < 1 ? "" : `${beginning(seen, width - 1)}…`;
}

function beginning(text: string, width: number): string {
  let [taken, room] = ["", width];
  for (const { segment } of segmenter.segment(text)) {
    room -= widthOf(segment);
    if (room < 0) break;
    taken += segment;
  }
  return taken;
}

/** A text with blanks beside it, so that it takes `width` columns. */
export function padTo(text: string, width: number, side: "left" | "right" = "left"): string {
  const blanks = " ".repeat(Math.max(0, width - widthOf(text)));
  return side === "left" ? text + blanks : blanks + text;
}

/** Text as lines of at most `width` columns, broken between words where there are some; `before` begins each. */
export function wrapTo(text: string, width: number, before = ""): string {
  const room = Math.max(16, width - widthOf(before));
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    let filled = "";
    for (let word of line.split(/(?<= )/)) {
      if (filled !== "" && widthOf(filled) + widthOf(word.trimEnd()) > room) {
        lines.push(filled.trimEnd());
        filled = "";
      }
      while (widthOf(word.trimEnd()) > room) {
        const part = beginning(word, room);
        lines.push(part);
        word = word.slice(part.length);
      }
      filled += word;
    }
    lines.push(filled.trimEnd());
  }
  return lines.map((line) => before + line).join("\n");
}

// deno-lint-ignore no-control-regex -- these are the ones that must not get through
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;
// deno-lint-ignore no-control-regex -- the same, but for line breaks and tabs
const CONTROLS_IN_LINES = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/**
 * A text in one line, in which nothing is an order: controls (ECMA-48) are seen as what they are, and so are the marks
 * that turn the direction of writing (Unicode Standard Annex 9), by which a text can look like another.
 */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").replace(CONTROLS, visible);
}

/** The same, with its line breaks and tabs. */
export function harmless(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(CONTROLS_IN_LINES, visible);
}

/** The picture of a control (U+2400 and on), or the sign for what cannot be shown. */
function visible(control: string): string {
  const code = control.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return code === 0x7f ? "\u2421" : "\ufffd";
}
