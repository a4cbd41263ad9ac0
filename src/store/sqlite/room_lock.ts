/**
 * Who makes room in a directory: one process at a time. Two at once would remove twice as much, and keep each other from
 * cutting off the logs that they write. The lock is one of an open file, which ends with its process.
 *
 * @module
 */

import type { OpenFile } from "../../runtime/runtime.ts";
import type { Place } from "./model_list.ts";

/** An empty file beside the databases, never removed. */
const NAME = "room-lock";

/** A held lock. */
export interface RoomLock {
  release(): void;
}

/** Keeps others from making room; `undefined` when somebody else does so now. */
export function lockRoom({ runtime: { files, rangeLocks }, directory }: Place): RoomLock | undefined {
  // Where locks of others cannot be seen nobody else uses the databases either.
  if (!rangeLocks) return { release() {} };
  let file: OpenFile;
  try {
    file = files.open(`${directory}/${NAME}`, "create");
  } catch {
    // On a disk so full that not even this fits, removing helps all the more.
    return { release() {} };
  }
  let isLocked = false;
  try {
    isLocked = rangeLocks.tryLock(file.descriptor, 0, 1, "exclusive");
  } finally {
    if (!isLocked) file.close();
  }
  return isLocked ? { release: () => file.close() } : undefined;
}
