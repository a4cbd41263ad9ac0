/**
 * What the environment says about a cache: for programs that one starts, but did not write. What is said in code wins,
 * but for `NO_CACHE`.
 *
 * @module
 */

import { checkMode, type Mode } from "../cache/mode.ts";
import { parseByteSize } from "../runtime/byte_size.ts";
import { parseDuration } from "../runtime/duration.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { RedisConnection } from "../store/redis/options.ts";
import type { RemoteConnection } from "../store/remote/options.ts";
import { BACKENDS, type CacheBackend, isBackend } from "./backend.ts";

/** What is set, and nothing else. */
export interface EnvironmentSettings {
  /** `NO_CACHE`: nothing is to be read or stored, whatever anybody says. */
  readonly isOff: boolean;
  /** `WARMCACHE_BACKEND`: one, or several as tiers. */
  readonly backends?: readonly CacheBackend[];
  /** `WARMCACHE_DIR`. */
  readonly directory?: string;
  /** `WARMCACHE_REDIS_URL`, `WARMCACHE_REDIS_USERNAME`, `WARMCACHE_REDIS_PASSWORD`. */
  readonly redis?: RedisConnection;
  /** `WARMCACHE_REMOTE_URL`, `WARMCACHE_REMOTE_KEY`. */
  readonly remote?: RemoteConnection;
  /** `WARMCACHE_NAMESPACE`. */
  readonly namespace?: string;
  /** `WARMCACHE_MODE`. */
  readonly mode?: Mode;
  /** `WARMCACHE_MAX_BYTES`. */
  readonly maxBytes?: number;
  /** `WARMCACHE_TTL`. */
  readonly ttl?: Milliseconds;
}

/**
 * Reads the environment. A variable that is empty is not set; where it may not be read, none is.
 *
 * @throws TypeError when a value makes no sense, naming the variable.
 */
export function readEnvironment({ environment }: Pick<Runtime, "environment">): EnvironmentSettings {
  const isOff = !["", "0", "false"].includes((environment("NO_CACHE") ?? "").trim().toLowerCase());
  // Nothing else matters then, be it right or wrong.
  if (isOff) return { isOff };
  const read = <T>(name: string, parse: (value: string, name: string) => T): T | undefined => {
    const value = environment(name);
    return value === undefined || value === "" ? undefined : parse(value, name);
  };
  const text = (value: string): string => value;
  const url = read("WARMCACHE_REDIS_URL", urlsIn);
  const username = read("WARMCACHE_REDIS_USERNAME", text);
  const password = read("WARMCACHE_REDIS_PASSWORD", text);
  const redis = defined({ ...url, username, password });
  const remote = defined({ url: read("WARMCACHE_REMOTE_URL", text), apiKey: read("WARMCACHE_REMOTE_KEY", text) });
  return {
    isOff,
    ...defined({
      backends: read("WARMCACHE_BACKEND", backendsIn),
      directory: read("WARMCACHE_DIR", text),
      redis: Object.keys(redis).length > 0 ? redis : undefined,
      remote: Object.keys(remote).length > 0 ? remote : undefined,
      namespace: read("WARMCACHE_NAMESPACE", text),
      mode: read("WARMCACHE_MODE", modeIn),
      maxBytes: read("WARMCACHE_MAX_BYTES", bytesIn),
      ttl: read("WARMCACHE_TTL", durationIn),
    }),
  };
}

type Defined<T> = { [K in keyof T]: Exclude<T[K], undefined> };

/** Without the properties that are `undefined`, which are not the same as absent ones to the receiver. */
export function defined<T extends object>(object: T): Partial<Defined<T>> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Partial<Defined<T>>;
}

function backendsIn(value: string, name: string): readonly CacheBackend[] {
  return wordsIn(value).map((word) => {
    const backend = word.toLowerCase();
    if (isBackend(backend)) return backend;
    throw refused(name, `${BACKENDS.join(", ")}, or several of them with commas between`, value);
  });
}

/** One server, or nodes of a Cluster. What it says is checked where the store is opened. */
function urlsIn(value: string): Pick<RedisConnection, "url" | "urls"> {
  const urls = wordsIn(value);
  return urls.length === 1 ? { url: urls[0]! } : { urls };
}

function modeIn(value: string, name: string): Mode {
  try {
    checkMode(value);
    return value;
  } catch (error) {
    throw new TypeError(`Cannot use the environment variable ${name}: ${(error as Error).message}`);
  }
}

function bytesIn(value: string, name: string): number {
  const bytes = parseByteSize(value);
  if (bytes !== undefined) return bytes;
  throw refused(name, "a number of bytes, such as 500000000, 500MB or 2GiB", value);
}

/** A number without a unit is one of milliseconds, as in code. */
function durationIn(value: string, name: string): Milliseconds {
  const text = value.trim();
  const duration = /^\d+(\.\d+)?$/.test(text) ? Number(text) : parseDuration(text.toLowerCase()) ?? NaN;
  if (Number.isFinite(duration) && duration > 0) return duration;
  throw refused(name, "a time, such as 7d, 12h, 1h30m, 45s, or a number of milliseconds", value);
}

function wordsIn(value: string): string[] {
  return value.split(",").map((word) => word.trim());
}

function refused(name: string, possible: string, received: string): TypeError {
  return new TypeError(`Cannot use the environment variable ${name} (it can be ${possible}): ${received}`);
}
