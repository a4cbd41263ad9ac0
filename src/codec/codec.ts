/**
 * Bytes in, bytes out. Answers are stored through a codec that their row names, so that one file may hold rows written
 * by different codecs, and a runtime without one of them still reads the others.
 *
 * A codec does not vouch for its input: most flipped bits decompress to wrong bytes without a complaint, and so does a
 * frame with another dictionary than it was compressed with. Whoever stores compressed bytes keeps a checksum of them
 * (see {@link ./checksum.ts}) and of the dictionary's id.
 *
 * @module
 */

import type { Dictionary } from "./dictionary.ts";

/** How to compress. */
export interface CompressOptions {
  /** How hard to try: {@link FAST} while somebody waits, {@link THOROUGH} in idle time. Default: {@link FAST}. */
  readonly level?: typeof FAST | typeof THOROUGH;
  /** What the bytes are likely to resemble. It is needed again to decompress. */
  readonly dictionary?: Dictionary | undefined;
}

/** A way to write bytes more shortly and to get them back. Synchronous. */
export interface Codec {
  /** What a row calls it. */
  readonly name: string;
  /**
   * Compresses.
   *
   * @throws CodecError when the bytes cannot be compressed (too many, no memory).
   */
  compress(bytes: Uint8Array, options?: CompressOptions): Uint8Array;
  /**
   * Gives back the bytes that were compressed. `size` is how many there were; the same dictionary must be given.
   *
   * @throws CodecError when the bytes do not say, or do not turn out, to be `size` long.
   */
  decompress(bytes: Uint8Array, size: number, dictionary?: Dictionary): Uint8Array;
  /**
   * Has `use` look at what {@link decompress} gives back, without a copy: `use` must neither keep nor change the bytes,
   * nor call a codec. Throws as {@link decompress} does, and what `use` throws.
   */
  read<T>(bytes: Uint8Array, size: number, use: (content: Uint8Array) => T, dictionary?: Dictionary): T;
}

/** The level for answers that somebody waits for: 10 to 80 µs up to 8 KB. */
export const FAST = 3;
/** The level for idle time: several times slower than {@link FAST}, to decompress as fast. */
export const THOROUGH = 9;
