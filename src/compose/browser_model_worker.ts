/**
 * The Worker that a page runs a model in, or fetches models by. A bundle has a module of its own for it that imports this
 * one and nothing else; see {@link ./browser_warm.ts}.
 *
 * ```ts ignore
 * import "@warmcache/warmcache/browser/model-worker";
 * ```
 *
 * @module
 */

import type * as Ort from "onnxruntime-web";
import { serveModel } from "../model/worker/serve.ts";
import { browserRuntime } from "../runtime/browser.ts";
import { provideRuntime } from "../runtime/current.ts";
import { lentFiles } from "../runtime/lent_files.ts";
import { workerPort } from "../runtime/worker_port.ts";
import type { ToWorker } from "../warm/shelf/protocol.ts";
import { pageLender, serveFetches } from "../warm/shelf/worker_end.ts";

/** What the builds of onnxruntime-web that are imported below look for: the CPU's, and the one for GPUs. */
const WASM = { wasm: "ort-wasm-simd-threaded.wasm", webgpu: "ort-wasm-simd-threaded.asyncify.wasm" } as const;

const port = workerPort();
const runtime = browserRuntime(lentFiles(pageLender(port)));
/** Where the .wasm files are; beside this module when the page does not say. */
let folder: string | undefined;

provideRuntime(() => Promise.resolve(runtime));
port.onMessage((message) => {
  const received = message as ToWorker;
  if (received.type === "onnxruntime") folder = received.folder;
});
serveFetches(port, runtime);
serveModel({
  wasm: async () => located(await import("onnxruntime-web/wasm"), WASM.wasm),
  webgpu: async () => located(await import("onnxruntime-web/webgpu"), WASM.webgpu),
});

function located(ort: typeof Ort, file: string): typeof Ort {
  if (folder !== undefined) ort.env.wasm.wasmPaths = { wasm: new URL(file, folder).href };
  return ort;
}
