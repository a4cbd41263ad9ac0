/**
 * One writer at a time in a model's folder, over all processes. The lock is on the bytes of `lock` that SQLite would
 * lock, since there the two ways to lock that the runtimes have see each other. `lock` is empty and stays; who holds it
 * is written to `lock-holder.json` for as long as he does, for messages only.
 *
 * Who is killed holds it no longer. Readers need none: a bin is replaced as a whole.
 *
 * `git clean` and people remove the file while it is held, and then the next one locks another. So whoever writes asks
 * whether his lock is in place still: before, and then writes nothing; and after, and then looks whether it has stayed.
 * Whoever has made the file anew leaves time for a write that was begun before.
 *
 * @module
 */

import type { FileStat, Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { LOCK_LENGTH, LOCK_START } from "../../sqlite/database_files.ts";
import { CacheError } from "../error.ts";
import { isMissing } from "./failure.ts";
import { namePath } from "./folder.ts";

/** A held lock. */
export interface FolderLock {
  /** Whether all others still have to wait for it: nobody has removed its file. */
  isInPlace(): boolean | Promise<boolean>;
  release(): void;
}

/**
 * How long who has more to write leaves the lock to others, and how long these wait before they look again: so that
 * each sees the lock free whenever it is, and among many that write without end all have the same chance.
 */
export const TURN: Milliseconds = 2;

/** Longer than it takes to write a bin. */
const GRACE: Milliseconds = 100;

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
  while (true) {
    const isRemoved = !runtime.files.exists(lockPath(folder)) && runtime.files.exists(namePath(folder));
    const lock = await tryLock(runtime, folder);
    if (lock) {
      note(runtime, folder);
      if (isRemoved) await runtime.clock.sleep(GRACE);
      return {
        isInPlace: () => lock.isInPlace(),
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
    await runtime.clock.sleep(Math.min(TURN, left));
    left -= TURN;
  }
}

async function tryLock(runtime: Runtime, folder: string): Promise<FolderLock | undefined> {
  const lock = runtime.rangeLocks ? lockRange : lockWhole;
  try {
    return await lock(runtime, lockPath(folder));
  } catch (error) {
    if (!isMissing(error)) throw error;
    runtime.files.makeDirectory(folder);
    return await lock(runtime, lockPath(folder));
  }
}

function lockRange({ files, rangeLocks }: Runtime, path: string): FolderLock | undefined {
  const file = files.open(path, "create");
  // A process that is just being started has a copy of the descriptor, and with it the lock, until its program runs.
  const release = (): void => {
    try {
      rangeLocks!.unlock(file.descriptor, LOCK_START, LOCK_LENGTH);
    } finally {
      file.close();
    }
  };
  let locked = false;
  try {
    // Somebody may have removed it in between, and others lock the next one.
    locked = rangeLocks!.tryLock(file.descriptor, LOCK_START, LOCK_LENGTH, "exclusive") && file.isInPlace();
  } finally {
    if (!locked) release();
  }
  return locked ? { isInPlace: () => file.isInPlace(), release } : undefined;
}

/** Which file was locked is not said: it is the one that was there before and after. */
async function lockWhole(runtime: Runtime, path: string): Promise<FolderLock | undefined> {
  const { files } = runtime;
  // The first one makes it.
  for (let time = 0; time < 2; time++) {
    const before = await files.stat(path);
    const lock = runtime.lockWholeFile(path);
    if (!lock) return undefined;
    const isInPlace = async (): Promise<boolean> => isSameFile(before, await files.stat(path).catch(() => undefined));
    if (await isInPlace()) return { isInPlace, release: () => lock.release() };
    lock.release();
  }
  return undefined;
}

function isSameFile(one: FileStat | undefined, other: FileStat | undefined): boolean {
  return one !== undefined && one.inode === other?.inode && one.device === other.device;
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

/** Says that a lock was lost more often than anybody can bear. */
export function lostLock(folder: string): CacheError {
  const reason = "somebody removes its lock again and again; have nobody do that while this process runs";
  return new CacheError("locked", `Cannot write to ${folder}: ${reason}`);
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
