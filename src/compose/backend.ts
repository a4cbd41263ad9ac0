/**
 * The backends by name, as a value and as a type: `CacheBackend.SQLITE` and `"sqlite"` are the same.
 *
 * @module
 */

/** The backends by their names. */
export const CacheBackend: {
  /** JSON files, one for each request, readable by people. */
  readonly FILE: "file";
  /** One SQLite database per model. */
  readonly SQLITE: "sqlite";
  /** A Redis or Valkey server, or a Cluster of them. */
  readonly REDIS: "redis";
  /** The store of a warmcache server elsewhere, over HTTP. */
  readonly REMOTE: "remote";
  /** The memory of this process. */
  readonly MEMORY: "memory";
} = Object.freeze({ FILE: "file", SQLITE: "sqlite", REDIS: "redis", REMOTE: "remote", MEMORY: "memory" });

/** Where entries are kept. */
export type CacheBackend = (typeof CacheBackend)[keyof typeof CacheBackend];

/** All of them, for messages. */
export const BACKENDS: readonly CacheBackend[] = Object.values(CacheBackend);

/** Whether a word names one. */
export function isBackend(word: unknown): word is CacheBackend {
  return (BACKENDS as readonly unknown[]).includes(word);
}
