/**
 * {@link Runtime} on Deno.
 *
 * @module
 */

import { hash } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { spawnDenoProcess } from "./deno_process.ts";
import { fileDigester } from "./digest.ts";
import { fileSystemOf } from "./file_systems.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase, startWorker } from "./node_common.ts";
import type { FileSystem, HttpListener, RangeLocks, Runtime, ServeHttpOptions, WorkerHandle } from "./runtime.ts";
import { FileError } from "./runtime.ts";
import { spawnWebWorker } from "./web_worker.ts";

const ENOENT = 2;

/** The machine, seen through Deno. */
export function denoRuntime(): Runtime {
  const library = cLibrary();
  return {
    ...common,
    files: { ...common.files, fileSystem: (path) => library ? fileSystem(library, path) : "unknown" },
    name: "deno",
    version: Deno.version.deno,
    rangeLocks: library && rangeLocks(library),
    // A hash object, and its digest as bytes, take half as long again for what is as short as most requests.
    sha256: (bytes) => Uint8Array.fromHex(hash("sha256", bytes, "hex")),
    lockWholeFile: (path) => lockByDatabase(path, (name) => new DatabaseSync(name)),
    digestFile: fileDigester(spawnWorker),
    spawnWorker,
    spawnProcess: spawnDenoProcess,
    serveHttp,
    environment,
    args: Deno.args,
  };
}

function spawnWorker(url: URL, name: string): WorkerHandle {
  return startWorker(url, name, spawnWebWorker);
}

/** `Deno.serve` has no setting for how long headers may take, nor for how long a connection may be idle. */
async function serveHttp({ hostname, port, fetch }: ServeHttpOptions): Promise<HttpListener> {
  const bound = Promise.withResolvers<Deno.NetAddr>();
  const server = Deno.serve({ hostname, port, onListen: (address) => bound.resolve(address) }, fetch);
  const address = await bound.promise;
  return {
    hostname: address.hostname,
    port: address.port,
    limitsHeaders: false,
    shutdown: () => server.shutdown(),
  };
}

function environment(name: string): string | undefined {
  const permission = Deno.permissions.querySync({ name: "env", variable: name });
  return permission.state === "granted" ? Deno.env.get(name) : undefined;
}

type CLibrary = Deno.DynamicLibrary<typeof C_FUNCTIONS>;

const C_FUNCTIONS = {
  fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
  statfs: { parameters: ["buffer", "buffer"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
} as const;

/** The C library, where it may be called. */
function cLibrary(): CLibrary | undefined {
  if (Deno.build.os !== "linux") return undefined;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  return Deno.dlopen("libc.so.6", C_FUNCTIONS);
}

function errnoOf({ symbols }: CLibrary): number {
  return new Deno.UnsafePointerView(symbols.__errno_location()!).getInt32();
}

function rangeLocks(library: CLibrary): RangeLocks {
  return linuxRangeLocks({
    fcntl: (descriptor, command, argument) => library.symbols.fcntl(descriptor, command, argument),
    errno: () => errnoOf(library),
  });
}

/** `node:fs` would ask for `--allow-sys` besides; whoever shares a database may call the C library anyway. */
function fileSystem(library: CLibrary, path: string): FileSystem {
  // struct statfs begins with `long f_type`; it has 120 bytes on 64-bit Linux.
  const statfs = new Uint8Array(256);
  if (library.symbols.statfs(new TextEncoder().encode(`${path}\0`), statfs) !== 0) {
    const errno = errnoOf(library);
    const reason = `Cannot stat the file system of ${path}: errno ${errno}`;
    throw new FileError(reason, errno === ENOENT ? "ENOENT" : "EIO");
  }
  return fileSystemOf(new DataView(statfs.buffer).getInt32(0, true));
}
