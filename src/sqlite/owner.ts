/**
 * Who may open a database at all. Beside each one lies `<database>-owner`, an empty file, never removed, whose lock
 * bytes are taken before the database is touched. All ways of locking it, by the C library or by way of a built-in
 * SQLite, take the same bytes in ways that see each other, which the database's own bytes could not offer to a process
 * without the C library. `<database>-owner.json` says who holds it, for messages only.
 *
 * @module
 */

import type { Milliseconds, OpenFile, RangeLocks, Runtime } from "../runtime/runtime.ts";
import type { Locking } from "./database_files.ts";
import { LOCK_LENGTH, LOCK_START } from "./database_files.ts";
import { FileError } from "../runtime/runtime.ts";
import { SqliteError } from "./error.ts";

/** A held lock. Releasing twice is no error. */
export interface OwnerLock {
  release(): void;
}

interface Holder {
  readonly pid: number;
  readonly runtime: string;
  readonly mode: Locking;
  /** ISO 8601. */
  readonly since: string;
}

const FIRST_WAIT: Milliseconds = 5;
const LONGEST_WAIT: Milliseconds = 100;

/**
 * Becomes the only owner of the database at `path`, its real path, or one of those who share it.
 *
 * @throws SqliteError `SQLITE_BUSY` naming the holder when it is held for `timeout` milliseconds.
 * @throws FileError when the lock's file cannot be used; `ENOTSUP` when there is no way to share.
 */
export async function acquireOwner(
  runtime: Runtime,
  path: string,
  locking: Locking,
  timeout: Milliseconds,
): Promise<OwnerLock> {
  const lock = await retry(
    runtime,
    timeout,
    () => locking === "shared" ? tryShared(runtime, path) : tryExclusive(runtime, path),
  );
  if (!lock) throw await heldBy(runtime, path);
  const holder: Holder = {
    pid: runtime.processId,
    runtime: `${runtime.name} ${runtime.version}`,
    mode: locking,
    since: new Date(runtime.clock.now()).toISOString(),
  };
  // The lock is what counts; a directory too full for the note must not keep its owner out.
  await runtime.files.replace(holderPath(path), new TextEncoder().encode(JSON.stringify(holder))).catch(() => {});
  return {
    release() {
      try {
        if (lock.isLast()) runtime.files.remove(holderPath(path));
      } catch {
        // A note left behind misleads nobody while nobody holds the lock.
      }
      lock.release();
    },
  };
}

/**
 * Keeps owners away while somebody reads, without creating anything; `undefined` when there is one.
 *
 * @throws FileError when the lock's file cannot be used.
 */
export function keepOwnersAway(runtime: Runtime, path: string): OwnerLock | undefined {
  const { files, rangeLocks } = runtime;
  const owner = ownerPath(path);
  if (!files.exists(owner)) return { release() {} };
  if (!rangeLocks) return runtime.lockWholeFile(owner);
  return lockFile(rangeLocks, files.open(owner, "read"), "shared");
}

/** Calls `attempt` until it returns something or `timeout` has been waited for, without blocking the thread. */
export async function retry<T>(
  { clock }: Runtime,
  timeout: Milliseconds,
  attempt: () => T | undefined,
): Promise<T | undefined> {
  let left = timeout;
  for (let wait = FIRST_WAIT;; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    const result = attempt();
    if (result !== undefined || left <= 0) return result;
    await clock.sleep(Math.min(wait, left));
    left -= wait;
  }
}

/** The error for a database that a program unknown to us has open, such as the `sqlite3` shell. */
export function heldByStranger(path: string): SqliteError {
  return busy(path, "another program has it open", "close it there");
}

/** The error for a database that somebody else owns. */
export async function heldBy({ files, processId, rangeLocks }: Runtime, path: string): Promise<SqliteError> {
  const note = await files.read(holderPath(path)).then((bytes) => new TextDecoder().decode(bytes), () => "");
  const holder = parseHolder(note);
  if (!holder) return heldByStranger(path);
  const { pid, runtime, mode, since } = holder;
  if (mode === "shared") {
    return busy(
      path,
      `process ${pid} (${runtime}), and maybe others, have shared it since ${since}`,
      'share it, too (locking "shared")',
    );
  }
  if (pid === processId) return busy(path, "this process has it open already", "use the one that is open");
  const advice = rangeLocks ? 'end that process, have both share it (locking "shared")' : "end that process";
  return busy(path, `process ${pid} (${runtime}) has held it since ${since}`, advice);
}

function busy(path: string, reason: string, advice: string): SqliteError {
  return new SqliteError(`Cannot open ${path}: ${reason}; ${advice}, or use another directory`, "SQLITE_BUSY");
}

function parseHolder(note: string): Holder | undefined {
  try {
    const holder = JSON.parse(note) as Partial<Holder> | null;
    return typeof holder?.pid === "number" ? holder as Holder : undefined;
  } catch {
    return undefined;
  }
}

interface HeldLock extends OwnerLock {
  /** Whether nobody else holds it. */
  isLast(): boolean;
}

function tryExclusive(runtime: Runtime, path: string): HeldLock | undefined {
  const { files, rangeLocks } = runtime;
  if (rangeLocks) return lockFile(rangeLocks, files.open(ownerPath(path), "create"), "exclusive");
  const lock = runtime.lockWholeFile(ownerPath(path));
  return lock && { isLast: () => true, release: () => lock.release() };
}

function tryShared({ files, rangeLocks }: Runtime, path: string): HeldLock | undefined {
  if (!rangeLocks) {
    throw new FileError(
      `Cannot share ${path} with other processes: here they cannot see each other's locks (that takes Linux and, on ` +
        'Deno, --allow-ffi); use locking "exclusive"',
      "ENOTSUP",
    );
  }
  return lockFile(rangeLocks, files.open(ownerPath(path), "create"), "shared");
}

/** Locks a file until it is released, and then closes it; at once when it cannot. */
function lockFile(locks: RangeLocks, file: OpenFile, mode: "shared" | "exclusive"): HeldLock | undefined {
  let locked = false;
  try {
    locked = locks.tryLock(file.descriptor, LOCK_START, LOCK_LENGTH, mode);
  } finally {
    if (!locked) file.close();
  }
  if (!locked) return undefined;
  return {
    isLast: () => !locks.isLocked(file.descriptor, LOCK_START, LOCK_LENGTH),
    release() {
      // Once: its descriptor's number may be another file's by then.
      if (!locked) return;
      locked = false;
      try {
        // A process that is just being started has a copy of the descriptor, and with it the lock, until its program runs.
        locks.unlock(file.descriptor, LOCK_START, LOCK_LENGTH);
      } finally {
        file.close();
      }
    },
  };
}

function ownerPath(path: string): string {
  return `${path}-owner`;
}

function holderPath(path: string): string {
  return `${path}-owner.json`;
}
