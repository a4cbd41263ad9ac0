/**
 * {@link Runtime} on Deno.
 *
 * @module
 */

import { DatabaseSync } from "node:sqlite";
import { fileDigester } from "./digest.ts";
import { linuxRangeLocks } from "./linux_locks.ts";
import { common, lockByDatabase } from "./node_common.ts";
import type { HttpListener, RangeLocks, Runtime, ServeHttpOptions } from "./runtime.ts";
import { spawnWebWorker } from "./web_worker.ts";

/** The machine, seen through Deno. */
export function denoRuntime(): Runtime {
  return {
    ...common,
    name: "deno",
    version: Deno.version.deno,
    rangeLocks: rangeLocks(),
    lockWholeFile: (path) => lockByDatabase(path, (name) => new DatabaseSync(name)),
    digestFile: fileDigester(spawnWebWorker),
    spawnWorker: spawnWebWorker,
    serveHttp,
    environment,
    args: Deno.args,
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

function rangeLocks(): RangeLocks | undefined {
  if (Deno.build.os !== "linux") return undefined;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  const library = Deno.dlopen("libc.so.6", {
    fcntl: { parameters: ["i32", "i32", "buffer"], result: "i32" },
    __errno_location: { parameters: [], result: "pointer" },
  });
  return linuxRangeLocks({
    fcntl: (descriptor, command, argument) => library.symbols.fcntl(descriptor, command, argument),
    errno: () => new Deno.UnsafePointerView(library.symbols.__errno_location()!).getInt32(),
  });
}
