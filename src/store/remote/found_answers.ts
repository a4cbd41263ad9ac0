/**
 * What a lookup found as a reply: as much of it as a message has room for. The client asks again for what is left, so no
 * answer is missed, and nobody makes the server take more memory than a message has.
 *
 * @module
 */

import { CacheError } from "../error.ts";
import type { Found, StoredEntry, Want } from "../store.ts";
import { ByteWriter } from "./bytes.ts";
import { Reply } from "./calls.ts";
import { FRAME_BYTES, MOST_MESSAGE_BYTES, START_BYTES } from "./message.ts";
import { writeFound } from "./values.ts";

/** What a frame, and an answer's fields, take besides what they say. */
const SPARE = 64;

/** How much still fits into a message. */
export class Room {
  #left = MOST_MESSAGE_BYTES - START_BYTES;

  /** Takes so much; whether there was as much. */
  take(bytes: number): boolean {
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }
}

/**
 * What was found for some wants: for as many of them as there is room for, so that the client asks for the others again.
 * Where not even the first fits in a message of its own, those of its answers that do.
 */
export function answersOf(wants: readonly Want[], found: readonly Found[], isFirst: boolean, room: Room): Uint8Array {
  const reply = new ByteWriter().byte(Reply.DONE);
  const answered: Uint8Array[] = [];
  for (const each of found) {
    const mayCut = isFirst && answered.length === 0;
    const payload = foundOf(each, room, mayCut);
    if (payload === undefined) break;
    answered.push(payload);
  }
  if (answered.length === 0 && wants.length > 0) return new ByteWriter().byte(Reply.LATER).done();
  return reply.list(answered, (payload) => reply.blob(payload)).done();
}

function foundOf(found: Found, room: Room, mayCut: boolean): Uint8Array | undefined {
  const entries: StoredEntry[] = [];
  let { corrupt } = found;
  if (!room.take(FRAME_BYTES + SPARE)) return undefined;
  for (const entry of found.entries) {
    let length: number;
    try {
      length = entry.read(({ byteLength }) => byteLength);
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      corrupt = true;
      continue;
    }
    const texts = [entry.mediaType, entry.modelAsked, entry.modelAnswered, entry.fingerprint];
    const bytes = length + texts.reduce((sum, text) => sum + 4 + 3 * (text?.length ?? 0), 2 * SPARE);
    if (room.take(bytes)) entries.push(entry);
    else if (!mayCut) return undefined;
    else break;
  }
  const writer = new ByteWriter();
  writeFound(writer, { ...found, corrupt }, entries);
  return writer.done();
}
