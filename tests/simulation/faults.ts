/**
 * Faults that are planted to see whether the simulation finds them: each makes the machine lie in one way, as if the
 * wal-index or the locks above it were written wrong.
 */

import type { Files, OpenFile, RangeLocks, Runtime } from "../../src/runtime/runtime.ts";
import { WalIndexCopy } from "../../src/sqlite/wal_index.ts";
import { withFlock } from "./flock.ts";

/** Where the tables of a wal-index begin, behind its headers. */
const TABLES = 136;
const HEADERS_BYTES = 96;
/** The bytes of the locks of a wal-index: WRITE, CHECKPOINT, RECOVER, READ 0 to 4. */
const WRITE_LOCK = 120;
const READ_LOCKS = 123;
const SHARED_LOCKS = 0x40000002;

/** A fault that can be planted; `nothing` is none, planted like the others. */
export type Fault =
  | "nothing"
  | "no table refresh"
  | "a dropped write lock"
  | "a dropped read lock"
  | "headers published first"
  | "a skipped sync of the log"
  | "a skipped sync of the database"
  | "a skipped sync of the folder"
  | "a late flush"
  | "shared kept while exclusive is taken"
  | "database shared kept while exclusive is taken"
  | "log cut before the wal-index says so"
  | "flock"
  | "flock, downgrades trusted";

const FAULTS: Readonly<Record<Fault, (runtime: Runtime) => Runtime>> = {
  /** That faults are found must not be because of how they are planted. */
  "nothing": (runtime) => withLocks(withFiles(runtime, () => ({}), ""), (locks) => ignoring(locks, () => false)),
  /** What others have written into the tables is never read. */
  "no table refresh": (runtime) =>
    withFiles(runtime, (file) => {
      const read = new Set<number>();
      return {
        read(target, position) {
          if (position < TABLES || !read.has(position)) {
            if (position >= TABLES) read.add(position);
            return file.read(target, position);
          }
          return target.length;
        },
      };
    }, "-shm"),
  /** The write lock is taken by nobody. */
  "a dropped write lock": (runtime) => withLocks(runtime, (locks) => ignoring(locks, (start) => start === WRITE_LOCK)),
  /** Readers do not hold back checkpoints and new logs. */
  "a dropped read lock": (runtime) =>
    withLocks(runtime, (locks) => ignoring(locks, (start, mode) => start >= READ_LOCKS && mode === "shared")),
  /** The headers are written before the tables that they are about. */
  "headers published first": (runtime) =>
    withFiles(
      runtime,
      (file) => {
        const later: (() => void)[] = [];
        const settle = (): void => later.splice(0).forEach((write) => write());
        return {
          read: (target, position) => (settle(), file.read(target, position)),
          write(source, position) {
            if (position < HEADERS_BYTES) {
              file.write(source, position);
              return settle();
            }
            const bytes = source.slice();
            later.push(() => file.write(bytes, position));
          },
          size: () => (settle(), file.size()),
          close: () => (settle(), file.close()),
        };
      },
      "-shm",
      { settleBeforeLocks: true },
    ),
  /** The log is never synced. */
  "a skipped sync of the log": (runtime) => withFiles(runtime, () => ({ sync() {} }), "-wal"),
  /** The database is never synced. */
  "a skipped sync of the database": (runtime) => withFiles(runtime, () => ({ sync() {} }), ".sqlite"),
  /** Names are never synced. */
  "a skipped sync of the folder": (runtime) =>
    withFiles(runtime, (file) => ({ sync: () => file.descriptor === -1 ? undefined : file.sync() }), ""),
  /** What was changed is written only after the lock has been given up. */
  "a late flush": (runtime) => lateFlush(runtime),
  /** EXCLUSIVE is granted on a wal-index slot that others hold SHARED. */
  "shared kept while exclusive is taken": (runtime) =>
    withLocks(
      runtime,
      (locks) => ignoring(locks, (start, mode) => start >= READ_LOCKS && start < 128 && mode === "exclusive"),
    ),
  /** EXCLUSIVE is granted on a database that others hold SHARED. */
  "database shared kept while exclusive is taken": (runtime) =>
    withLocks(runtime, (locks) => ignoring(locks, (start, mode) => start === SHARED_LOCKS && mode === "exclusive")),
  /** The fault that the simulation found in the first version: whoever cuts the log off does not publish first. */
  "log cut before the wal-index says so"(runtime) {
    WalIndexCopy.prototype.publish = () => {};
    return runtime;
  },
  /** The locks of an early prototype. */
  "flock": (runtime) => withFlock(runtime, {}),
  /** The same, where whoever wants a weaker lock does not look whether it was refused. */
  "flock, downgrades trusted": (runtime) => withFlock(runtime, { trustsDowngrades: true }),
};

/** Planted to learn whether anything comes of them; so far nothing has. */
const HARMLESS = ["nothing", "flock", "flock, downgrades trusted"] as const;

export type HarmlessFault = typeof HARMLESS[number];

/** All that can be planted. */
export const allFaults: readonly Fault[] = Object.keys(FAULTS) as Fault[];

/** All that must be found. */
export const faults: readonly Exclude<Fault, HarmlessFault>[] = allFaults.filter(isHarmful);

function isHarmful(fault: Fault): fault is Exclude<Fault, HarmlessFault> {
  return !HARMLESS.some((each) => each === fault);
}

/** A machine with a fault, or as it is. */
export function planted(fault: Fault | undefined, runtime: Runtime): Runtime {
  return fault === undefined ? runtime : FAULTS[fault](runtime);
}

/** Gives other methods to the open files whose path ends in `suffix`. */
function withFiles(
  runtime: Runtime,
  change: (file: OpenFile) => Partial<OpenFile>,
  suffix: string,
  { settleBeforeLocks = false } = {},
): Runtime {
  const changed = new Map<number, OpenFile>();
  const open: Files["open"] = (path, mode) => {
    const file = runtime.files.open(path, mode);
    if (!path.endsWith(suffix)) return file;
    const inherited: OpenFile = Object.create(file);
    for (const method of ["read", "write", "truncate", "sync", "size", "isInPlace", "close"] as const) {
      Object.assign(inherited, { [method]: file[method].bind(file) });
    }
    Object.defineProperty(inherited, "descriptor", { value: file.descriptor });
    changed.set(file.descriptor, Object.assign(inherited, change(file)));
    return inherited;
  };
  const files: Files = Object.assign(Object.create(runtime.files), { open });
  const locks = runtime.rangeLocks!;
  const settle = (descriptor: number): void => void (settleBeforeLocks && changed.get(descriptor)?.size());
  const rangeLocks: RangeLocks = {
    tryLock: (descriptor, ...rest) => (settle(descriptor), locks.tryLock(descriptor, ...rest)),
    unlock: (descriptor, ...rest) => (settle(descriptor), locks.unlock(descriptor, ...rest)),
    isLocked: (...all) => locks.isLocked(...all),
  };
  return { ...runtime, files: bound(files, runtime.files), rangeLocks };
}

/** Calls what was not replaced on the original, which has fields of its own. */
function bound(files: Files, original: Files): Files {
  for (
    const name of ["exists", "stat", "realPath", "fileSystem", "list", "read", "replace", "makeDirectory", "remove"]
  ) {
    const method = Reflect.get(original, name) as (...parameters: unknown[]) => unknown;
    Object.assign(files, { [name]: method.bind(original) });
  }
  return files;
}

function withLocks(runtime: Runtime, change: (locks: RangeLocks) => RangeLocks): Runtime {
  return { ...runtime, rangeLocks: change(runtime.rangeLocks!) };
}

/** Locks of which some are granted without being taken. */
function ignoring(locks: RangeLocks, ignored: (start: number, mode: "shared" | "exclusive") => boolean): RangeLocks {
  return {
    tryLock: (descriptor, start, length, mode) =>
      ignored(start, mode) || locks.tryLock(descriptor, start, length, mode),
    unlock: (descriptor, start, length) => locks.unlock(descriptor, start, length),
    isLocked: (descriptor, start, length) => locks.isLocked(descriptor, start, length),
  };
}

/** What is written into a wal-index waits until after the next unlock. */
function lateFlush(runtime: Runtime): Runtime {
  const late = new Map<number, (() => void)[]>();
  const settle = (descriptor: number): void => late.get(descriptor)?.splice(0).forEach((write) => write());
  const changed = withFiles(runtime, (file) => {
    late.set(file.descriptor, []);
    return {
      read: (target, position) => (settle(file.descriptor), file.read(target, position)),
      write(source, position) {
        const bytes = source.slice();
        late.get(file.descriptor)!.push(() => file.write(bytes, position));
      },
      size: () => (settle(file.descriptor), file.size()),
      close: () => (settle(file.descriptor), file.close()),
    };
  }, "-shm");
  const locks = runtime.rangeLocks!;
  return {
    ...changed,
    rangeLocks: {
      tryLock: (descriptor, ...rest) => (settle(descriptor), locks.tryLock(descriptor, ...rest)),
      unlock(descriptor, ...rest) {
        locks.unlock(descriptor, ...rest);
        settle(descriptor);
      },
      isLocked: (...all) => locks.isLocked(...all),
    },
  };
}
