/**
 * The store on disk: one SQLite database per model in a directory ({@link ./names.ts}), opened when first needed and kept
 * until it is closed, alone or with other processes. Once a model's database is open, lookups are synchronous; opening
 * it, and what finds it locked, waits without blocking anybody, and puts wait for each other to share a transaction
 * ({@link ./put_queue.ts}).
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Files, Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import { Checkpointer } from "../../sqlite/checkpointer.ts";
import { loadEngine } from "../../sqlite/engine.ts";
import { isBusy } from "../../sqlite/error.ts";
import type { Locking, OpenDatabase } from "../../sqlite/open.ts";
import { openDatabase, readDatabase, refuseRemote } from "../../sqlite/open.ts";
import { CacheError } from "../error.ts";
import type { Found, MaybePromise, NewEntry, Placement, RequestRecord, Store, StoreSize, Want } from "../store.ts";
import { DEFAULT_LOCKING } from "./default_locking.ts";
import type { RowTools } from "./entry_row.ts";
import { breaksConnection, stillBusy, toCacheError } from "./failure.ts";
import type { Measured } from "./model_database.ts";
import { measureSome, MISS, ModelDatabase, preparePut } from "./model_database.ts";
import { databaseName, isDatabaseName } from "./names.ts";
import { patiently } from "./patience.ts";
import { PutQueue } from "./put_queue.ts";
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
  /**
   * Who else may use the databases meanwhile. `shared`: every process that shares them too, the `sqlite3` shell among
   * them. It takes Linux, on Deno with `--allow-ffi`, and a directory on a disk of this machine; elsewhere it is refused
   * with `unavailable`. `exclusive`: nobody; whoever comes second is refused. By default `shared` where it can be had,
   * else `exclusive`.
   */
  readonly locking?: Locking;
  /** How long to try for a database or a lock that somebody else holds; 1000 by default. */
  readonly lockTimeout?: Milliseconds;
  /** How many databases stay open at once; 16 by default. */
  readonly maxOpenDatabases?: number;
}

const OPTIONS: readonly string[] = [
  "runtime",
  "directory",
  "synchronous",
  "locking",
  "lockTimeout",
  "maxOpenDatabases",
];

/** Nobody asked for anything for so long: a good time to write access counts and to shorten logs. */
const IDLE: Milliseconds = 500;
/** Under steady load it is done all the same, every so many times {@link IDLE}. */
const MOST_POSTPONED = 20;

interface Settings extends Required<Omit<SqliteStoreOptions, "locking">> {
  /** `undefined`: as can be. */
  readonly locking: Locking | undefined;
  readonly tools: RowTools;
}

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when it cannot be shared as asked.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  refuseUnknownOptions("open a SQLite store", options, OPTIONS);
  const { runtime, directory, synchronous = "normal", locking, lockTimeout = 1000, maxOpenDatabases = 16 } = options;
  if (synchronous !== "normal" && synchronous !== "full") {
    throw new TypeError(`Cannot open a SQLite store: synchronous must be "normal" or "full": ${synchronous}`);
  }
  if (locking !== undefined && locking !== "shared" && locking !== "exclusive") {
    throw new TypeError(`Cannot open a SQLite store: locking must be "shared" or "exclusive": ${locking}`);
  }
  if (!(lockTimeout >= 0)) {
    throw new RangeError(`Cannot open a SQLite store: lockTimeout must be 0 or more: ${lockTimeout}`);
  }
  if (!(Number.isInteger(maxOpenDatabases) && maxOpenDatabases >= 1)) {
    throw new RangeError(`Cannot open a SQLite store: maxOpenDatabases must be 1 or more: ${maxOpenDatabases}`);
  }
  if (locking === "shared" && runtime.rangeLocks === undefined) {
    throw new CacheError(
      "unavailable",
      `Cannot share the cache in ${directory}: this process cannot see the locks of others (that takes Linux and, on ` +
        'Deno, --allow-ffi); use locking "exclusive"',
    );
  }
  try {
    // Else every lookup would be a miss and no answer kept, and only the statistics would say so.
    if (locking === "shared") refuseRemote(runtime, nearest(runtime.files, directory));
    // SQLite too, though nothing is opened yet: all at once is sooner, and a program without it hears of it here.
    const [zstd, checksum] = await Promise.all([loadZstd(), loadChecksum(), loadEngine()]);
    const tools = { zstd, checksum };
    return new SqliteStore({ runtime, directory, synchronous, locking, lockTimeout, maxOpenDatabases, tools });
  } catch (error) {
    throw toCacheError(error);
  }
}

class SqliteStore implements Store {
  readonly name = "sqlite";
  readonly location: string;
  readonly #settings: Settings;
  readonly #open: LRUCache<string, ModelDatabase>;
  readonly #opening = new Map<string, Promise<ModelDatabase | undefined>>();
  readonly #queues = new Map<string, PutQueue>();
  /** Models whose database somebody else held when last tried: waiting again for each request would help nobody. */
  readonly #held = new Set<string>();
  readonly #checkpointer: Checkpointer;
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;
  #maintaining = false;
  #used = false;

  constructor(settings: Settings) {
    this.#settings = settings;
    this.location = settings.directory;
    this.#checkpointer = new Checkpointer(settings.runtime);
    this.#open = new LRUCache({ max: settings.maxOpenDatabases, dispose: (database) => database.close() });
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    this.#refuseClosed();
    try {
      const found = this.#use(model, false, (database) => database.lookup(wants));
      if (Array.isArray(found)) return found;
      if (found === undefined) return nothingFor(wants);
      return this.#lookupPatiently(model, wants, found);
    } catch (error) {
      if (isBusy(error)) return this.#lookupPatiently(model, wants);
      throw toCacheError(error);
    }
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
  ): MaybePromise<void> {
    this.#refuseClosed();
    try {
      const put = preparePut(request, entries, placement, this.#settings.tools);
      return this.#queueOf(model).add(put);
    } catch (error) {
      throw toCacheError(error);
    }
  }

  async size(): Promise<StoreSize> {
    this.#refuseClosed();
    const { runtime, directory, lockTimeout } = this.#settings;
    const total = { entries: 0, bodyBytes: 0, storedBytes: 0 };
    try {
      await Promise.allSettled(this.#opening.values());
      const models = new Map([...this.#open.keys()].map((model) => [this.#fileName(model), model]));
      for (const { name, isFile } of await runtime.files.list(directory)) {
        if (!isFile || !isDatabaseName(name)) continue;
        const model = models.get(name);
        const path = `${directory}/${name}`;
        for (let after: number | undefined = 0; after !== undefined;) {
          const rows: number = after;
          // It may be closed, and opened again, while others have their turn.
          const measure = () => model === undefined ? undefined : this.#open.peek(model)?.measureSome(rows);
          const part = await patiently(runtime.clock, lockTimeout, isBusy, measure);
          const { entries, bodyBytes, storedBytes, last } = part ?? await this.#measureFile(path, rows);
          total.entries += entries;
          total.bodyBytes += bodyBytes;
          total.storedBytes += storedBytes;
          after = last;
          // A large database takes long; nobody else has to wait for all of it.
          if (after !== undefined) await new Promise<void>((resolve) => runtime.clock.afterTurn(resolve));
        }
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
    // What is queued may open a database, and what is being opened may be waited for by what is queued.
    while (this.#queues.size + this.#opening.size > 0) {
      await Promise.allSettled([...[...this.#queues.values()].map(({ idle }) => idle), ...this.#opening.values()]);
    }
    this.#open.clear();
    await this.#checkpointer.close();
  }

  #queueOf(model: string): PutQueue {
    const waiting = this.#queues.get(model);
    if (waiting) return waiting;
    const { runtime, lockTimeout } = this.#settings;
    const queue = new PutQueue({
      clock: runtime.clock,
      lockTimeout,
      path: this.#path(model),
      use: (use) => this.#use(model, true, use) as MaybePromise<ReturnType<typeof use>>,
      onIdle: () => this.#queues.delete(model),
    });
    this.#queues.set(model, queue);
    return queue;
  }

  /** Goes on with a lookup that found its database locked, or that waits for it to be opened. */
  async #lookupPatiently(
    model: string,
    wants: readonly Want[],
    started?: Promise<Found[] | undefined>,
  ): Promise<readonly Found[]> {
    const { runtime, lockTimeout } = this.#settings;
    let attempt = started;
    try {
      const found = await patiently(runtime.clock, lockTimeout, isBusy, () => {
        const running = attempt;
        attempt = undefined;
        if (running) return running;
        this.#refuseClosed();
        return this.#use(model, false, (database) => database.lookup(wants));
      });
      return found ?? nothingFor(wants);
    } catch (error) {
      throw isBusy(error) ? stillBusy(`look into ${this.#path(model)}`, lockTimeout, error) : toCacheError(error);
    }
  }

  /**
   * Runs `use` on a model's database, at once when it is open; `undefined` when there is none and none is to be made.
   *
   * @throws CacheError when it cannot be opened; whatever `use` throws.
   */
  #use<T>(model: string, create: boolean, use: (database: ModelDatabase) => T): MaybePromise<T | undefined> {
    const database = this.#open.get(model);
    // Somebody cleared the folder: an answer put into what they removed would be lost.
    if (database && create && !database.isInPlace) this.#open.delete(model);
    else if (database) return this.#run(model, database, use);
    if (!create && !this.#opening.has(model) && !this.#isThere(model)) return undefined;
    return this.#useOpened(model, create, use);
  }

  #isThere(model: string): boolean {
    try {
      return this.#settings.runtime.files.exists(this.#path(model));
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
      if (!create) this.#refuseClosed();
    }
  }

  #startOpening(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const opening = this.#openDatabase(model, create).finally(() => this.#opening.delete(model));
    this.#opening.set(model, opening);
    return opening;
  }

  async #openDatabase(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const { runtime, directory, tools } = this.#settings;
    const path = this.#path(model);
    try {
      if (inspectFile(runtime.files, path) !== "ours" && !create) return undefined;
      if (create) runtime.files.makeDirectory(directory);
      const opened = await this.#openFile(model, path, create);
      this.#held.delete(model);
      let database: ModelDatabase;
      try {
        database = new ModelDatabase(opened, tools, runtime.clock, this.#checkpointer);
      } catch (error) {
        opened.close();
        throw error;
      }
      this.#open.set(model, database);
      for (const each of this.#databases()) each.fitPageCache(this.#open.size);
      if (database.hasWork) this.#startMaintaining();
      return database;
    } catch (error) {
      const failure = toCacheError(error);
      if (failure.code === "locked") this.#held.add(model);
      throw failure;
    }
  }

  async #openFile(model: string, path: string, create: boolean): Promise<OpenDatabase> {
    const { runtime, synchronous, locking, lockTimeout } = this.#settings;
    const open = (locking: Locking): Promise<OpenDatabase> =>
      openDatabase({
        runtime,
        path,
        create,
        locking,
        synchronous,
        lockTimeout: this.#held.has(model) ? 0 : lockTimeout,
        schema: (driver) => applySchema(driver, path, model),
      });
    try {
      return await open(locking ?? DEFAULT_LOCKING);
    } catch (error) {
      const cannotShare = error instanceof FileError && error.code === "ENOTSUP";
      if (cannotShare && locking === undefined) return await open("exclusive");
      throw error;
    }
  }

  #run<T>(model: string, database: ModelDatabase, use: (database: ModelDatabase) => T): T {
    this.#used = true;
    try {
      const result = use(database);
      if (database.broken) this.#open.delete(model);
      else if (!this.#maintaining && database.hasWork) this.#startMaintaining();
      return result;
    } catch (error) {
      if (database.broken || breaksConnection(error) || !database.isSound) this.#open.delete(model);
      throw error;
    }
  }

  #startMaintaining(): void {
    if (!this.#maintaining && !this.#closing) void this.#maintain();
  }

  /** Waits for a quiet moment and tidies up, until there is nothing to tidy. */
  async #maintain(): Promise<void> {
    const { clock } = this.#settings.runtime;
    this.#maintaining = true;
    try {
      for (let postponed = 0; this.#databases().some((database) => database.hasWork);) {
        this.#used = false;
        await clock.sleep(IDLE, { signal: this.#ended.signal, background: true });
        if (this.#used && ++postponed < MOST_POSTPONED) continue;
        postponed = 0;
        for (const [model, database] of [...this.#open.entries()]) this.#tidy(model, database);
      }
    } catch {
      // The store was closed.
    } finally {
      this.#maintaining = false;
    }
  }

  #tidy(model: string, database: ModelDatabase): void {
    try {
      database.maintain();
      database.fitPageCache(this.#open.size);
    } catch {
      // Its log could not be shortened: it is tried again when that has grown. Its neighbours go on.
    }
    if (database.broken) this.#open.delete(model);
  }

  #databases(): ModelDatabase[] {
    return [...this.#open.values()];
  }

  /** What some of a file holds that is not open here: nothing, as far as is known, when it cannot be read now. */
  async #measureFile(path: string, after: number): Promise<Measured> {
    try {
      if (inspectFile(this.#settings.runtime.files, path) === "ours") {
        return await readDatabase(this.#settings.runtime, path, (driver) => measureSome(driver, after));
      }
    } catch {
      // Held by another process, foreign, or broken.
    }
    return { entries: 0, bodyBytes: 0, storedBytes: 0, last: undefined };
  }

  #path(model: string): string {
    return `${this.#settings.directory}/${this.#fileName(model)}`;
  }

  #fileName(model: string): string {
    return databaseName(model, this.#settings.runtime.sha256);
  }

  #refuseClosed(): void {
    if (this.#closing) throw new CacheError("closed", `Cannot use the cache in ${this.location}: it was closed`);
  }
}

/** A directory, or where it would be made. */
function nearest(files: Files, directory: string): string {
  if (files.exists(directory)) return directory;
  const end = directory.lastIndexOf("/");
  return end > 0 ? nearest(files, directory.slice(0, end)) : end === 0 ? "/" : ".";
}

function nothingFor(wants: readonly Want[]): Found[] {
  return wants.map(() => MISS);
}
