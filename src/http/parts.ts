/**
 * What the routes work with; `compose/` puts it together.
 *
 * @module
 */

import type { ResponseCache } from "../cache/response_cache.ts";
import type { Clock } from "../runtime/runtime.ts";
import type { BackendCache } from "../warm/backend_cache.ts";
import type { Catalogue } from "../warm/catalogue.ts";
import type { Activity } from "./activity.ts";

/** The server's insides, as its routes see them. */
export interface ServerParts {
  readonly version: string;
  readonly cache: ResponseCache;
  readonly backends: BackendCache;
  readonly catalogue: Catalogue;
  readonly activity: Activity;
  readonly clock: Clock;
  /** If set, every route but `/health` asks for it as a bearer token. */
  readonly apiKey: string | undefined;
  /** A seed for requests that name none: an unsigned 32-bit integer. */
  readonly randomSeed: () => number;
  /** Hears of errors that no client could have caused. */
  readonly report: (error: unknown) => void;
}
