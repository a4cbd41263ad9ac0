/** The npm package, as `deno pack` makes it and a stranger installs it: into an empty folder, without install scripts. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { before, describe, it } from "node:test";
import { promisify } from "node:util";
import { MODELS } from "../support/models.ts";
import { HERE, requireRuntime, type RuntimeName, RUNTIMES } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { strangersProject } from "./stranger.ts";

const run = promisify(execFile);

const PROGRAM = `
import { openCache } from "@warmcache/warmcache";
import { cachedFetch } from "@warmcache/warmcache/fetch";
import { startServer } from "@warmcache/warmcache/server";

const server = await startServer({ port: 0, models: "models", cache: process.argv[2] + "/server" });
const cache = await openCache({ directory: process.argv[2] + "/library" });
const send = cachedFetch(cache);
const body = JSON.stringify({ model: "kjv-tiny+fortunes", prompt: "The programmer", max_tokens: 8, temperature: 0 });
for (let i = 0; i < 2; i++) {
  const headers = { "Content-Type": "application/json" };
  const response = await send(server.url + "/v1/completions", { method: "POST", headers, body });
  console.log(response.headers.get("X-Warmcache"), (await response.json()).choices[0].text);
}
await cache.close();
await server.stop();
`;

const TYPES = `
import { CacheError, type CacheStatistics, type Entry, openCache } from "@warmcache/warmcache";
import { cachedFetch } from "@warmcache/warmcache/fetch";
import { type RunningServer, startServer } from "@warmcache/warmcache/server";

const cache = await openCache({ directory: "x" });
const entry: Entry | undefined = await cache.get({ model: "m" });
const answer: { text: string } = await cache.wrap({ model: "m" }, () => Promise.resolve({ text: "t" }));
const statistics: CacheStatistics = await cache.stats();
const send: typeof fetch = cachedFetch(cache);
const server: RunningServer = await startServer({ port: 0 });
console.log(entry, answer, statistics.hits, send, server.url, new CacheError("closed", "x").code);
// @ts-expect-error -- a misspelled option
await openCache({ dir: "x" });
`;

describe("the npm package", { skip: HERE !== "deno" && "it is made by deno pack" }, () => {
  let folder: string;
  before(async () => {
    folder = await strangersProject(["typescript@5.9", "@types/node@24"]);
    await cp(MODELS, join(folder, "models"), { recursive: true });
    await writeFile(join(folder, "program.mjs"), PROGRAM);
    await writeFile(join(folder, "types.ts"), TYPES);
  });

  for (const runtime of [...RUNTIMES, "node22"] satisfies RuntimeName[]) {
    it(`runs on ${runtime}`, async (context) => {
      const command = requireRuntime(context, runtime);
      if (!command) return;
      const [executable, ...args] = command;
      const { stdout } = await run(executable, [...args, "program.mjs", await temporaryFolder()], { cwd: folder });
      const [first, second] = stdout.split("\n");
      assert.match(first!, /^miss ./);
      assert.equal(second, first!.replace("miss", "hit"));
    });
  }

  it("can be required by CommonJS", async (context) => {
    const command = requireRuntime(context, "node");
    if (!command) return;
    const [executable, ...args] = command;
    const program = 'console.log(typeof require("@warmcache/warmcache").openCache)';
    const { stdout } = await run(executable, [...args, "--input-type=commonjs", "--eval", program], { cwd: folder });
    assert.equal(stdout, "function\n");
  });

  it("holds the sources and what describes them, and nothing else", async () => {
    const names = await readdir(join(folder, "node_modules", "@warmcache", "warmcache"));
    const about = ["CHANGELOG.md", "LICENSE", "README.md", "docs", "package.json", "schema"];
    assert.deepEqual(names.sort(), [...about, "mod.d.ts", "mod.js", "server.d.ts", "server.js", "src"].sort());
  });

  it("has types that pass tsc --strict", async () => {
    const flags = ["--strict", "--noEmit", "--target", "esnext", "--module", "nodenext", "--types", "node"];
    await run(process.execPath, ["run", "-A", "node_modules/typescript/bin/tsc", ...flags, "types.ts"], {
      cwd: folder,
    });
  });

  it("names its dependencies, and nothing of the machine it was made on", async () => {
    const installed = join(folder, "node_modules", "@warmcache", "warmcache");
    const { dependencies } = JSON.parse(await readFile(join(installed, "package.json"), "utf8"));
    for (const name of ["@sqlite.org/sqlite-wasm", "koffi", "onnxruntime-web", "@huggingface/tokenizers"]) {
      assert.ok(name in dependencies, name);
    }
    assert.equal((await readFile(join(installed, "mod.js"), "utf8")).includes("file:///"), false);
  });
});
