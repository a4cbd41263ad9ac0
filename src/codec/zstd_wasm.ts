/**
 * zstd's C functions, as WASM exports. The package that builds the module wraps each call in copies and allocations,
 * and reads the .wasm only from beside itself, where a bundle does not have it; so only the .wasm is taken from it. Its
 * build shortens the names of what the module imports and exports, and the version is pinned: the tables here are that
 * version's.
 *
 * @module
 */

import { FileError } from "../runtime/runtime.ts";
import { loadWasm } from "../runtime/wasm.ts";

/** An address in zstd's heap; 0 is null. */
export type Pointer = number;

/** The functions that are used (zstd's manual, https://facebook.github.io/zstd/zstd_manual.html). */
export interface RawZstd {
  /** All of zstd's memory. Ask again after every call that may allocate: growing it detaches the old view. */
  readonly heap: Uint8Array<ArrayBuffer>;
  /** 0 when there is no memory left. */
  malloc(size: number): Pointer;
  free(pointer: Pointer): void;
  /** Whether what a function returned as a size is an error instead. */
  ZSTD_isError(code: number): number;
  ZSTD_compressBound(size: number): number;
  ZSTD_createCCtx(): Pointer;
  ZSTD_createDCtx(): Pointer;
  ZSTD_compress_usingDict(
    context: Pointer,
    target: Pointer,
    capacity: number,
    source: Pointer,
    size: number,
    dictionary: Pointer,
    dictionarySize: number,
    level: number,
  ): number;
  ZSTD_decompress_usingDict(
    context: Pointer,
    target: Pointer,
    capacity: number,
    source: Pointer,
    size: number,
    dictionary: Pointer,
    dictionarySize: number,
  ): number;
}

interface Exports {
  /** Memory, and what has to be called before anything else. */
  readonly f: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  readonly g: () => void;
  readonly h: RawZstd["ZSTD_isError"];
  readonly i: RawZstd["ZSTD_compressBound"];
  readonly j: RawZstd["ZSTD_createCCtx"];
  readonly l: RawZstd["ZSTD_compress_usingDict"];
  readonly n: RawZstd["ZSTD_createDCtx"];
  readonly q: RawZstd["ZSTD_decompress_usingDict"];
  readonly s: RawZstd["malloc"];
  readonly t: RawZstd["free"];
}

/** How many parameters the functions have, by which another build is told from this one. */
const PARAMETERS = { g: 0, h: 1, i: 1, j: 0, k: 1, l: 8, m: 5, n: 0, o: 1, p: 2, q: 7, r: 4, s: 1, t: 1 };
const PAGE_BYTES = 65_536;

/**
 * zstd, instantiated anew.
 *
 * @throws FileError when its .wasm is nowhere, or another build's.
 */
export async function loadRawZstd(): Promise<RawZstd> {
  const module = await loadWasm("zstd.wasm", inPackage);
  const { exports } = await WebAssembly.instantiate(module, { a: imports(() => wasm) });
  const wasm = exports as unknown as Exports;
  for (const [name, parameters] of Object.entries(PARAMETERS)) {
    if ((exports[name] as CallableFunction | undefined)?.length !== parameters) {
      throw new FileError(`Cannot use zstd.wasm: it is not the build of @bokuweb/zstd-wasm 0.0.27`, "EINVAL");
    }
  }
  wasm.g();
  let heap = new Uint8Array(wasm.f.buffer);
  return {
    get heap() {
      if (heap.byteLength === 0) heap = new Uint8Array(wasm.f.buffer);
      return heap;
    },
    malloc: wasm.s,
    free: wasm.t,
    ZSTD_isError: wasm.h,
    ZSTD_compressBound: wasm.i,
    ZSTD_createCCtx: wasm.j,
    ZSTD_createDCtx: wasm.n,
    ZSTD_compress_usingDict: wasm.l,
    ZSTD_decompress_usingDict: wasm.q,
  };
}

function inPackage(): string {
  return new URL("zstd.wasm", import.meta.resolve("@bokuweb/zstd-wasm")).href;
}

/** Never called: Deno fetches a package, and names it in ours, only where it sees an import of it. */
export const fetchPackage = (): Promise<unknown> => import("@bokuweb/zstd-wasm");

function imports(wasm: () => Exports): WebAssembly.ModuleImports {
  return {
    // proc_exit, abort: the C library's way of giving up. An exception is what reaches the caller.
    a: (code: number) => giveUp(`exit ${code}`),
    c: () => giveUp("abort"),
    // Timers of processes, of which there are none here.
    b() {},
    d: () => 0,
    // emscripten_resize_heap: whether there is room for so many bytes now.
    e(size: number) {
      const { f: memory } = wasm();
      try {
        memory.grow(Math.ceil(((size >>> 0) - memory.buffer.byteLength) / PAGE_BYTES));
        return 1;
      } catch {
        return 0;
      }
    },
  };
}

function giveUp(how: string): never {
  throw new RangeError(`Cannot go on: zstd gave up: ${how}`);
}
