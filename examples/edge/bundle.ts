/**
 * A Worker as it is uploaded: one file of JavaScript, by esbuild, and .wasm files beside it, which are compiled before the
 * program starts. `wrangler` does the same.
 */

import { build, type Plugin } from "esbuild";
import type { ModuleDefinition } from "miniflare";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import manifest from "../../deno.json" with { type: "json" };

/** A program for the edge. */
export interface EdgeBundle {
  readonly script: string;
  /** WebAssembly modules by the names under which the script imports them. */
  readonly modules: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  /** Whatever else the script imports when it runs. */
  readonly imports: readonly string[];
}

/** How to bundle, where it is not as usual. */
export interface EdgeBundleOptions {
  readonly minify?: boolean;
  /** The conditions under which packages choose their files. Default: Cloudflare's. */
  readonly conditions?: readonly string[];
}

const REPOSITORY = new URL("../../", import.meta.url);

/** Bundles a module of the repository. */
export async function bundleForEdge(
  entry: string,
  { minify = false, conditions = ["workerd", "worker", "browser"] }: EdgeBundleOptions = {},
): Promise<EdgeBundle> {
  const modules = new Map<string, Uint8Array<ArrayBuffer>>();
  const { outputFiles, metafile } = await build({
    absWorkingDir: fileURLToPath(REPOSITORY),
    entryPoints: [fileURLToPath(new URL(entry, REPOSITORY))],
    write: false,
    bundle: true,
    format: "esm",
    platform: "neutral",
    mainFields: ["module", "main"],
    conditions: [...conditions],
    target: "es2022",
    minify,
    metafile: true,
    logLevel: "silent",
    plugins: [warmcache, wasmBeside(modules)],
  });
  const imports = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  return { script: outputFiles[0]!.text, modules, imports: imports.filter((path) => !modules.has(path)) };
}

/** The bundle, as miniflare takes it. */
export function modulesOf({ script, modules }: EdgeBundle): ModuleDefinition[] {
  return [
    { type: "ESModule", path: "/main.mjs", contents: script },
    ...[...modules].map(([path, contents]): ModuleDefinition => ({
      type: "CompiledWasm",
      path: path.replace("./", "/"),
      contents,
    })),
  ];
}

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

function wasmBeside(modules: Map<string, Uint8Array<ArrayBuffer>>): Plugin {
  return {
    name: "wasm beside",
    setup({ onResolve, resolve }) {
      onResolve({ filter: /\.wasm$/ }, async ({ path, pluginData, ...from }) => {
        if (pluginData === "resolved") return undefined;
        const { kind, resolveDir, importer } = from;
        const found = await resolve(path, { kind, resolveDir, importer, pluginData: "resolved" });
        if (found.errors.length > 0) return { errors: found.errors };
        const name = `./${basename(found.path)}`;
        modules.set(name, new Uint8Array(await readFile(found.path)));
        return { path: name, external: true };
      });
    },
  };
}
