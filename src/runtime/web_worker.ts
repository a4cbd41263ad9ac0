/**
 * Workers as browsers have them, which Deno and Bun have too.
 *
 * @module
 */

import type { WorkerHandle } from "./runtime.ts";

/** Starts a module Worker. */
export function spawnWebWorker(url: URL, name: string): WorkerHandle {
  return webWorkerHandle(new Worker(url, { type: "module", name }));
}

/** A Worker that somebody else has started. */
export function webWorkerHandle(worker: Worker): WorkerHandle {
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    onMessage(handler) {
      worker.onmessage = (event) => handler(event.data);
    },
    onFailure(handler) {
      worker.onerror = (event) => {
        // Without this an uncaught error in the Worker ends the whole process.
        event.preventDefault();
        // Where its module cannot be loaded, browsers say nothing.
        handler(new Error(event.message || "its module cannot be loaded"));
      };
    },
    terminate: () => worker.terminate(),
  };
}
