/**
 * Warm models in a page: fetched once from a site or a hub and kept in the page's own file system (OPFS), run in Workers
 * by onnxruntime-web on the GPU or the CPU, lent by name and compared by suites of probes as on a server. With the cache
 * of `./browser` in front, an answer that was given once is given again without loading anything.
 *
 * ```ts ignore
 * import { openCache } from "@warmcache/warmcache/browser";
 * import { openBackends, openClient } from "@warmcache/warmcache/browser/warm";
 *
 * const backends = await openBackends({ models: { "kjv-tiny": "/models/kjv-tiny/" } });
 * const cache = await openCache();
 * const client = openClient(backends, cache);
 * const answer = await client.createCompletion({ model: "kjv-tiny+fortunes", prompt: "The first law of", max_tokens: 20 });
 * ```
 *
 * @module
 */

import "./no_eval.ts";
import { loadOnnxBackend } from "../model/onnx_backend.ts";
import type { ResponseCache } from "../cache/response_cache.ts";
import { type ContentFile, isOnnxBase, type OnnxBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import { automaticDevice, deviceFacts } from "../model/device.ts";
import { browserRuntime } from "../runtime/browser.ts";
import { provideRuntime } from "../runtime/current.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Runtime, WorkerHandle } from "../runtime/runtime.ts";
import { siblingModule } from "../runtime/sibling.ts";
import { spawnWebWorker, webWorkerHandle } from "../runtime/web_worker.ts";
import type { WarmEvent } from "../warm/backend_cache.ts";
import type { LocatedFile } from "../warm/file_digests.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { keepInMemory, openFolder } from "../warm/shelf/keeper.ts";
import { Fetcher, lendingTo } from "../warm/shelf/page_end.ts";
import { knownPlace, type ModelPlace } from "../warm/shelf/place.ts";
import type { ToWorker } from "../warm/shelf/protocol.ts";
import { type DownloadProgress, ModelShelf, SHELF } from "../warm/shelf/shelf.ts";
import { isName } from "../warm/spec.ts";
import { type ModelsOptions, warmModels } from "./backends.ts";
import { type Backends, joinBackends, type ModelReference, specOf } from "./join_backends.ts";
import { joinClient, type LocalClient } from "./local_client.ts";

export type * from "../model/backend.ts";
export { ModelError, type ModelErrorCode, type ModelErrorOptions } from "../model/error.ts";
export type * from "./portable_api.ts";
export type { ProbeResult, SuiteProgress, SuiteResult } from "../probe/run_suite.ts";
export type { EvictionReason, LoadedModel, WarmEvent } from "../warm/backend_cache.ts";
export type { Listing } from "../warm/catalogue.ts";
export type { Dtype } from "../warm/dtype.ts";
export type { ResolvedModel } from "../warm/identity.ts";
export type { KeepAlive } from "../warm/keep_alive.ts";
export type { BackendKind } from "../warm/kinds.ts";
export type { Lease } from "../warm/lease.ts";
export type { IdentifyOptions, LeaseOptions, PreloadOptions } from "../warm/options.ts";
export type { FolderFile, FolderPlace, HubPlace, ModelPlace } from "../warm/shelf/place.ts";
export type { DownloadProgress, FileProgress } from "../warm/shelf/shelf.ts";
export type { ModelName, ModelSpec, ModelSpecOptions } from "../warm/spec.ts";
export type { ApiEndpoints } from "./api_kind.ts";
export type { Backends, Comparison, ModelReference } from "./join_backends.ts";
export type {
  LocalAnswer,
  LocalBody,
  LocalCallOptions,
  LocalChoice,
  LocalChoicePart,
  LocalChunk,
  LocalClient,
  LocalStreamOptions,
  LocalUsage,
} from "./local_client.ts";

/** Which models to use, and how they are kept. */
export interface OpenBackendsOptions extends Omit<ModelsOptions, "models" | "hub" | "cache"> {
  /**
   * Where models come from, by the names that they are asked for by: the URL of a folder, or a hub. An adapter lies in
   * `adapters/` of its base, or has a place of its own, and then says in its `adapter_config.json` for which base it is.
   */
  readonly models: Readonly<Record<string, ModelPlace>>;
  /**
   * The folder of the page's own file system in which they are kept, or `false` for memory. Default: `warmcache-models`;
   * memory where there is no such file system, as in insecure contexts and private windows.
   */
  readonly directory?: string | false;
  /**
   * Starts the Worker that a model lives in, for bundles: a module that imports `browser/model-worker` and nothing else.
   * Default: `browser_model_worker.js` beside this module.
   */
  readonly worker?: () => Worker;
  /**
   * The folder that has onnxruntime-web's .wasm files, `ort-wasm-simd-threaded.wasm` and
   * `ort-wasm-simd-threaded.asyncify.wasm`; what is relative is so to the page. Default: where the Worker's module is.
   */
  readonly onnxruntime?: string | URL;
  /** Hears how far downloads are. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Hears of loads, evictions and failures. */
  readonly onEvent?: (event: WarmEvent) => void;
  /** Hears why a file has not come yet, and when it is asked for again, and what could not be remembered. */
  readonly onWarning?: (message: string) => void;
}

/** Models that stay warm, in a page. */
export interface PageBackends extends Backends {
  /** Where models are kept: `opfs:` and a folder, or `memory`. */
  readonly location: string;
  /**
   * Asks a model's place what it has now, and fetches what is not here, so that nothing has to be fetched later. What is
   * here is used as it is otherwise, whatever its place has by now.
   *
   * @throws ModelError; the signal's reason, after which what came so far stays.
   */
  pull(model: ModelReference, options?: { readonly signal?: AbortSignal }): Promise<ResolvedModel>;
  /** Removes the files of a model from this browser, but for those that another one has too. A missing one is no error. */
  remove(name: string): Promise<void>;
}

const OPTIONS: Record<keyof OpenBackendsOptions, true> = {
  models: true,
  directory: true,
  worker: true,
  onnxruntime: true,
  onProgress: true,
  onEvent: true,
  onWarning: true,
  maxLoadedModels: true,
  maxRamBytes: true,
  maxGpuBytes: true,
  keepAlive: true,
  apiEndpoints: true,
  kinds: true,
};

const DIRECTORY = "warmcache-models";

/**
 * Opens models. Nothing is fetched before it is asked for.
 *
 * @throws TypeError for a misspelled option, a place, an endpoint or a kind that cannot be; RangeError for a limit below 1.
 */
export async function openBackends(options: OpenBackendsOptions): Promise<PageBackends> {
  refuseUnknownOptions("open backends", options, Object.keys(OPTIONS));
  const { models, directory = DIRECTORY, worker, onnxruntime, onProgress, onEvent, onWarning, ...keeping } = options;
  refuseOdd(models, directory);
  const page = pageUrl();
  const places = new Map(Object.entries(models).map(([name, place]) => [name, knownPlace(name, place, page)]));
  const spawn = spawner(worker, onnxruntime === undefined ? undefined : new URL(onnxruntime, page).href);
  const keeper = directory === false ? keepInMemory() : await openFolder(machine, directory) ?? keepInMemory();
  const fetcher = new Fetcher(() => spawn("models' files"));
  const shelf = new ModelShelf({ runtime: machine, places, keeper, fetcher, onProgress, warn: onWarning });
  const runtime = modelMachine(shelf, spawn);
  const opened = warmModels(runtime, { ...keeping, models: SHELF, hub: false, cache: false }, {
    load: async (base, signal) => {
      const files = isOnnxBase(base) ? filesOf(base) : [];
      const weights = await shelf.wanted(await opened.catalogue.adapterWeights(base.name));
      const [knownAdapterWeights] = await Promise.all([
        havingSome(shelf, weights, signal),
        shelf.fetch(files.map(({ path }) => path), signal),
      ]);
      try {
        return await loadOnnxBackend(runtime, base, { signal, knownAdapterWeights });
      } catch (error) {
        if (error instanceof ModelError && error.code === "identity_changed") shelf.doubt(files);
        throw error;
      }
    },
  });
  if (onEvent !== undefined) opened.backends.on(onEvent);
  const joined = joinBackends(runtime.clock, opened);
  const { close: closeModels } = joined;
  const close = async (): Promise<void> => {
    await closeModels();
    fetcher.close();
  };
  return Object.assign(joined, {
    location: keeper.location,
    pull: async (model: ModelReference, { signal }: { readonly signal?: AbortSignal } = {}) => {
      const spec = specOf(model);
      if (spec.kind === "onnx") {
        for (const name of [spec.base, spec.adapter]) if (name !== undefined) await shelf.renew(name, signal);
        const isAuto = spec.device === "auto";
        const facts =
          await (isAuto ? opened.autoDevice() ?? automaticDevice(runtime) : deviceFacts(runtime, spec.device));
        const { base, adapter } = await opened.catalogue.locate(spec, facts);
        const located = [base, adapter ?? {}].flatMap((files) =>
          Object.values<LocatedFile | readonly LocatedFile[]>(files)
        );
        await shelf.fetch(located.flat().map(({ path }) => path), signal);
      }
      return await joined.identify(spec);
    },
    remove: async (name: string) => {
      if (!isName(name)) throw new TypeError(`Cannot remove a model of this name: ${JSON.stringify(name)}`);
      await shelf.forget(name);
    },
    close,
    [Symbol.asyncDispose]: close,
  });
}

/**
 * Joins models to a cache: what is asked is answered from the cache where it can be, else by a model, and stored. Closing
 * either is left to whoever opened it.
 *
 * @throws TypeError for models that were not opened here.
 */
export function openClient(backends: PageBackends, cache: ResponseCache): LocalClient {
  return joinClient(machine.clock, backends, cache);
}

const machine: Runtime = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

type Spawn = (name: string) => WorkerHandle;

function spawner(worker: (() => Worker) | undefined, onnxruntime: string | undefined): Spawn {
  const folder = onnxruntime?.replace(/\/*$/, "/");
  return (name) => {
    const spawned = worker === undefined
      ? spawnWebWorker(siblingModule("browser_model_worker", import.meta.url), name)
      : webWorkerHandle(worker());
    if (folder !== undefined) spawned.post({ type: "onnxruntime", folder } satisfies ToWorker);
    return spawned;
  };
}

/** The machine as models see it: their files are the shelf's, and there is one Worker they know. */
function modelMachine(shelf: ModelShelf, spawn: Spawn): Runtime {
  const spawnWorker = (_module: URL, name: string): WorkerHandle =>
    lendingTo(spawn(name), (path, signal) => shelf.blob(path, signal));
  return {
    ...machine,
    files: shelf.files,
    digestFile: (path) => shelf.digestFile(path),
    spawnWorker,
    // Browsers have the drivers of GPUs in a process of their own already.
    spawnProcess: spawnWorker,
  };
}

/** Those that can be had. An adapter that cannot does not concern the base; it fails when it is used. */
async function havingSome(shelf: ModelShelf, paths: readonly string[], signal: AbortSignal): Promise<string[]> {
  const fetched = await Promise.allSettled(paths.map((path) => shelf.blob(path, signal)));
  return paths.filter((_, at) => fetched[at]!.status === "fulfilled");
}

function filesOf({ files: { externalData = [], ...single } }: OnnxBase): ContentFile[] {
  return [...Object.values(single), ...externalData];
}

function refuseOdd(models: unknown, directory: unknown): void {
  if (typeof models !== "object" || models === null) {
    throw new TypeError(`Cannot open backends: models is no object of places by names: ${models}`);
  }
  if (directory === false) return;
  const isFolder = typeof directory === "string" && directory.split("/").every((part) => !/^\.{0,2}$/.test(part));
  if (!isFolder) throw new TypeError(`Cannot open backends: directory is no path of folders, or false: ${directory}`);
}

/** What relative URLs are relative to; in a Worker, its module. */
function pageUrl(): string | undefined {
  const { location } = globalThis as { readonly location?: { readonly href: string } };
  return location?.href;
}
