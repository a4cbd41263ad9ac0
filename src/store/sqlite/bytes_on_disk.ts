/**
 * How much a database takes on the disk: its file, its log, and what lies beside them for those who share it.
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";

/** Bytes that the database at `path` takes; 0 where there is none. */
export async function bytesOnDisk(files: Files, path: string): Promise<number> {
  const stats = await Promise.all(["", "-wal", "-shm"].map((suffix) => files.stat(path + suffix)));
  return stats.reduce((sum, stat) => sum + (stat?.size ?? 0), 0);
}
