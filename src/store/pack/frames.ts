/**
 * A file of text a frame at a time: whatever a file declares, no more than one frame of it is in memory.
 *
 * @module
 */

import { declaredSize } from "../../codec/zstd.ts";
import { frameLength } from "../../codec/zstd_frames.ts";
import { CodecError } from "../../codec/error.ts";
import type { OpenFile } from "../../runtime/runtime.ts";
import { nextTurn } from "../file/turns.ts";
import { broken } from "./failure.ts";
import { type Compression, FRAME_BYTES, MOST_FRAME_BYTES, type PackTools } from "./format.ts";

/** A part of a file, and the text that is in it. */
export interface Frame {
  /** Where it begins in the file, and its bytes there. */
  readonly at: number;
  readonly length: number;
  /** Where its text begins in the whole text, and its bytes. */
  readonly textAt: number;
  readonly textLength: number;
}

/** A file to be read. */
export interface FrameFile {
  readonly path: string;
  readonly compression: Compression;
  /** Bytes of text that may be in it. */
  readonly mostText: number;
}

/**
 * The frames of a file, one by one; other work has its turn between any two. The text is the receiver's.
 *
 * @throws FileError; CacheError `corrupt` where the file is cut off, is none, or declares more than it may.
 */
export async function* framesOf(
  { runtime, zstd }: PackTools,
  { path, compression, mostText }: FrameFile,
): AsyncGenerator<Frame & { readonly text: Uint8Array }> {
  const file = runtime.files.open(path, "read");
  try {
    const size = file.size();
    for (let at = 0, textAt = 0; at < size;) {
      const bytes = readAt(file, at, compression === "none" ? FRAME_BYTES : MOST_FRAME_BYTES);
      const { length, textLength } = measure(bytes, compression, path);
      if (textAt + textLength > mostText) {
        throw broken(path, `it has more than the ${mostText} bytes of text that it may have`);
      }
      const text = textOf({ zstd }, bytes.subarray(0, length), textLength, compression, path);
      yield { at, length, textAt, textLength, text };
      at += length;
      textAt += textLength;
      await nextTurn(runtime.clock);
    }
  } finally {
    file.close();
  }
}

/**
 * The text of a frame that {@link framesOf} has found.
 *
 * @throws FileError; CacheError `corrupt` when it is not there any more.
 */
export function readFrame(
  { runtime, zstd }: PackTools,
  path: string,
  compression: Compression,
  frame: Frame,
): Uint8Array {
  const file = runtime.files.open(path, "read");
  try {
    return textOf({ zstd }, readAt(file, frame.at, frame.length), frame.textLength, compression, path);
  } finally {
    file.close();
  }
}

function readAt(file: OpenFile, at: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, file.read(bytes, at));
}

function measure(bytes: Uint8Array, compression: Compression, path: string): Pick<Frame, "length" | "textLength"> {
  if (compression === "none") return { length: bytes.byteLength, textLength: bytes.byteLength };
  try {
    const textLength = declaredSize(bytes);
    if (textLength === undefined || textLength > FRAME_BYTES) {
      const declared = textLength === undefined ? "no size" : `${textLength} bytes of text`;
      throw broken(path, `a frame of it declares ${declared}, and ${FRAME_BYTES} is the most there can be`);
    }
    const length = frameLength(bytes, 0);
    if (length !== undefined) return { length, textLength };
    throw broken(path, bytes.byteLength < MOST_FRAME_BYTES ? "it ends in the middle" : "a frame of it has no end");
  } catch (error) {
    if (error instanceof CodecError) throw broken(path, error.message, error);
    throw error;
  }
}

function textOf(
  { zstd }: Pick<PackTools, "zstd">,
  bytes: Uint8Array,
  size: number,
  compression: Compression,
  path: string,
): Uint8Array {
  if (compression === "none") return bytes;
  try {
    return zstd.decompress(bytes, size);
  } catch (error) {
    throw broken(path, "a frame of it does not decompress", error);
  }
}
