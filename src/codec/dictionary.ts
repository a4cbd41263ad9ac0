/**
 * A dictionary: bytes that answers are likely to resemble, which need not be stored in each of them again. A small
 * answer compressed with one takes a fraction of the room.
 *
 * zstd notices nothing when it decompresses with the wrong bytes: these dictionaries, unlike trained ones, carry no id of
 * their own, and what comes out is wrong without a complaint. So a dictionary's id is taken from the SHA-256 of its
 * content. A row that names the id, under the row's checksum, thereby names the content, and a dictionary whose content
 * is not the one that its id stands for is never made.
 *
 * @module
 */

import { CodecError } from "./error.ts";

/** The most bytes a dictionary may have: 128 KiB. Larger ones gain next to nothing and take time with every answer. */
export const DICTIONARY_LIMIT: number = 128 * 1024;

/** SHA-256 of bytes, as 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** zstd reads bytes that begin so as tables and content (RFC 8878, section 5). */
const FORMATTED = [0x37, 0xa4, 0x30, 0xec];
/** zstd takes no notice of fewer. */
const SHORTEST = 8;

/** A dictionary whose content is what its id says. */
export class Dictionary {
  /** Names the content: {@link dictionaryId}. */
  readonly id: number;
  /** The bytes, which must not be changed. */
  readonly content: Uint8Array;

  /**
   * Makes a dictionary of a copy of `content`; of stored content, `id` is what it was stored under.
   *
   * @throws CodecError when the content is not what `id` stands for, or cannot be a dictionary.
   */
  constructor(content: Uint8Array, sha256: Sha256, id?: number) {
    const { byteLength } = content;
    if (byteLength < SHORTEST || byteLength > DICTIONARY_LIMIT) {
      throw new CodecError(
        `Cannot use a dictionary of ${byteLength} bytes: it needs between ${SHORTEST} and ${DICTIONARY_LIMIT}`,
      );
    }
    if (FORMATTED.every((byte, index) => content[index] === byte)) {
      throw new CodecError("Cannot use a dictionary with tables: give its content alone");
    }
    this.content = content.slice();
    this.id = dictionaryId(this.content, sha256);
    if (id !== undefined && id !== this.id) {
      throw new CodecError(`Cannot use dictionary ${id}: its content is that of ${this.id}`);
    }
  }
}

/**
 * The number that stands for a dictionary's content: the first 52 bits of its SHA-256, between 1 and 2^52 - 1, so that
 * every language and SQLite hold it exactly. That is enough against accidents, which is what checksums are for; whoever
 * can write to the database needs no second dictionary of the same id to change answers.
 */
export function dictionaryId(content: Uint8Array, sha256: Sha256): number {
  const digest = sha256(content);
  let id = 0;
  for (let index = 0; index < 6; index++) id = id * 256 + digest[index]!;
  return id * 16 + (digest[6]! >> 4) || 1;
}
