/**
 * The files of a database that is looked at without leaving a trace: nothing is created, no log is folded in, no
 * journal rolled back. A database that would need any of that to be read is refused.
 *
 * @module
 */

import type { Files, OpenFile, RangeLocks } from "../runtime/runtime.ts";
import { FileError } from "../runtime/runtime.ts";
import type { DatabaseFile, DatabaseFiles, FilePart } from "./database_files.ts";
import { LOCK_NONE, LOCK_SHARED_LENGTH, LOCK_SHARED_START } from "./database_files.ts";

/** A database's files, left as they are. */
export class ReadOnlyFiles implements DatabaseFiles {
  readonly readOnly = true;
  readonly #files: Files;
  readonly #locks: RangeLocks | undefined;
  readonly #path: string;

  /** `path` is the database's real path. */
  constructor(files: Files, locks: RangeLocks | undefined, path: string) {
    this.#files = files;
    this.#locks = locks;
    this.#path = path;
  }

  open(part: FilePart): DatabaseFile {
    // SQLite insists on a log beside a database in WAL mode; where there is none, an empty one tells it so.
    if (part === "-wal" && !this.exists(part)) return new ReadOnlyFile(undefined, undefined);
    return new ReadOnlyFile(this.#files.open(this.#path + part, "read"), part === "" ? this.#locks : undefined);
  }

  exists(part: FilePart): boolean {
    return this.#files.exists(this.#path + part);
  }

  remove(): void {}
}

class ReadOnlyFile implements DatabaseFile {
  readonly #file: OpenFile | undefined;
  readonly #locks: RangeLocks | undefined;

  constructor(file: OpenFile | undefined, locks: RangeLocks | undefined) {
    this.#file = file;
    this.#locks = locks;
  }

  read(target: Uint8Array, position: number): number {
    return this.#file?.read(target, position) ?? 0;
  }

  write(): void {
    throw new FileError("Cannot write a file opened for reading", "EROFS");
  }

  truncate(): void {
    throw new FileError("Cannot truncate a file opened for reading", "EROFS");
  }

  sync(): void {}

  size(): number {
    return this.#file?.size() ?? 0;
  }

  lock(): boolean {
    // Nothing is written at any level, so being one of the readers is enough for all of them.
    return !this.#file || !this.#locks ||
      this.#locks.tryLock(this.#file.descriptor, LOCK_SHARED_START, LOCK_SHARED_LENGTH, "shared");
  }

  unlock(level: number): void {
    if (level === LOCK_NONE && this.#file) {
      this.#locks?.unlock(this.#file.descriptor, LOCK_SHARED_START, LOCK_SHARED_LENGTH);
    }
  }

  isReserved(): boolean {
    return false;
  }

  close(): void {
    this.#file?.close();
  }
}
