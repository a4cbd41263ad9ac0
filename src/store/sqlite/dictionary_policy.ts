/**
 * When a database builds a dictionary, and which answers use it. The figures behind the numbers are those that
 * `bench/dictionaries.ts` prints.
 *
 * @module
 */

/**
 * Below this a dictionary does not pay for its own 32 KiB: among 100 answers of 2 KB about different things it saved 5 %,
 * among 200 it saved 20 %; 50 were larger with it.
 */
export const FEWEST_ANSWERS = 200;
/** Once there are so many times the answers. Where the work had changed, twice as many showed it as well as 8 times. */
const GROWTH = 2;
/** Of answers of 32 KB it still saves 13 to 22 %, of 64 KB 8 to 16 %: not worth that they are tied to it. */
export const LARGEST_WITH_DICTIONARY: number = 32 * 1024;

/**
 * How many answers to build from, chosen at random: with twice as many the dictionary is 1 % better. The time it takes is
 * limited by the builder, not by this.
 */
export const SAMPLED_ANSWERS = 200;
/** Answers are compressed thoroughly up to this size, in bytes: that takes 4 ms, as long as the event loop may wait. */
export const LARGEST_RECOMPRESSED: number = 128 * 1024;

/**
 * Whether to build a dictionary, or to look for a better one, in a database of `answers`, of which `fewest` are enough.
 * `tried` is how many there were the last time, whatever came of it; 0 when there was none.
 */
export function isBuildDue(answers: number, tried: number, fewest: number = FEWEST_ANSWERS): boolean {
  return answers >= Math.max(fewest, GROWTH * tried);
}

/** Whether an answer of so many bytes is to be compressed with the database's dictionary. */
export function takesDictionary(size: number): boolean {
  return size <= LARGEST_WITH_DICTIONARY;
}
