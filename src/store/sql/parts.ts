/**
 * Bytes too long for one row, in several: a row of a Durable Object's database holds 2 MB at most, and an answer with a
 * picture in it is longer.
 *
 * The checksum of the row they belong to is over all of them, so a part that is missing or another's is noticed.
 *
 * @module
 */

import type { SqlSession } from "./session.ts";

/** Bytes of a part, and of what is left in a row as it is. */
const PART_BYTES = 1024 * 1024;
const NONE = new Uint8Array(0);

const SELECT = "SELECT content FROM warmcache_part WHERE of = ? AND owner = ? ORDER BY number";
const INSERT = "INSERT INTO warmcache_part (of, owner, number, content) VALUES (?, ?, ?, ?)";
const DELETE = "DELETE FROM warmcache_part WHERE of = ? AND owner = ?";

/** Which table's row owns parts. */
export type PartOwner = "entry" | "request";

/** How many parts bytes need beside their row; 0 where they fit in it. */
export function partsOf(bytes: Uint8Array): number {
  return bytes.byteLength <= PART_BYTES ? 0 : Math.ceil(bytes.byteLength / PART_BYTES);
}

/** What of these bytes is in their row: all, or nothing. */
export function inRow(bytes: Uint8Array): Uint8Array {
  return partsOf(bytes) === 0 ? bytes : NONE;
}

/** Writes the parts of a row that was just inserted; has to be called in the same transaction. */
export function writeParts(session: SqlSession, of: PartOwner, owner: number, bytes: Uint8Array): void {
  const insert = session.statement(INSERT);
  for (let number = 0; number < partsOf(bytes); number++) {
    insert.run(of, owner, number, bytes.subarray(number * PART_BYTES, (number + 1) * PART_BYTES));
  }
}

/** The parts of a row, joined. */
export function readParts(session: SqlSession, of: PartOwner, owner: number): Uint8Array {
  const parts = session.statement(SELECT).all(of, owner).map(([content]) => content as Uint8Array);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.byteLength;
  }
  return bytes;
}

/** Removes the parts of a row that goes; has to be called in the same transaction. */
export function removeParts(session: SqlSession, of: PartOwner, owner: number): void {
  session.statement(DELETE).run(of, owner);
}
