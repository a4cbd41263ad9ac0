/**
 * The body of an answer on its way to a client who may take his time. A connection takes a few hundred kilobytes ahead;
 * the rest of a long answer is handed out as it is read, from bytes that all who read it have in common.
 *
 * @module
 */

import { sharedBytes } from "../answer/shared_bytes.ts";

/**
 * Shorter ones are given to the runtime at once, which then holds what a connection would anyway, and sends them
 * without a turn of the event loop for each piece.
 */
const LONG_BYTES = 1024 * 1024;

const PIECE_BYTES = 64 * 1024;

/** The same bytes, as a response sends them; a stream where they are many. */
export function servedBody(
  bytes: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> {
  return bytes.length < LONG_BYTES ? bytes : inPieces(sharedBytes(bytes));
}

/** Copies, for runtimes keep what they are given for as long as they like. Made when they are read, and not before. */
function inPieces(bytes: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(new Uint8Array(bytes.subarray(at, at += PIECE_BYTES)));
      if (at >= bytes.length) controller.close();
    },
  }, { highWaterMark: 0 });
}
