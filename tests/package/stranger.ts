/** A stranger's project: an empty folder into which the npm package is installed, as `deno pack` makes it. */

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { pathOf } from "../house/module_graph.ts";
import { temporaryFolder } from "../support/temporary.ts";

const run = promisify(execFile);

/** Packs and installs, together with `tools` from npm, without install scripts; returns the project's folder. */
export async function strangersProject(tools: readonly string[]): Promise<string> {
  const folder = await temporaryFolder();
  const tarball = join(folder, "package.tgz");
  await run(process.execPath, ["pack", "--allow-dirty", "--no-source-maps", "--output", tarball], { cwd: pathOf("") });
  await writeFile(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund"];
  await run("npm", ["install", ...flags, tarball, ...tools], { cwd: folder });
  return folder;
}
