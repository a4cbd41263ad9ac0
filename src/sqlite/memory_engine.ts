/**
 * SQLite without a file system, for machines that have none. The package's own JavaScript makes small WebAssembly modules
 * while it starts, which the edge forbids, and brings file systems that nobody has there; so only its .wasm is used, with
 * the few things a database in memory asks of its surroundings.
 *
 * @module
 */

import { FileError } from "../runtime/runtime.ts";
import { loadWasm } from "../runtime/wasm.ts";
import type { RawSqlite } from "./heap.ts";
import { type Pointer, SqliteHeap } from "./heap.ts";

/** The C functions that are used besides those of {@link RawSqlite}. */
export interface RawMemorySqlite extends RawSqlite {
  /** What has to be called before anything else. */
  __wasm_call_ctors(): void;
  sqlite3_initialize(): number;
  /** https://sqlite.org/c3ref/serialize.html; the size is written as 64 bits. */
  sqlite3_serialize(database: Pointer, schema: Pointer, size: Pointer, flags: number): Pointer;
  /** https://sqlite.org/c3ref/deserialize.html */
  sqlite3_deserialize(
    database: Pointer,
    schema: Pointer,
    data: Pointer,
    size: bigint,
    capacity: bigint,
    flags: number,
  ): number;
}

/** Result codes by number, as far as a database in memory has them (https://sqlite.org/rescode.html). */
const CODES: Readonly<Record<number, string>> = {
  1: "SQLITE_ERROR",
  2: "SQLITE_INTERNAL",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  18: "SQLITE_TOOBIG",
  19: "SQLITE_CONSTRAINT",
  20: "SQLITE_MISMATCH",
  21: "SQLITE_MISUSE",
  25: "SQLITE_RANGE",
  26: "SQLITE_NOTADB",
};

/** The build's memory: what it has to begin with, and what it may grow to. */
const FIRST_PAGES = 128;
const MOST_PAGES = 32_768;
const PAGE_BYTES = 65_536;
/** "Not supported" (ENOSYS) where Emscripten's C library looks for it. */
const NOT_SUPPORTED = 52;

/** The loaded engine. */
export class MemoryEngine extends SqliteHeap {
  /** With the functions that only a database in memory needs. */
  declare readonly raw: RawMemorySqlite;

  /** The name of a result code's primary part. */
  codeName(code: number): string {
    return CODES[code & 0xff] ?? `SQLITE_${code & 0xff}`;
  }
}

let loaded: Promise<MemoryEngine> | undefined;

/** Loads SQLite, once per process; a failed load is tried again by the next call. */
export function loadMemoryEngine(): Promise<MemoryEngine> {
  return loaded ??= load().catch((error) => {
    loaded = undefined;
    throw error;
  });
}

async function load(): Promise<MemoryEngine> {
  const module = await loadWasm("sqlite3.wasm", () => import.meta.resolve("@sqlite.org/sqlite-wasm/sqlite3.wasm"));
  const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MOST_PAGES });
  let instance: WebAssembly.Instance;
  try {
    instance = await WebAssembly.instantiate(module, importsOf(module, memory));
  } catch (cause) {
    throw new FileError("Cannot use sqlite3.wasm: it is not the build of @sqlite.org/sqlite-wasm", "EINVAL", { cause });
  }
  const raw = instance.exports as unknown as RawMemorySqlite;
  raw.__wasm_call_ctors();
  raw.sqlite3_initialize();
  return new MemoryEngine(raw, memory as { readonly buffer: ArrayBuffer });
}

/** What SQLite asks for: the time and more memory. There are no files, and every attempt at one is told so. */
function importsOf(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Imports {
  const given: WebAssembly.ModuleImports = {
    memory,
    emscripten_date_now: () => Date.now(),
    emscripten_get_now: () => performance.now(),
    emscripten_get_heap_max: () => MOST_PAGES * PAGE_BYTES,
    /** Whether there is room for so many bytes now. */
    emscripten_resize_heap(size: number) {
      try {
        memory.grow(Math.ceil(((size >>> 0) - memory.buffer.byteLength) / PAGE_BYTES));
        return 1;
      } catch {
        return 0;
      }
    },
    /** Nanoseconds, to an address. */
    clock_time_get(_clock: number, _precision: bigint, target: Pointer) {
      new DataView(memory.buffer).setBigInt64(target, BigInt(Math.round(Date.now() * 1e6)), true);
      return 0;
    },
  };
  const imports: Record<string, WebAssembly.ModuleImports> = {};
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    const isSystemCall = name.startsWith("__syscall");
    (imports[from] ??= {})[name] = given[name] ?? (() => isSystemCall ? -NOT_SUPPORTED : NOT_SUPPORTED);
  }
  return imports;
}
