/**
 * Workers as browsers have them, which Deno and Bun have too.
 *
 * @module
 */

import type { WorkerHandle } from "./runtime.ts";

/** Starts a module Worker. */
export function spawnWebWorker(url: URL, name: string): WorkerHandle {
  const worker = new Worker(url, { type: "module", name });
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    onMessage(handler) {
      worker.onmessage = (event) => handler(event.data);
    },
    onFailure(handler) {
      worker.onerror = (event) => {
        // Without this an uncaught error in the Worker ends the whole process.
        event.preventDefault();
        handler(new Error(event.message));
      };
    },
    terminate: () => worker.terminate(),
  };
}
