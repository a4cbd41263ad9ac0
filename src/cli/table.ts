/**
 * Tables that fit. Where a terminal is too narrow, columns shrink to their least; then they are left out, in the order
 * that they say; what room is left over then goes to those that shrank, the first first.
 *
 * @module
 */

import type { Paint, Style } from "./paint.ts";
import { cutTo, oneLine, padTo, widthOf } from "./text_width.ts";

/** One column. */
export interface Column {
  readonly title: string;
  /** Numbers stand to the right. */
  readonly side?: "left" | "right";
  /** How narrow it may become; as wide as its cells when left out. */
  readonly least?: number;
  /** Columns are left out in this order, the lowest first; one that has none always stays. */
  readonly leaves?: number;
}

/** What stands in a cell: a text of one line, or what makes one that fits a width. */
export type Cell = string | { readonly widest: number; readonly within: (width: number) => string };

/** A line of a table: its cells, and how each is painted. */
export interface Row {
  readonly cells: readonly Cell[];
  readonly styles?: readonly (Style | undefined)[];
}

/** Blanks between two columns. */
const GAP = 2;

/** Widths of columns, 0 for one that is left out. */
export type Layout = readonly number[];

/** How wide columns would be that take what they need for these rows and their titles. */
export function naturalWidths(columns: readonly Column[], rows: readonly Row[]): number[] {
  return columns.map(({ title }, index) => {
    return rows.reduce((most, { cells }) => Math.max(most, widestOf(cells[index]!)), widthOf(title));
  });
}

/** Fits columns of these natural widths into `width`; one that needs none is left out. */
export function layOut(columns: readonly Column[], natural: readonly number[], width: number): Layout {
  const least = columns.map(({ least }, index) => Math.min(natural[index]!, least ?? Infinity));
  const isIn = natural.map((width) => width > 0);
  const taken = (): number => least.reduce((sum, each, index) => isIn[index] ? sum + each + GAP : sum, -GAP);
  const order = columns.map(({ leaves }, index) => ({ leaves, index })).filter(({ leaves }) => leaves !== undefined);
  order.sort((a, b) => a.leaves! - b.leaves!);
  for (const { index } of order) {
    if (taken() <= width) break;
    isIn[index] = false;
  }
  let room = Math.max(0, width - taken());
  return columns.map((_, index) => {
    if (!isIn[index]) return 0;
    const more = Math.min(room, natural[index]! - least[index]!);
    room -= more;
    return least[index]! + more;
  });
}

/** The titles of a table. */
export function titleLine(columns: readonly Column[], layout: Layout, paint: Paint): string {
  return line(columns, layout, { cells: columns.map(({ title }) => title), styles: columns.map(() => "bold") }, paint);
}

/** A line of a table. */
export function line(columns: readonly Column[], layout: Layout, { cells, styles = [] }: Row, paint: Paint): string {
  const shown = layout.flatMap((width, index) => width === 0 ? [] : [index]);
  const last = shown.at(-1);
  return shown.map((index) => {
    const [width, cell, { side }] = [layout[index]!, cells[index]!, columns[index]!];
    const text = cutTo(typeof cell === "string" ? oneLine(cell) : cell.within(width), width);
    const painted = paint(text, styles[index]);
    const blanks = padTo("", width - widthOf(text));
    // Nothing stands behind the last.
    return side === "right" ? blanks + painted : index === last ? painted : painted + blanks;
  }).join(" ".repeat(GAP)).trimEnd();
}

/** A whole table, as lines. */
export function table(columns: readonly Column[], rows: readonly Row[], width: number, paint: Paint): string[] {
  const layout = layOut(columns, naturalWidths(columns, rows), width);
  return [titleLine(columns, layout, paint), ...rows.map((row) => line(columns, layout, row, paint))];
}

function widestOf(cell: Cell): number {
  return typeof cell === "string" ? widthOf(oneLine(cell)) : cell.widest;
}
