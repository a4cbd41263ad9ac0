/**
 * Where a file goes that is being fetched: into the page's own file system (OPFS), where what came of it is there again
 * after the page was closed in the middle; or into memory.
 *
 * @module
 */

import type { SyncAccessHandle } from "../../runtime/opfs_slot.ts";
import { webFile, type WebFolder } from "../../runtime/web_folder.ts";
import { FOLDERS, noteOf } from "./protocol.ts";

/** A file that grows. */
export interface Sink {
  /** How many bytes are there. */
  readonly size: number;
  /** What they are the beginning of, in words of the server's; `undefined` when nobody has said. */
  readonly beginningOf: string | undefined;
  /** Reads from `position`; returns how many bytes there were. */
  read(target: Uint8Array, position: number): number;
  /** Adds bytes at the end. */
  append(bytes: Uint8Array<ArrayBuffer>): void;
  /** Begins again, with what the file is in words of the server's. */
  begin(of: string | undefined): Promise<void>;
  /** The file is whole: gives it its name. The bytes, where they are in memory. */
  keep(sha256: string): Promise<Blob | undefined>;
  /** Lets go of it; what came stays for another time. */
  close(): void;
}

/** A file in memory. */
export function memorySink(): Sink {
  let parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  let beginningOf: string | undefined;
  return {
    get size() {
      return size;
    },
    get beginningOf() {
      return beginningOf;
    },
    // Nothing was there before this sink was: what it was given, it was asked to hash.
    read: () => 0,
    append(bytes) {
      parts.push(bytes);
      size += bytes.length;
    },
    begin(of) {
      parts = [];
      size = 0;
      beginningOf = of;
      return Promise.resolve();
    },
    keep: () => Promise.resolve(new Blob(parts)),
    close() {},
  };
}

/**
 * A file in OPFS, of which some may be there already. Only in a dedicated Worker, and for one at a time.
 *
 * @param key under which what came of it is found again.
 */
export async function diskSink(folder: WebFolder, key: string): Promise<Sink> {
  const partial = await folder.getDirectoryHandle(FOLDERS.partial, { create: true });
  const file = await partial.getFileHandle(key, { create: true });
  const notes = await partial.getFileHandle(noteOf(key), { create: true });
  const handle = await file.createSyncAccessHandle();
  let note: SyncAccessHandle;
  try {
    note = await notes.createSyncAccessHandle();
  } catch (error) {
    handle.close();
    throw error;
  }
  const close = (): void => {
    handle.close();
    note.close();
  };
  let size = handle.getSize();
  let beginningOf = readText(note);
  return {
    get size() {
      return size;
    },
    get beginningOf() {
      return beginningOf;
    },
    read: (target, position) => handle.read(target, { at: position }),
    append(bytes) {
      writeAll(handle, bytes, size);
      size += bytes.length;
    },
    begin(of) {
      handle.truncate(0);
      note.truncate(0);
      size = 0;
      beginningOf = of;
      if (of !== undefined) writeAll(note, new TextEncoder().encode(of), 0);
      note.flush();
      return Promise.resolve();
    },
    async keep(sha256) {
      handle.flush();
      close();
      const whole = await folder.getDirectoryHandle(FOLDERS.whole, { create: true });
      // The same content under another address: somebody may be reading it, so what is there stays.
      if (await webFile(whole, sha256)) await partial.removeEntry(key);
      else await file.move(whole, sha256);
      await partial.removeEntry(noteOf(key));
      return undefined;
    },
    close,
  };
}

function readText(handle: SyncAccessHandle): string | undefined {
  const bytes = new Uint8Array(handle.getSize());
  handle.read(bytes, { at: 0 });
  return bytes.length === 0 ? undefined : new TextDecoder().decode(bytes);
}

/** Firefox writes less than it was given where there is no room for all; others throw. */
function writeAll(handle: SyncAccessHandle, bytes: Uint8Array<ArrayBuffer>, position: number): void {
  if (handle.write(bytes, { at: position }) === bytes.length) return;
  throw new DOMException("the browser has no more room for this site", "QuotaExceededError");
}
