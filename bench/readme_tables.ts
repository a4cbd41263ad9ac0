/**
 * The tables of `bench/README.md`, read back: what a picture shows is what was measured and written down there, and
 * nothing else.
 */

import { readFileSync } from "node:fs";

/** A table's figures by row and column, as they were written. */
export type Table = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The table of a section: the first, or the first below a line that says so. */
export function tableOf(section: string, below?: string): Table {
  const readme = readFileSync(new URL("./README.md", import.meta.url), "utf8");
  const part = readme.split(/^## /m).find((each) => each.startsWith(section));
  if (part === undefined) throw new Error(`bench/README.md has no section "${section}"`);
  const from = below === undefined ? 0 : part.indexOf(`\n${below}\n`);
  const [lines] = /(?:^\|.*\n)+/m.exec(from < 0 ? "" : part.slice(from)) ?? [];
  if (lines === undefined) {
    throw new Error(`bench/README.md, ${section}: there is no table below "${below ?? section}"`);
  }
  const [head = [], , ...rows] = lines.trim().split("\n").map(cellsOf);
  return new Map(rows.map((cells) => [cells[0]!, new Map(head.map((column, index) => [column, cells[index] ?? ""]))]));
}

/** A figure: the median, where its spread stands behind it. */
export function figure(table: Table, row: string, column: string): number {
  const cell = table.get(row)?.get(column);
  const value = Number.parseFloat(cell ?? "");
  if (Number.isNaN(value)) throw new Error(`The table has no figure for "${row}", "${column}"`);
  return value;
}

function cellsOf(line: string): string[] {
  return line.split("|").slice(1, -1).map((cell) => cell.trim());
}
