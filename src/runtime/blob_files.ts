/**
 * Files as the web passes them on, and back. Both go through in parts, so that a file need not fit into memory, which it
 * has not left where a `Blob` is.
 *
 * @module
 */

import type { Runtime } from "./runtime.ts";

/** What has files and turns. */
export type BlobRuntime = Pick<Runtime, "clock" | "files">;

const AT_ONCE = 1024 * 1024;

/**
 * A copy of a file, which nobody may change meanwhile.
 *
 * @param type the media type that the copy says it has.
 * @throws FileError
 */
export async function blobOf({ files, clock }: BlobRuntime, path: string, type: string): Promise<Blob> {
  await files.prepare?.([path]);
  const file = files.open(path, "read");
  try {
    const parts: Blob[] = [];
    const part = new Uint8Array(AT_ONCE);
    for (let at = 0, count: number; (count = file.read(part, at)) > 0; at += count) {
      parts.push(new Blob([part.subarray(0, count)]));
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
    }
    return new Blob(parts, { type });
  } finally {
    file.close();
  }
}

/**
 * Puts the bytes of a blob on the disk under a path that nobody uses, in place of what may have been left there. What is
 * half written is removed.
 *
 * @throws FileError
 */
export async function writeBlob({ files }: BlobRuntime, path: string, blob: Blob): Promise<void> {
  files.remove(path);
  await files.prepare?.([path]);
  const file = files.open(path, "create");
  try {
    for (let at = 0; at < blob.size; at += AT_ONCE) {
      file.write(new Uint8Array(await blob.slice(at, at + AT_ONCE).arrayBuffer()), at);
    }
    file.sync();
  } catch (error) {
    files.remove(path);
    throw error;
  } finally {
    file.close();
  }
}
