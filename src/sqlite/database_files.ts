/**
 * What the VFS asks of the files behind one database. How they are opened, locked and written is a mode's business:
 * one file per mode beside this one.
 *
 * @module
 */

/** Which of a database's files: the database itself, its write-ahead log, its rollback journal. */
export type FilePart = "" | "-wal" | "-journal";

/** SQLite's lock levels (https://sqlite.org/lockingv3.html). */
export const LOCK_NONE = 0;
export const LOCK_SHARED = 1;
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
  close(): void;
}

/** The files of one database. */
export interface DatabaseFiles {
  /** Whether writes are refused. */
  readonly readOnly: boolean;
  open(part: FilePart): DatabaseFile;
  exists(part: FilePart): boolean;
  remove(part: FilePart): void;
}
