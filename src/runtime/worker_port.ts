/**
 * The inside of a Worker, or of a process that stands in for one. It has to be there at once: a message that comes before anybody listens is lost.
 *
 * @module
 */

import type { WorkerPort } from "./runtime.ts";

/** The slice of a web Worker's global scope that is used here; the DOM library types `self` as a window. */
interface WebScope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** The slice of Node's global scope that leads to its Workers, and to its processes, without an asynchronous import. */
interface NodeScope {
  readonly process: {
    getBuiltinModule(name: "node:worker_threads"): { readonly parentPort: ParentPort | null };
    send(message: unknown): void;
    on(type: string, listener: (message: unknown) => void): void;
    exit(code: number): never;
  };
}

interface ParentPort {
  postMessage(message: unknown, transfer: Transferable[]): void;
  on(type: "message", listener: (message: unknown) => void): void;
}

/** This Worker's line to whoever spawned it. */
export function workerPort(): WorkerPort {
  if ("postMessage" in globalThis) {
    const scope = globalThis as unknown as WebScope;
    return {
      post: (message, transfer = []) => scope.postMessage(message, transfer),
      onMessage: (handler) => scope.addEventListener("message", (event) => handler(event.data)),
    };
  }
  const { process } = globalThis as unknown as NodeScope;
  const { parentPort } = process.getBuiltinModule("node:worker_threads");
  if (parentPort !== null) {
    return {
      post: (message, transfer = []) => parentPort.postMessage(message, transfer),
      onMessage: (handler) => parentPort.on("message", handler),
    };
  }
  // Signals from a terminal or a service manager go to every process; this one ends when its parent is done with it.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => {});
  process.on("disconnect", () => process.exit(0));
  return {
    post: (message) => process.send(message),
    onMessage: (handler) => process.on("message", handler),
  };
}
