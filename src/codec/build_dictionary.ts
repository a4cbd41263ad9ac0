/**
 * Builds a dictionary from samples of what it is for, and finds out whether it is worth having: some of the samples take
 * no part and are compressed with it and without. It takes tens of milliseconds, so it is done in steps between which
 * others have their turn.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import { THOROUGH } from "./codec.ts";
import { CodecError } from "./error.ts";
import { Dictionary, DICTIONARY_LIMIT, type Sha256 } from "./dictionary.ts";
import { selectSegments } from "./select_segments.ts";

/** What to build with. */
export interface BuildOptions {
  /** What is going to use the dictionary. */
  readonly codec: Codec;
  /** Names it. */
  readonly sha256: Sha256;
  /**
   * How large it may become, in bytes. Default: 32 KiB. Twice as much shortens answers by another 2 to 4 % and slows down
   * every compression; half as much lengthens them by 3 to 5 %.
   */
  readonly bytes?: number | undefined;
  /** Fewer samples give none. Default: {@link FEWEST_SAMPLES}; with fewer than 8 it cannot be judged. */
  readonly fewestSamples?: number | undefined;
  /** The one in use, which it has to be better than. Default: none. */
  readonly current?: Dictionary | undefined;
}

/** A dictionary that is worth having. */
export interface BuiltDictionary {
  readonly dictionary: Dictionary;
  /** Which part of their room it saved the samples that took no part: 0.1 is a tenth. */
  readonly saved: number;
}

/** Below this, what is repeated is told from chance too badly. */
export const FEWEST_SAMPLES = 16;
/** Every eighth sample takes no part. */
const HELD_OUT = 8;
/** A dictionary has to save a tenth, or it is more trouble than it is worth. */
const LEAST_SAVED = 0.1;
/** No more of a sample is looked at, and no more of all, so that time and memory (some 8 MB) have a limit. */
const SAMPLE_BYTES = 16 * 1024;
const MOST_BYTES = 1024 * 1024;
const DEFAULT_BYTES = 32 * 1024;

/**
 * Builds a dictionary; `undefined` where there are too few samples, or they are too little alike to gain a tenth.
 * Samples are looked at in the order given, a mebibyte of them at most, so give them in random order.
 *
 * To be run with `next()` until `done`. A step takes 0.2 ms as a rule, 3 at most (Deno, Node 24 and Bun on a two-core
 * VM); all of them 30 to 60 ms for 200 samples of 0.5 to 8 KB. The samples' bytes must not change meanwhile. The same samples give the same dictionary.
 *
 * @throws CodecError when the codec fails; RangeError for a size that no dictionary may have.
 */
export function* buildDictionary(
  samples: readonly Uint8Array[],
  { codec, sha256, bytes = DEFAULT_BYTES, current, fewestSamples = FEWEST_SAMPLES }: BuildOptions,
): Generator<undefined, BuiltDictionary | undefined> {
  if (!(bytes >= 256 && bytes <= DICTIONARY_LIMIT)) {
    throw new RangeError(`Cannot build a dictionary of ${bytes} bytes: it needs between 256 and ${DICTIONARY_LIMIT}`);
  }
  const used = cut(samples);
  if (used.length < fewestSamples) return undefined;
  const heldOut = used.filter((_, index) => index % HELD_OUT === HELD_OUT - 1);
  const content = yield* selectSegments(used.filter((_, index) => index % HELD_OUT !== HELD_OUT - 1), bytes);
  const dictionary = tryDictionary(content, sha256);
  if (dictionary === undefined || dictionary.id === current?.id) return undefined;
  let [before, after] = [0, 0];
  for (const sample of heldOut) {
    yield;
    before += codec.compress(sample, { level: THOROUGH, dictionary: current }).byteLength;
    after += codec.compress(sample, { level: THOROUGH, dictionary }).byteLength;
  }
  const saved = 1 - after / before;
  return saved >= LEAST_SAVED ? { dictionary, saved } : undefined;
}

/** As many of the samples, and as much of each, as is looked at. */
function cut(samples: readonly Uint8Array[]): Uint8Array[] {
  const used: Uint8Array[] = [];
  let left = MOST_BYTES;
  for (const sample of samples) {
    const part = sample.subarray(0, SAMPLE_BYTES);
    left -= part.byteLength;
    if (left < 0) break;
    used.push(part);
  }
  return used;
}

/** Nothing was repeated, or what was cannot be a dictionary. */
function tryDictionary(content: Uint8Array, sha256: Sha256): Dictionary | undefined {
  try {
    return new Dictionary(content, sha256);
  } catch (error) {
    if (error instanceof CodecError) return undefined;
    throw error;
  }
}
