/**
 * {@link Runtime} in a browser: in a page, or in one of its Workers. Files are in memory unless others are passed in,
 * as {@link ./opfs_files.ts} makes them in a dedicated Worker.
 *
 * @module
 */

import { memoryFiles } from "./memory_files.ts";
import type { Files, Runtime } from "./runtime.ts";
import { webRuntime } from "./web_common.ts";
import { spawnWebWorker } from "./web_worker.ts";

/** The machine, seen through a browser. */
export function browserRuntime(files: Files = memoryFiles()): Runtime {
  return {
    ...webRuntime("in a browser", files, afterTurn),
    name: "browser",
    version: navigator.userAgent,
    // There are no numbers of processes here; one that nobody else has tells this one from others.
    processId: crypto.getRandomValues(new Uint32Array(1))[0]!,
    readModule,
    spawnWorker: spawnWebWorker,
  };
}

/** A timer comes no sooner than after 4 ms, and in a page that nobody sees after a second; a message at once. */
function afterTurn(run: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    run();
  };
  port2.postMessage(undefined);
}

async function readModule(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Cannot read ${url}: ${response.status} ${response.statusText}`);
  // It is compiled while it comes only if the server knows what it is.
  const isKnown = response.headers.get("content-type")?.startsWith("application/wasm");
  return isKnown
    ? await WebAssembly.compileStreaming(response)
    : await WebAssembly.compile(await response.arrayBuffer());
}
