/**
 * {@link Runtime} on Bun.
 *
 * @module
 */

import process from "node:process";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase, type LockDatabase, startWorker } from "./node_common.ts";
import type { HttpListener, RangeLocks, Runtime, ServeHttpOptions, WorkerHandle } from "./runtime.ts";
import { spawnWebWorker } from "./web_worker.ts";

/** As much of Bun as is used here. */
interface BunGlobal {
  readonly version: string;
  serve(options: BunServeOptions): BunServer;
}
interface BunServer {
  readonly hostname: string;
  readonly port: number;
  stop(): Promise<void>;
}
interface BunServeOptions {
  readonly hostname: string;
  readonly port: number;
  readonly fetch: (request: Request, server: BunServer) => Response | Promise<Response>;
  /** Seconds. */
  readonly idleTimeout: number;
  readonly development: boolean;
  readonly reusePort: boolean;
}
interface BunFfi {
  dlopen(library: string, symbols: object): { readonly symbols: Record<string, (...args: unknown[]) => number> };
  ptr(bytes: Uint8Array): number;
  readonly read: { i32(pointer: number, offset: number): number };
}
interface BunSqlite {
  readonly Database: new (path: string) => LockDatabase;
}

declare const Bun: BunGlobal;

/** The machine, seen through Bun. */
export async function bunRuntime(): Promise<Runtime> {
  const { Database } = await builtIn<BunSqlite>("bun:sqlite");
  return {
    ...common,
    name: "bun",
    version: Bun.version,
    rangeLocks: rangeLocks(await builtIn<BunFfi>("bun:ffi")),
    lockWholeFile: (path) => lockByDatabase(path, (name) => new Database(name)),
    digestFile: fileDigester(spawnWorker),
    spawnWorker,
    serveHttp,
    environment: (name) => process.env[name],
    args: process.argv.slice(2),
  };
}

function spawnWorker(url: URL, name: string): WorkerHandle {
  return startWorker(url, name, spawnWebWorker);
}

/** Other runtimes' type checkers do not know Bun's modules, so these are imported by a name that is not a literal. */
async function builtIn<T>(name: string): Promise<T> {
  return await import(name) as T;
}

// deno-lint-ignore require-await -- Bun throws at once; its callers expect a rejection.
async function serveHttp({ hostname, port, fetch }: ServeHttpOptions): Promise<HttpListener> {
  const server = Bun.serve({
    hostname,
    port,
    // Of a request that names no host Bun has the path alone, which is no URL to anybody.
    fetch: (request, server) => {
      const { url } = request;
      return fetch(url.startsWith("/") ? new Request(`http://${authority(server)}${url}`, request) : request);
    },
    // Bun hangs up after ten silent seconds unless told otherwise; a model may take longer to load. It waits for the first
    // headers of a connection for twelve all the same, and for later ones for ever then.
    idleTimeout: 0,
    // The page that development shows for an uncaught error has the source in it.
    development: false,
    // Else two servers share a port when neither is in development.
    reusePort: false,
  });
  return { hostname: server.hostname, port: server.port, limitsHeaders: false, shutdown: () => server.stop() };
}

function authority({ hostname, port }: BunServer): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

function rangeLocks({ dlopen, ptr, read }: BunFfi): RangeLocks | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const { symbols } = dlopen("libc.so.6", {
      fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" },
      __errno_location: { args: [], returns: "ptr" },
    });
    return linuxRangeLocks({
      fcntl: (descriptor, command, argument) => symbols.fcntl!(descriptor, command, ptr(argument)),
      errno: () => read.i32(symbols.__errno_location!(), 0),
    });
  } catch {
    // This machine has another C library: the built-in SQLite locks instead.
    return undefined;
  }
}
