/**
 * The files of a database that other processes use at the same time, native SQLites among them: the locks are the ones
 * that SQLite takes on Unix (https://sqlite.org/lockingv3.html), on the same bytes, and nothing is remembered that
 * others can change.
 *
 * @module
 */

import type { Files, OpenFile, RangeLocks } from "../runtime/runtime.ts";
import type { DatabaseFile, DatabaseFiles, FilePart, WalIndex } from "./database_files.ts";
import {
  LOCK_EXCLUSIVE,
  LOCK_NONE,
  LOCK_PENDING,
  LOCK_RESERVED,
  LOCK_SHARED,
  LOCK_SHARED_LENGTH,
  LOCK_SHARED_START,
  LOCK_START,
} from "./database_files.ts";
import { newStamp } from "./stamp.ts";
import type { HeapMemory } from "./wal_index.ts";
import { WalIndexCopy } from "./wal_index.ts";
import type { WrittenPart } from "./written_parts.ts";
import { WrittenParts } from "./written_parts.ts";

const PENDING_BYTE = LOCK_START;
const RESERVED_BYTE = LOCK_START + 1;

/** A database's files, written by many. */
export class SharedFiles implements DatabaseFiles {
  readonly readOnly = false;
  readonly #files: Files;
  readonly #locks: RangeLocks;
  readonly #path: string;
  readonly #memory: HeapMemory;
  readonly #parts: WrittenParts;
  #walIndex: WalIndexCopy | undefined;

  /** `path` is the database's real path. */
  constructor(files: Files, locks: RangeLocks, path: string, memory: HeapMemory) {
    this.#files = files;
    this.#locks = locks;
    this.#path = path;
    this.#memory = memory;
    this.#parts = new WrittenParts(files, path);
  }

  /** Bytes in the write-ahead log that no checkpoint has moved yet, as of the last access. */
  get logged(): number {
    return this.#walIndex?.logged ?? 0;
  }

  /** Whether others see all that was committed here. */
  get isPublished(): boolean {
    return this.#walIndex?.isPublished ?? true;
  }

  /** Whether somebody has committed since the last access. */
  get hasNews(): boolean {
    return this.#walIndex?.hasNews ?? false;
  }

  /** A number that is the same as before only if nobody has committed since. */
  get stamp(): number {
    return this.#walIndex?.stamp ?? newStamp();
  }

  open(part: FilePart): DatabaseFile {
    return new SharedFile(this.#parts.open(part), {
      locks: part === "" ? this.#locks : undefined,
      beforeTruncating: () => part === "-wal" && this.#walIndex?.publish(),
    });
  }

  openWalIndex(): WalIndex | undefined {
    this.#walIndex = WalIndexCopy.open(this.#files, `${this.#path}-shm`, this.#locks, this.#memory);
    return this.#walIndex;
  }

  exists(part: FilePart): boolean {
    return this.#parts.exists(part);
  }

  remove(part: FilePart): void {
    this.#parts.remove(part);
  }

  /** Whether others who open the database now get the files that are used here. */
  get areInPlace(): boolean {
    return this.isInPlace("") === true && (this.#walIndex?.isInPlace ?? true);
  }

  /** Whether what was last opened as `part` is still what lies there; `undefined` when it was never opened. */
  isInPlace(part: FilePart): boolean | undefined {
    return this.#parts.isInPlace(part);
  }

  /** Nothing is remembered, so there is nothing to forget. */
  resetLogged(): void {}
}

interface SharedFileOptions {
  readonly locks: RangeLocks | undefined;
  readonly beforeTruncating: () => void;
}

class SharedFile implements DatabaseFile {
  readonly #part: WrittenPart;
  readonly #file: OpenFile;
  readonly #locks: RangeLocks | undefined;
  readonly #beforeTruncating: () => void;
  #level = LOCK_NONE;

  constructor(part: WrittenPart, { locks, beforeTruncating }: SharedFileOptions) {
    this.#part = part;
    this.#file = part.file;
    this.#locks = locks;
    this.#beforeTruncating = beforeTruncating;
  }

  read(target: Uint8Array, position: number): number {
    return this.#file.read(target, position);
  }

  write(source: Uint8Array, position: number): void {
    this.#file.write(source, position);
  }

  truncate(size: number): void {
    this.#beforeTruncating();
    this.#file.truncate(size);
  }

  sync(): void {
    this.#part.sync();
  }

  size(): number {
    return this.#file.size();
  }

  lock(level: number): boolean {
    if (!this.#locks || this.#level >= level) return true;
    if (level === LOCK_SHARED) return this.#lockShared();
    if (level === LOCK_RESERVED) return this.#raise(RESERVED_BYTE, 1, LOCK_RESERVED);
    // PENDING lets the readers there are finish and no more in. It is kept when EXCLUSIVE cannot be had yet, but only a
    // writer may insist like this: whoever would merely leave last goes on as the reader it was.
    if (this.#level === LOCK_RESERVED && !this.#raise(PENDING_BYTE, 1, LOCK_PENDING)) return false;
    return this.#raise(LOCK_SHARED_START, LOCK_SHARED_LENGTH, LOCK_EXCLUSIVE);
  }

  unlock(level: number): void {
    if (!this.#locks || this.#level <= level) return;
    const { descriptor } = this.#file;
    if (level === LOCK_NONE) {
      this.#locks.unlock(descriptor, PENDING_BYTE, 2 + LOCK_SHARED_LENGTH);
    } else {
      // Turning one's own exclusive lock into a shared one cannot be refused.
      this.#locks.tryLock(descriptor, LOCK_SHARED_START, LOCK_SHARED_LENGTH, "shared");
      this.#locks.unlock(descriptor, PENDING_BYTE, 2);
    }
    this.#level = level;
  }

  isReserved(): boolean {
    if (!this.#locks) return false;
    return this.#level >= LOCK_RESERVED || this.#locks.isLocked(this.#file.descriptor, RESERVED_BYTE, 1);
  }

  close(): void {
    this.#file.close();
  }

  #lockShared(): boolean {
    const locks = this.#locks!;
    const { descriptor } = this.#file;
    // Through the door that a waiting writer closes.
    if (!locks.tryLock(descriptor, PENDING_BYTE, 1, "shared")) return false;
    try {
      if (!locks.tryLock(descriptor, LOCK_SHARED_START, LOCK_SHARED_LENGTH, "shared")) return false;
    } finally {
      locks.unlock(descriptor, PENDING_BYTE, 1);
    }
    this.#level = LOCK_SHARED;
    return true;
  }

  #raise(start: number, length: number, level: number): boolean {
    if (!this.#locks!.tryLock(this.#file.descriptor, start, length, "exclusive")) return false;
    this.#level = level;
    return true;
  }
}
