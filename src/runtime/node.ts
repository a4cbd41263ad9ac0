/**
 * {@link Runtime} on Node.
 *
 * @module
 */

import process from "node:process";
import { Worker } from "node:worker_threads";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase } from "./node_common.ts";
import type { HttpListener, RangeLocks, Runtime, ServeHttpOptions, WholeFileLock, WorkerHandle } from "./runtime.ts";

/** The machine, seen through Node. */
export async function nodeRuntime(): Promise<Runtime> {
  return {
    ...common,
    name: "node",
    version: process.versions.node,
    rangeLocks: await rangeLocks(),
    lockWholeFile,
    digestFile: fileDigester(spawnWorker),
    spawnWorker,
    serveHttp,
    environment: (name) => process.env[name],
    args: process.argv.slice(2),
  };
}

/** Node warns of its SQLite when it is imported, so only those who need it import it. */
function lockWholeFile(path: string): WholeFileLock | undefined {
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  return lockByDatabase(path, (name) => new DatabaseSync(name));
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
  // A library does not replace its user's global Request and Response.
  const server = createAdaptorServer({ fetch, hostname, overrideGlobalObjects: false });
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

async function rangeLocks(): Promise<RangeLocks | undefined> {
  if (process.platform !== "linux") return undefined;
  // Where it has no build for this machine, the built-in SQLite locks instead.
  const koffi = await import("koffi").then((module) => module.default, () => undefined);
  if (koffi === undefined) return undefined;
  const fcntl = koffi.load("libc.so.6").func("int fcntl(int descriptor, int command, _Inout_ uint8_t *argument)");
  return linuxRangeLocks({ fcntl, errno: () => koffi.errno() });
}
