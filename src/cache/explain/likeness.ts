/**
 * How alike two parts of requests are. A list is aligned by asking that of many pairs of elements, so a value is looked
 * through once, and given a short name that all values equal to it share.
 *
 * @module
 */

import type { JsonObject } from "../json.ts";

/** Of two unequal texts this much is compared at either end, in UTF-16 code units. */
const MAX_COMPARED = 256;
/** Members, levels of nesting: enough for a message and a tool. */
const [MAX_MEMBERS, MAX_LEVELS] = [12, 4];

/** Compares the values of one comparison; they must not change meanwhile. */
export class Likeness {
  readonly #texts = new Map<string, number>();
  readonly #composites = new Map<string, number>();
  readonly #names = new Map<object, string>();
  #comparisons = 0;

  /** How many values {@link of} has compared: a measure of the time it took. */
  get comparisons(): number {
    return this.#comparisons;
  }

  /** How alike two values are, from 0 to 1. A rough guess: it only decides who is compared with whom. */
  of(stored: unknown, asked: unknown, level = 0): number {
    this.#comparisons++;
    if (this.nameOf(stored) === this.nameOf(asked)) return 1;
    if (typeof stored === "string" && typeof asked === "string") return likenessOfTexts(stored, asked);
    if (level === MAX_LEVELS || !isComposite(stored) || !isComposite(asked)) return 0;
    if (Array.isArray(stored) !== Array.isArray(asked)) return 0;
    const names = new Set([...namesOf(stored), ...namesOf(asked)]);
    this.#comparisons += names.size;
    let sum = 0;
    for (const name of names) {
      const isInBoth = Object.hasOwn(stored, name) && Object.hasOwn(asked, name);
      if (isInBoth) sum += this.of(stored[name], asked[name], level + 1);
    }
    return sum / names.size;
  }

  /** Whether two values are the same JSON. */
  areEqual(stored: unknown, asked: unknown): boolean {
    if (!isComposite(stored) || !isComposite(asked)) return stored === asked;
    return this.nameOf(stored) === this.nameOf(asked);
  }

  /** A short name that equal values have in common, and no others. */
  nameOf(value: unknown): string {
    if (typeof value === "string") return `"${numberOf(this.#texts, value)}`;
    if (typeof value !== "object" || value === null) return String(value);
    let name = this.#names.get(value);
    if (name === undefined) {
      name = `#${numberOf(this.#composites, this.#composition(value))}`;
      this.#names.set(value, name);
    }
    return name;
  }

  #composition(value: object): string {
    if (Array.isArray(value)) return `[${value.map((element) => this.nameOf(element)).join()}`;
    const members = value as Record<string, unknown>;
    return Object.keys(members).sort().map((name) => `${this.nameOf(name)}:${this.nameOf(members[name])}`).join();
  }
}

/** An object or a list, by name or index. */
function isComposite(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null;
}

function namesOf(value: JsonObject): string[] {
  return Array.isArray(value) ? Object.keys(value.slice(0, MAX_MEMBERS)) : Object.keys(value).slice(0, MAX_MEMBERS);
}

function numberOf(numbers: Map<string, number>, text: string): number {
  let number = numbers.get(text);
  if (number === undefined) numbers.set(text, number = numbers.size);
  return number;
}

function likenessOfTexts(stored: string, asked: string): number {
  const { start, end } = commonEnds(stored, asked, MAX_COMPARED);
  return (start + end) / Math.min(Math.max(stored.length, asked.length), 2 * MAX_COMPARED);
}

/** How many UTF-16 code units two texts have in common at their beginning and, beyond that, at their end. */
export function commonEnds(stored: string, asked: string, most: number = Infinity): { start: number; end: number } {
  const length = Math.min(stored.length, asked.length);
  let [start, end] = [0, 0];
  while (start < Math.min(length, most) && stored.charCodeAt(start) === asked.charCodeAt(start)) start++;
  const left = Math.min(length - start, most);
  while (end < left && stored.charCodeAt(stored.length - 1 - end) === asked.charCodeAt(asked.length - 1 - end)) end++;
  return { start, end };
}
