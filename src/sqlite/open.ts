/**
 * Opens databases, so that nobody waits for a lock on the caller's thread: SQLite's own waiting is off, and retries
 * are asynchronous.
 *
 * @module
 */

import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import { FileError } from "../runtime/runtime.ts";
import { WasmDatabase } from "./database.ts";
import type { SqlDriver } from "./driver.ts";
import type { Engine } from "./engine.ts";
import { loadEngine } from "./engine.ts";
import type { DatabaseFiles, Locking } from "./database_files.ts";
import { isBusy } from "./error.ts";
import { ExclusiveFiles } from "./exclusive_files.ts";
import type { OwnerLock } from "./owner.ts";
import { acquireOwner, heldBy, heldByStranger, keepOwnersAway, retry } from "./owner.ts";
import { prepareDatabase, prepareToRead } from "./prepare.ts";
import { ReadOnlyFiles } from "./read_only_files.ts";
import { SharedFiles } from "./shared_files.ts";
import type { HeapMemory } from "./wal_index.ts";

export type { Locking } from "./database_files.ts";

/** How long a look at a database that others share waits for them. */
const READ_TIMEOUT: Milliseconds = 1000;

/** How to open a database. */
export interface OpenDatabaseOptions {
  readonly runtime: Runtime;
  readonly path: string;
  readonly locking: Locking;
  /** Makes the file when there is none. */
  readonly create: boolean;
  /**
   * Whether a commit waits for the disk: `full` survives a power failure, `normal` only the end of the process; neither
   * leaves a broken file.
   */
  readonly synchronous: "normal" | "full";
  /** How long to try for the lock. */
  readonly lockTimeout: Milliseconds;
  /**
   * Creates the tables of a new file, or refuses one by throwing. Called in a transaction, so that a file is either
   * empty or has all of them, and before the log is turned on, so that the header of a database always says whose it is,
   * whatever happens to the log.
   */
  readonly schema: (driver: SqlDriver) => void;
}

/** An open database, and what there is to know and to do about it besides SQL. */
export interface OpenDatabase {
  /**
   * Where it is shared, any statement may be refused because of what somebody else does just now
   * ({@link ./error.ts isBusy}); nobody sleeps in it. A `COMMIT` refused with `SQLITE_BUSY` may be repeated; refused with
   * `SQLITE_PROTOCOL` the transaction was rolled back, and has to be repeated as a whole.
   */
  readonly driver: SqlDriver;
  /** Its real path. */
  readonly path: string;
  readonly locking: Locking;
  /** Bytes in the write-ahead log that no checkpoint has moved into the database yet. */
  readonly logged: number;
  /**
   * Whether its file is still there, and its wal-index where it is shared. Somebody may have removed or replaced it: what
   * is written now would be lost.
   */
  readonly isInPlace: boolean;
  /**
   * Whether what was committed will be found by others: the log still lies beside the database, and the wal-index says
   * what is in it. Where there are no range locks, a foreign SQLite that looked into
   * the database has removed it on leaving, and what is written to it now would be lost with this process.
   */
  readonly hasLog: boolean;
  /**
   * Whether somebody else has committed since the read transaction that is running began. Costs one read of 48 bytes
   * where the database is shared, nothing where it is not.
   */
  readonly hasNews: boolean;
  /**
   * A number that is the same as before only if nobody has committed since, here or elsewhere. Costs what
   * {@link hasNews} does.
   */
  readonly stamp: number;
  /**
   * Moves the log into the database (a PASSIVE checkpoint), on the caller's thread. Where it is shared, others may keep
   * some of the log in use; what is left then counts in {@link logged}.
   *
   * @throws SqliteError
   */
  checkpoint(): void;
  /**
   * Lets go of the database. Whoever is the last one moves the log into it and removes the log. Closing twice is no
   * error.
   */
  close(): void;
}

/**
 * Opens a database in WAL mode.
 *
 * @throws SqliteError such as `SQLITE_BUSY` when somebody else has it open in a way that keeps us out.
 * @throws FileError when its file cannot be opened or created; `ENOTSUP` when it cannot be shared here.
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<OpenDatabase> {
  const { runtime, path, create, locking, lockTimeout } = options;
  const engine = await loadEngine();
  await prepareDatabase(runtime.files, path);
  // Before anything is made beside it, the file must be there and be a file. Locks and logs belong beside what a
  // symbolic link points to, where every other process looks for them.
  runtime.files.open(path, create ? "create" : "write").close();
  const realPath = await resolve(runtime, path);
  if (locking === "shared") refuseRemote(runtime, realPath);
  const owner = await acquireOwner(runtime, realPath, locking, lockTimeout);
  try {
    // Somebody else may be making it, or a foreign SQLite be inside for a moment.
    const database = await retry(runtime, lockTimeout, () => connect(engine, realPath, owner, options));
    if (!database) throw heldByStranger(realPath);
    return database;
  } catch (error) {
    owner.release();
    throw error;
  }
}

/**
 * Opens a database, as it is now, for as long as `use` runs. Nothing is created or changed, but where processes share it,
 * or did so until they were killed, it is read as they read it: whoever leaves last moves the log into the database.
 *
 * @throws SqliteError such as `SQLITE_BUSY` when somebody owns it, `SQLITE_READONLY` when a crashed writer's journal
 * would have to be rolled back first.
 * @throws FileError when a file cannot be opened.
 */
export async function readDatabase<T>(runtime: Runtime, path: string, use: (driver: SqlDriver) => T): Promise<T> {
  const engine = await loadEngine();
  const realPath = await resolve(runtime, path);
  const { files, rangeLocks } = runtime;
  await prepareToRead(files, realPath);
  const isShared = (): boolean => rangeLocks !== undefined && files.exists(`${realPath}-shm`);
  const guard = keepOwnersAway(runtime, realPath);
  if (!guard) throw await heldBy(runtime, realPath);
  try {
    if (!isShared()) {
      const result = readWith(engine, realPath, new ReadOnlyFiles(files, rangeLocks, realPath), use);
      // While we were among the readers nobody can have come, written and removed the wal-index again.
      if (!isShared()) return result;
    }
    const shared = new SharedFiles(files, rangeLocks!, realPath, heapOf(engine));
    const read = (): { readonly result: T } => ({ result: readWith(engine, realPath, shared, use) });
    const done = await retry(runtime, READ_TIMEOUT, () => unlessBusy(read));
    if (!done) throw heldByStranger(realPath);
    return done.result;
  } finally {
    guard.release();
  }
}

class OpenedDatabase implements OpenDatabase {
  readonly driver: SqlDriver;
  readonly path: string;
  readonly locking: Locking;
  readonly #files: ExclusiveFiles | SharedFiles;
  readonly #owner: OwnerLock;

  constructor(
    driver: SqlDriver,
    path: string,
    locking: Locking,
    files: ExclusiveFiles | SharedFiles,
    owner: OwnerLock,
  ) {
    this.driver = driver;
    this.path = path;
    this.locking = locking;
    this.#files = files;
    this.#owner = owner;
  }

  get logged(): number {
    return this.#files.logged;
  }

  get isInPlace(): boolean {
    return this.#files.areInPlace;
  }

  get hasLog(): boolean {
    // What was never opened holds nothing.
    return this.#files.isInPlace("-wal") !== false && this.#files.isPublished;
  }

  get hasNews(): boolean {
    return this.#files.hasNews;
  }

  get stamp(): number {
    return this.#files.stamp;
  }

  checkpoint(): void {
    this.driver.exec("PRAGMA wal_checkpoint(PASSIVE)");
    this.#files.resetLogged();
  }

  close(): void {
    try {
      this.driver.close();
    } finally {
      this.#owner.release();
    }
  }
}

async function resolve({ files }: Runtime, path: string): Promise<string> {
  const realPath = await files.realPath(path);
  if (realPath === undefined) throw new FileError(`Cannot open ${path}: nothing is there`, "ENOENT");
  return realPath;
}

/**
 * Refuses to share what lies at `path`: machines that mount the same files see neither each other's locks at once nor
 * each other's pages.
 *
 * @throws FileError `ENOTSUP`, or why nobody can say where it lies.
 */
export function refuseRemote({ files }: Runtime, path: string): void {
  const kind = files.fileSystem(path);
  if (kind === "local" || kind === "unknown") return;
  throw new FileError(
    `Cannot share ${path} with other processes: it lies on a file system that is not this machine's own (${kind}); ` +
      'use locking "exclusive" or a local directory',
    "ENOTSUP",
  );
}

/** Opens a connection; `undefined` while somebody is in the way. */
function connect(
  engine: Engine,
  path: string,
  owner: OwnerLock,
  { runtime, locking, synchronous, schema }: OpenDatabaseOptions,
): OpenDatabase | undefined {
  const { files, rangeLocks } = runtime;
  const modeFiles = locking === "shared"
    ? new SharedFiles(files, rangeLocks!, path, heapOf(engine))
    : new ExclusiveFiles(files, rangeLocks, path);
  const driver = new WasmDatabase(engine, path, modeFiles);
  try {
    // What lies there may not be ours, and is left as it is then.
    driver.keepLogOnClose(modeFiles.exists("-wal"));
    // Exclusive before the first access, else SQLite asks for shared memory.
    driver.exec(`PRAGMA locking_mode = ${locking === "shared" ? "NORMAL" : "EXCLUSIVE"}`);
    driver.exec(`PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = ${synchronous}; BEGIN`);
    // Before the first table, and it writes: by itself it would make a database that is nobody's, and on one that is
    // there it would want to be the only writer.
    if (isEmpty(driver)) driver.exec("PRAGMA auto_vacuum = INCREMENTAL");
    schema(driver);
    driver.keepLogOnClose(false);
    driver.exec("COMMIT; PRAGMA journal_mode = WAL");
    return new OpenedDatabase(driver, path, locking, modeFiles, owner);
  } catch (error) {
    driver.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
}

function isEmpty(driver: SqlDriver): boolean {
  const statement = driver.prepare("PRAGMA page_count");
  try {
    return statement.get()?.[0] === 0;
  } finally {
    statement.finalize();
  }
}

function readWith<T>(engine: Engine, path: string, files: DatabaseFiles, use: (driver: SqlDriver) => T): T {
  const driver = new WasmDatabase(engine, path, files);
  try {
    if (files.readOnly) driver.exec("PRAGMA locking_mode = EXCLUSIVE");
    else driver.exec("PRAGMA query_only = ON");
    return use(driver);
  } finally {
    driver.close();
  }
}

function unlessBusy<T>(attempt: () => T): T | undefined {
  try {
    return attempt();
  } catch (error) {
    if (isBusy(error)) return undefined;
    throw error;
  }
}

function heapOf(engine: Engine): HeapMemory {
  return {
    get heap() {
      return engine.heap;
    },
    allocate: (size) => engine.allocate(size),
    free: (pointer) => engine.raw.sqlite3_free(pointer),
  };
}
