/**
 * A folder of the page's own file system (OPFS) as the standard has it: for files that are written once, and then read by
 * everybody. What is written again and again is in {@link ./opfs_files.ts}.
 *
 * @see https://fs.spec.whatwg.org
 * @module
 */

import { opfsDirectory } from "./opfs_files.ts";
import type { SyncAccessHandle } from "./opfs_slot.ts";

/** As much as is used of a folder. */
export interface WebFolder {
  /** The names in it. */
  keys(): AsyncIterable<string>;
  getDirectoryHandle(name: string, options?: { readonly create?: boolean }): Promise<WebFolder>;
  getFileHandle(name: string, options?: { readonly create?: boolean }): Promise<WebFile>;
  removeEntry(name: string): Promise<void>;
}

/** As much as is used of a file. */
export interface WebFile {
  /** Its bytes as they are now; when they change, these can no longer be read. */
  getFile(): Promise<File>;
  /** To write it, in a dedicated Worker alone. */
  createSyncAccessHandle(): Promise<SyncAccessHandle>;
  /** Gives it another name. Not in the standard yet, and in all three engines. */
  move(folder: WebFolder, name: string): Promise<void>;
}

/**
 * The folder at a path, made if missing, with its parents.
 *
 * @throws FileError where there is no such file system, or this page may not have it.
 */
export async function webFolder(path: string): Promise<WebFolder> {
  return await opfsDirectory(path) as unknown as WebFolder;
}

/** A file in a folder; `undefined` where there is none. */
export async function webFile(folder: WebFolder, ...path: readonly string[]): Promise<WebFile | undefined> {
  try {
    let inner = folder;
    for (const name of path.slice(0, -1)) inner = await inner.getDirectoryHandle(name);
    return await inner.getFileHandle(path.at(-1)!);
  } catch (error) {
    if ((error as Error).name === "NotFoundError") return undefined;
    throw error;
  }
}

/**
 * Does work that others of this site must not do at the same time, in other tabs either.
 *
 * @see https://w3c.github.io/web-locks/
 * @throws what `work` throws; the signal's reason when it is aborted while others are at it.
 */
export async function withWebLock<T>(
  name: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  const { locks } = navigator as unknown as {
    readonly locks: { request<T>(name: string, options: object, work: () => Promise<T>): Promise<T> };
  };
  return await locks.request(name, signal === undefined ? {} : { signal }, work);
}
