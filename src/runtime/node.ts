/**
 * {@link Runtime} on Node.
 *
 * @module
 */

import { createRequire } from "node:module";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { Worker } from "node:worker_threads";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase } from "./node_common.ts";
import type { HttpListener, RangeLocks, Runtime, ServeHttpOptions, WorkerHandle } from "./runtime.ts";

/** The machine, seen through Node. */
export function nodeRuntime(): Runtime {
  return {
    ...common,
    name: "node",
    version: process.versions.node,
    rangeLocks: rangeLocks(),
    lockWholeFile: (path) => lockByDatabase(path, (name) => new DatabaseSync(name)),
    digestFile: fileDigester(spawnWorker),
    spawnWorker,
    serveHttp,
    environment: (name) => process.env[name],
    args: process.argv.slice(2),
  };
}

function spawnWorker(url: URL, name: string): WorkerHandle {
  const worker = new Worker(url, { name });
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as never),
    onMessage: (handler) => void worker.on("message", handler),
    onFailure: (handler) => void worker.on("error", handler),
    terminate: () => void worker.terminate(),
  };
}

async function serveHttp({ hostname, port, fetch }: ServeHttpOptions): Promise<HttpListener> {
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({ fetch, hostname });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => resolve());
  });
  const address = server.address() as { address: string; port: number };
  return {
    hostname: address.address,
    port: address.port,
    shutdown: () => new Promise((resolve, reject) => server.close((error) => error ? reject(error) : resolve())),
  };
}

/** As much of koffi as is used here; its own types are wider than anybody needs. */
interface Koffi {
  load(library: string): { func(signature: string): (...args: unknown[]) => number };
  errno(): number;
}

function rangeLocks(): RangeLocks | undefined {
  if (process.platform !== "linux") return undefined;
  let koffi: Koffi;
  try {
    koffi = createRequire(import.meta.url)("koffi");
  } catch {
    // Not installed, or no build for this machine: the built-in SQLite locks instead.
    return undefined;
  }
  const fcntl = koffi.load("libc.so.6").func("int fcntl(int descriptor, int command, _Inout_ uint8_t *argument)");
  return linuxRangeLocks({ fcntl, errno: () => koffi.errno() });
}
