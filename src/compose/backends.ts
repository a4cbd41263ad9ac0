/**
 * Models that stay warm, put together: where they are, which they are, how each kind is loaded, and how many may stay.
 *
 * @module
 */

import type { DeviceFacts } from "../model/backend.ts";
import { automaticDevice, deviceFacts } from "../model/device.ts";
import { predictMemory } from "../model/memory.ts";
import { loadOnnxBackend } from "../model/onnx_backend.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { BackendCache, type LoadBackend } from "../warm/backend_cache.ts";
import { Catalogue } from "../warm/catalogue.ts";
import { hubCacheFolder } from "../warm/hub/hub_cache.ts";
import { Identifier } from "../warm/identity.ts";
import type { KeepAlive } from "../warm/keep_alive.ts";
import { type BackendKind, Kinds } from "../warm/kinds.ts";
import type { QueueLimits } from "../warm/queue.ts";
import { type ApiEndpoints, apiKind } from "./api_kind.ts";

/** Which models there are, and how they are kept. */
export interface ModelsOptions {
  /** Folder with models in Hugging Face layout. Default: `models`. */
  readonly models?: string;
  /** Hugging Face's cache on this machine, whose models are used too, or `false`. Default: where the hub keeps it. */
  readonly hub?: string | false;
  /** Folder in which digests of model files are remembered, or `false`. Default: `.warmcache`. */
  readonly cache?: string | false;
  /** How many base models stay loaded at most. Default: 2. */
  readonly maxLoadedModels?: number;
  /** How many bytes of this machine's memory they may take together. Default: any. */
  readonly maxRamBytes?: number;
  /** How many bytes on the GPU. Default: any. */
  readonly maxGpuBytes?: number;
  /** For how long a model stays loaded that nobody uses. Default: -1, until its room is needed for another. */
  readonly keepAlive?: KeepAlive;
  /** OpenAI-compatible endpoints whose models are of kind `api`, by name. Default: none. */
  readonly apiEndpoints?: ApiEndpoints;
  /** Further ways of running models, by the name of their kind. Default: none. */
  readonly kinds?: Readonly<Record<string, BackendKind>>;
}

/** The names of {@link ModelsOptions}. */
export const MODELS_OPTIONS: Record<keyof ModelsOptions, true> = {
  models: true,
  hub: true,
  cache: true,
  maxLoadedModels: true,
  maxRamBytes: true,
  maxGpuBytes: true,
  keepAlive: true,
  apiEndpoints: true,
  kinds: true,
};

/** What models need besides their options. */
export interface ModelsParts {
  /** Another way of loading bases of kind `onnx`. */
  readonly load?: LoadBackend | undefined;
  /** How many requests may wait for them. Default: any. */
  readonly queue?: QueueLimits;
  /** Hears why digests could not be remembered. */
  readonly warn?: (message: string) => void;
}

/** Models, found and kept warm. */
export interface Models {
  readonly catalogue: Catalogue;
  readonly backends: BackendCache;
  /** What the device `auto` is on this machine; `undefined` before anybody has asked for a model on it. */
  readonly autoDevice: () => DeviceFacts | undefined;
}

/**
 * Puts models together. Nothing is loaded.
 *
 * @throws TypeError for an endpoint or a kind that cannot be; RangeError for a limit or a duration that means nothing.
 */
export function warmModels(
  runtime: Runtime,
  {
    models = "models",
    hub = hubCacheFolder(runtime) ?? false,
    cache = ".warmcache",
    maxLoadedModels = 2,
    maxRamBytes = Infinity,
    maxGpuBytes = Infinity,
    keepAlive = -1,
    apiEndpoints = {},
    kinds: further = {},
  }: ModelsOptions,
  { load, queue, warn }: ModelsParts = {},
): Models {
  if (Object.hasOwn(further, "api")) {
    throw new TypeError("Cannot register a kind of backend under this name, which has apiEndpoints: api");
  }
  const kinds = new Kinds(runtime, { api: apiKind(runtime, apiEndpoints), ...further });
  const catalogue = new Catalogue({ runtime, directory: models, ...(hub === false ? {} : { hub }) });
  let autoDevice: DeviceFacts | undefined;
  const identifier = new Identifier({
    runtime,
    catalogue,
    memoPath: cache === false ? undefined : `${cache}/digests.json`,
    deviceFacts: async (device) => {
      if (device !== "auto") return await deviceFacts(runtime, device);
      return autoDevice = await automaticDevice(runtime);
    },
    ...(warn === undefined ? {} : { log: warn }),
  });
  const loadOnnx: LoadBackend = load ?? (async (base, signal) => {
    const knownAdapterWeights = await catalogue.adapterWeights(base.name);
    return await loadOnnxBackend(runtime, base, { signal, knownAdapterWeights });
  });
  const backends = new BackendCache({
    maxLoaded: maxLoadedModels,
    maxRamBytes,
    maxGpuBytes,
    keepAlive,
    ...queue,
    clock: runtime.clock,
    identify: (spec, options) => spec.kind === "onnx" ? identifier.identify(spec, options) : kinds.identify(spec),
    predict: (base) => base.kind === "onnx" ? predictMemory(base) : kinds.predict(base),
    load: (base, signal) => base.kind === "onnx" ? loadOnnx(base, signal) : kinds.load(base, signal),
  });
  return { catalogue, backends, autoDevice: () => autoDevice };
}
