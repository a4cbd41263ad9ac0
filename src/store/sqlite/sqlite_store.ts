/**
 * The store on disk: one SQLite database per model in a directory ({@link ./names.ts}), opened when first needed and
 * owned by this process until it is closed. Once a model's database is open everything is synchronous; opening it, which
 * may wait for a lock, is not.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { openOwnedDatabase, readDatabase } from "../../sqlite/open.ts";
import { CacheError } from "../error.ts";
import type { Found, MaybePromise, NewEntry, Placement, RequestRecord, Store, StoreSize, Want } from "../store.ts";
import type { RowTools } from "./entry_row.ts";
import { breaksConnection, toCacheError } from "./failure.ts";
import { measure, MISS, ModelDatabase } from "./model_database.ts";
import { databaseName, isDatabaseName } from "./names.ts";
import { applySchema, inspectFile } from "./schema.ts";

/** Where and how to store. */
export interface SqliteStoreOptions {
  readonly runtime: Runtime;
  /** Where the databases lie; made on first write. */
  readonly directory: string;
  /**
   * `normal` (the default): what was acknowledged survives the end of the process. `full`: it survives a power failure
   * too, and every write waits for the disk.
   */
  readonly synchronous?: "normal" | "full";
  /** How long to try for a database that somebody else holds; 1000 by default. */
  readonly lockTimeout?: Milliseconds;
  /** How many databases stay open at once; 16 by default. */
  readonly maxOpenDatabases?: number;
}

const OPTIONS: readonly string[] = [
  "runtime",
  "directory",
  "synchronous",
  "lockTimeout",
  "maxOpenDatabases",
];

/** Nobody asked for anything for so long: a good time to write access counts and to shorten logs. */
const IDLE: Milliseconds = 500;
/** Under steady load it is done all the same, every so many times {@link IDLE}. */
const MOST_POSTPONED = 20;

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  refuseUnknownOptions("open a SQLite store", options, OPTIONS);
  const { runtime, directory, synchronous = "normal", lockTimeout = 1000, maxOpenDatabases = 16 } = options;
  if (synchronous !== "normal" && synchronous !== "full") {
    throw new TypeError(`Cannot open a SQLite store: synchronous must be "normal" or "full": ${synchronous}`);
  }
  if (!(lockTimeout >= 0)) {
    throw new RangeError(`Cannot open a SQLite store: lockTimeout must be 0 or more: ${lockTimeout}`);
  }
  if (!(Number.isInteger(maxOpenDatabases) && maxOpenDatabases >= 1)) {
    throw new RangeError(`Cannot open a SQLite store: maxOpenDatabases must be 1 or more: ${maxOpenDatabases}`);
  }
  try {
    const [zstd, checksum] = await Promise.all([loadZstd(), loadChecksum()]);
    const tools = { zstd, checksum };
    return new SqliteStore({ runtime, directory, synchronous, lockTimeout, maxOpenDatabases, tools });
  } catch (error) {
    throw toCacheError(error);
  }
}

class SqliteStore implements Store {
  readonly name = "sqlite";
  readonly location: string;
  readonly #options: Required<SqliteStoreOptions> & { readonly tools: RowTools };
  readonly #open: LRUCache<string, ModelDatabase>;
  readonly #opening = new Map<string, Promise<ModelDatabase | undefined>>();
  /** Models whose database somebody else held when last tried: waiting again for each request would help nobody. */
  readonly #held = new Set<string>();
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;
  #maintaining = false;
  #used = false;

  constructor(options: Required<SqliteStoreOptions> & { readonly tools: RowTools }) {
    this.#options = options;
    this.location = options.directory;
    this.#open = new LRUCache({ max: options.maxOpenDatabases, dispose: (database) => database.close() });
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    const found = this.#use(model, false, (database) => database.lookup(wants));
    if (Array.isArray(found)) return found;
    const missed = (): Found[] => wants.map(() => MISS);
    return found instanceof Promise ? found.then((found) => found ?? missed()) : missed();
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
  ): MaybePromise<void> {
    return this.#use(model, true, (database) => database.put(request, entries, placement));
  }

  async size(): Promise<StoreSize> {
    this.#refuseClosed();
    const { runtime, directory } = this.#options;
    const total = { entries: 0, bodyBytes: 0, storedBytes: 0 };
    try {
      await Promise.allSettled(this.#opening.values());
      const open = new Map([...this.#open.entries()].map(([model, database]) => [this.#fileName(model), database]));
      for (const { name, isFile } of await runtime.files.list(directory)) {
        if (!isFile || !isDatabaseName(name)) continue;
        const database = open.get(name);
        const size = database && !database.closed ? database.size() : await this.#measureFile(`${directory}/${name}`);
        total.entries += size.entries;
        total.bodyBytes += size.bodyBytes;
        total.storedBytes += size.storedBytes;
      }
    } catch (error) {
      throw toCacheError(error);
    }
    return total;
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    await Promise.allSettled(this.#opening.values());
    this.#open.clear();
  }

  /** Runs `use` on a model's database, at once when it is open; `undefined` when there is none and none is to be made. */
  #use<T>(model: string, create: boolean, use: (database: ModelDatabase) => T): MaybePromise<T | undefined> {
    this.#refuseClosed();
    const database = this.#open.get(model);
    // Somebody cleared the folder: an answer put into what they removed would be lost.
    if (database && create && !database.isInPlace) this.#open.delete(model);
    else if (database) return this.#run(model, database, use);
    if (!create && !this.#opening.has(model) && !this.#isThere(model)) return undefined;
    return this.#useOpened(model, create, use);
  }

  #isThere(model: string): boolean {
    try {
      return this.#options.runtime.files.exists(this.#path(model));
    } catch (error) {
      throw toCacheError(error);
    }
  }

  async #useOpened<T>(model: string, create: boolean, use: (database: ModelDatabase) => T): Promise<T | undefined> {
    for (;;) {
      const joined = this.#opening.get(model);
      const database = await (joined ?? this.#startOpening(model, create));
      // It may have been closed again to make room for another, or been looked for by somebody who would not make it.
      if (database && !database.closed) return this.#run(model, database, use);
      if (!database && !(create && joined)) return undefined;
      this.#refuseClosed();
    }
  }

  #startOpening(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const opening = this.#openDatabase(model, create).finally(() => this.#opening.delete(model));
    this.#opening.set(model, opening);
    return opening;
  }

  async #openDatabase(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const { runtime, directory, synchronous, lockTimeout, tools } = this.#options;
    const path = this.#path(model);
    try {
      if (inspectFile(runtime.files, path) !== "ours" && !create) return undefined;
      if (create) runtime.files.makeDirectory(directory);
      const owned = await openOwnedDatabase({
        runtime,
        path,
        create,
        synchronous,
        lockTimeout: this.#held.has(model) ? 0 : lockTimeout,
        schema: (driver) => applySchema(driver, path, model),
      });
      this.#held.delete(model);
      try {
        this.#refuseClosed();
        const database = new ModelDatabase(owned, tools, runtime.clock);
        this.#open.set(model, database);
        return database;
      } catch (error) {
        owned.close();
        throw error;
      }
    } catch (error) {
      const failure = toCacheError(error);
      if (failure.code === "locked") this.#held.add(model);
      throw failure;
    }
  }

  #run<T>(model: string, database: ModelDatabase, use: (database: ModelDatabase) => T): T {
    this.#used = true;
    try {
      const result = use(database);
      if (database.broken) this.#open.delete(model);
      else if (database.hasWork && !this.#maintaining) void this.#maintain();
      return result;
    } catch (error) {
      if (breaksConnection(error)) this.#open.delete(model);
      throw toCacheError(error);
    }
  }

  /** Waits for a quiet moment and tidies up, until there is nothing to tidy. */
  async #maintain(): Promise<void> {
    const { clock } = this.#options.runtime;
    this.#maintaining = true;
    try {
      for (let postponed = 0; this.#databases().some((database) => database.hasWork);) {
        this.#used = false;
        await clock.sleep(IDLE, { signal: this.#ended.signal, background: true });
        if (this.#used && ++postponed < MOST_POSTPONED) continue;
        postponed = 0;
        for (const database of this.#databases()) database.maintain();
      }
    } catch {
      // The store was closed, or a log could not be shortened: the next use tries again.
    } finally {
      this.#maintaining = false;
    }
  }

  #databases(): ModelDatabase[] {
    return [...this.#open.values()];
  }

  /** What a file holds that is not open here: nothing, as far as is known, when it cannot be read now. */
  async #measureFile(path: string): Promise<StoreSize> {
    try {
      if (inspectFile(this.#options.runtime.files, path) === "ours") {
        return await readDatabase(this.#options.runtime, path, measure);
      }
    } catch {
      // Held by another process, foreign, or broken.
    }
    return { entries: 0, bodyBytes: 0, storedBytes: 0 };
  }

  #path(model: string): string {
    return `${this.#options.directory}/${this.#fileName(model)}`;
  }

  #fileName(model: string): string {
    return databaseName(model, this.#options.runtime.sha256);
  }

  #refuseClosed(): void {
    if (this.#closing) throw new CacheError("closed", `Cannot use the cache in ${this.location}: it was closed`);
  }
}
