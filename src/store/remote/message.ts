/**
 * What goes over the wire as a whole: some frames, each with a checksum of its own, so that a byte that is flipped on the
 * way costs the call that it is in, and never makes a wrong answer. The checksum of a reply is seeded with that of its
 * call: a reply to another call is as good as noise.
 *
 * A message is `wcr`, the version as a byte, and frames: 32 bits of length, 64 bits of XXH64, the payload. All numbers
 * are little-endian. `docs/remote.md` has it in words.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import { BadBytes } from "./bytes.ts";

/** The version of everything in this folder that both sides have to agree on. */
export const VERSION = 1;
/** Longest message, either way. What does not fit is refused, or sent in several. */
export const MOST_MESSAGE_BYTES: number = 64 * 1024 * 1024;
/** The media type of messages. */
export const MEDIA_TYPE = "application/vnd.warmcache.store";

const MAGIC = [0x77, 0x63, 0x72];
/** Bytes before the first frame. */
export const START_BYTES = 4;
/** Bytes of a frame before its payload. */
export const FRAME_BYTES = 12;

/** One frame. */
export interface Frame {
  readonly payload: Uint8Array;
  readonly sum: bigint;
  /** Whether the payload is what was sent. */
  readonly isIntact: boolean;
}

/** The seed of a frame's checksum, by its index. */
export type SeedOf = (index: number) => bigint;

/** The seeds of calls: no frame passes for another in the same message. */
export const byPlace: SeedOf = (index) => BigInt(index);

/** The bytes that a message begins with. */
export function messageStart(): Uint8Array {
  return Uint8Array.of(...MAGIC, VERSION);
}

/** A frame's bytes before its payload. */
export function frameHead(payload: Uint8Array, sum: bigint): Uint8Array {
  const head = new Uint8Array(FRAME_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(0, payload.byteLength, true);
  view.setBigUint64(4, sum, true);
  return head;
}

/** A message of some payloads, and the checksums that they have in it. */
export function writeMessage(
  payloads: readonly Uint8Array[],
  seedOf: SeedOf,
  checksum: Checksum,
): { readonly bytes: Uint8Array<ArrayBuffer>; readonly sums: readonly bigint[] } {
  const length = payloads.reduce((sum, { byteLength }) => sum + FRAME_BYTES + byteLength, START_BYTES);
  const bytes = new Uint8Array(length);
  bytes.set(messageStart());
  let at = START_BYTES;
  const sums = payloads.map((payload, index) => {
    const sum = checksum(payload, seedOf(index));
    bytes.set(frameHead(payload, sum), at);
    bytes.set(payload, at + FRAME_BYTES);
    at += FRAME_BYTES + payload.byteLength;
    return sum;
  });
  return { bytes, sums };
}

/**
 * The frames of a message, as views of it.
 *
 * @throws BadBytes when it is none, or one of another version.
 */
export function readMessage(bytes: Uint8Array, seedOf: SeedOf, checksum: Checksum): Frame[] {
  checkStart(bytes);
  const frames: Frame[] = [];
  for (let at = START_BYTES; at < bytes.byteLength;) {
    const length = frameLength(bytes, at);
    if (length === undefined || at + length > bytes.byteLength) throw new BadBytes("the message is cut off");
    frames.push(readFrame(bytes.subarray(at, at + length), seedOf(frames.length), checksum));
    at += length;
  }
  return frames;
}

/**
 * Checks what a message begins with.
 *
 * @throws BadBytes
 */
export function checkStart(bytes: Uint8Array): void {
  if (bytes.byteLength < START_BYTES || MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new BadBytes("it is no message of a warmcache store");
  }
  const version = bytes[MAGIC.length]!;
  if (version === VERSION) return;
  throw new BadBytes(`it is of version ${version}, and only ${VERSION} is understood here: update the older side`);
}

/** How long a frame is, payload included; `undefined` when not even that is there. */
export function frameLength(bytes: Uint8Array, at: number): number | undefined {
  if (bytes.byteLength - at < FRAME_BYTES) return undefined;
  return FRAME_BYTES + new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(0, true);
}

/** A frame that is there as a whole. */
export function readFrame(bytes: Uint8Array, seed: bigint, checksum: Checksum): Frame {
  const sum = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(4, true);
  const payload = bytes.subarray(FRAME_BYTES);
  return { payload, sum, isIntact: checksum(payload, seed) === sum };
}
