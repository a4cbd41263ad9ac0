/**
 * {@link Runtime} on Deno.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { nodeFiles } from "./node_files.ts";
import type {
  CallContext,
  Clock,
  HttpListener,
  RangeLocks,
  Runtime,
  ServeHttpOptions,
  WorkerHandle,
} from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** The machine, seen through Deno. */
export function denoRuntime(): Runtime {
  return {
    name: "deno",
    version: Deno.version.deno,
    files: nodeFiles,
    rangeLocks: rangeLocks(),
    clock,
    lockWholeFile,
    sha256: (bytes) => createHash("sha256").update(bytes).digest(),
    digestFile: fileDigester(spawnWorker),
    spawnWorker,
    onTerminationSignal,
    serveHttp,
    newCallContext,
    environment,
    args: Deno.args,
    processId: Deno.pid,
    exit: (code) => Deno.exit(code),
  };
}

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep(duration, { signal, background = false } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = (): void => {
        clearTimeout(timer);
        reject(signal!.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, duration);
      if (background) Deno.unrefTimer(timer);
      signal?.addEventListener("abort", abort, { once: true });
    });
  },
};

function newCallContext<T>(): CallContext<T> {
  const storage = new AsyncLocalStorage<T>();
  return { run: (value, work) => storage.run(value, work), current: () => storage.getStore() };
}

function spawnWorker(url: URL, name: string): WorkerHandle {
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

function onTerminationSignal(handler: (signal: string) => void): () => void {
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];
  const listeners = signals.map((signal) => [signal, () => handler(signal)] as const);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  };
}

async function serveHttp({ hostname, port, fetch }: ServeHttpOptions): Promise<HttpListener> {
  const bound = Promise.withResolvers<Deno.NetAddr>();
  const server = Deno.serve({ hostname, port, onListen: (address) => bound.resolve(address) }, fetch);
  const address = await bound.promise;
  return { hostname: address.hostname, port: address.port, shutdown: () => server.shutdown() };
}

function environment(name: string): string | undefined {
  const permission = Deno.permissions.querySync({ name: "env", variable: name });
  return permission.state === "granted" ? Deno.env.get(name) : undefined;
}

/** `BEGIN EXCLUSIVE` on an empty database takes SQLite's lock bytes and writes nothing. */
function lockWholeFile(path: string): ReturnType<Runtime["lockWholeFile"]> {
  // Not for SQLite to create: it would with mode 0644, and hide why it cannot. A file that is there already may be
  // locked by this process, and closing another descriptor of it would end that lock.
  if (!nodeFiles.exists(path)) nodeFiles.open(path, "create").close();
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    // In memory: else a killed owner leaves a journal beside the file.
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    // Deno's errors carry SQLite's text but not its code.
    const { message } = error as Error;
    if (message === "database is locked") return undefined;
    throw new FileError(`Cannot lock ${path}: ${message}`, "EIO", { cause: error });
  }
  const locked = database;
  return {
    release() {
      if (locked.isOpen) locked.close();
    },
  };
}

function rangeLocks(): RangeLocks | undefined {
  if (Deno.build.os !== "linux") return undefined;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  const library = Deno.dlopen("libc.so.6", {
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    __errno_location: { parameters: [], result: "pointer" },
  });
  return linuxRangeLocks({
    fcntl: (descriptor, command, argument) => library.symbols.fcntl(descriptor, command, argument),
    errno: () => Deno.UnsafePointerView.getArrayBuffer(library.symbols.__errno_location()!, 4),
  });
}
