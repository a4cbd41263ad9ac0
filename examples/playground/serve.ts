/**
 * The playground: a page in which a model runs, with and without its adapter, and a cache in the browser in front of it.
 *
 *     deno run -A examples/playground/serve.ts
 *     deno run -A examples/playground/serve.ts --port 9000 --server http://127.0.0.1:8787
 *
 * `--models`, `--model` and `--adapter` name other weights. With `--server` the page can also ask that warmcache server.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { ICON } from "../../src/http/dashboard/assets.ts";
import { STYLE } from "../../src/http/dashboard/style.ts";
import { messageOf } from "../../src/runtime/message.ts";
import { bundlePage, type SiteFile } from "./bundle.ts";
import { listModel } from "./model_files.ts";
import { type Settings, SETTINGS_PATH } from "./settings.ts";

const { values: options } = parseArgs({
  options: {
    port: { type: "string", default: "8788" },
    models: { type: "string", default: fileURLToPath(new URL("../../models", import.meta.url)) },
    model: { type: "string", default: "kjv-tiny" },
    adapter: { type: "string", default: "fortunes" },
    server: { type: "string" },
  },
});
const { model, adapter, models, server } = options;

/** Nothing from elsewhere, and nothing in the page itself; WebAssembly is compiled. */
const POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; " +
  "img-src 'self'; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

const settings: Settings = { names: { base: model, adapter: `${model}+${adapter}` }, server };
const list = await listModel(join(models, model));
const files = await bundlePage();
for (
  const [path, type, body] of [
    ["", "text/html; charset=utf-8", await readFile(new URL("index.html", import.meta.url), "utf8")],
    ["dashboard.css", "text/css; charset=utf-8", STYLE],
    ["playground.css", "text/css; charset=utf-8", await readFile(new URL("playground.css", import.meta.url), "utf8")],
    ["icon.svg", "image/svg+xml", ICON],
    [SETTINGS_PATH, "application/json", JSON.stringify(settings)],
    [`models/${model}/files.json`, "application/json", JSON.stringify(list)],
  ] as const
) files.set(path, { type, body: new TextEncoder().encode(body) });

const listener = Deno.serve({ hostname: "127.0.0.1", port: Number(options.port), onListen }, answer);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void listener.shutdown());
await listener.finished;

async function answer(request: Request): Promise<Response> {
  const { pathname, search } = new URL(request.url);
  if (server !== undefined && pathname.startsWith("/v1/")) {
    return await passOn(request, new URL(pathname + search, server));
  }
  const path = decodeURIComponent(pathname.slice(1));
  const file = files.get(path) ?? await weights(path);
  return file === undefined ? new Response("Not found\n", { status: 404 }) : new Response(file.body, {
    headers: {
      "Content-Type": file.type,
      "Content-Security-Policy": POLICY,
      "Cache-Control": "no-store",
      "Referrer-Policy": "no-referrer",
      "X-Content-Type-Options": "nosniff",
    },
  });
}

async function passOn(request: Request, to: URL): Promise<Response> {
  try {
    return await fetch(to, request);
  } catch (error) {
    return Response.json({ error: { message: `Cannot reach ${server}: ${messageOf(error)}` } }, { status: 502 });
  }
}

/** What is on the model's list, and nothing else. */
async function weights(path: string): Promise<SiteFile | undefined> {
  const folder = `models/${model}/`;
  const file = path.startsWith(folder) && list.files.find((each) => each.path === path.slice(folder.length));
  if (!file) return undefined;
  return { type: "application/octet-stream", body: new Uint8Array(await readFile(join(models, model, file.path))) };
}

function onListen({ port }: { port: number }): void {
  console.log(`The playground is at http://127.0.0.1:${port}/`);
}
