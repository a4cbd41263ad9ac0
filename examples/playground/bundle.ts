/** The page as a browser gets it: its modules bundled by esbuild, in memory, and the .wasm files beside them. */

import { build, type Plugin } from "esbuild";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import manifest from "../../deno.json" with { type: "json" };

/** A file as it is served. */
export interface SiteFile {
  readonly type: string;
  readonly body: Uint8Array<ArrayBuffer>;
}

/** Each is a file of its own name: the page, what is to run before it, and its Workers. */
const ENTRIES = ["app", "colours", "store_worker", "model_worker"];

/** What is compiled already: SQLite, zstd, and onnxruntime for the CPU and for GPUs. */
const WASM_FILES = [
  "@sqlite.org/sqlite-wasm/dist/sqlite3.wasm",
  "@bokuweb/zstd-wasm/dist/common/zstd.wasm",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm",
];

const REPOSITORY = new URL("../../", import.meta.url);

/** In a project of its own this would be a dependency like any other; here it is the repository itself. */
const warmcache: Plugin = {
  name: "warmcache",
  setup(build) {
    build.onResolve({ filter: /^@warmcache\/warmcache\// }, ({ path }) => {
      const entry = path.replace("@warmcache/warmcache", ".") as keyof typeof manifest.exports;
      return { path: fileURLToPath(new URL(manifest.exports[entry], REPOSITORY)) };
    });
  },
};

/** Bundles the page's modules. Files by their paths on the site, without a leading slash. */
export async function bundlePage(): Promise<Map<string, SiteFile>> {
  const { outputFiles } = await build({
    entryPoints: ENTRIES.map((name) => ({ in: fileURLToPath(new URL(`${name}.ts`, import.meta.url)), out: name })),
    outdir: "/",
    write: false,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    minify: true,
    logLevel: "silent",
    plugins: [warmcache],
  });
  const files = new Map<string, SiteFile>();
  for (const { path, contents } of outputFiles) {
    files.set(path.slice(1), { type: "text/javascript; charset=utf-8", body: contents as Uint8Array<ArrayBuffer> });
  }
  await Promise.all(WASM_FILES.map(async (path) => {
    const body = new Uint8Array(await readFile(new URL(`node_modules/${path}`, REPOSITORY)));
    files.set(path.split("/").at(-1)!, { type: "application/wasm", body });
  }));
  return files;
}
