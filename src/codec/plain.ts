/**
 * The codec of rows that compression does not shorten: tiny answers, and those that are compressed already.
 *
 * @module
 */

import type { Codec } from "./codec.ts";
import { CodecError } from "./error.ts";

/** Stores bytes as they are. */
export const plain: Codec = {
  name: "plain",
  compress: (bytes) => bytes,
  decompress(bytes, size) {
    if (bytes.byteLength === size) return bytes;
    throw new CodecError(`Cannot read plain bytes: expected ${size}, found ${bytes.byteLength}`);
  },
  read: (bytes, size, use) => use(plain.decompress(bytes, size)),
};
