/**
 * Portability is a failing type check: everything but the runtimes' own files has to compile against the DOM libraries
 * alone, where a stray `Deno`, `process` or `Bun` does not exist.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { HERE } from "../support/runtimes.ts";
import { pathOf, ROOT, sourceFiles } from "./module_graph.ts";

/** Files that speak to one runtime, and what takes their place when the others are checked. */
const RUNTIME_FILES = new Set([
  "src/runtime/bun.ts",
  "src/runtime/deno.ts",
  "src/runtime/deno_process.ts",
  "src/runtime/digest_worker.ts",
  "src/runtime/node.ts",
  "src/runtime/node_common.ts",
  "src/runtime/node_files.ts",
  "src/runtime/node_terminal.ts",
]);

const STAND_IN = `
import type { Runtime } from "${ROOT.href}src/runtime/runtime.ts";
export declare function denoRuntime(): Runtime;
export declare function nodeRuntime(): Promise<Runtime>;
export declare function bunRuntime(): Promise<Runtime>;
`;

describe("portable check", { skip: HERE !== "deno" && "types are checked with deno check" }, () => {
  it("finds no runtime's own name outside the runtimes' files", async () => {
    const result = await checkPortable([...await sourceFiles("src"), "mod.ts", "server.ts"]);
    assert.equal(result, "");
  });

  it("fails for a file that names Deno", async () => {
    const directory = await mkdtemp(join(tmpdir(), "warmcache-portable-"));
    try {
      const file = join(directory, "stray.ts");
      await writeFile(file, "export const version: string = Deno.version.deno;\n");
      assert.match(await checkPortable([file]), /Cannot find name 'Deno'/);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

/** Type-checks files against DOM libraries; returns what the compiler complained of. */
async function checkPortable(files: readonly string[]): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "warmcache-portable-"));
  try {
    const config = JSON.parse(await readFile(pathOf("deno.json"), "utf8"));
    const standIn = join(directory, "deno_stand_in.ts");
    await writeFile(standIn, STAND_IN);
    const portable = {
      nodeModulesDir: "none",
      imports: {
        ...config.imports,
        ...Object.fromEntries(
          ["bun", "deno", "node"].map((name) => [`${ROOT.href}src/runtime/${name}.ts`, `file://${standIn}`]),
        ),
      },
      compilerOptions: { ...config.compilerOptions, lib: ["esnext", "dom", "dom.iterable", "dom.asynciterable"] },
    };
    await writeFile(join(directory, "deno.json"), JSON.stringify(portable));
    const checked = files.filter((file) => !RUNTIME_FILES.has(file)).map((file) =>
      file.startsWith("/") ? file : pathOf(file)
    );
    await promisify(execFile)(process.execPath, [
      "check",
      "--quiet",
      "--config",
      join(directory, "deno.json"),
      ...checked,
    ], {
      env: { ...process.env, NO_COLOR: "1" },
    });
    return "";
  } catch (error) {
    return (error as { stderr?: string }).stderr ?? String(error);
  } finally {
    await rm(directory, { recursive: true });
  }
}
