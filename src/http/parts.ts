/**
 * What the routes work with; `compose/` puts it together.
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import type { DeviceFacts } from "../model/backend.ts";
import type { Clock, Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { BackendCache } from "../warm/backend_cache.ts";
import type { Catalogue } from "../warm/catalogue.ts";
import type { Activity } from "./activity.ts";
import type { ApiKeys } from "./auth.ts";
import type { Limits } from "./limits/limits.ts";
import type { Guard } from "./guard/guard.ts";
import type { LoadWatch } from "./loading.ts";
import type { Lifecycle } from "./operations/lifecycle.ts";
import type { RequestWatch } from "./operations/request_watch.ts";
import type { Upstream } from "./proxy/upstream.ts";
import type { StoreService } from "./store/service.ts";

/** The server's insides, as its routes see them. */
export interface ServerParts {
  readonly version: string;
  /** Which of several it is; `undefined` when nobody is to be told. */
  readonly serverName: string | undefined;
  readonly cache: ResponseCache;
  readonly backends: BackendCache;
  readonly catalogue: Catalogue;
  /** What the device `auto` is on this machine; `undefined` before anybody has asked for a model on it. */
  readonly autoDevice: () => DeviceFacts | undefined;
  readonly activity: Activity;
  /** How much it takes on. */
  readonly limits: Limits;
  /** Hears what becomes of every request. */
  readonly requests: RequestWatch;
  /** Whether the server is on its way to its end. */
  readonly lifecycle: Lifecycle;
  /** How far models are that are loading. */
  readonly loads: LoadWatch;
  /** For how long a request that wants its answer whole waits for its model to load. */
  readonly loadTimeout: Milliseconds;
  readonly clock: Clock;
  /** What content identities are computed with, and whose use of the machine the metrics tell. */
  readonly runtime: Pick<Runtime, "name" | "sha256" | "usage" | "version">;
  /** Knows whom requests are for, and which pages may send them. */
  readonly guard: Guard;
  /** If set, requests have to carry one of them, with the scope of what they ask for. */
  readonly apiKeys: ApiKeys | undefined;
  /** Whether callers with different keys share what they buy or ask for, and store through `/cache`. */
  readonly sharedCache: boolean;
  /** The providers that the proxy reaches. */
  readonly upstreams: readonly Upstream[];
  /** The cache's own store, for caches elsewhere. */
  readonly storeService: StoreService;
  /** A seed for requests that name none: an unsigned 32-bit integer. */
  readonly randomSeed: () => number;
  /** Hears of errors that no client could have caused. */
  readonly report: (error: unknown) => void;
}
