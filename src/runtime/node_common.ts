/**
 * What Deno, Node and Bun do alike, by way of the `node:` modules that all three have.
 *
 * @module
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import fs from "node:fs";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { setImmediate, setTimeout as startTimer } from "node:timers";
import { nodeFiles } from "./node_files.ts";
import { nodeTerminal } from "./node_terminal.ts";
import type { CallContext, Clock, Runtime, WholeFileLock, WorkerHandle } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** The parts of a {@link Runtime} that do not differ. */
export type CommonRuntime = Pick<
  Runtime,
  | "files"
  | "clock"
  | "sha256"
  | "sha256InParts"
  | "readModule"
  | "newCallContext"
  | "onTerminationSignal"
  | "usage"
  | "printsToTerminal"
  | "terminal"
  | "processId"
  | "exit"
>;

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
      const timer = startTimer(() => {
        signal?.removeEventListener("abort", abort);
        resolve();
      }, duration);
      if (background) timer.unref();
      signal?.addEventListener("abort", abort, { once: true });
    });
  },
  afterTurn: (run) => void setImmediate(run),
};

/** The parts of a {@link Runtime} that do not differ. */
export const common: CommonRuntime = {
  files: nodeFiles,
  clock,
  sha256: (bytes) => createHash("sha256").update(bytes).digest(),
  sha256InParts() {
    const hash = createHash("sha256");
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest() };
  },
  async readModule(url) {
    if (url.protocol !== "file:") return await WebAssembly.compileStreaming(fetch(url));
    return await WebAssembly.compile(await readFile(url) as Uint8Array<ArrayBuffer>);
  },
  newCallContext<T>(): CallContext<T> {
    const storage = new AsyncLocalStorage<T>();
    return { run: (value, work) => storage.run(value, work), current: () => storage.getStore() };
  },
  onTerminationSignal(handler) {
    const signals = process.platform === "win32" ? ["SIGINT", "SIGBREAK"] as const : ["SIGINT", "SIGTERM"] as const;
    for (const signal of signals) process.on(signal, handler);
    return () => {
      for (const signal of signals) process.off(signal, handler);
    };
  },
  printsToTerminal: () => process.stdout.isTTY === true,
  terminal: nodeTerminal,
  processId: process.pid,
  usage() {
    const { user, system } = process.cpuUsage();
    return { cpuSeconds: (user + system) / 1e6, residentBytes: process.memoryUsage.rss() };
  },
  exit: (code) => process.exit(code),
};

/**
 * Starts a Worker whose module is there. A bundle leaves them out, and Deno says so on the console before whoever
 * started one can know.
 *
 * @throws FileError `ENOENT`
 */
export function startWorker(url: URL, name: string, start: Runtime["spawnWorker"]): WorkerHandle {
  if (url.protocol === "file:" && isMissing(url)) {
    throw new FileError(`Cannot start Worker ${name}: its module is missing: ${url.href}`, "ENOENT");
  }
  return start(url, name);
}

function isMissing(url: URL): boolean {
  try {
    return fs.statSync(url, { throwIfNoEntry: false }) === undefined;
  } catch {
    // Deno may start what this program may not look at.
    return false;
  }
}

/** As much of a runtime's built-in SQLite as a lock needs. */
export interface LockDatabase {
  exec(sql: string): unknown;
  close(): void;
}

/** {@link Runtime.lockWholeFile} by a built-in SQLite: `BEGIN EXCLUSIVE` on an empty database takes its lock bytes. */
export function lockByDatabase(path: string, open: (path: string) => LockDatabase): WholeFileLock | undefined {
  // Not for SQLite to create: it would with mode 0644, and hide why it cannot. A file that is there already may be
  // locked by this process, and closing another descriptor of it would end that lock.
  if (!nodeFiles.exists(path)) nodeFiles.open(path, "create").close();
  let database: LockDatabase | undefined;
  try {
    database = open(path);
    // In memory: else a killed owner leaves a journal beside the file.
    database.exec("PRAGMA journal_mode = MEMORY; PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    // Not every runtime's errors carry SQLite's code; all carry its text.
    const { message } = error as Error;
    if (message === "database is locked") return undefined;
    throw new FileError(`Cannot lock ${path}: ${message}`, "EIO", { cause: error });
  }
  let locked: LockDatabase | undefined = database;
  return {
    release() {
      locked?.close();
      locked = undefined;
    },
  };
}
