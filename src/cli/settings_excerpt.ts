/**
 * The line of a settings file that a message is about, with what is meant underlined. There are credentials in such
 * files, and messages go to logs and to people who help: only what is known to be none is shown.
 *
 * @module
 */

import { createScanner, type ScanError, type SyntaxKind } from "jsonc-parser";

/** A place in a text, counted from 1; columns in UTF-16 code units, as editors do. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Part of a text. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** Characters of a line that are shown around what is meant. */
const AROUND = 60;

const HIDDEN = "…";

// The package declares them as `const enum`, which no runtime that strips types can read.
const STRING = 10 as SyntaxKind;
const COLON = 6;
const BRACE = 1;
const BRACKET = 3;
const PUNCTUATION: ReadonlySet<number> = new Set([1, 2, 3, 4, 5, COLON, 7, 8, 9, 14, 15]);
const END = 17;
const SOUND = 0 as ScanError;

/** Where an offset is. */
export function placeOf(text: string, offset: number): Place {
  const lines = text.slice(0, offset).split(/\r\n|\r|\n/);
  return { line: lines.length, column: lines.at(-1)!.length + 1 };
}

/**
 * The line with the start of a span, and a line of carets under the span.
 *
 * @param isShown whether the token at an offset may be shown: a name, or a value.
 */
export function excerpt(text: string, { offset, length }: Span, isShown: (offset: number) => boolean): string {
  const { line, column } = placeOf(text, offset);
  const start = offset - column + 1;
  const end = start + text.slice(start).search(/\r|\n|$/);
  let shown = "";
  let [from, to] = [0, 0];
  for (const part of partsOf(text, start, end, isShown)) {
    if (part.offset <= offset) from = shown.length + (part.isWhole ? 0 : offset - part.offset);
    shown += part.shown;
    if (part.offset < Math.min(end, offset + Math.max(length, 1))) to = shown.length;
  }
  const before = Math.max(0, from - AROUND);
  const cut = shown.slice(before, from + AROUND);
  const carets = "^".repeat(Math.max(1, Math.min(to - from, cut.length - (from - before))));
  const number = String(line);
  return [
    `  ${number} | ${cut.trimEnd()}`,
    `  ${" ".repeat(number.length)} | ${" ".repeat(from - before)}${carets}`,
  ].join("\n");
}

interface Part {
  readonly offset: number;
  readonly shown: string;
  /** Whether another text stands for it, which has no places inside. */
  readonly isWhole: boolean;
}

/** What is shown of each token between two offsets. */
function* partsOf(text: string, start: number, end: number, isShown: (offset: number) => boolean): Generator<Part> {
  const scanner = createScanner(text, false);
  for (let kind: number = scanner.scan(); kind !== END; kind = scanner.scan()) {
    const offset = scanner.getTokenOffset();
    const after = offset + scanner.getTokenLength();
    if (offset >= end) break;
    if (after <= start) continue;
    const isOpen = PUNCTUATION.has(kind) || (scanner.getTokenError() === SOUND && isShown(offset));
    const seen = text.slice(Math.max(start, offset), Math.min(end, after)).replace(/[^\x20-\x7e\xa1-\uffff]/g, " ");
    const hidden = kind === STRING ? `"${HIDDEN}"` : HIDDEN;
    yield { offset: Math.max(start, offset), shown: isOpen ? seen : hidden, isWhole: !isOpen };
  }
}

/**
 * Offsets of the names in a text that cannot be understood as a whole: texts with a colon behind them and none before
 * them, and not in a list.
 */
export function namesIn(text: string): ReadonlySet<number> {
  const scanner = createScanner(text, true);
  const names = new Set<number>();
  const open: number[] = [];
  let before = 0;
  let candidate: number | undefined;
  for (let kind: number = scanner.scan(); kind !== END; kind = scanner.scan()) {
    if (kind === COLON && candidate !== undefined) names.add(candidate);
    if (kind === BRACE || kind === BRACKET) open.push(kind);
    if (kind === BRACE + 1 || kind === BRACKET + 1) open.pop();
    const mayName = kind === STRING && before !== COLON && open.at(-1) !== BRACKET;
    candidate = mayName && scanner.getTokenError() === SOUND ? scanner.getTokenOffset() : undefined;
    before = kind;
  }
  return names;
}
