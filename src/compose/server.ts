/**
 * The server, put together: warm models and their identity, the response cache in front of them, the routes, the
 * listener; and taken apart again without losing a request.
 *
 * @module
 */

import { Activity } from "../http/activity.ts";
import { createApp } from "../http/app.ts";
import { type ApiKeyOptions, ApiKeys } from "../http/auth.ts";
import { checkLimits, type LimitOptions, limitsOf } from "../http/limits/limits.ts";
import { Guard } from "../http/guard/guard.ts";
import { LoadWatch } from "../http/loading.ts";
import { checkServerName } from "../http/operations/served_by.ts";
import { Lifecycle } from "../http/operations/lifecycle.ts";
import { requestLog } from "../http/operations/request_log.ts";
import { RequestWatch } from "../http/operations/request_watch.ts";
import type { Upstream } from "../http/proxy/upstream.ts";
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
import { SERVER_DEFAULTS, type ServerDefaults } from "./server_defaults.ts";
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
  /**
   * How long a server that is to stop goes on serving, in milliseconds, while `/readyz` answers 503: as long as whoever
   * sends it requests may take to see that. Default: 0.
   */
  readonly drainDelay?: Milliseconds;
  /** Models to load as soon as the server listens, one after the other. One that fails is logged. */
  readonly preload?: readonly string[];
  /** The same, before those, and never to evict them. */
  readonly pin?: readonly string[];
  /**
   * If set, requests have to carry it, or one of them, as a bearer token. Needed to listen anywhere but on this machine.
   * Each is a key, or `id=key`, which opens everything but `/admin`; or says more of itself. Entries are kept apart by the
   * ids, and the id is what is told of a key. Without one it is the first 12 hexadecimal digits of the key's SHA-256.
   */
  readonly apiKey?: string | readonly (string | ApiKeyOptions)[];
  /**
   * Names that the server is reached by, besides this machine's own and `host`: what its clients have in its URL, without
   * port. A request that names another host is refused (DNS rebinding). With API keys, which protect against that as
   * well, every name passes unless some are given here. Default: none.
   */
  readonly allowedHosts?: readonly string[];
  /**
   * The origins of web pages that may ask the server and read its answers, such as `https://page.example`; with API keys,
   * `*` is all. Requests that a browser sends for other pages are refused. Default: none but the server's own.
   */
  readonly corsOrigins?: readonly string[];
  /** Whether callers with different keys share their entries, those of the proxy too. Default: no. */
  readonly sharedCache?: boolean;
  /**
   * Providers that the proxy reaches, by the name that begins their paths, besides `openai`, `anthropic` and `google`; one
   * of these names says where else that provider is, or with which credential.
   */
  readonly upstreams?: UpstreamTable;
  /** How much it takes on before it refuses. */
  readonly limits?: LimitOptions;
  /**
   * How long the headers of a request may take to come, in milliseconds. Node can be told, and closes the connection then;
   * Deno and Bun cannot: a proxy in front of them does. Default: 30,000.
   */
  readonly headerTimeout?: Milliseconds;
  /**
   * Which of several servers this is: 1 to 64 letters, digits, `.`, `_`, `:` and `-`. Every answer tells it in
   * `X-Served-By`. Default: none is told.
   */
  readonly serverName?: string;
  /** Hears what happens. Default: nobody. */
  readonly log?: Log;
}

/** A server that listens. */
export interface RunningServer extends AsyncDisposable {
  /** `http://host:port`. */
  readonly url: string;
  /** What it found in its models folder and in the hub's cache when it started. */
  readonly models: readonly Listing[];
  /** Where answers are kept: a folder, the addresses of Redis or of another server. */
  readonly cachePlace: string;
  /** Why answers cannot be kept in the cache's folder; absent when they can, or are kept elsewhere. */
  readonly cacheProblem?: string | undefined;
  /**
   * Says by `/readyz` that it will stop, goes on for `drainDelay`, then stops accepting requests, lets running ones
   * finish, ends every Worker and closes the cache's databases.
   */
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
  drainDelay: true,
  preload: true,
  pin: true,
  apiKey: true,
  allowedHosts: true,
  corsOrigins: true,
  sharedCache: true,
  upstreams: true,
  limits: true,
  headerTimeout: true,
  serverName: true,
  log: true,
};

const LOOPBACK = new Set(["127.0.0.1", "::1", "localhost"]);

/**
 * Starts a server.
 *
 * @throws TypeError for a misspelled option, an empty API key, an address off this machine without one, a host, an origin
 * or an upstream that cannot be; RangeError for a limit below 1, a timeout, or a `keepAlive` that means nothing; the system's error when the port is taken.
 */
export async function startServer(options: ServerOptions = {}): Promise<RunningServer> {
  return await startServerOn(await loadRuntime(), options);
}

/** What becomes of options that are in order. */
export interface CheckedOptions extends ServerDefaults {
  readonly apiKeys: ApiKeys | undefined;
  readonly upstreams: readonly Upstream[];
  readonly limits: Required<LimitOptions>;
  readonly guard: Guard;
}

/** Checks the options of a server without opening or loading anything; refuses as {@link startServer} does. */
export function checkServerOptions(runtime: Runtime, options: ServerOptions): CheckedOptions {
  refuseUnknownOptions("start a server", options, Object.keys(OPTIONS));
  const {
    host = SERVER_DEFAULTS.host,
    port = SERVER_DEFAULTS.port,
    cache = SERVER_DEFAULTS.cache,
    loadTimeout = SERVER_DEFAULTS.loadTimeout,
    drainDelay = SERVER_DEFAULTS.drainDelay,
    headerTimeout = SERVER_DEFAULTS.headerTimeout,
    apiKey = [],
    allowedHosts = [],
    corsOrigins = [],
    serverName,
  } = options;
  const given = typeof apiKey === "string" ? [apiKey] : apiKey;
  const apiKeys = given.length === 0 ? undefined : new ApiKeys(given, runtime);
  const upstreams = planUpstreams(options.upstreams ?? {}, runtime);
  const limits = checkLimits(options.limits ?? {});
  if (!LOOPBACK.has(host) && apiKeys === undefined) {
    throw new TypeError(`Refusing to listen on ${host}:${port} without an API key: pass one, or listen on 127.0.0.1`);
  }
  const guard = new Guard({
    host,
    allowedHosts,
    corsOrigins,
    hasKeys: apiKeys !== undefined,
    upstreams: upstreams.map(({ name }) => name),
  });
  if (!(loadTimeout > 0 && loadTimeout < Infinity)) {
    throw new RangeError(`Cannot start a server: loadTimeout is no number of milliseconds above 0: ${loadTimeout}`);
  }
  if (!(drainDelay >= 0 && drainDelay < Infinity)) {
    throw new RangeError(`Cannot start a server: drainDelay is no number of milliseconds from 0: ${drainDelay}`);
  }
  if (!(headerTimeout > 0 && headerTimeout < Infinity)) {
    throw new RangeError(`Cannot start a server: headerTimeout is no number of milliseconds above 0: ${headerTimeout}`);
  }
  if (serverName !== undefined) checkServerName(serverName);
  return { host, port, cache, loadTimeout, drainDelay, headerTimeout, apiKeys, upstreams, limits, guard };
}

/** {@link startServer} on a given machine, and with another way of loading bases, if one is given. */
export async function startServerOn(
  runtime: Runtime,
  options: ServerOptions,
  load?: LoadBackend,
): Promise<RunningServer> {
  const checked = checkServerOptions(runtime, options);
  const { host, port, cache: cacheDirectory, loadTimeout, drainDelay, headerTimeout, apiKeys, upstreams } = checked;
  const { limits, guard } = checked;
  const { locking, preload = [], pin = [], sharedCache = false, serverName, log = () => {} } = options;
  const { clock } = runtime;
  const queue = { maxQueue: limits.maxQueue, maxQueuePerModel: limits.maxQueuePerModel };

  const warn = (message: string): void => log("warn", message);
  if (!LOOPBACK.has(host)) {
    for (const id of apiKeys?.weak ?? []) {
      warn(`the API key ${id} is short enough to be guessed: make one with: openssl rand -hex 32`);
    }
  }
  const { catalogue, backends, autoDevice } = warmModels(runtime, options, { load, queue, warn });
  backends.on((event) => log(...warmEventLine(event)));
  const { cache, store, place, isOnDisk } = await openCacheAndStoreOn(runtime, {
    directory: cacheDirectory,
    refusedStore: "bypass",
    ...locking === undefined ? {} : { locking },
    // Who has a database for itself will not let go of it soon; who shares it has it locked for moments only.
    ...(locking ?? DEFAULT_LOCKING) === "shared" ? {} : { lockTimeout: 0 },
    report: (event) => log(...cacheEventLine(event)),
  });
  const lifecycle = new Lifecycle();
  const requests = new RequestWatch(clock);
  requests.on(requestLog(clock, log));
  const app = createApp({
    version: VERSION,
    serverName,
    cache,
    backends,
    catalogue,
    autoDevice,
    activity: new Activity(clock),
    requests,
    lifecycle,
    limits: limitsOf(limits, clock),
    loads: new LoadWatch(backends, clock),
    loadTimeout,
    clock,
    runtime,
    guard,
    apiKeys,
    sharedCache,
    upstreams,
    storeService: await openStoreService({ store, clock, report: (error) => log("warn", describe(error)) }),
    randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0]!,
    // What went wrong with a model was logged where it happened.
    report: (error) => log(error instanceof ModelError ? "debug" : "error", describe(error)),
  });
  // Before there is a listener that an error here would leave behind.
  const [listings, cacheProblem] = await Promise.all([
    catalogue.list(),
    isOnDisk ? whyNotWritable(runtime, cacheDirectory) : undefined,
  ]);
  const fetch = (request: Request): Response | Promise<Response> => app.fetch(request);
  const listener = await runtime.serveHttp({ hostname: host, port, headerTimeout, fetch }).catch(
    (cause) => {
      const taken = (cause as { code?: unknown }).code === "EADDRINUSE";
      const reason = taken ? "the address is in use; choose another port, or 0 for any" : (cause as Error).message;
      throw new Error(`Cannot listen on ${host}:${port}: ${reason}`, { cause });
    },
  );

  if (options.headerTimeout !== undefined && !listener.limitsHeaders) {
    warn(
      `${runtime.name} waits for the headers of a request for as long as they take: put a proxy in front that does not`,
    );
  }
  const warmUp = loadInAdvance(backends, { pin, preload }, log);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    stopped ??= (async () => {
      lifecycle.drain();
      if (drainDelay > 0) await clock.sleep(drainDelay);
      lifecycle.close();
      await listener.shutdown();
      await backends.evictAll();
      await warmUp;
      await cache.close();
    })();
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${listener.port}`,
    models: listings,
    cachePlace: place,
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
export async function whyNotWritable({ files }: Runtime, directory: string): Promise<string | undefined> {
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
