/**
 * Files that are read and never written, of whom somebody else knows where their bytes are: models in a browser, where a
 * page keeps them and lends them to its Workers as Blobs. A Blob's bytes are read by position, and never change: one of a
 * file that does can no longer be read.
 *
 * @module
 */

import type { Files, FileStat, OpenFile } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** What there is to read, and how one looks around. */
export type ReadableFiles = Pick<Files, "exists" | "list" | "open" | "read" | "realPath" | "stat" | "prepare">;

/** {@link Files} of which nothing is ever written. */
export function readOnlyFiles(readable: ReadableFiles): Files {
  const refuse = (path: string): FileError =>
    new FileError(`Cannot write ${path}: files here are for reading`, "EROFS");
  const refuseNow = (path: string): never => {
    throw refuse(path);
  };
  const refuseLater = (path: string): Promise<never> => Promise.reject(refuse(path));
  return {
    ...readable,
    fileSystem: () => "local",
    replace: refuseLater,
    rename: refuseLater,
    link: (_target, path) => refuseLater(path),
    copy: (_from, to) => refuseLater(to),
    sync: refuseLater,
    makeDirectory: refuseNow,
    remove: refuseNow,
    removeEmptyDirectory: refuseNow,
  };
}

/** Whoever has files, and lends them by their paths. */
export type Lender = (paths: readonly string[]) => Promise<readonly Blob[]>;

/**
 * What is lent, as files of a dedicated Worker's: only there may they be read while everything else waits.
 */
export function lentFiles(lend: Lender): Files {
  const lent = new Map<string, Blob>();
  // Each time: there may be another file under this path by now.
  const prepare = async (paths: readonly string[]): Promise<void> => {
    const blobs = await lend(paths);
    for (const [at, path] of paths.entries()) lent.set(path, blobs[at]!);
  };
  return readOnlyFiles({
    prepare,
    exists: (path) => lent.has(path),
    open(path, mode) {
      if (mode !== "read") throw new FileError(`Cannot write ${path}: it is lent`, "EROFS");
      const blob = lent.get(path);
      if (blob === undefined) throw new FileError(`Cannot open ${path}: nobody has asked for it before`, "EAGAIN");
      return new BlobFile(path, blob, () => lent.get(path) === blob);
    },
    async read(path) {
      await prepare([path]);
      try {
        return new Uint8Array(await lent.get(path)!.arrayBuffer());
      } catch (error) {
        throw unreadable(path, error);
      }
    },
    async stat(path) {
      await prepare([path]);
      return statOfFile(lent.get(path)!.size);
    },
    list: () => Promise.resolve([]),
    realPath: (path) => Promise.resolve(path),
  });
}

/** What is known of a file that has a size and a content, and nothing else. */
export function statOfFile(size: number, { state = 0n, time = 0 }: FileState = {}): FileStat {
  return { ...NO_STAT, isFile: true, size, inode: state, mtimeNs: nanoseconds(time), ctimeNs: nanoseconds(time) };
}

/** A folder that was made at a time. */
export function statOfFolder(time: number): FileStat {
  return { ...NO_STAT, isDirectory: true, mtimeNs: nanoseconds(time), ctimeNs: nanoseconds(time) };
}

/** What else there may be to know. */
export interface FileState {
  /** Another number for other content. */
  readonly state?: bigint;
  /** When it was made, in milliseconds since 1970. */
  readonly time?: number;
}

const NO_STAT: FileStat = {
  isFile: false,
  isDirectory: false,
  size: 0,
  mode: 0o400,
  mtimeNs: 0n,
  ctimeNs: 0n,
  inode: 0n,
  device: 0n,
};

function nanoseconds(milliseconds: number): bigint {
  return BigInt(Math.floor(milliseconds)) * 1_000_000n;
}

class BlobFile implements OpenFile {
  readonly descriptor = -1;
  readonly neverChanges = true;
  readonly #path: string;
  readonly #blob: Blob;
  readonly #isLent: () => boolean;
  readonly #reader = new FileReaderSync();

  constructor(path: string, blob: Blob, isLent: () => boolean) {
    this.#path = path;
    this.#blob = blob;
    this.#isLent = isLent;
  }

  read(target: Uint8Array, position: number): number {
    const end = Math.min(position + target.length, this.#blob.size);
    if (end <= position) return 0;
    try {
      const bytes = new Uint8Array(this.#reader.readAsArrayBuffer(this.#blob.slice(position, end)));
      target.set(bytes);
      return bytes.length;
    } catch (error) {
      throw unreadable(this.#path, error);
    }
  }

  write(): void {
    throw new FileError(`Cannot write ${this.#path}: it is lent`, "EROFS");
  }

  truncate(): void {
    this.write();
  }

  sync(): void {}

  size(): number {
    return this.#blob.size;
  }

  isInPlace(): boolean {
    return this.#isLent();
  }

  close(): void {}
}

function unreadable(path: string, cause: unknown): FileError {
  const message = cause instanceof Error ? cause.message : String(cause);
  return new FileError(`Cannot read ${path}: ${message}`, "EIO", { cause });
}

/** What dedicated Workers have to read Blobs with; the DOM's types are a page's. https://www.w3.org/TR/FileAPI */
declare const FileReaderSync: { new (): { readAsArrayBuffer(blob: Blob): ArrayBuffer } };
