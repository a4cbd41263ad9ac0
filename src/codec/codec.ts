/**
 * Bytes in, bytes out. Answers are stored through a codec that their row names, so that one file may hold rows written
 * by different codecs, and a runtime without one of them still reads the others.
 *
 * A codec does not vouch for its input: most flipped bits decompress to wrong bytes without a complaint. Whoever stores
 * compressed bytes keeps a checksum of them (see {@link ./checksum.ts}).
 *
 * @module
 */

/** A way to write bytes more shortly and to get them back. Synchronous. */
export interface Codec {
  /** What a row calls it. */
  readonly name: string;
  /**
   * Compresses, with the help of a raw-content dictionary if one is given.
   *
   * @throws CodecError when the bytes cannot be compressed (too many, no memory).
   */
  compress(bytes: Uint8Array, dictionary?: Uint8Array): Uint8Array;
  /**
   * Gives back the bytes that were compressed. `size` is how many there were; the same dictionary must be given.
   *
   * @throws CodecError when the bytes do not say, or do not turn out, to be `size` long.
   */
  decompress(bytes: Uint8Array, size: number, dictionary?: Uint8Array): Uint8Array;
  /**
   * Has `use` look at what {@link decompress} gives back, without a copy: `use` must neither keep nor change the bytes,
   * nor call a codec. Throws as {@link decompress} does, and what `use` throws.
   */
  read<T>(bytes: Uint8Array, size: number, use: (content: Uint8Array) => T, dictionary?: Uint8Array): T;
}

/** Bytes could not be compressed or decompressed. */
export class CodecError extends Error {
  override readonly name = "CodecError";
}
