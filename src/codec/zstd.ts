/**
 * zstd in WASM (RFC 8878). The package's own decompressor believes the size that a frame declares, up to gigabytes
 * that its heap never gives back, and does not notice when the allocation failed; so the frame's header is read here
 * first and nothing is handed on that does not declare exactly the size the caller expects.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Codec, CompressOptions } from "./codec.ts";
import { FAST } from "./codec.ts";
import { CodecError } from "./error.ts";
import type { Dictionary } from "./dictionary.ts";
import type { Pointer, RawZstd } from "./zstd_wasm.ts";
import { loadRawZstd } from "./zstd_wasm.ts";

/** The most bytes that are compressed or decompressed at once: 64 MiB. */
export const ZSTD_SIZE_LIMIT: number = 64 * 1024 * 1024;

const MAGIC = 0xfd2fb528;
const DICTIONARY_ID_BYTES: readonly number[] = [0, 1, 2, 4];
/** More memory than this is given back after use. */
const KEPT_BYTES = 1024 * 1024;
/** Dictionaries in zstd's heap, used last: 64 of the usual 32 KiB. */
const RESIDENT_BYTES = 2 * 1024 * 1024;

let loaded: Promise<Codec> | undefined;

/** Loads zstd, once per process; a failed load is tried again by the next call. */
export function loadZstd(): Promise<Codec> {
  return loaded ??= load().catch((error) => {
    loaded = undefined;
    throw error;
  });
}

async function load(): Promise<Codec> {
  return new Zstd(await loadRawZstd());
}

/**
 * Both contexts and the memory for what goes in and comes out are kept from call to call: with new ones, compressing 2 KB
 * takes nearly twice as long (32 instead of 18 µs, Node 24). So are dictionaries, by id, which names their content.
 */
export class Zstd implements Codec {
  readonly name = "zstd";
  readonly #raw: RawZstd;
  readonly #compressor: Pointer;
  readonly #decompressor: Pointer;
  readonly #resident: LRUCache<number, Pointer>;
  #memory: Pointer = 0;
  #capacity = 0;

  /** zstd on a heap of its own, with its memory and its contexts; {@link loadZstd} has one for all. */
  constructor(raw: RawZstd) {
    this.#raw = raw;
    this.#compressor = raw.ZSTD_createCCtx();
    this.#decompressor = raw.ZSTD_createDCtx();
    this.#resident = new LRUCache({
      maxSize: RESIDENT_BYTES,
      dispose: (pointer) => raw.free(pointer),
    });
  }

  compress(bytes: Uint8Array, { level = FAST, dictionary }: CompressOptions = {}): Uint8Array {
    const length = bytes.byteLength;
    if (length > ZSTD_SIZE_LIMIT) {
      throw new CodecError(`Cannot compress more than ${ZSTD_SIZE_LIMIT} bytes: received ${length}`);
    }
    const bound = this.#raw.ZSTD_compressBound(length);
    try {
      const known = this.#place("compress", bytes, dictionary);
      const target = this.#fill("compress", bound, bytes);
      const size = this.#attempt("compress", bytes, () =>
        this.#raw.ZSTD_compress_usingDict(
          this.#compressor,
          target,
          bound,
          target + bound,
          length,
          known,
          dictionary?.content.byteLength ?? 0,
          level,
        ));
      return this.#raw.heap.slice(target, target + size);
    } finally {
      this.#giveBackTooMuch();
    }
  }

  decompress(bytes: Uint8Array, size: number, dictionary?: Dictionary): Uint8Array {
    return this.read(bytes, size, copy, dictionary);
  }

  read<T>(bytes: Uint8Array, size: number, use: (content: Uint8Array) => T, dictionary?: Dictionary): T {
    try {
      return use(this.#decompress(bytes, size, dictionary));
    } finally {
      this.#giveBackTooMuch();
    }
  }

  /** What was compressed, where it lies in zstd's heap: valid until the next call. */
  #decompress(bytes: Uint8Array, size: number, dictionary: Dictionary | undefined): Uint8Array {
    const declared = declaredSize(bytes);
    if (declared !== size || size > ZSTD_SIZE_LIMIT) {
      throw new CodecError(`Cannot decompress a frame of ${size} bytes: it declares ${declared ?? "no size"}`);
    }
    const known = this.#place("decompress", bytes, dictionary);
    const target = this.#fill("decompress", size, bytes);
    const source = target + size;
    const written = this.#attempt("decompress", bytes, () =>
      this.#raw.ZSTD_decompress_usingDict(
        this.#decompressor,
        target,
        size,
        source,
        bytes.byteLength,
        known,
        dictionary?.content.byteLength ?? 0,
      ));
    if (written === size) return this.#raw.heap.subarray(target, source);
    throw new CodecError(`Cannot decompress a frame of ${size} bytes: it holds ${written}`);
  }

  /** Where a dictionary lies in zstd's heap, into which it is put if it is not there. */
  #place(action: string, bytes: Uint8Array, dictionary: Dictionary | undefined): Pointer {
    if (!dictionary) return 0;
    const { id, content } = dictionary;
    const resident = this.#resident.get(id);
    if (resident !== undefined) return resident;
    const pointer = this.#allocate(action, content.byteLength, bytes);
    this.#raw.heap.set(content, pointer);
    this.#resident.set(id, pointer, { size: content.byteLength });
    return pointer;
  }

  /** Puts bytes into zstd's heap, behind room for `capacity` bytes of result; returns where that is. */
  #fill(action: string, capacity: number, bytes: Uint8Array): Pointer {
    const needed = capacity + bytes.byteLength;
    if (needed > this.#capacity) {
      this.#release();
      this.#memory = this.#allocate(action, needed, bytes);
      this.#capacity = needed;
    }
    this.#raw.heap.set(bytes, this.#memory + capacity);
    return this.#memory;
  }

  #allocate(action: string, size: number, bytes: Uint8Array): Pointer {
    const pointer = this.#raw.malloc(size);
    if (pointer !== 0) return pointer;
    throw new CodecError(`Cannot ${action} ${bytes.byteLength} bytes: no memory`);
  }

  /** Calls a function of zstd that returns a size. */
  #attempt(action: string, bytes: Uint8Array, run: () => number): number {
    let size: number;
    try {
      size = run();
    } catch (cause) {
      throw new CodecError(`Cannot ${action} ${bytes.byteLength} bytes: zstd gave up`, { cause });
    }
    if (!this.#raw.ZSTD_isError(size)) return size;
    throw new CodecError(`Cannot ${action} ${bytes.byteLength} bytes: zstd refused them`);
  }

  #giveBackTooMuch(): void {
    if (this.#capacity > KEPT_BYTES) this.#release();
  }

  #release(): void {
    if (this.#memory !== 0) this.#raw.free(this.#memory);
    this.#memory = 0;
    this.#capacity = 0;
  }
}

/**
 * The content size that a zstd frame declares (RFC 8878, section 3.1.1.1), or `undefined` when it declares none or is
 * no frame.
 */
export function declaredSize(frame: Uint8Array): number | undefined {
  // By hand: a view would take longer to make than the header to read.
  if (frame.byteLength < 6 || littleEndian(frame, 0, 4) !== MAGIC) return undefined;
  const descriptor = frame[4]!;
  const singleSegment = (descriptor & 0x20) !== 0;
  const at = 5 + (singleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[descriptor & 3]!;
  const sizeFlag = descriptor >> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 1 << sizeFlag;
  if (sizeBytes === 0 || frame.byteLength < at + sizeBytes) return undefined;
  return littleEndian(frame, at, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
}

function littleEndian(bytes: Uint8Array, at: number, count: number): number {
  let value = 0;
  for (let index = count - 1; index >= 0; index--) value = value * 256 + bytes[at + index]!;
  return value;
}

function copy(bytes: Uint8Array): Uint8Array {
  return bytes.slice();
}
