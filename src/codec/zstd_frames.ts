/**
 * Where a zstd frame ends, by its headers alone (RFC 8878, section 3.1.1): a file of several frames can then be read a
 * frame at a time, and nothing is decompressed before it is known how much of the file it is and what size it declares.
 *
 * @module
 */

import { CodecError } from "./error.ts";

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const;
const DICTIONARY_ID_BYTES: readonly number[] = [0, 1, 2, 4];
const BLOCK_HEADER_BYTES = 3;
/** A block of one byte repeated has that byte only, whatever size it declares. */
const REPEATED = 1;
const RESERVED = 3;

/**
 * The length of the frame that begins at `from`; `undefined` when it goes on beyond the end of `bytes`.
 *
 * @throws CodecError when no frame begins there.
 */
export function frameLength(bytes: Uint8Array, from: number): number | undefined {
  const left = bytes.byteLength - from;
  if (MAGIC.some((byte, index) => index < left && bytes[from + index] !== byte)) {
    throw new CodecError("Cannot read a frame of zstd: another kind of data begins here");
  }
  if (left < 5) return undefined;
  const descriptor = bytes[from + 4]!;
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 1 << sizeFlag;
  let at = from + 5 + (isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]! + sizeBytes;
  for (let isLast = false; !isLast;) {
    if (at + BLOCK_HEADER_BYTES > bytes.byteLength) return undefined;
    const header = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16;
    const type = (header >> 1) & 3;
    if (type === RESERVED) throw new CodecError("Cannot read a frame of zstd: it has a block of no known kind");
    isLast = (header & 1) === 1;
    at += BLOCK_HEADER_BYTES + (type === REPEATED ? 1 : header >> 3);
  }
  const end = at + ((descriptor & 4) === 0 ? 0 : 4);
  return end > bytes.byteLength ? undefined : end - from;
}
