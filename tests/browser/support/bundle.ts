/**
 * Modules as a browser gets them: bundled by esbuild, in memory. Each entry is a file of its own name, so that what a
 * page starts as a Worker lies where it looks for it; what they share is in chunks beside, and SQLite and zstd too.
 */

import { build, type Metafile } from "esbuild";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathOf } from "../../house/module_graph.ts";

/** Files by their paths on a site, without a leading slash. */
export type SiteFiles = ReadonlyMap<string, Uint8Array>;

/** What esbuild made. */
export interface Bundle {
  readonly files: SiteFiles;
  /** What is in which file, in bytes: esbuild's own account. */
  readonly metafile: Metafile;
}

/** How to bundle, where it is not as usual. */
export interface BundleOptions {
  /** Whether names are shortened and spaces left out. Default: no, so that errors say where they come from. */
  readonly minify?: boolean;
  /** Whether the .wasm files of SQLite and zstd are put beside. Default: yes. */
  readonly wasm?: boolean;
}

/** Where the packages have their .wasm files. */
export const WASM_FILES: Readonly<Record<"sqlite3.wasm" | "zstd.wasm", string>> = {
  "sqlite3.wasm": "node_modules/@sqlite.org/sqlite-wasm/dist/sqlite3.wasm",
  "zstd.wasm": "node_modules/@bokuweb/zstd-wasm/dist/common/zstd.wasm",
};

const OUT = "/bundle";

/**
 * Bundles modules of the repository.
 *
 * @param entries what is made, by its name without extension (`page`, `worker/worker`), and the module it is made of,
 * relative to the repository.
 */
export async function bundleForBrowser(
  entries: Readonly<Record<string, string>>,
  { minify = false, wasm = true }: BundleOptions = {},
): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: pathOf(""),
    entryPoints: Object.entries(entries).map(([out, path]) => ({ in: pathOf(path), out })),
    outdir: OUT,
    write: false,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // Beside the entries, since modules look for Workers and .wasm files beside themselves.
    chunkNames: "[name]-[hash]",
    minify,
    metafile: true,
    logLevel: "silent",
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [path.slice(OUT.length + 1), contents]));
  if (wasm) {
    for (const [name, path] of Object.entries(WASM_FILES)) files.set(name, await readFile(join(pathOf(""), path)));
  }
  return { files, metafile };
}
