/**
 * The inside of a Worker, as every runtime with web Workers has it.
 *
 * @module
 */

import type { WorkerPort } from "./runtime.ts";

/** The slice of a dedicated Worker's global scope that is used here; the DOM library types `self` as a window. */
interface WorkerScope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** This Worker's line to whoever spawned it. */
export function workerPort(): WorkerPort {
  const scope = globalThis as unknown as WorkerScope;
  return {
    post: (message, transfer = []) => scope.postMessage(message, transfer),
    onMessage: (handler) => scope.addEventListener("message", (event) => handler(event.data)),
  };
}
