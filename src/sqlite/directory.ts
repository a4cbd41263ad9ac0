/**
 * A new file survives a power failure only once its directory is on the disk as well.
 *
 * @module
 */

import type { Files } from "../runtime/runtime.ts";

/**
 * Waits until the names in the directory of `path` are on the disk.
 *
 * @throws FileError
 */
export function syncDirectoryOf(files: Files, path: string): void {
  const directory = files.open(path.slice(0, path.lastIndexOf("/")) || "/", "read");
  try {
    directory.sync();
  } finally {
    directory.close();
  }
}
