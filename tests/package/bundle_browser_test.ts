/**
 * The package in a page, as two bundlers make it: an answer stays in the page's own files, and is there after a reload.
 * And what that costs: no file may outgrow what `docs/bundles.md` says, nor hold what no browser needs.
 */

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { requireBrowser } from "../browser/support/browser.ts";
import type { SiteFiles } from "../browser/support/bundle.ts";
import { serveSite } from "../browser/support/site.ts";
import { blocksOf } from "../docs/blocks.ts";
import { pathOf } from "../house/module_graph.ts";
import { skipForWant } from "../support/parts.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { BundleSizes } from "./bundle_sizes.ts";
import { strangersProject } from "./stranger.ts";

const run = promisify(execFile);

/** What is asked in a page that opens a cache as the manual does. What its module exports, Vite drops. */
const QUESTION = `
const answer = { model: "m", choices: [{ message: { content: "word ".repeat(100) }, finish_reason: "stop" }] };
const body = { model: "m", messages: [{ role: "user", content: "Say word" }] };
globalThis.page = {
  async ask() {
    let calls = 0;
    const { choices } = await cache.wrap(body, () => {
      calls++;
      return Promise.resolve(answer);
    });
    return { calls, length: choices[0].message.content.length, place: (await cache.stats()).store.location };
  },
};
`;

/** As `docs/bundles.md` has it; the picture is the kit's own. */
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; " +
  "img-src data:";

const HTML = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A page</title>
<link rel="icon" href="data:,">
<script type="module" src="/src/page.ts"></script>
</html>
`;

interface Page {
  ask(): { calls: number; length: number; place: string };
}

describe("a bundle for browsers", { skip: HERE !== "deno" && "the package is made by deno pack" }, () => {
  let project: string;
  let missing: Error | undefined;
  before(async () => {
    try {
      project = await strangersProject(["esbuild@0.28.2", "vite@8.3.8"]);
    } catch (error) {
      missing = error as Error;
      return;
    }
    const page = recipe("// page.ts") + QUESTION;
    await mkdir(join(project, "src"));
    await writeFile(join(project, "page.ts"), page);
    await writeFile(join(project, "worker.ts"), recipe("// worker.ts"));
    await writeFile(join(project, "src/page.ts"), page);
    await writeFile(join(project, "src/worker.ts"), recipe("// src/worker.ts"));
    await writeFile(join(project, "index.html"), HTML);
    await writeFile(join(project, "vite.config.ts"), recipe("// vite.config.ts"));
  });

  /** Skips a test where the package could not be installed, for want of npm or its registry. */
  function requireProject(context: TestContext): boolean {
    if (missing) skipForWant(context, `the package could not be installed: ${missing.message}`);
    return !missing;
  }

  /** Bundles with esbuild as the manual says. */
  async function bundle(): Promise<string> {
    const PATH = `${join(project, "node_modules/.bin")}:${process.env.PATH}`;
    await run("sh", ["-ec", recipe("esbuild ")], { cwd: project, env: { ...process.env, PATH } });
    return join(project, "dist");
  }

  /** The same into another folder, with `meta.json`, which says what is in which file. */
  async function measure(...flags: string[]): Promise<BundleSizes> {
    const folder = await temporaryFolder();
    const outputs = [`--outdir=${folder}`, `--metafile=${join(folder, "meta.json")}`, "--log-level=warning"];
    const [, ...said] = recipe("esbuild ").split("\n")[0]!.split(" ");
    const args = said.filter((flag) => !flag.startsWith("--outdir"));
    await run(join(project, "node_modules/.bin/esbuild"), [...args, ...outputs, ...flags], { cwd: project });
    return await BundleSizes.of(folder);
  }

  /** The page asks, is loaded again, and asks again. */
  async function asksOnce(context: TestContext, url: string): Promise<void> {
    const browser = await requireBrowser(context, "chromium");
    if (browser === undefined) return;
    try {
      const tab = await browser.open<Page>(url);
      const place = "opfs:.warmcache";
      assert.deepEqual(await tab.call("ask"), { calls: 1, length: 500, place });
      await tab.reload();
      assert.deepEqual(await tab.call("ask"), { calls: 0, length: 500, place });
      assert.deepEqual(browser.complaints, []);
    } finally {
      await browser.close();
    }
  }

  /** The same, of the files in a folder. */
  async function asksOnceFrom(context: TestContext, folder: string, page: string, headers = {}): Promise<void> {
    const site = await serveSite(await filesIn(folder), { headers });
    try {
      await asksOnce(context, `${site.origin}/${page}`);
    } finally {
      await site.close();
    }
  }

  it("by esbuild keeps answers in the page's files", async (context) => {
    if (requireProject(context)) await asksOnceFrom(context, await bundle(), "page.html");
  });

  it("by esbuild needs no more than a strict Content-Security-Policy allows", async (context) => {
    if (!requireProject(context)) return;
    await asksOnceFrom(context, await bundle(), "page.html", { "Content-Security-Policy": POLICY });
  });

  it("by Vite keeps answers in the page's files", async (context) => {
    if (!requireProject(context)) return;
    const folder = await temporaryFolder();
    await run(join(project, "node_modules/.bin/vite"), ["build", "--outDir", folder, "--emptyOutDir"], {
      cwd: project,
    });
    await asksOnceFrom(context, folder, "index.html");
  });

  it("that Vite makes while it is developed keeps them too", async (context) => {
    if (!requireProject(context)) return;
    const vite = spawn(join(project, "node_modules/.bin/vite"), ["--port", "0"], {
      cwd: project,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, NO_COLOR: "1" },
    });
    const ended = once(vite, "exit");
    try {
      await asksOnce(context, await addressIn(vite.stdout));
    } finally {
      vite.kill();
      await ended;
    }
  });

  it("is no larger than it is said to be", async (context) => {
    if (!requireProject(context)) return;
    const sizes = await measure();
    const own = await measure("--external:@sqlite.org/sqlite-wasm");
    const rows = {
      "the page, at once": [sizes.atOnce("page.ts"), 60_000],
      "the page, its files opened": [sizes.with("page.ts", /tab_store/), 80_000],
      "the Worker, without SQLite's own JavaScript": [own.atOnce("worker.ts"), 75_000],
      "SQLite's own JavaScript": [sizes.atOnce("worker.ts") - own.atOnce("worker.ts"), 72_000],
    } as const;
    for (const [what, [bytes, most]] of Object.entries(rows)) {
      assert.ok(bytes > 1000 && bytes <= most, `${what}: ${bytes} of ${most} bytes, compressed by gzip`);
      context.diagnostic(`${what}: ${bytes} bytes, compressed by gzip`);
    }
  });

  it("may import what the manual says, and nothing else of the package", async (context) => {
    if (!requireProject(context)) return;
    const { exports } = JSON.parse(
      await readFile(join(project, "node_modules/@warmcache/warmcache/package.json"), "utf8"),
    );
    const folder = await temporaryFolder();
    const goes: string[] = [];
    for (const entry of Object.keys(exports).map((name) => name.slice(2)).filter((name) => name !== "")) {
      const file = join(project, "entry.js");
      await writeFile(file, `import "@warmcache/warmcache/${entry}";\n`);
      const flags = ["--bundle", "--splitting", "--format=esm", "--log-level=silent", `--outdir=${folder}`];
      const esbuild = run(join(project, "node_modules/.bin/esbuild"), [file, ...flags], { cwd: project });
      if (await esbuild.then(() => true, () => false)) goes.push(entry);
    }
    const [, said = ""] = /^Made for pages: (.*?)\./ms.exec(await readFile(pathOf("docs/bundles.md"), "utf8")) ?? [];
    assert.deepEqual(goes.sort(), [...said.matchAll(/`([^`]+)`/g)].map(([, entry]) => entry).sort());
  });

  it("holds nothing that only servers need", async (context) => {
    if (!requireProject(context)) return;
    const { modules, outside } = await measure();
    const heavy =
      /node_modules\/(zod|commander|hono|@hono|@redis|koffi|prom-client|@pydantic|onnxruntime|@huggingface)/;
    assert.deepEqual(modules.filter((module) => heavy.test(module)), []);
    assert.deepEqual(modules.filter((module) => /src\/(http|cli|model|warm|migration)\//.test(module)), []);
    assert.deepEqual(outside, [], "what is left for somebody else to find");
  });
});

/** What the manual says, by how it begins. */
function recipe(begins: string): string {
  const block = blocksOf("docs/bundles.md").find(({ mark, code }) =>
    mark?.kind === "run by" && mark.test.endsWith("bundle_browser_test.ts") && code.startsWith(begins)
  );
  assert.ok(block, `docs/bundles.md has no block that begins with ${begins}`);
  return block.code;
}

async function filesIn(folder: string): Promise<SiteFiles> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = new Map<string, Uint8Array>();
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(path.slice(folder.length + 1), await readFile(path));
  }
  return files;
}

/** Where Vite's own server says that it listens. */
async function addressIn(output: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: output })) {
    const url = /https?:\/\/localhost:\d+\//.exec(line)?.[0];
    if (url !== undefined) return url;
  }
  throw new Error("Cannot find out where Vite listens: it has ended");
}
