/**
 * The server, put together: warm models and their identity, the response cache in front of them, the routes, the
 * listener; and taken apart again without losing a request.
 *
 * @module
 */

import { Activity } from "../http/activity.ts";
import { createApp } from "../http/app.ts";
import { automaticDevice } from "../model/device.ts";
import { ModelError } from "../model/error.ts";
import { predictMemory } from "../model/memory.ts";
import { loadOnnxBackend } from "../model/onnx_backend.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { DEFAULT_LOCKING } from "../store/sqlite/default_locking.ts";
import { BackendCache, type LoadBackend } from "../warm/backend_cache.ts";
import { Catalogue, type Listing } from "../warm/catalogue.ts";
import { Identifier } from "../warm/identity.ts";
import type { KeepAlive } from "../warm/keep_alive.ts";
import { type ModelSpec, parseModelName } from "../warm/spec.ts";
import { cacheEventLine, type Log, warmEventLine } from "./log.ts";
import { openCacheOn } from "./open_cache.ts";
import { VERSION } from "./version.ts";

/** How to run a server. */
export interface ServerOptions {
  /** Address to listen on. Default: `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; 0 lets the system choose. Default: 8787. */
  readonly port?: number;
  /** Folder with models in Hugging Face layout. Default: `models`. */
  readonly models?: string;
  /** Folder of the response cache. Default: `.warmcache`. */
  readonly cache?: string;
  /** Who else may use the cache's files meanwhile: `shared` or `exclusive`; the default is as for `openCache`. */
  readonly locking?: "shared" | "exclusive";
  /** How many base models stay loaded at most. Default: 2. */
  readonly maxLoadedModels?: number;
  /** How many bytes of this machine's memory they may take together. Default: any. */
  readonly maxRamBytes?: number;
  /** How many bytes on the GPU. Default: any. */
  readonly maxGpuBytes?: number;
  /** For how long a model stays loaded that nobody uses. Default: -1, until its room is needed for another. */
  readonly keepAlive?: KeepAlive;
  /** Models to load as soon as the server listens, one after the other. One that fails is logged. */
  readonly preload?: readonly string[];
  /** The same, before those, and never to evict them. */
  readonly pin?: readonly string[];
  /** If set, requests have to carry it as a bearer token. Needed to listen anywhere but on this machine. */
  readonly apiKey?: string;
  /** Hears what happens. Default: nobody. */
  readonly log?: Log;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** `http://host:port`. */
  readonly url: string;
  /** What it found in its models folder when it started. */
  readonly models: readonly Listing[];
  /** Why answers cannot be kept in the cache's folder; absent when they can. */
  readonly cacheProblem?: string | undefined;
  /** Stops accepting requests, lets running ones finish, ends every Worker and closes the cache's databases. */
  stop(): Promise<void>;
  /** {@link RunningServer.stop} */
  [Symbol.asyncDispose](): Promise<void>;
}

const OPTIONS: Record<keyof ServerOptions, true> = {
  host: true,
  port: true,
  models: true,
  cache: true,
  locking: true,
  maxLoadedModels: true,
  maxRamBytes: true,
  maxGpuBytes: true,
  keepAlive: true,
  preload: true,
  pin: true,
  apiKey: true,
  log: true,
};

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Starts a server.
 *
 * @throws TypeError for a misspelled option, an empty API key, or an address off this machine without one; RangeError
 * for a limit below 1 or a `keepAlive` that means nothing; the system's error when the port is taken.
 */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  return await startServerOn(await loadRuntime(), options);
}

/** {@link startServer} on a given machine, and with another way of loading bases, if one is given. */
export async function startServerOn(
  runtime: Runtime,
  options: ServerOptions,
  load?: LoadBackend,
): Promise<RunningServer> {
  refuseUnknownOptions("start a server", options, Object.keys(OPTIONS));
  const {
    host = "127.0.0.1",
    port = 8787,
    models = "models",
    cache: cacheDirectory = ".warmcache",
    locking,
    maxLoadedModels = 2,
    maxRamBytes = Infinity,
    maxGpuBytes = Infinity,
    keepAlive = -1,
    preload = [],
    pin = [],
    apiKey,
    log = () => {},
  } = options;
  // Else a variable that was left empty would look like protection, and no request could ever pass.
  if (apiKey === "") throw new TypeError("Cannot start a server with an empty API key: leave it out, or give one");
  if (!LOOPBACK.has(host) && apiKey === undefined) {
    throw new TypeError(`Refusing to listen on ${host}:${port} without an API key: pass one, or listen on 127.0.0.1`);
  }
  const { clock } = runtime;

  const catalogue = new Catalogue({ runtime, directory: models });
  const identifier = new Identifier({
    runtime,
    catalogue,
    memoPath: `${cacheDirectory}/digests.json`,
    automaticDevice: () => automaticDevice(runtime),
    log: (message) => log("warn", message),
  });
  const backends = new BackendCache({
    maxLoaded: maxLoadedModels,
    maxRamBytes,
    maxGpuBytes,
    keepAlive,
    clock,
    identify: (spec, options) => identifier.identify(spec, options),
    predict: predictMemory,
    load: load ?? (async (base, signal) => {
      const knownAdapterWeights = await catalogue.adapterWeights(base.name);
      return await loadOnnxBackend(runtime, base, { signal, knownAdapterWeights });
    }),
  });
  backends.on((event) => log(...warmEventLine(event)));
  const cache = await openCacheOn(runtime, {
    directory: cacheDirectory,
    refusedStore: "bypass",
    ...locking === undefined ? {} : { locking },
    // Who has a database for itself will not let go of it soon; who shares it has it locked for moments only.
    ...(locking ?? DEFAULT_LOCKING) === "shared" ? {} : { lockTimeout: 0 },
    report: (event) => log(...cacheEventLine(event)),
  });
  const app = createApp({
    version: VERSION,
    cache,
    backends,
    catalogue,
    activity: new Activity(clock),
    clock,
    apiKey,
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
    // What went wrong with a model was logged where it happened.
    report: (error) => log(error instanceof ModelError ? "debug" : "error", describe(error)),
  });
  // Before there is a listener that an error here would leave behind.
  const [listings, cacheProblem] = await Promise.all([catalogue.list(), whyNotWritable(runtime, cacheDirectory)]);
  const listener = await runtime.serveHttp({ hostname: host, port, fetch: (request) => app.fetch(request) }).catch(
    (cause) => {
      const taken = (cause as { code?: unknown }).code === "EADDRINUSE";
      const reason = taken ? "the address is in use; choose another port, or 0 for any" : (cause as Error).message;
      throw new Error(`Cannot listen on ${host}:${port}: ${reason}`, { cause });
    },
  );

  const warmUp = loadInAdvance(backends, { pin, preload }, log);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    stopped ??= (async () => {
      await listener.shutdown();
      await backends.evictAll();
      await warmUp;
      await cache.close();
    })();
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${listener.port}`,
    models: listings,
    cacheProblem,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Loads what is to be there before anybody asks. Whatever fails is logged: it is tried again when it is asked for. */
async function loadInAdvance(
  backends: BackendCache,
  { pin, preload }: { readonly pin: readonly string[]; readonly preload: readonly string[] },
  log: Log,
): Promise<void> {
  const attempt = async (name: string, doing: string, load: (spec: ModelSpec) => Promise<void>): Promise<void> => {
    try {
      await load(parseModelName(name));
    } catch (error) {
      const isStopped = error instanceof ModelError && error.code === "closed";
      if (!isStopped) log("error", `${doing} ${name} failed: ${(error as Error).message}`);
    }
  };
  for (const name of pin) await attempt(name, "pinning", (spec) => backends.pin(spec));
  for (const name of preload) await attempt(name, "preloading", (spec) => backends.preload(spec));
}

/** Why no answer can be kept in a folder; `undefined` when all is well. Makes the folder. */
async function whyNotWritable({ files }: Runtime, directory: string): Promise<string | undefined> {
  try {
    files.makeDirectory(directory);
    const probe = `${directory}/writable`;
    await files.replace(probe, new Uint8Array());
    files.remove(probe);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
