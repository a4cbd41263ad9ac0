/**
 * The databases of a directory: opened when first needed and kept until they are closed to make room for others. Once a
 * model's database is open it is used synchronously; opening it, and what finds it locked, waits without blocking
 * anybody.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import { Checkpointer } from "../../sqlite/checkpointer.ts";
import type { SqlDriver } from "../../sqlite/driver.ts";
import { isBusy } from "../../sqlite/error.ts";
import type { Locking, OpenDatabase } from "../../sqlite/open.ts";
import { openDatabase, readDatabase } from "../../sqlite/open.ts";
import { prepareToRead } from "../../sqlite/prepare.ts";
import { CacheError } from "../error.ts";
import type { MaybePromise } from "../store.ts";
import type { AmountsByDay } from "./amounts_by_day.ts";
import { DEFAULT_LOCKING } from "./default_locking.ts";
import type { RowTools } from "./entry_row.ts";
import { breaksConnection, stillBusy, toCacheError } from "./failure.ts";
import { Maintenance } from "./maintenance.ts";
import type { Write } from "./model_database.ts";
import { ModelDatabase } from "./model_database.ts";
import { databaseName, isDatabaseName } from "./names.ts";
import { patiently } from "./patience.ts";
import { applySchema, inspectFile } from "./schema.ts";
import { WriteQueue } from "./write_queue.ts";

/** How long closing goes on opening databases only to write amounts into them. */
const LONGEST_CLOSING: Milliseconds = 1000;

/** Where and how the databases are opened. */
export interface DatabasesSettings {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly synchronous: "normal" | "full";
  /** `undefined`: as can be. */
  readonly locking: Locking | undefined;
  readonly lockTimeout: Milliseconds;
  readonly maxOpenDatabases: number;
  readonly tools: RowTools;
  /** Amounts that are written when there is time. */
  readonly waitingAmounts: AmountsByDay;
  /** How long answers are kept after their time has passed. */
  readonly keepExpired: Milliseconds;
  /** How much they may take on the disk, if there is a limit. */
  readonly maxBytes: number | undefined;
  /** From how many answers on a dictionary is built. */
  readonly dictionaryFrom: number;
  /** Whether somebody takes the databases over in the middle of what this process does. */
  readonly handsOver: boolean;
}

/** The calling thread moves a log that is no longer than this, and is not kept for longer than some milliseconds. */
const LONG_LOG = 1024 * 1024;
/** Who reads or writes a log keeps it from being cut off, hence short tries. */
const LOG_TRIES = 10;
const BETWEEN_TRIES: Milliseconds = 5;

/** Reads some of a database; returns whether there is more to read. */
export type ReadSome = (driver: SqlDriver) => boolean;

/** The open databases, and those that can be opened. */
export class Databases {
  readonly #settings: DatabasesSettings;
  readonly #open: LRUCache<string, ModelDatabase>;
  readonly #opening = new Map<string, Promise<ModelDatabase | undefined>>();
  readonly #queues = new Map<string, WriteQueue>();
  /** Models whose database somebody else held when last tried: waiting again for each request would help nobody. */
  readonly #held = new Set<string>();
  readonly #checkpointer: Checkpointer;
  readonly #maintenance: Maintenance;
  readonly #ended = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(settings: DatabasesSettings) {
    this.#settings = settings;
    this.#checkpointer = new Checkpointer(settings.runtime);
    this.#open = new LRUCache({ max: settings.maxOpenDatabases, dispose: (database) => database.close() });
    this.#maintenance = new Maintenance({
      clock: settings.runtime.clock,
      signal: this.#ended.signal,
      databases: () => [...this.#open.entries()],
      giveUp: (model) => this.#open.delete(model),
      onDone: () => this.onUpkeep(),
    });
  }

  /** Called when upkeep was done, which writes, too. */
  onUpkeep: () => void = () => {};

  /** Whether {@link close} was called. */
  get isClosed(): boolean {
    return this.#closing !== undefined;
  }

  /** A model's database, if it is open. */
  peek(model: string): ModelDatabase | undefined {
    return this.#open.peek(model);
  }

  /** The open databases, by path. */
  get openByPath(): ReadonlyMap<string, ModelDatabase> {
    return new Map([...this.#open.entries()].map(([model, database]) => [this.path(model), database]));
  }

  /**
   * Whether a model has a database.
   *
   * @throws CacheError when that cannot be seen.
   */
  has(model: string): boolean {
    try {
      return this.#settings.runtime.files.exists(this.path(model));
    } catch (error) {
      throw toCacheError(error);
    }
  }

  /** Where a model's database lies, or would. */
  path(model: string): string {
    return `${this.#settings.directory}/${this.#fileName(model)}`;
  }

  /** @throws CacheError `closed` */
  refuseClosed(): void {
    if (this.isClosed) {
      throw new CacheError("closed", `Cannot use the cache in ${this.#settings.directory}: it was closed`);
    }
  }

  /**
   * Reads from a model's database, at once when it is open and nobody has it locked; `undefined` when there is none.
   * `purpose` is for messages.
   *
   * @throws CacheError
   */
  read<T>(model: string, purpose: string, use: (database: ModelDatabase) => T): MaybePromise<T | undefined> {
    this.refuseClosed();
    try {
      const result = this.use(model, false, use);
      return result instanceof Promise ? this.#readPatiently(model, purpose, use, result) : result;
    } catch (error) {
      if (isBusy(error)) return this.#readPatiently(model, purpose, use);
      throw toCacheError(error);
    }
  }

  /**
   * Writes to a model's database, made if need be, together with what others write in this turn of the event loop.
   *
   * @throws CacheError
   */
  write<T>(model: string, write: Write<T>): Promise<T> {
    this.refuseClosed();
    return this.#queueOf(model).add(write);
  }

  /**
   * Runs `use` on a model's database, at once when it is open; `undefined` when there is none and none is to be made.
   *
   * @throws CacheError when it cannot be opened; whatever `use` throws.
   */
  use<T>(model: string, create: boolean, use: (database: ModelDatabase) => T): MaybePromise<T | undefined> {
    const database = this.#open.get(model);
    // Somebody cleared the folder: an answer put into what they removed would be lost.
    if (database && create && !database.isInPlace) this.#open.delete(model);
    else if (database) return this.#run(model, database, use);
    if (!create && !this.#opening.has(model) && !this.has(model)) return undefined;
    return this.#useOpened(model, create, use);
  }

  /**
   * Reads every database in the directory, open or not, in slices, and changes nothing. What cannot be read now, because
   * somebody else holds it or it is broken, is left out from there on. `begin` is told the path of each and returns what
   * reads it.
   *
   * @throws CacheError
   */
  async readEach(begin: (path: string) => MaybePromise<ReadSome>): Promise<void> {
    this.refuseClosed();
    const { runtime, directory, lockTimeout } = this.#settings;
    try {
      await Promise.allSettled(this.#opening.values());
      const models = new Map([...this.#open.keys()].map((model) => [this.#fileName(model), model]));
      for (const { name, isFile } of await runtime.files.list(directory)) {
        const [model, path] = [models.get(name), `${directory}/${name}`];
        if (!isFile || !isDatabaseName(name) || !await this.#isOurs(path)) continue;
        const readSome = await begin(path);
        // It may be closed, and opened again, while others have their turn.
        const readOpen = () => model === undefined ? undefined : this.#open.peek(model)?.read(readSome);
        while (await patiently(runtime.clock, lockTimeout, isBusy, readOpen) ?? await this.#readFile(path, readSome)) {
          // A large database takes long; nobody else has to wait for all of it.
          await new Promise<void>((resolve) => runtime.clock.afterTurn(resolve));
          this.refuseClosed();
        }
      }
    } catch (error) {
      throw toCacheError(error);
    }
  }

  /**
   * Moves an open database's log into it and cuts it off, unless others read or write it all the time. A long log of a
   * shared database is moved by a Worker.
   *
   * @throws Error when it cannot be done.
   */
  async cutLog(model: string): Promise<void> {
    const { clock } = this.#settings.runtime;
    for (let tries = 0; tries < LOG_TRIES; tries++) {
      if (tries > 0) await clock.sleep(BETWEEN_TRIES);
      const owned = this.#open.peek(model)?.connection.owned;
      const isLong = owned?.locking === "shared" && owned.logged > LONG_LOG;
      if (isLong && this.#checkpointer.works) await this.#checkpointer.checkpoint(owned.path);
      // It may have been closed meanwhile, and its log moved so.
      if (this.#open.peek(model)?.log.cut() ?? true) return;
    }
  }

  /** A model's database has got work from somebody who does not use it. */
  notice(model: string): void {
    const database = this.#open.peek(model);
    if (database) this.#maintenance.look(database);
  }

  /** Writes out what waits and lets go of every file. Closing twice is no error. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#ended.abort();
    // What is queued may open a database, and what is being opened may be waited for by what is queued.
    while (this.#queues.size + this.#opening.size > 0) {
      await Promise.allSettled([...[...this.#queues.values()].map(({ idle }) => idle), ...this.#opening.values()]);
    }
    await this.#openForAmounts();
    this.#open.clear();
    await this.#checkpointer.close();
  }

  /** Opens databases for which amounts wait: being closed they write them. */
  async #openForAmounts(): Promise<void> {
    const { runtime: { clock }, waitingAmounts } = this.#settings;
    const end = clock.monotonic() + LONGEST_CLOSING;
    for (const model of waitingAmounts.models) {
      if (clock.monotonic() > end) return;
      if (this.#open.has(model)) continue;
      try {
        if (this.has(model)) await this.#startOpening(model, false);
      } catch {
        // Amounts are not worth an error.
      }
    }
  }

  #queueOf(model: string): WriteQueue {
    const waiting = this.#queues.get(model);
    if (waiting) return waiting;
    const { runtime, lockTimeout } = this.#settings;
    const queue = new WriteQueue({
      clock: runtime.clock,
      lockTimeout,
      path: this.path(model),
      use: (use) => this.use(model, true, use) as MaybePromise<ReturnType<typeof use>>,
      keepUp: () => this.#boundLog(model),
      onIdle: () => this.#queues.delete(model),
    });
    this.#queues.set(model, queue);
    return queue;
  }

  /** Shortens the log of an open database that has grown so long that it cannot wait for a quiet moment. */
  async #boundLog(model: string): Promise<void> {
    if (!this.#open.peek(model)?.log.isPressing) return;
    await new Promise<void>((resolve) => this.#settings.runtime.clock.afterTurn(resolve));
    const database = this.#open.peek(model);
    try {
      database?.log.shorten();
    } catch {
      // What was put is in the log all the same. Whoever opens it anew finds out what is wrong.
      this.#open.delete(model);
    }
  }

  /** Goes on with reading what was found locked, or what has to be opened first. */
  async #readPatiently<T>(
    model: string,
    purpose: string,
    use: (database: ModelDatabase) => T,
    started?: Promise<T | undefined>,
  ): Promise<T | undefined> {
    const { runtime, lockTimeout } = this.#settings;
    let attempt = started;
    try {
      return await patiently(runtime.clock, lockTimeout, isBusy, () => {
        const running = attempt;
        attempt = undefined;
        if (running) return running;
        this.refuseClosed();
        return this.use(model, false, use);
      });
    } catch (error) {
      throw isBusy(error) ? stillBusy(`${purpose} ${this.path(model)}`, lockTimeout, error) : toCacheError(error);
    }
  }

  async #useOpened<T>(model: string, create: boolean, use: (database: ModelDatabase) => T): Promise<T | undefined> {
    for (;;) {
      const joined = this.#opening.get(model);
      const database = await (joined ?? this.#startOpening(model, create));
      // It may have been closed again to make room for another, or been looked for by somebody who would not make it.
      if (database && !database.closed) return this.#run(model, database, use);
      if (!database && !(create && joined)) return undefined;
      if (!create) this.refuseClosed();
    }
  }

  #startOpening(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const opening = this.#openDatabase(model, create).finally(() => this.#opening.delete(model));
    this.#opening.set(model, opening);
    return opening;
  }

  async #openDatabase(model: string, create: boolean): Promise<ModelDatabase | undefined> {
    const { runtime, directory, tools, waitingAmounts, keepExpired, maxBytes, dictionaryFrom, handsOver } =
      this.#settings;
    const path = this.path(model);
    try {
      await prepareToRead(runtime.files, path);
      if (inspectFile(runtime.files, path) !== "ours" && !create) return undefined;
      if (create) runtime.files.makeDirectory(directory);
      const opened = await this.#openFile(model, path, create);
      this.#held.delete(model);
      let database: ModelDatabase;
      try {
        const logKeeper = this.#checkpointer;
        const limits = { keepExpired, maxBytes, dictionaryFrom, handsOver };
        database = new ModelDatabase(opened, {
          model,
          tools,
          clock: runtime.clock,
          logKeeper,
          waitingAmounts,
          ...limits,
        });
      } catch (error) {
        opened.close();
        throw error;
      }
      this.#open.set(model, database);
      for (const each of this.#open.values()) each.fitPageCache(this.#open.size);
      this.#maintenance.look(database);
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
    try {
      const result = use(database);
      if (database.broken) this.#open.delete(model);
      else this.#maintenance.notice(database);
      return result;
    } catch (error) {
      if (database.broken || breaksConnection(error) || !database.isSound) this.#open.delete(model);
      throw error;
    }
  }

  /** Reads some of a file that is not open here, if it can be read now. */
  async #readFile(path: string, readSome: ReadSome): Promise<boolean> {
    try {
      return await readDatabase(this.#settings.runtime, path, readSome);
    } catch {
      // Held by another process, or broken.
      return false;
    }
  }

  async #isOurs(path: string): Promise<boolean> {
    const { files } = this.#settings.runtime;
    try {
      await prepareToRead(files, path);
      return inspectFile(files, path) === "ours";
    } catch {
      return false;
    }
  }

  #fileName(model: string): string {
    return databaseName(model, this.#settings.runtime.sha256);
  }
}
