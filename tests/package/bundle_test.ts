/**
 * A program that a bundler has made one file of, far from any `node_modules`: it finds SQLite and zstd beside itself, or
 * carries them, and says nothing on the console. The cache needs no Worker, whose module a bundle would not have.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { requirePart, skipForWant } from "../support/parts.ts";
import { HERE, requireRuntime, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { strangersProject } from "./stranger.ts";

const run = promisify(execFile);

const PROGRAM = `
import { openCache } from "@warmcache/warmcache";

const answer = { model: "m", choices: [{ message: { content: "word ".repeat(100) }, finish_reason: "stop" }] };
const body = { model: "m", messages: [{ role: "user", content: "Say word" }] };
try {
  for (let i = 0; i < 2; i++) {
    const cache = await openCache({ directory: process.argv[2], locking: process.argv[3] ?? "exclusive" });
    await cache.wrap(body, () => Promise.resolve(answer));
    console.log(String((await cache.stats()).hits));
    await cache.close();
  }
} catch (error) {
  console.log(error.name, error.code, error.message);
}
`;

/** The same, with the modules' bytes in the bundle, as esbuild's \`binary\` loader puts them there. */
const WITH_BYTES = `
import sqlite from "@sqlite.org/sqlite-wasm/sqlite3.wasm";
import zstd from "./node_modules/@bokuweb/zstd-wasm/dist/common/zstd.wasm";
import { provideWasm } from "@warmcache/warmcache";
provideWasm({ "sqlite3.wasm": sqlite, "zstd.wasm": zstd });
await import("./program.mjs");
`;

/** The same, with the modules embedded in an executable, as Bun does it. */
const EMBEDDED = `
import { pathToFileURL } from "node:url";
import sqlite from "@sqlite.org/sqlite-wasm/sqlite3.wasm" with { type: "file" };
import zstd from "./node_modules/@bokuweb/zstd-wasm/dist/common/zstd.wasm" with { type: "file" };
import { provideWasm } from "@warmcache/warmcache";
provideWasm({ "sqlite3.wasm": pathToFileURL(sqlite), "zstd.wasm": pathToFileURL(zstd) });
await import("./program.mjs");
`;

const WASM = ["@sqlite.org/sqlite-wasm/dist/sqlite3.wasm", "@bokuweb/zstd-wasm/dist/common/zstd.wasm"];

describe("a bundle", { skip: HERE !== "deno" && "the package is made by deno pack" }, () => {
  let project: string;
  let missing: Error | undefined;
  before(async () => {
    try {
      project = await strangersProject(["esbuild@0.25.12"]);
    } catch (error) {
      missing = error as Error;
      return;
    }
    await writeFile(join(project, "program.mjs"), PROGRAM);
    await writeFile(join(project, "with_bytes.mjs"), WITH_BYTES);
    await writeFile(join(project, "embedded.mjs"), EMBEDDED);
  });

  /** Skips a test where the package could not be installed, for want of npm or its registry. */
  function requireProject(context: TestContext): boolean {
    if (missing) skipForWant(context, `the package could not be installed: ${missing.message}`);
    return !missing;
  }

  /** Bundles with esbuild into an empty folder. */
  async function bundle(source: string, ...flags: string[]): Promise<{ folder: string; file: string }> {
    const folder = await temporaryFolder();
    const file = join(folder, "bundle.mjs");
    const esbuild = join(project, "node_modules", ".bin", "esbuild");
    const common = ["--bundle", "--platform=node", "--format=esm", "--log-level=warning", `--outfile=${file}`];
    await run(esbuild, [source, ...common, ...flags], { cwd: project });
    return { folder, file };
  }

  async function putWasmInto(folder: string): Promise<void> {
    for (const path of WASM) await copyFile(join(project, "node_modules", path), join(folder, path.split("/").at(-1)!));
  }

  /** What a program says, on both outputs, given an empty folder to work in. */
  async function outputOf([executable, ...args]: readonly string[], ...more: string[]): Promise<string> {
    const { stdout, stderr } = await run(executable!, [...args, await temporaryFolder(), ...more], { cwd: "/" });
    return stdout + stderr;
  }

  for (const runtime of RUNTIMES) {
    describe(`by esbuild, on ${runtime}`, () => {
      it("finds the .wasm files that lie beside it", async (context) => {
        const command = requireRuntime(context, runtime);
        if (!command || !requireProject(context)) return;
        const { folder, file } = await bundle("program.mjs");
        await putWasmInto(folder);
        assert.equal(await outputOf([...command, file]), "0\n1\n");
        // Node calls the C library by way of a native package, which esbuild leaves out.
        if (runtime !== "node") assert.equal(await outputOf([...command, file], "shared"), "0\n1\n");
      });

      it("uses the bytes that it is given", async (context) => {
        const command = requireRuntime(context, runtime);
        if (!command || !requireProject(context)) return;
        const { file } = await bundle("with_bytes.mjs", "--loader:.wasm=binary");
        assert.equal(await outputOf([...command, file]), "0\n1\n");
      });

      it("says what is missing and where it looked, once, before anything is asked", async (context) => {
        const command = requireRuntime(context, runtime);
        if (!command || !requireProject(context)) return;
        const { folder, file } = await bundle("program.mjs");
        // Bun would install what it misses.
        const alone = runtime === "bun" ? ["--no-install"] : [];
        for (const path of WASM) {
          const missing = path.split("/").at(-1)!;
          await putWasmInto(folder);
          await rm(join(folder, missing));
          const output = await outputOf([...command, ...alone, file]);
          assert.match(output, /^CacheError unavailable Cannot load [a-z0-9]+\.wasm: .*provideWasm: .*\n$/);
          assert.ok(output.includes(join(folder, missing)), output);
          assert.ok(output.includes(path.split("/dist/")[0]!), output);
        }
      });
    });
  }

  it("by Bun finds the .wasm files that lie beside it", async (context) => {
    const command = requireRuntime(context, "bun");
    if (!command || !requirePart(context, "bun") || !requireProject(context)) return;
    const folder = await temporaryFolder();
    const file = join(folder, "bundle.js");
    await run("bun", ["build", "program.mjs", "--target=bun", `--outfile=${file}`], { cwd: project });
    await putWasmInto(folder);
    assert.equal(await outputOf([...command, file]), "0\n1\n");
  });

  it("by Bun in an executable has them embedded", async (context) => {
    if (!requirePart(context, "bun") || !requireProject(context)) return;
    const file = join(await temporaryFolder(), "program");
    await run("bun", ["build", "--compile", "embedded.mjs", `--outfile=${file}`], { cwd: project });
    assert.equal(await outputOf([file]), "0\n1\n");
  });
});
