/**
 * What the VFS asks of the files behind one database. How they are opened, locked and written is a mode's business:
 * one file per mode beside this one.
 *
 * @module
 */

/** Which of a database's files: the database itself, its write-ahead log, its rollback journal. */
export type FilePart = "" | "-wal" | "-journal";

/**
 * Who else may use the database meanwhile: `shared` with every other process that shares it, native SQLites among them
 * (on Linux, where the C library may be called, on a local file system), or `exclusive` with nobody.
 */
export type Locking = "shared" | "exclusive";

/** An address in SQLite's heap; 0 is null. */
export type Pointer = number;

/** SQLite's lock levels (https://sqlite.org/lockingv3.html). */
export const LOCK_NONE = 0;
export const LOCK_SHARED = 1;
export const LOCK_RESERVED = 2;
export const LOCK_PENDING = 3;
export const LOCK_EXCLUSIVE = 4;
/** First of the bytes that SQLite locks: PENDING, then RESERVED, then 510 SHARED ones. */
export const LOCK_START = 0x40000000;
export const LOCK_LENGTH = 512;
export const LOCK_SHARED_START: number = LOCK_START + 2;
export const LOCK_SHARED_LENGTH = 510;

/** One open file, as SQLite sees it. Methods throw {@link ../runtime/runtime.ts FileError}. */
export interface DatabaseFile {
  /** Fills `target` from `position`; returns how many bytes there were. */
  read(target: Uint8Array, position: number): number;
  write(source: Uint8Array, position: number): void;
  truncate(size: number): void;
  sync(): void;
  size(): number;
  /** Raises the lock on the database to `level`; `false` when somebody else is in the way. */
  lock(level: number): boolean;
  /** Lowers the lock on the database to `level`. */
  unlock(level: number): void;
  /** Whether anybody holds RESERVED or more. */
  isReserved(): boolean;
  close(): void;
}

/**
 * The wal-index of a database that processes share (https://sqlite.org/walformat.html): which frames of the log hold
 * which pages, who reads how far, and the locks that keep them apart. SQLite takes it for memory that all of them see.
 */
export interface WalIndex {
  /**
   * Where a region of 32 KiB lies in SQLite's heap, for as long as the database is open; 0 when it is not there and is
   * not to be made.
   */
  map(region: number, extend: boolean): Pointer;
  /** Takes `count` locks from number `first`; `false` when somebody else is in the way. */
  lock(first: number, count: number, mode: "shared" | "exclusive"): boolean;
  /** Gives up `count` locks from number `first`. */
  unlock(first: number, count: number): void;
  /** What was written before is seen by others before anything is read after. */
  barrier(): void;
  /** Lets go of it; the last one to leave has it removed. */
  unmap(remove: boolean): void;
}

/** The files of one database. */
export interface DatabaseFiles {
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  open(part: FilePart): DatabaseFile;
  /**
   * The wal-index, where the database is shared; `undefined` when somebody is just setting it up. Called when SQLite
   * first wants it.
   */
  openWalIndex?(): WalIndex | undefined;
  exists(part: FilePart): boolean;
  remove(part: FilePart): void;
}
