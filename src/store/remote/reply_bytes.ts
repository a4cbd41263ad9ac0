/**
 * What comes from a server, read for as long as it keeps coming and no further than it may: a server that has stopped in
 * the middle is noticed, and nobody makes us take more memory than a message has.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { BadBytes } from "./bytes.ts";
import { MOST_MESSAGE_BYTES } from "./message.ts";

/** The server owes something and says nothing. */
export class Silence extends Error {
  override readonly name = "Silence";
  constructor(patience: Milliseconds) {
    super(`it has said nothing for ${Math.round(patience)} ms`);
  }
}

/**
 * Waits for something, but not for ever.
 *
 * @throws Silence when it takes longer than `patience`; what `work` throws.
 */
export async function within<T>(work: Promise<T>, patience: Milliseconds, clock: Clock): Promise<T> {
  const settled = new AbortController();
  const late = clock.sleep(patience, { signal: settled.signal }).then(() => {
    throw new Silence(patience);
  });
  late.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    settled.abort();
  }
}

/** The pieces of a body; each is waited for. Whoever stops has the rest not sent. */
export async function* piecesOf(
  { body }: Response,
  patience: Milliseconds,
  clock: Clock,
): AsyncGenerator<Uint8Array> {
  if (body === null) return;
  const reader = body.getReader();
  let isDone = false;
  try {
    for (;;) {
      const next = await within(reader.read(), patience, clock);
      if (next.done) return void (isDone = true);
      yield next.value;
    }
  } finally {
    if (!isDone) reader.cancel().catch(() => {});
  }
}

/**
 * All of a body.
 *
 * @throws BadBytes when it is longer than a message may be, before so much is in memory.
 */
export async function bytesOf(response: Response, patience: Milliseconds, clock: Clock): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of piecesOf(response, patience, clock)) {
    length += piece.byteLength;
    if (length > MOST_MESSAGE_BYTES) throw new BadBytes(`it is longer than ${MOST_MESSAGE_BYTES} bytes`);
    pieces.push(piece);
  }
  return pieces.length === 1 ? pieces[0]! : joined(pieces, length);
}

/** Pieces as one. */
export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.byteLength;
  }
  return bytes;
}
