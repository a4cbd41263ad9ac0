/**
 * SQLite itself: one WASM instance per process, seen through its raw C exports. The package's object-oriented layer
 * costs 5 µs a lookup more than these (measured), so only its struct and function-table helpers are used.
 *
 * @module
 */

import type { Sqlite3Static } from "@sqlite.org/sqlite-wasm";
import init from "@sqlite.org/sqlite-wasm";
import { FileError } from "../runtime/runtime.ts";
import { loadWasm } from "../runtime/wasm.ts";
import type { RawSqlite } from "./heap.ts";
import { SqliteHeap } from "./heap.ts";
import { FileVfs } from "./vfs.ts";

/** The loaded engine. */
export class Engine extends SqliteHeap {
  readonly vfs: FileVfs;
  readonly #sqlite3: Sqlite3Static;

  constructor(sqlite3: Sqlite3Static) {
    const { exports, memory } = sqlite3.wasm as unknown as { exports: RawSqlite; memory: { buffer: ArrayBuffer } };
    super(exports, memory);
    this.#sqlite3 = sqlite3;
    this.vfs = new FileVfs(sqlite3, () => this.heap);
  }

  /** The name of a result code's primary part: `SQLITE_BUSY` for 5 and for 261. */
  codeName(code: number): string {
    return this.#sqlite3.capi.sqlite3_js_rc_str(code & 0xff) ?? `SQLITE_${code & 0xff}`;
  }
}

const silent = (): void => {};

/** What the package looks for in a global of its own, and takes away, when it is loaded. */
const PACKAGE_CONFIG: object = {
  // In browsers it would bring ways to files of its own, and start Workers for them whose modules no bundle has.
  disable: { vfs: { kvvfs: true, opfs: true, "opfs-vfs": true, "opfs-sahpool": true, "opfs-wl": true } },
  // It reports every refused statement on the console; here the caller gets an error instead.
  debug: silent,
  log: silent,
  warn: silent,
  error: silent,
};

let loaded: Promise<Engine> | undefined;

/** Loads SQLite, once per process; a failed load is tried again by the next call. */
export function loadEngine(): Promise<Engine> {
  return loaded ??= load().catch((error) => {
    loaded = undefined;
    throw error;
  });
}

async function load(): Promise<Engine> {
  const module = await loadWasm("sqlite3.wasm", () => import.meta.resolve("@sqlite.org/sqlite-wasm/sqlite3.wasm"));
  Reflect.set(globalThis, "sqlite3ApiConfig", PACKAGE_CONFIG);
  const sqlite3 = await new Promise<Sqlite3Static>((resolve, reject) => {
    const options: ModuleOptions = {
      instantiateWasm(imports, receive) {
        // What fails here is said to our caller, who else would wait for ever.
        WebAssembly.instantiate(module, imports).then((instance) => receive(instance, module)).catch(reject);
      },
    };
    (init as (options: ModuleOptions) => Promise<Sqlite3Static>)(options).then(resolve, reject);
  });
  if (sqlite3.capi.sqlite3_sourceid() !== sqlite3.version.sourceId) {
    throw new FileError(`Cannot use sqlite3.wasm: it is not SQLite ${sqlite3.version.libVersion}'s build`, "EINVAL");
  }
  return new Engine(sqlite3);
}

/** As much as is used of what Emscripten lets a caller decide. */
interface ModuleOptions {
  instantiateWasm(
    imports: WebAssembly.Imports,
    receive: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ): void;
}
