/**
 * Which elements of two lists belong together, so that one inserted message is one difference and not as many as there
 * are messages after it.
 *
 * @module
 */

import { Likeness } from "./likeness.ts";

/** Elements that belong together but differ; the index is `undefined` on the side where there is none. */
export type Pair = readonly [stored: number | undefined, asked: number | undefined];

/** Comparisons of elements that are spent on pairing those that changed; afterwards they are paired as they come. */
const MAX_COMPARISONS = 2_000;
/** Lists that differ in a longer part are not aligned: in a list of tokens, an element says nothing. */
const MAX_ALIGNED = 1024;
/** What likeness is worth beside having a partner at all. */
const LIKENESS = 100;

/** A place in two lists. */
export interface Place {
  /** Index in the stored request's list. */
  readonly stored: number;
  /** Index in the asked request's list. */
  readonly asked: number;
}

/** A part of two lists. */
export interface Gap {
  /** The first elements in it. */
  readonly from: Place;
  /** The first elements after it. */
  readonly to: Place;
}

/** Aligns the lists of one comparison. What it finds out about a value serves for all lists that the value is in. */
export class Alignment {
  readonly #likeness = new Likeness();

  /**
   * The elements that are not equal, paired, in the order of the lists. Equal elements are matched first: those at both
   * ends, then those that either list has once, as far as their order agrees (Bram Cohen's patience diff). Of what lies
   * between them, those most alike are paired.
   *
   * Of lists that are too long for that, the part without the equal elements at both ends.
   */
  pairs(stored: readonly unknown[], asked: readonly unknown[]): readonly Pair[] | Gap {
    const isEqual = (mine: number, theirs: number): boolean => this.#likeness.areEqual(stored[mine], asked[theirs]);
    const pairs: Pair[] = [];
    const changed = trim({ stored: 0, asked: 0 }, { stored: stored.length, asked: asked.length }, isEqual);
    if (Math.max(...extent(changed)) > MAX_ALIGNED) return changed;
    let from = changed.from;
    for (const to of [...this.#anchors(stored, asked, changed), changed.to]) {
      this.#pairGap(stored, asked, trim(from, to, isEqual), pairs);
      from = { stored: to.stored + 1, asked: to.asked + 1 };
    }
    return pairs;
  }

  /** Where elements are equal that are in each list once: as many as are in the same order in both. */
  #anchors(stored: readonly unknown[], asked: readonly unknown[], gap: Gap): readonly Place[] {
    const { from, to } = gap;
    const [rows, columns] = extent(gap);
    if (rows * columns <= 1) return [];
    const mine = this.#placesOf(stored, from.stored, to.stored);
    const theirs = this.#placesOf(asked, from.asked, to.asked);
    const common: Place[] = [];
    for (const [name, place] of mine) {
      const other = theirs.get(name);
      if (place !== undefined && other !== undefined) common.push({ stored: place, asked: other });
    }
    return longestAscent(common);
  }

  /** Where each element is; `undefined` for one that is there more than once. */
  #placesOf(list: readonly unknown[], from: number, to: number): Map<string, number | undefined> {
    const places = new Map<string, number | undefined>();
    for (let index = from; index < to; index++) {
      const name = this.#likeness.nameOf(list[index]);
      places.set(name, places.has(name) ? undefined : index);
    }
    return places;
  }

  #pairGap(stored: readonly unknown[], asked: readonly unknown[], gap: Gap, pairs: Pair[]): void {
    const { from } = gap;
    const [rows, columns] = extent(gap);
    if (rows === columns || rows * columns === 0 || this.#likeness.comparisons + rows * columns > MAX_COMPARISONS) {
      for (let index = 0; index < Math.max(rows, columns); index++) {
        pairs.push([
          index < rows ? from.stored + index : undefined,
          index < columns ? from.asked + index : undefined,
        ]);
      }
      return;
    }
    // worth[row][column]: the most that can be had of the rows and columns from there on.
    const worth = Array.from({ length: rows + 1 }, () => new Float64Array(columns + 1));
    const together = worth.map(() => new Float64Array(columns));
    for (let row = rows - 1; row >= 0; row--) {
      for (let column = columns - 1; column >= 0; column--) {
        const likeness = this.#likeness.of(stored[from.stored + row], asked[from.asked + column]);
        together[row]![column] = 1 + LIKENESS * likeness + worth[row + 1]![column + 1]!;
        worth[row]![column] = Math.max(together[row]![column]!, worth[row + 1]![column]!, worth[row]![column + 1]!);
      }
    }
    let [row, column] = [0, 0];
    while (row < rows || column < columns) {
      const best = worth[row]![column]!;
      if (row < rows && column < columns && together[row]![column] === best) {
        pairs.push([from.stored + row++, from.asked + column++]);
      } else if (row < rows && (column === columns || worth[row + 1]![column] === best)) {
        pairs.push([from.stored + row++, undefined]);
      } else pairs.push([undefined, from.asked + column++]);
    }
  }
}

function extent({ from, to }: Gap): [rows: number, columns: number] {
  return [to.stored - from.stored, to.asked - from.asked];
}

/** A part without the equal elements at its ends. */
function trim(from: Place, to: Place, isEqual: (stored: number, asked: number) => boolean): Gap {
  const length = Math.min(to.stored - from.stored, to.asked - from.asked);
  let [start, end] = [0, 0];
  while (start < length && isEqual(from.stored + start, from.asked + start)) start++;
  while (end < length - start && isEqual(to.stored - 1 - end, to.asked - 1 - end)) end++;
  return {
    from: { stored: from.stored + start, asked: from.asked + start },
    to: { stored: to.stored - end, asked: to.asked - end },
  };
}

/** Of places in ascending order in the stored list, the most that ascend in the asked list too. */
function longestAscent(places: readonly Place[]): readonly Place[] {
  // lasts[n]: the lowest end of an ascent of n + 1 places; before: the one before each place in its ascent.
  const lasts: number[] = [];
  const before: (number | undefined)[] = [];
  for (const [index, { asked }] of places.entries()) {
    let [low, high] = [0, lasts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[lasts[middle]!]!.asked < asked) low = middle + 1;
      else high = middle;
    }
    before.push(low > 0 ? lasts[low - 1] : undefined);
    lasts[low] = index;
  }
  const ascent: Place[] = [];
  for (let at = lasts.at(-1); at !== undefined; at = before[at]) ascent.push(places[at]!);
  return ascent.reverse();
}
