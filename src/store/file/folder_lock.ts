/**
 * One writer at a time in a model's folder, over all processes. The lock is on the bytes of `lock` that SQLite would
 * lock, since there the two ways to lock that the runtimes have see each other. `lock` is empty and stays; who holds it
 * is written to `lock-holder.json` for as long as he does, for messages only.
 *
 * Who is killed holds it no longer. Readers need none: a bin is replaced as a whole.
 *
 * @module
 */

import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { LOCK_LENGTH, LOCK_START } from "../../sqlite/database_files.ts";
import { CacheError } from "../error.ts";
import { nextWait } from "../sqlite/patience.ts";
import { isMissing } from "./failure.ts";

/** A held lock. */
export interface FolderLock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  readonly runtime: string;
}

/**
 * Locks a model's folder, which is made if need be, without blocking the thread.
 *
 * @throws CacheError `locked` when somebody else has it for all of `timeout`.
 * @throws FileError when the folder cannot be written to.
 */
export async function lockFolder(runtime: Runtime, folder: string, timeout: Milliseconds): Promise<FolderLock> {
  let left = timeout;
  for (let wait = nextWait(0);; wait = nextWait(wait)) {
    const lock = tryLock(runtime, folder);
    if (lock) {
      note(runtime, folder);
      return {
        release() {
          // While it is held still: else the next one's note would go.
          forget(runtime, folder);
          try {
            lock.release();
          } catch {
            // What was locked is closed all the same, and the lock gone with it.
          }
        },
      };
    }
    if (left <= 0) throw await heldBy(runtime, folder, timeout);
    await runtime.clock.sleep(Math.min(wait, left));
    left -= wait;
  }
}

function tryLock(runtime: Runtime, folder: string): FolderLock | undefined {
  try {
    return lockFile(runtime, lockPath(folder));
  } catch (error) {
    if (!isMissing(error)) throw error;
    runtime.files.makeDirectory(folder);
    return lockFile(runtime, lockPath(folder));
  }
}

function lockFile(runtime: Runtime, path: string): FolderLock | undefined {
  const { files, rangeLocks } = runtime;
  if (!rangeLocks) return runtime.lockWholeFile(path);
  const file = files.open(path, "create");
  let locked = false;
  try {
    // Somebody may have removed it in between, and others lock the next one.
    locked = rangeLocks.tryLock(file.descriptor, LOCK_START, LOCK_LENGTH, "exclusive") && file.isInPlace();
  } finally {
    if (!locked) file.close();
  }
  return locked ? { release: () => file.close() } : undefined;
}

/** The lock is what counts: a disk too full for the note, or a note that stays, must not keep anybody from anything. */
function note({ files, name, version, processId }: Runtime, folder: string): void {
  try {
    const holder: Holder = { pid: processId, runtime: `${name} ${version}` };
    const file = files.open(holderPath(folder), "create");
    try {
      file.truncate(0);
      file.write(new TextEncoder().encode(JSON.stringify(holder)), 0);
    } finally {
      file.close();
    }
  } catch {
    // As said above.
  }
}

function forget({ files }: Runtime, folder: string): void {
  try {
    files.remove(holderPath(folder));
  } catch {
    // As said above.
  }
}

async function heldBy({ files, processId }: Runtime, folder: string, waited: Milliseconds): Promise<CacheError> {
  const holder = await files.read(holderPath(folder)).then(parseHolder, () => undefined);
  const who = !holder
    ? "another process"
    : holder.pid === processId
    ? "another store of this process"
    : `process ${holder.pid} (${holder.runtime})`;
  const advice = "wait for it or end it, raise lockTimeout, or use another directory";
  return new CacheError("locked", `Cannot write to ${folder}: ${who} has kept it locked for ${waited} ms; ${advice}`);
}

function parseHolder(bytes: Uint8Array): Holder | undefined {
  try {
    const holder = JSON.parse(new TextDecoder().decode(bytes)) as Partial<Holder> | null;
    return typeof holder?.pid === "number" ? holder as Holder : undefined;
  } catch {
    return undefined;
  }
}

function lockPath(folder: string): string {
  return `${folder}/lock`;
}

function holderPath(folder: string): string {
  return `${folder}/lock-holder.json`;
}
