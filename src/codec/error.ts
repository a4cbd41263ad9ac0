/**
 * The one error class of this room.
 *
 * @module
 */

/** Bytes could not be compressed or decompressed. */
export class CodecError extends Error {
  override readonly name = "CodecError";
}
