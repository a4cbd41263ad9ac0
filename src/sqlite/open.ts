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
import { SqliteError } from "./error.ts";
import { ExclusiveFiles } from "./exclusive_files.ts";
import type { OwnerLock } from "./owner.ts";
import { acquireOwner, heldBy, heldByStranger, keepOwnersAway, retry } from "./owner.ts";
import { ReadOnlyFiles } from "./read_only_files.ts";

/** How to open a database. */
export interface OpenDatabaseOptions {
  readonly runtime: Runtime;
  readonly path: string;
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

/**
 * Opens a database for this process alone, in WAL mode.
 *
 * @throws SqliteError such as `SQLITE_BUSY` when somebody else has it open.
 * @throws FileError when its file cannot be opened or created.
 */
export async function openOwnedDatabase(options: OpenDatabaseOptions): Promise<OwnedDatabase> {
  const { runtime, path, create, lockTimeout } = options;
  const engine = await loadEngine();
  // Before anything is made beside it, the file must be there and be a file. Locks and logs belong beside what a
  // symbolic link points to, where every other process looks for them.
  runtime.files.open(path, create ? "create" : "write").close();
  const realPath = await resolve(runtime, path);
  const owner = await acquireOwner(runtime, realPath, lockTimeout);
  try {
    const files = new ExclusiveFiles(runtime.files, runtime.rangeLocks, realPath);
    // A foreign SQLite may be inside for a moment.
    const driver = await retry(runtime, lockTimeout, () => connect(engine, realPath, files, options));
    if (!driver) throw heldByStranger(realPath);
    return new OwnedDatabase(driver, files, owner);
  } catch (error) {
    owner.release();
    throw error;
  }
}

/**
 * Opens a database, as it is now, for as long as `use` runs; nothing is created or changed.
 *
 * @throws SqliteError such as `SQLITE_BUSY` when somebody owns it, `SQLITE_READONLY` when a crashed writer's journal
 * would have to be rolled back first.
 * @throws FileError when a file cannot be opened.
 */
export async function readDatabase<T>(runtime: Runtime, path: string, use: (driver: SqlDriver) => T): Promise<T> {
  const engine = await loadEngine();
  const realPath = await resolve(runtime, path);
  const guard = keepOwnersAway(runtime, realPath);
  if (!guard) throw await heldBy(runtime, realPath);
  try {
    const driver = new WasmDatabase(engine, realPath, new ReadOnlyFiles(runtime.files, runtime.rangeLocks, realPath));
    try {
      driver.exec("PRAGMA locking_mode = EXCLUSIVE");
      return use(driver);
    } finally {
      driver.close();
    }
  } finally {
    guard.release();
  }
}

/** A database that this process owns until it is closed. */
export class OwnedDatabase {
  readonly driver: SqlDriver;
  readonly #files: ExclusiveFiles;
  readonly #owner: OwnerLock;

  constructor(driver: SqlDriver, files: ExclusiveFiles, owner: OwnerLock) {
    this.driver = driver;
    this.#files = files;
    this.#owner = owner;
  }

  /** Bytes in the write-ahead log that {@link checkpoint} has not moved into the database yet. */
  get logged(): number {
    return this.#files.logged;
  }

  /** Whether its file is still there. Somebody may have removed or replaced it: what is written now would be lost. */
  get isInPlace(): boolean {
    return this.#files.isInPlace("") === true;
  }

  /**
   * Whether the log still lies beside the database. Where there are no range locks, a foreign SQLite that looked into
   * the database has removed it on leaving, and what is written to it now would be lost with this process.
   */
  get hasLog(): boolean {
    return this.#files.isInPlace("-wal") === true;
  }

  /**
   * Moves the log into the database (a PASSIVE checkpoint), so that the log is written from its beginning again.
   *
   * @throws SqliteError
   */
  checkpoint(): void {
    this.driver.exec("PRAGMA wal_checkpoint(PASSIVE)");
    this.#files.resetLogged();
  }

  /** Moves the log into the database, removes it, and lets others in. Closing twice is no error. */
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

function connect(
  engine: Engine,
  path: string,
  files: ExclusiveFiles,
  { synchronous, schema }: OpenDatabaseOptions,
): WasmDatabase | undefined {
  const driver = new WasmDatabase(engine, path, files);
  try {
    // Exclusive before the first access, else SQLite asks for shared memory.
    driver.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA busy_timeout = 0; PRAGMA wal_autocheckpoint = 0");
    // auto_vacuum goes before the first table, and writes: by itself it would make a database that is nobody's.
    driver.exec(`PRAGMA synchronous = ${synchronous}; BEGIN; PRAGMA auto_vacuum = INCREMENTAL`);
    schema(driver);
    driver.exec("COMMIT; PRAGMA journal_mode = WAL");
    return driver;
  } catch (error) {
    driver.close();
    if (error instanceof SqliteError && error.code === "SQLITE_BUSY") return undefined;
    throw error;
  }
}
