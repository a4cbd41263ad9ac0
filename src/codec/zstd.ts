/**
 * zstd in WASM (RFC 8878). The package's own decompressor believes the size that a frame declares, up to gigabytes
 * that its heap never gives back, and does not notice when the allocation failed; so the frame's header is read here
 * first and nothing is handed on that does not declare exactly the size the caller expects.
 *
 * @module
 */

import {
  compress,
  compressUsingDict,
  createCCtx,
  createDCtx,
  decompress,
  decompressUsingDict,
  init,
} from "@bokuweb/zstd-wasm";
import type { Codec } from "./codec.ts";
import { CodecError } from "./codec.ts";

/** The most bytes that are compressed or decompressed at once: 64 MiB. */
export const ZSTD_SIZE_LIMIT: number = 64 * 1024 * 1024;

const LEVEL = 3;
const MAGIC = 0xfd2fb528;

let loaded: Promise<Codec> | undefined;

/** Loads zstd, once per process; a failed load is tried again by the next call. */
export function loadZstd(): Promise<Codec> {
  return loaded ??= load().catch((error) => {
    loaded = undefined;
    throw error;
  });
}

async function load(): Promise<Codec> {
  await init();
  const compressor = createCCtx();
  const decompressor = createDCtx();
  return {
    name: "zstd",
    compress(bytes, dictionary) {
      if (bytes.byteLength > ZSTD_SIZE_LIMIT) {
        throw new CodecError(`Cannot compress more than ${ZSTD_SIZE_LIMIT} bytes: received ${bytes.byteLength}`);
      }
      return attempt(
        "compress",
        bytes,
        () => dictionary ? compressUsingDict(compressor, bytes, dictionary, LEVEL) : compress(bytes, LEVEL),
      );
    },
    decompress(bytes, size, dictionary) {
      const declared = declaredSize(bytes);
      if (declared !== size || size > ZSTD_SIZE_LIMIT) {
        throw new CodecError(`Cannot decompress a frame of ${size} bytes: it declares ${declared ?? "no size"}`);
      }
      const result = attempt(
        "decompress",
        bytes,
        () => dictionary ? decompressUsingDict(decompressor, bytes, dictionary) : decompress(bytes),
      );
      if (result.byteLength === size) return result;
      throw new CodecError(`Cannot decompress a frame of ${size} bytes: it holds ${result.byteLength}`);
    },
  };
}

/**
 * The content size that a zstd frame declares (RFC 8878, section 3.1.1.1), or `undefined` when it declares none or is
 * no frame.
 */
export function declaredSize(frame: Uint8Array): number | undefined {
  if (frame.byteLength < 6) return undefined;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  const descriptor = view.getUint8(4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryIdBytes = [0, 1, 2, 4][descriptor & 3]!;
  const at = 5 + (singleSegment ? 0 : 1) + dictionaryIdBytes;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  if (sizeBytes === 0 || frame.byteLength < at + sizeBytes) return undefined;
  if (sizeBytes === 1) return view.getUint8(at);
  if (sizeBytes === 2) return view.getUint16(at, true) + 256;
  if (sizeBytes === 4) return view.getUint32(at, true);
  return Number(view.getBigUint64(at, true));
}

function attempt(action: string, bytes: Uint8Array, run: () => Uint8Array): Uint8Array {
  try {
    return run();
  } catch (cause) {
    throw new CodecError(`Cannot ${action} ${bytes.byteLength} bytes: zstd refused them`, { cause });
  }
}
