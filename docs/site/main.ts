/**
 * `deno task docs`: builds the manual into docs/site/out, and with `--serve` shows it.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { buildSite, SiteError } from "./build.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

const root = fileURLToPath(new URL("../../", import.meta.url));
const out = fileURLToPath(new URL("./out/", import.meta.url));

try {
  const { pages, files } = await buildSite({ root, out });
  console.log(`${pages} pages and ${files} files: ${join(out, "index.html")}`);
} catch (error) {
  if (!(error instanceof SiteError)) throw error;
  console.error(error.message);
  process.exit(1);
}

if (process.argv.includes("--serve")) {
  const server = createServer(async ({ url = "/" }, response) => {
    const path = decodeURIComponent(new URL(url, "http://here").pathname).replace(/\/$/, "/index.html");
    try {
      const body = await readFile(join(out, normalize(path)));
      response.writeHead(200, { "Content-Type": TYPES[extname(path)] ?? "application/octet-stream" }).end(body);
    } catch {
      response.writeHead(404, { "Content-Type": "text/plain" }).end("There is no such page.\n");
    }
  });
  server.on("error", ({ message }) => {
    console.error(`Cannot show the manual: ${message}`);
    process.exit(1);
  });
  // Beside the server (8787) and the playground (8788), which its reader may have running.
  server.listen(8789, "127.0.0.1", () => console.log("http://127.0.0.1:8789"));
}
