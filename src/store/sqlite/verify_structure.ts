/**
 * Which page of a database is what: its trees are walked from their roots, page by page, so that a large one can be
 * looked at in slices. Whoever verifies wants to hear what is wrong with them; whoever salvages wants to know which
 * pages are in use, so that what was deleted does not come back.
 *
 * It looks for what SQLite's `integrity_check` looks for in pages: each used once, of the type its place wants, its cells
 * inside it and in order, free pages in their list, the pointer map right (ours all have one, since they are made with
 * `auto_vacuum`). That indexes have what tables have is checked
 * with SQL ({@link ./verify_rows.ts}).
 *
 * @module
 */

import type { PageReader, TreePage } from "./verify_pages.ts";
import {
  INTERIOR_INDEX,
  INTERIOR_TABLE,
  LEAF_TABLE,
  lockPage,
  payloadOf,
  pointerMapOf,
  pointerOf,
  readCell,
  readRecord,
  readTreePage,
  sqlValues,
  word,
} from "./verify_pages.ts";

/** Nothing is known of it. */
export const UNKNOWN = 0;
/** A page of a tree that lies where it belongs, though some of its cells may be broken. */
export const IN_TREE = 1;
/** Named by a tree, and not what should be there. */
export const DAMAGED = 2;
/** Where a record goes on. */
export const OVERFLOW = 3;
/** Free: what is on it was deleted. */
export const FREE = 4;
/** What says whose pages are whose, and the page whose bytes are locked. */
export const MAP = 5;

// What the pointer map calls them.
const MAP_ROOT = 1;
const MAP_FREE = 2;
const MAP_OVERFLOW_FIRST = 3;
const MAP_OVERFLOW_LATER = 4;
const MAP_TREE = 5;

/** What a page that no tree reaches is, by the pointer map. */
const BY_MAP: Readonly<Record<number, number>> = {
  [MAP_ROOT]: IN_TREE,
  [MAP_FREE]: FREE,
  [MAP_OVERFLOW_FIRST]: OVERFLOW,
  [MAP_OVERFLOW_LATER]: OVERFLOW,
  [MAP_TREE]: IN_TREE,
};

const FREELIST_AT = 32;
const FREE_COUNT_AT = 36;

/** Where a page hangs. */
interface Place {
  readonly page: number;
  readonly parent: number;
  /** Rowids of a table's pages are greater than this one, and not greater than that. */
  readonly low: number;
  readonly high: number;
}

/** What became of the walk. */
export interface Structure {
  /** What each page is, by its number. */
  readonly pages: Uint8Array;
}

/** Walks a database; yields after each page. `onProblem` hears of what is wrong, in words. */
export function* walkStructure(
  reader: PageReader,
  onProblem: (what: string) => void,
): Generator<undefined, Structure> {
  const walk = new Walk(reader, onProblem);
  yield* walk.all();
  return { pages: walk.pages };
}

class Walk {
  readonly pages: Uint8Array;
  readonly #reader: PageReader;
  readonly #onProblem: (what: string) => void;

  constructor(reader: PageReader, onProblem: (what: string) => void) {
    this.#reader = reader;
    this.#onProblem = onProblem;
    this.pages = new Uint8Array(reader.count + 1);
  }

  *all(): Generator<undefined, void> {
    const { count, pageSize } = this.#reader;
    const locked = lockPage(pageSize);
    if (locked <= count) this.pages[locked] = MAP;
    for (let page = 2; page <= count; page++) if (pointerMapOf(this.#reader, page) === page) this.pages[page] = MAP;
    // Free pages first: a tree that reaches into them is a tree gone wrong.
    yield* this.#freeList();
    const roots: number[] = [];
    yield* this.#tree(1, 1, (record) => roots.push(record));
    for (const root of roots) yield* this.#tree(root, MAP_ROOT);
    yield* this.#unreached();
  }

  *#freeList(): Generator<undefined, void> {
    const first = this.#reader.page(1);
    if (first === undefined) return this.#onProblem("page 1 cannot be read");
    let found = 0;
    for (let trunk = word(first, FREELIST_AT); trunk !== 0;) {
      const bytes = this.#take(trunk, FREE, "the list of free pages");
      if (bytes === undefined) return;
      found++;
      this.#compare(trunk, MAP_FREE, 0);
      const leaves = word(bytes, 4);
      if (leaves > this.#reader.pageSize / 4 - 2) return this.#onProblem(`page ${trunk} lists ${leaves} free pages`);
      for (let index = 0; index < leaves; index++) {
        const leaf = word(bytes, 8 + 4 * index);
        if (!this.#claim(leaf, FREE, `the list of free pages (page ${trunk})`)) return;
        found++;
        this.#compare(leaf, MAP_FREE, 0);
      }
      trunk = word(bytes, 0);
      yield;
    }
    const said = word(first, FREE_COUNT_AT);
    if (said !== found) this.#onProblem(`the header says ${said} pages are free, their list has ${found}`);
  }

  *#tree(root: number, mapKind: number, onRoot?: (root: number) => void): Generator<undefined, void> {
    const places: Place[] = [{ page: root, parent: 0, low: -Infinity, high: Infinity }];
    let wantsTable: boolean | undefined;
    while (places.length > 0) {
      const place = places.pop()!;
      yield;
      if (this.#take(place.page, DAMAGED, place.parent === 0 ? "a root" : `page ${place.parent}`) === undefined) {
        continue;
      }
      if (place.page !== 1) this.#compare(place.page, place.parent === 0 ? mapKind : MAP_TREE, place.parent);
      const page = readTreePage(this.#reader, place.page);
      const isTable = page && (page.type === LEAF_TABLE || page.type === INTERIOR_TABLE);
      if (page === undefined || (wantsTable ??= isTable) !== isTable) {
        this.#onProblem(`page ${place.page} is no page of the tree of page ${root}`);
        continue;
      }
      if (yield* this.#cells(page, place, places, onRoot)) this.pages[place.page] = IN_TREE;
    }
  }

  /** Looks at a page's cells; whether it lies where it belongs. */
  *#cells(
    page: TreePage,
    { low, high }: Place,
    places: Place[],
    onRoot: ((root: number) => void) | undefined,
  ): Generator<undefined, boolean> {
    const isInterior = page.type === INTERIOR_TABLE || page.type === INTERIOR_INDEX;
    const isTable = page.type === INTERIOR_TABLE || page.type === LEAF_TABLE;
    let last = low;
    let isPlaced = true;
    const fail = (what: string): void => this.#onProblem(`page ${page.number}: ${what}`);
    const first = (page.number === 1 ? 100 : 0) + (isInterior ? 12 : 8) + 2 * page.cells.length;
    for (const [index, at] of page.cells.entries()) {
      const cell = at < first ? undefined : readCell(this.#reader, page, at);
      if (cell === undefined) {
        fail(`cell ${index} cannot be read`);
        continue;
      }
      if (isTable) {
        if (!(cell.rowid > last) || cell.rowid > high) {
          isPlaced = false;
          fail(`rowid ${cell.rowid} is out of order`);
        }
        if (isInterior) places.push({ page: cell.child, parent: page.number, low: last, high: cell.rowid });
        last = cell.rowid;
      } else if (isInterior) {
        places.push({ page: cell.child, parent: page.number, low, high });
      }
      if (cell.local < cell.size) {
        let isWhole = true;
        const payload = payloadOf(this.#reader, page, cell, (overflow, parent) => {
          isWhole &&= this.#claim(overflow, OVERFLOW, `page ${page.number}`);
          const kind = parent === 0 ? MAP_OVERFLOW_FIRST : MAP_OVERFLOW_LATER;
          this.#compare(overflow, kind, parent === 0 ? page.number : parent);
        });
        if (payload === undefined || !isWhole) fail(`cell ${index} goes on where nothing of it is`);
        yield;
      }
      if (onRoot && page.type === LEAF_TABLE) {
        const payload = payloadOf(this.#reader, page, cell);
        const record = payload && readRecord(payload);
        const root = record && sqlValues(record)[3];
        if (typeof root === "number") {
          if (root > 0) onRoot(root);
        } else fail("a row of the schema cannot be read");
      }
    }
    if (isInterior) places.push({ page: page.right, parent: page.number, low: isTable ? last : low, high });
    return isPlaced;
  }

  *#unreached(): Generator<undefined, void> {
    for (let page = 1; page <= this.#reader.count; page++) {
      if (this.pages[page] !== UNKNOWN) continue;
      this.#onProblem(`page ${page} belongs to nothing`);
      // What the pointer map knows of it is the next best.
      const kind = pointerOf(this.#reader, page)?.kind;
      this.pages[page] = (kind === undefined ? undefined : BY_MAP[kind]) ?? UNKNOWN;
      if (page % 64 === 0) yield;
    }
  }

  #take(page: number, as: number, from: string): Uint8Array | undefined {
    if (!this.#claim(page, as, from)) return undefined;
    const bytes = this.#reader.page(page);
    if (bytes === undefined) this.#onProblem(`page ${page}, named by ${from}, cannot be read`);
    return bytes;
  }

  #claim(page: number, as: number, from: string): boolean {
    if (page < 1 || page > this.#reader.count) {
      this.#onProblem(`${from} names page ${page} of ${this.#reader.count}`);
      return false;
    }
    if (this.pages[page] !== UNKNOWN) {
      this.#onProblem(`${from} names page ${page}, which is another's`);
      return false;
    }
    this.pages[page] = as;
    return true;
  }

  #compare(page: number, kind: number, parent: number): void {
    const said = pointerOf(this.#reader, page);
    if (said?.kind === kind && said.parent === parent) return;
    this.#onProblem(`the pointer map is wrong about page ${page}`);
  }
}
