/**
 * A machine that has only Node and npm: a fresh clone, an empty home, install scripts forbidden. README's command starts
 * the server; the second time it does so without a network.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { before, describe, it } from "node:test";
import { pathOf } from "../house/module_graph.ts";
import { requirePart } from "../support/parts.ts";
import { HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";

const SERVE = ["npx", "-y", "deno@2.9.6", "task", "serve", "--port", "0"];

describe("a fresh machine", { skip: HERE !== "deno" && "once is enough" }, () => {
  let clone: string;
  let environment: Record<string, string | undefined>;
  before(async () => {
    const folder = await temporaryFolder();
    clone = join(folder, "clone");
    const home = join(folder, "home");
    await mkdir(home);
    const left = new Set([".git", ".warmcache", "node_modules"]);
    await cp(pathOf(""), clone, { recursive: true, filter: (path) => !left.has(basename(path)) });
    environment = { ...process.env, HOME: home, DENO_DIR: undefined };
    environment.npm_config_ignore_scripts = "true";
    // Without a network npm would try for a minute before it believes it.
    environment.npm_config_fetch_retries = "0";
  });

  it("starts the server with one command", async (context) => {
    if (requirePart(context, "npx")) {
      assert.match(await greeting(SERVE), /^warmcache .* listens on http:\/\/127\.0\.0\.1:/);
    }
  });

  it("starts it again without a network", async (context) => {
    if (!requirePart(context, "unshare") || !requirePart(context, "ip")) return;
    const alone = ["unshare", "--net", "--map-root-user", "sh", "-c", `ip link set lo up && exec ${SERVE.join(" ")}`];
    assert.match(await greeting(alone), /^warmcache .* listens on/);
  });

  /** The first line that the server itself prints. */
  async function greeting([executable, ...args]: string[]): Promise<string> {
    const child = spawn(executable!, args, {
      cwd: clone,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    const ended = once(child, "exit");
    let complaints = "";
    child.stderr.setEncoding("utf8").on("data", (text) => complaints += text);
    try {
      for await (const line of createInterface({ input: child.stdout })) if (line.startsWith("warmcache ")) return line;
      return complaints;
    } finally {
      // The whole group: npx, the task runner, the server.
      process.kill(-child.pid!, "SIGTERM");
      await ended;
    }
  }
});
