/**
 * {@link Runtime} on Node.
 *
 * @module
 */

import type { Server } from "node:http";
import { Server as NetServer, type Socket } from "node:net";
import process from "node:process";
import { Worker } from "node:worker_threads";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase, startWorker } from "./node_common.ts";
import type { HttpListener, RangeLocks, Runtime, ServeHttpOptions, WholeFileLock, WorkerHandle } from "./runtime.ts";

/** Closes the listening socket and nothing else, which `close` of an HTTP server does not. */
const closeListener = NetServer.prototype.close;

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
  return startWorker(url, name, spawnThread);
}

function spawnThread(url: URL, name: string): WorkerHandle {
  const worker = new Worker(url, { name });
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as never),
    onMessage: (handler) => void worker.on("message", handler),
    onFailure: (handler) => void worker.on("error", handler),
    terminate: () => void worker.terminate(),
  };
}

/** How long a whole request may take to come, unless its headers alone may take longer: Node's own. */
const REQUEST_TIMEOUT = 300_000;

/** Node looks at its connections so often, unless told otherwise. */
const CHECKING_INTERVAL = 30_000;

async function serveHttp({ hostname, port, headerTimeout, fetch }: ServeHttpOptions): Promise<HttpListener> {
  const { createAdaptorServer } = await import("@hono/node-server");
  // A library does not replace its user's global Request and Response.
  const server = createAdaptorServer({
    fetch,
    hostname,
    overrideGlobalObjects: false,
    ...headerTimeout !== undefined && {
      serverOptions: {
        headersTimeout: headerTimeout,
        requestTimeout: Math.max(REQUEST_TIMEOUT, headerTimeout),
        // What is late is found out as much later again at most.
        connectionsCheckingInterval: Math.min(CHECKING_INTERVAL, headerTimeout),
      },
    },
  }) as Server;
  const endIdle = followConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, () => resolve());
  });
  const address = server.address() as { address: string; port: number };
  return {
    hostname: address.address,
    port: address.port,
    limitsHeaders: true,
    shutdown: () =>
      new Promise((resolve) => {
        // Its own `close` in the end, for its timer; the only error of either says that it is closed already.
        closeListener.call(server, () => server.close(() => resolve()));
        endIdle();
      }),
  };
}

/**
 * Returns what ends every connection on which no request runs, and the others after their last. The server's own
 * `close` waits for connections that never asked anything, keeps the others for seconds after their last answer, and
 * cuts off answers that are written but still on their way to a slow reader.
 */
function followConnections(server: Server): () => void {
  const running = new Map<Socket, number>();
  let ending = false;
  const count = (socket: Socket, change: number): void => {
    const requests = (running.get(socket) ?? 0) + change;
    if (ending && requests === 0) socket.destroy();
    else if (!socket.destroyed) running.set(socket, requests);
  };
  server.on("connection", (socket) => {
    count(socket, 0);
    socket.once("close", () => running.delete(socket));
  });
  server.on("request", ({ socket }, response) => {
    count(socket, 1);
    response.once("close", () => count(socket, -1));
  });
  return () => {
    ending = true;
    for (const socket of running.keys()) count(socket, 0);
  };
}

async function rangeLocks(): Promise<RangeLocks | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    const { default: koffi } = await import("koffi");
    const fcntl = koffi.load("libc.so.6").func("int fcntl(int descriptor, int command, _Inout_ uint8_t *argument)");
    return linuxRangeLocks({ fcntl, errno: () => koffi.errno() });
  } catch {
    // It has no build for this machine, or this machine another C library: the built-in SQLite locks instead.
    return undefined;
  }
}
