/**
 * The server, put together: warm models and their identity, the response cache in front of them, the routes, the
 * listener; and taken apart again without losing a request.
 *
 * @module
 */

import { Activity } from "../http/activity.ts";
import { createApp } from "../http/app.ts";
import { ApiKeys } from "../http/auth.ts";
import { LoadWatch } from "../http/loading.ts";
import { ModelError } from "../model/error.ts";
import { loadRuntime } from "../runtime/load.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import { openStoreService } from "../store/remote/service.ts";
import { DEFAULT_LOCKING } from "../store/sqlite/default_locking.ts";
import type { BackendCache, LoadBackend } from "../warm/backend_cache.ts";
import type { Listing } from "../warm/catalogue.ts";
import { type ModelSpec, parseModelName } from "../warm/spec.ts";
import { MODELS_OPTIONS, type ModelsOptions, warmModels } from "./backends.ts";
import { cacheEventLine, type Log, warmEventLine } from "./log.ts";
import { openCacheAndStoreOn } from "./open_cache.ts";
import { planUpstreams, type UpstreamTable } from "./upstreams.ts";
import { VERSION } from "./version.ts";

/** How to run a server. */
export interface ServerOptions extends ModelsOptions {
  /** Address to listen on. Default: `127.0.0.1`. */
  readonly host?: string;
  /** Port to listen on; 0 lets the system choose. Default: 8787. */
  readonly port?: number;
  /** Folder of the response cache, and of the digests of model files. Default: `.warmcache`. */
  readonly cache?: string;
  /** Who else may use the cache's files meanwhile: `shared` or `exclusive`; the default is as for `openCache`. */
  readonly locking?: "shared" | "exclusive";
  /**
   * For how long a request that wants its answer whole waits for its model to load, in milliseconds. After that it is
   * refused with 503 and told when to ask again, while the load goes on. Default: 60,000.
   */
  readonly loadTimeout?: Milliseconds;
  /** Models to load as soon as the server listens, one after the other. One that fails is logged. */
  readonly preload?: readonly string[];
  /** The same, before those, and never to evict them. */
  readonly pin?: readonly string[];
  /**
   * If set, requests have to carry it, or one of them, as a bearer token. Needed to listen anywhere but on this machine.
   * Each is a key, or `id=key`: entries of the proxy are kept apart by the ids, and the id is what is told of a key.
   * Without one it is the first 12 hexadecimal digits of the key's SHA-256.
   */
  readonly apiKey?: string | readonly string[];
  /** Whether callers with different keys share their entries, those of the proxy too. Default: no. */
  readonly sharedCache?: boolean;
  /**
   * Providers that the proxy reaches, by the name that begins their paths, besides `openai`, `anthropic` and `google`; one
   * of these names says where else that provider is, or with which credential.
   */
  readonly upstreams?: UpstreamTable;
  /** Hears what happens. Default: nobody. */
  readonly log?: Log;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** `http://host:port`. */
  readonly url: string;
  /** What it found in its models folder and in the hub's cache when it started. */
  readonly models: readonly Listing[];
  /** Why answers cannot be kept in the cache's folder; absent when they can. */
  readonly cacheProblem?: string | undefined;
  /** Stops accepting requests, lets running ones finish, ends every Worker and closes the cache's databases. */
  stop(): Promise<void>;
  /** {@link RunningServer.stop} */
  [Symbol.asyncDispose](): Promise<void>;
}

const OPTIONS: Record<keyof ServerOptions, true> = {
  ...MODELS_OPTIONS,
  host: true,
  port: true,
  locking: true,
  loadTimeout: true,
  preload: true,
  pin: true,
  apiKey: true,
  sharedCache: true,
  upstreams: true,
  log: true,
};

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Starts a server.
 *
 * @throws TypeError for a misspelled option, an empty API key, an address off this machine without one, or an upstream
 * that cannot be; RangeError for a limit below 1, a timeout, or a `keepAlive` that means nothing; the system's error when the port is taken.
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
    cache: cacheDirectory = ".warmcache",
    locking,
    loadTimeout = 60_000,
    preload = [],
    pin = [],
    apiKey = [],
    sharedCache = false,
    upstreams = {},
    log = () => {},
  } = options;
  const given = typeof apiKey === "string" ? [apiKey] : apiKey;
  const apiKeys = given.length === 0 ? undefined : new ApiKeys(given, runtime.sha256);
  const reached = planUpstreams(upstreams, runtime);
  if (!LOOPBACK.has(host) && apiKeys === undefined) {
    throw new TypeError(`Refusing to listen on ${host}:${port} without an API key: pass one, or listen on 127.0.0.1`);
  }
  if (!(loadTimeout > 0 && loadTimeout < Infinity)) {
    throw new RangeError(`Cannot start a server: loadTimeout is no number of milliseconds above 0: ${loadTimeout}`);
  }
  const { clock } = runtime;

  const warn = (message: string): void => log("warn", message);
  const { catalogue, backends, autoDevice } = warmModels(runtime, options, { load, warn });
  backends.on((event) => log(...warmEventLine(event)));
  const { cache, store } = await openCacheAndStoreOn(runtime, {
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
    autoDevice,
    activity: new Activity(clock),
    loads: new LoadWatch(backends, clock),
    loadTimeout,
    clock,
    runtime,
    apiKeys,
    sharedCache,
    upstreams: reached,
    storeService: await openStoreService({ store, clock, report: (error) => log("warn", describe(error)) }),
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
