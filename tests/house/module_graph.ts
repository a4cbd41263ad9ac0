/** The project's module graph, as `deno info --json` sees it: who imports whom. */

import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

/** The repository, as a URL that ends in a slash. */
export const ROOT: URL = new URL("../../", import.meta.url);

/** One import: paths relative to the repository, or a bare specifier such as `npm:hono@4`. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
  /** Written as `import()`, so that it loads only when reached. */
  readonly dynamic: boolean;
  /** Imports types only, so that nothing is loaded. */
  readonly typeOnly: boolean;
}

interface InfoModule {
  readonly specifier: string;
  readonly dependencies?: readonly {
    readonly specifier: string;
    readonly isDynamic?: boolean;
    readonly code?: { readonly specifier?: string };
    readonly type?: { readonly specifier?: string };
    readonly npmPackage?: string;
  }[];
}

/** All imports reachable from the given modules. */
export async function arrowsFrom(entries: readonly string[]): Promise<Arrow[]> {
  const seen = new Map<string, Arrow>();
  for (const entry of entries) {
    const { stdout } = await run(process.execPath, ["info", "--json", entry], { cwd: ROOT, maxBuffer: 1 << 28 });
    const { modules } = JSON.parse(stdout) as { modules: readonly InfoModule[] };
    for (const module of modules) {
      if (!module.specifier.startsWith(ROOT.href) || module.specifier.includes("/node_modules/")) continue;
      for (const dependency of module.dependencies ?? []) {
        const target = dependency.code?.specifier ?? dependency.type?.specifier ?? dependency.specifier;
        const arrow = {
          from: local(module.specifier),
          to: local(target),
          dynamic: dependency.isDynamic ?? false,
          typeOnly: dependency.code === undefined,
        };
        seen.set(JSON.stringify(arrow), arrow);
      }
    }
  }
  return [...seen.values()];
}

/** Every TypeScript file below a directory of the repository, relative to the repository. */
export async function sourceFiles(directory: string): Promise<string[]> {
  const names = await readdir(new URL(`${directory}/`, ROOT), { recursive: true });
  return names.filter((name) => name.endsWith(".ts")).map((name) => `${directory}/${name}`).sort();
}

/** The path of a file of the repository. */
export function pathOf(relative: string): string {
  return fileURLToPath(new URL(relative, ROOT));
}

function local(specifier: string): string {
  return specifier.startsWith(ROOT.href) ? specifier.slice(ROOT.href.length) : specifier;
}
