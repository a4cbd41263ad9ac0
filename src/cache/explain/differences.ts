/**
 * What differs between a stored request and the one that was asked: the answer to "why was this no hit?".
 *
 * @module
 */

import { Alignment, type Gap } from "./alignment.ts";
import { MAX_DEPTH } from "../request/canonical.ts";
import { excerptAround, excerptOf, wholeCharacter } from "./excerpt.ts";
import { isJsonObject, type JsonObject } from "../json.ts";
import { commonEnds } from "./likeness.ts";

/** One thing that differs. */
export interface Difference {
  /**
   * Where: `$.messages[1].content`, or `endpoint` for a member of the scope. The index is the asked request's; for what
   * is missing there, the stored one's.
   */
  readonly path: string;
  /**
   * What became of the stored request's value in the asked one: it was `changed`, it is `missing` there, or it was
   * `added` there and the stored request has none.
   */
  readonly kind: "changed" | "missing" | "added";
  /** The stored value as JSON, 80 UTF-16 code units at most; absent when `added`. */
  readonly stored?: string;
  /** The asked value likewise; absent when `missing`. */
  readonly asked?: string;
  /**
   * Of two texts: where they begin to differ, in UTF-16 code units; both excerpts begin shortly before. Of two lists that
   * are too long to be aligned: from which element on they differ.
   */
  readonly offset?: number;
}

/** How two requests compare. */
export interface Comparison {
  /** What differs, as much of it as was asked for. */
  readonly differences: readonly Difference[];
  /** How many differences there are in all. */
  readonly count: number;
  /** About how many characters one side has and the other lacks, on both sides. */
  readonly differing: number;
  /** About how many characters both sides have. */
  readonly size: number;
}

/** Options of {@link differences}. */
export interface DifferencesOptions {
  /** How many differences to return at most. 20 by default. */
  readonly limit?: number;
}

/** Differences that are returned unless more are asked for. */
const DEFAULT_LIMIT = 20;

/** What is not shared of longer texts is not compared word by word. */
const MAX_COMPARED_TEXT = 16_384;

/** A longer name is cut in a path. */
const MAX_NAME = 64;

/**
 * What differs between two values as `JSON.parse` gives them, in the order of sorted names. Lists are aligned: one
 * inserted element is one difference.
 *
 * @throws TypeError when a value is nested deeper than a request may be.
 * @throws RangeError when `limit` is no positive integer.
 */
export function differences(stored: unknown, asked: unknown, options: DifferencesOptions = {}): readonly Difference[] {
  return compareBodies(stored, asked, options).differences;
}

/** What differs and how much of it, for ordering requests by that; otherwise as {@link differences}. */
export function compareBodies(stored: unknown, asked: unknown, options: DifferencesOptions = {}): Comparison {
  const { limit = DEFAULT_LIMIT } = options;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(`Cannot compare requests (limit has to be a positive integer): ${limit}`);
  }
  const size = sizeOf(stored, 0) + sizeOf(asked, 0);
  const walk = new Walk(limit);
  walk.visit(stored, asked);
  return { differences: walk.found, count: walk.count, differing: walk.differing, size };
}

/** A way through two values at once. */
class Walk {
  readonly found: Difference[] = [];
  count = 0;
  differing = 0;
  readonly #alignment = new Alignment();
  readonly #path: (string | number)[] = [];
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  visit(stored: unknown, asked: unknown): void {
    if (stored === asked) return;
    if (Array.isArray(stored) && Array.isArray(asked)) this.#visitLists(stored, asked);
    else if (isJsonObject(stored) && isJsonObject(asked)) this.#visitObjects(stored, asked);
    else if (typeof stored === "string" && typeof asked === "string") this.#visitTexts(stored, asked);
    else this.#change(sizeOf(stored) + sizeOf(asked), () => [excerptOf(stored), excerptOf(asked)]);
  }

  #visitObjects(stored: JsonObject, asked: JsonObject): void {
    for (const name of [...new Set([...Object.keys(stored), ...Object.keys(asked)])].sort()) {
      this.#path.push(name);
      if (!Object.hasOwn(asked, name)) this.#miss(stored[name]);
      else if (!Object.hasOwn(stored, name)) this.#gain(asked[name]);
      else this.visit(stored[name], asked[name]);
      this.#path.pop();
    }
  }

  #visitLists(stored: readonly unknown[], asked: readonly unknown[]): void {
    const pairs = this.#alignment.pairs(stored, asked);
    if ("from" in pairs) return this.#visitLongLists(stored, asked, pairs);
    for (const [mine, theirs] of pairs) {
      this.#path.push(theirs ?? mine!);
      if (theirs === undefined) this.#miss(stored[mine!]);
      else if (mine === undefined) this.#gain(asked[theirs]);
      else this.visit(stored[mine], asked[theirs]);
      this.#path.pop();
    }
  }

  #visitLongLists(stored: readonly unknown[], asked: readonly unknown[], { from, to }: Gap): void {
    const [mine, theirs] = [stored.slice(from.stored, to.stored), asked.slice(from.asked, to.asked)];
    this.#change(sizeOf(mine) + sizeOf(theirs), () => [excerptOf(mine), excerptOf(theirs), from.asked]);
  }

  #visitTexts(stored: string, asked: string): void {
    const { start, end } = commonEnds(stored, asked);
    const [mine, theirs] = [stored.slice(start, stored.length - end), asked.slice(start, asked.length - end)];
    this.#change(mine.length + theirs.length - sharedWords(mine, theirs), () => {
      const offset = wholeCharacter(asked, wholeCharacter(stored, start));
      return [excerptAround(stored, offset), excerptAround(asked, offset), offset];
    });
  }

  #change(differing: number, excerpts: () => [stored: string, asked: string, offset?: number]): void {
    if (!this.#isWanted(differing)) return;
    const [stored, asked, offset] = excerpts();
    this.found.push({ path: this.#where(), kind: "changed", stored, asked, ...(offset !== undefined && { offset }) });
  }

  #miss(value: unknown): void {
    if (!this.#isWanted(sizeOf(value))) return;
    this.found.push({ path: this.#where(), kind: "missing", stored: excerptOf(value) });
  }

  #gain(value: unknown): void {
    if (!this.#isWanted(sizeOf(value))) return;
    this.found.push({ path: this.#where(), kind: "added", asked: excerptOf(value) });
  }

  /** Counts a difference, and says whether it is to be described. */
  #isWanted(differing: number): boolean {
    this.count++;
    this.differing += differing;
    return this.found.length < this.#limit;
  }

  #where(): string {
    const steps = this.#path.map((step) => typeof step === "number" ? `[${step}]` : `.${shortened(step)}`);
    return `$${steps.join("")}`;
  }
}

function shortened(name: string): string {
  return name.length > MAX_NAME ? `${name.slice(0, wholeCharacter(name, MAX_NAME))}…` : name;
}

/** How many characters of two texts are in words that both have, counted on both sides. */
function sharedWords(stored: string, asked: string): number {
  if (Math.max(stored.length, asked.length) > MAX_COMPARED_TEXT) return 0;
  const left = new Map<string, number>();
  for (const word of stored.split(" ")) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of asked.split(" ")) {
    const times = left.get(word) ?? 0;
    if (times === 0) continue;
    left.set(word, times - 1);
    shared += 2 * word.length;
  }
  return shared;
}

/** About the length of a value's JSON. */
function sizeOf(value: unknown, depth = 0): number {
  if (depth > MAX_DEPTH) throw new TypeError(`Cannot compare requests: nested deeper than ${MAX_DEPTH}`);
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 4;
  let size = 2;
  if (Array.isArray(value)) {
    for (const element of value) size += 1 + sizeOf(element, depth + 1);
  } else {
    for (const name of Object.keys(value)) size += name.length + 4 + sizeOf((value as JsonObject)[name], depth + 1);
  }
  return size;
}
