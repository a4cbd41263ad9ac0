/**
 * Where the .wasm files are. A package's own loader looks beside itself, where a bundle has no .wasm; so they are
 * looked for here, in the places a program can be asked to put them, and one error names them all.
 *
 * @module
 */

import { currentRuntime } from "./current.ts";
import { messageOf } from "./message.ts";
import { refuseUnknownOptions } from "./options.ts";
import { FileError } from "./runtime.ts";

/** The WebAssembly modules that are needed: SQLite's and zstd's. */
export type WasmFile = "sqlite3.wasm" | "zstd.wasm";

/** A WebAssembly module: where it is (a `file:`, `http:` or `https:` URL), its bytes, or itself. */
export type WasmSource = URL | Uint8Array<ArrayBuffer> | WebAssembly.Module;

const FILES: readonly WasmFile[] = ["sqlite3.wasm", "zstd.wasm"];
const provided = new Map<string, WasmSource>();

/**
 * Says where the WebAssembly modules are, for bundles that carry them in their own way. To be called before the first
 * cache is opened: each is loaded once per process. Without it they are looked for beside the bundle, then in the
 * packages that they come from.
 *
 * ```ts ignore
 * import { openCache, provideWasm } from "@warmcache/warmcache";
 *
 * provideWasm({
 *   "sqlite3.wasm": new URL("./assets/sqlite3.wasm", import.meta.url),
 *   "zstd.wasm": new URL("./assets/zstd.wasm", import.meta.url),
 * });
 * await using cache = await openCache({ directory: ".warmcache" });
 * ```
 *
 * @throws TypeError for an unknown name or something that is no source.
 */
export function provideWasm(sources: { readonly [file in WasmFile]?: WasmSource }): void {
  refuseUnknownOptions("provide WebAssembly", sources, FILES);
  for (const [file, source] of Object.entries(sources)) {
    if (!(source instanceof URL || source instanceof Uint8Array || source instanceof WebAssembly.Module)) {
      throw new TypeError(`Cannot provide ${file} from something that is no URL, Uint8Array or module: ${source}`);
    }
    provided.set(file, source);
  }
}

/**
 * Finds and compiles a WebAssembly module. `inPackage` says where its package has it; it may throw.
 *
 * @throws FileError `ENOENT` naming every place that was tried.
 */
export async function loadWasm(file: WasmFile, inPackage: () => string): Promise<WebAssembly.Module> {
  const source = provided.get(file);
  if (source instanceof WebAssembly.Module) return source;
  // Not said within the call: Vite would take every module beside this one for a file that is meant.
  const beside = `./${file}`;
  const places: (() => BufferSource | URL)[] = source
    ? [() => source]
    : [() => new URL(beside, import.meta.url), () => new URL(inPackage())];
  const { readModule } = await currentRuntime();
  const failures: string[] = [];
  for (const place of places) {
    try {
      const found = place();
      return await (found instanceof URL ? readModule(found) : WebAssembly.compile(found));
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  throw new FileError(
    `Cannot load ${file}: put it beside the bundle, or say where it is with provideWasm: ${failures.join("; ")}`,
    "ENOENT",
  );
}
