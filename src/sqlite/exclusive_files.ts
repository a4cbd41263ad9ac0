/**
 * The files of a database that nobody else may touch: one lock, taken with the first access and kept until the file is
 * closed. Since only this process writes, sizes are remembered instead of asked for.
 *
 * @module
 */

import type { Files, OpenFile, RangeLocks } from "../runtime/runtime.ts";
import type { DatabaseFile, DatabaseFiles, FilePart } from "./database_files.ts";
import { LOCK_LENGTH, LOCK_NONE, LOCK_START } from "./database_files.ts";
import { newStamp } from "./stamp.ts";
import type { WrittenPart } from "./written_parts.ts";
import { WrittenParts } from "./written_parts.ts";

/** A database's files, written by one owner. */
export class ExclusiveFiles implements DatabaseFiles {
  readonly readOnly = false;
  /** Nobody else commits. */
  readonly hasNews = false;
  /** Nobody else has to see what is committed. */
  readonly isPublished = true;
  readonly #locks: RangeLocks | undefined;
  readonly #parts: WrittenParts;
  #logged = 0;
  #stamp = newStamp();

  /** `path` is the database's real path; without `locks` a foreign SQLite cannot be kept out. */
  constructor(files: Files, locks: RangeLocks | undefined, path: string) {
    this.#locks = locks;
    this.#parts = new WrittenParts(files, path);
  }

  /** Bytes in the write-ahead log since {@link resetLogged}, those that a killed owner left there included. */
  get logged(): number {
    return this.#logged;
  }

  /** A number that is the same as before only if nothing was written to the log since. */
  get stamp(): number {
    return this.#stamp;
  }

  /** Starts counting {@link logged} from zero. */
  resetLogged(): void {
    this.#logged = 0;
  }

  open(part: FilePart): DatabaseFile {
    const opened = this.#parts.open(part);
    if (part === "-wal") this.#logged = opened.file.size();
    return new OwnedFile(opened, {
      locks: part === "" ? this.#locks : undefined,
      onWrite: part === "-wal" ? (bytes) => this.#noteWritten(bytes) : () => {},
    });
  }

  exists(part: FilePart): boolean {
    return this.#parts.exists(part);
  }

  remove(part: FilePart): void {
    this.#parts.remove(part);
  }

  #noteWritten(bytes: number): void {
    this.#logged += bytes;
    this.#stamp = newStamp();
  }

  /** Whether others who open the database now get the file that is used here. */
  get areInPlace(): boolean {
    return this.isInPlace("") === true;
  }

  /** Whether what was last opened as `part` is still what lies there; `undefined` when it was never opened. */
  isInPlace(part: FilePart): boolean | undefined {
    return this.#parts.isInPlace(part);
  }
}

interface OwnedFileOptions {
  readonly locks: RangeLocks | undefined;
  readonly onWrite: (bytes: number) => void;
}

class OwnedFile implements DatabaseFile {
  readonly #part: WrittenPart;
  readonly #file: OpenFile;
  readonly #locks: RangeLocks | undefined;
  readonly #onWrite: (bytes: number) => void;
  #size: number;
  #locked = false;

  constructor(part: WrittenPart, { locks, onWrite }: OwnedFileOptions) {
    this.#part = part;
    this.#file = part.file;
    this.#locks = locks;
    this.#onWrite = onWrite;
    this.#size = part.file.size();
  }

  read(target: Uint8Array, position: number): number {
    return this.#file.read(target, position);
  }

  write(source: Uint8Array, position: number): void {
    try {
      this.#file.write(source, position);
      this.#size = Math.max(this.#size, position + source.byteLength);
      this.#onWrite(source.byteLength);
    } catch (error) {
      // A full disk may have taken a part.
      this.#size = this.#file.size();
      throw error;
    }
  }

  truncate(size: number): void {
    this.#file.truncate(size);
    this.#size = size;
  }

  sync(): void {
    this.#part.sync();
  }

  size(): number {
    return this.#size;
  }

  lock(): boolean {
    this.#locked ||= this.#locks?.tryLock(this.#file.descriptor, LOCK_START, LOCK_LENGTH, "exclusive") ?? true;
    return this.#locked;
  }

  unlock(level: number): void {
    if (level !== LOCK_NONE || !this.#locked) return;
    this.#locks?.unlock(this.#file.descriptor, LOCK_START, LOCK_LENGTH);
    this.#locked = false;
  }

  isReserved(): boolean {
    return false;
  }

  close(): void {
    this.#file.close();
  }
}
