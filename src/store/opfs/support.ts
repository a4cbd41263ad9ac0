/**
 * What a page needs to share files with the other tabs of its site, and may lack.
 *
 * @module
 */

import { CacheError } from "../error.ts";
import { locationOf } from "./names.ts";

/** What is used of the platform, as far as it is there. */
interface Platform {
  readonly isSecureContext?: boolean;
  readonly FileSystemFileHandle?: { readonly prototype: object };
  readonly navigator: {
    readonly locks?: WebLocks;
    readonly storage?: { getDirectory?(): unknown };
  };
}

/** Web Locks, as far as they are used (https://w3c.github.io/web-locks/). */
export interface WebLocks {
  /** Works once nobody else has the lock, and has it until then. */
  request(name: string, options: { readonly signal: AbortSignal }, work: () => Promise<void>): Promise<void>;
}

const platform = globalThis as unknown as Platform;

/** Web Locks; {@link refuseUnsupported} has made sure that they are there. */
export function webLocks(): WebLocks {
  return platform.navigator.locks!;
}

/** Why the store cannot be had here. */
export function notHere(directory: string, why: string, cause?: unknown): CacheError {
  return new CacheError("unavailable", `Cannot keep a cache in ${locationOf(directory)}: ${why}`, { cause });
}

/**
 * Makes sure that what a page needs is there.
 *
 * @throws CacheError `unavailable`
 */
export function refuseUnsupported(directory: string): void {
  const { isSecureContext, navigator } = platform;
  if (typeof Worker === "undefined") throw notHere(directory, "there are no Workers here");
  if (typeof BroadcastChannel === "undefined") throw notHere(directory, "this browser has no BroadcastChannel");
  // What follows is kept from pages that anybody on the way could have changed.
  if (isSecureContext === false) throw notHere(directory, "this page is not secure: it takes https or localhost");
  if (navigator.locks === undefined) throw notHere(directory, "this browser has no Web Locks");
  if (navigator.storage?.getDirectory === undefined) {
    throw notHere(directory, "this browser has no private file system (OPFS)");
  }
}

/** Whether a dedicated Worker can have files open here. */
export function hasSyncAccess(): boolean {
  const { FileSystemFileHandle } = platform;
  return FileSystemFileHandle !== undefined && "createSyncAccessHandle" in FileSystemFileHandle.prototype;
}
