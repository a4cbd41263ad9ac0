/**
 * The door between SQLite and our files: its x-methods (https://sqlite.org/vfs.html), which take addresses and return
 * result codes, over {@link ./database_files.ts DatabaseFile}, which takes bytes and throws. Nothing may be thrown
 * through SQLite's own frames, so every failure is caught here, translated, and kept for the error that the caller will
 * see.
 *
 * SQLite is given invented names (`7`, `7-wal`) instead of paths: no path is too long for it, none needs encoding, and
 * no SQL text can reach another file.
 *
 * @module
 */

import type { Sqlite3Static, WasmPointer } from "@sqlite.org/sqlite-wasm";
import { FileError } from "../runtime/runtime.ts";
import type { DatabaseFile, DatabaseFiles, FilePart, WalIndex } from "./database_files.ts";

/** What SQLite calls this VFS. */
export const VFS_NAME = "warmcache";

const NAME_LENGTH = 64;
/** `sizeof(sqlite3_file)`: one pointer, to the methods. What we know of a file is kept on our side. */
const FILE_BYTES = 4;
const SECTOR_BYTES = 4096;
const OPEN_READONLY = 0x1;
/** What `xShmLock` is asked for: one of the first two, with one of the last two. */
const SHM_UNLOCK = 1;
const SHM_SHARED = 4;
/** Asks SQLite for its default VFS; the package's types do not know that null is a name. */
const NO_NAME = null as unknown as string;

interface OpenedFile {
  readonly file: DatabaseFile;
  readonly database: AttachedDatabase;
  walIndex: WalIndex | undefined;
}

interface AttachedDatabase {
  readonly files: DatabaseFiles;
  failure: Failure | undefined;
}

interface Failure {
  readonly error: unknown;
  /** What SQLite was told. */
  readonly code: number;
}

/** SQLite's file system, over the files of the databases attached to it. */
export class FileVfs {
  readonly #heap: () => Uint8Array<ArrayBuffer>;
  readonly #codes: Sqlite3Static["capi"];
  readonly #databases = new Map<string, AttachedDatabase>();
  readonly #opened = new Map<WasmPointer, OpenedFile>();
  #lastName = 0;

  constructor(sqlite3: Sqlite3Static, heap: () => Uint8Array<ArrayBuffer>) {
    this.#heap = heap;
    this.#codes = sqlite3.capi;
    this.#install(sqlite3);
  }

  /** Makes a database's files known; returns the name to open it by. */
  attach(files: DatabaseFiles): string {
    const name = String(++this.#lastName);
    this.#databases.set(name, { files, failure: undefined });
    return name;
  }

  /** Forgets a closed database. */
  detach(name: string): void {
    this.#databases.delete(name);
  }

  /**
   * The file operation because of which SQLite refuses something with `code`, told once. SQLite passes over some failures,
   * to unlock say; such a one explains no later error of another kind.
   */
  takeFailure(name: string, code: number): unknown {
    const database = this.#databases.get(name);
    const failure = database?.failure;
    if (database) database.failure = undefined;
    return failure && (failure.code & 0xff) === (code & 0xff) ? failure.error : undefined;
  }

  #install({ capi, vfs: helpers }: Sqlite3Static): void {
    const [alone, shared] = [new capi.sqlite3_io_methods(), new capi.sqlite3_io_methods()];
    const vfs = new capi.sqlite3_vfs();
    const ioMethods = this.#ioMethods();
    // Version 1: no shared memory, so SQLite keeps the wal-index in its heap and demands exclusive locking.
    fields(alone).$iVersion = 1;
    fields(shared).$iVersion = 2;
    const fallback = fields(new capi.sqlite3_vfs(capi.sqlite3_vfs_find(NO_NAME)));
    const { $xRandomness, $xCurrentTime, $xCurrentTimeInt64 } = fallback;
    Object.assign(fields(vfs), {
      $iVersion: 2,
      $szOsFile: FILE_BYTES,
      $mxPathname: NAME_LENGTH,
      $xRandomness,
      $xCurrentTime,
      $xCurrentTimeInt64,
    });
    const install = (parts: object): void => void helpers.installVfs(parts as Parameters<typeof helpers.installVfs>[0]);
    install({ io: { struct: alone, methods: ioMethods } });
    install({
      io: { struct: shared, methods: { ...ioMethods, ...this.#walIndexMethods() } },
      vfs: { struct: vfs, methods: this.#vfsMethods(alone.pointer, shared.pointer), name: VFS_NAME },
    });
  }

  #vfsMethods(alone: WasmPointer, shared: WasmPointer) {
    const { SQLITE_OK, SQLITE_CANTOPEN, SQLITE_IOERR_DELETE, SQLITE_IOERR_ACCESS } = this.#codes;
    return {
      xOpen: (_vfs: WasmPointer, name: WasmPointer, pointer: WasmPointer, flags: number, flagsOut: WasmPointer) => {
        // SQLite closes a file whose methods are set even when opening it failed.
        this.#setUint32(pointer, 0);
        const found = this.#find(name);
        if (!found) return SQLITE_CANTOPEN;
        return this.#attempt(found.database, SQLITE_CANTOPEN, () => {
          const { database, part } = found;
          this.#opened.set(pointer, { file: database.files.open(part), database, walIndex: undefined });
          this.#setUint32(pointer, database.files.openWalIndex ? shared : alone);
          if (flagsOut) this.#setUint32(flagsOut, database.files.readOnly ? flags | OPEN_READONLY : flags);
          return SQLITE_OK;
        });
      },
      xDelete: (_vfs: WasmPointer, name: WasmPointer) => {
        const found = this.#find(name);
        if (!found) return SQLITE_IOERR_DELETE;
        return this.#attempt(found.database, SQLITE_IOERR_DELETE, () => {
          found.database.files.remove(found.part);
          return SQLITE_OK;
        });
      },
      xAccess: (_vfs: WasmPointer, name: WasmPointer, _flags: number, result: WasmPointer) => {
        const found = this.#find(name);
        if (!found) return SQLITE_IOERR_ACCESS;
        return this.#attempt(found.database, SQLITE_IOERR_ACCESS, () => {
          this.#setUint32(result, found.database.files.exists(found.part) ? 1 : 0);
          return SQLITE_OK;
        });
      },
      xFullPathname: (_vfs: WasmPointer, name: WasmPointer, length: number, result: WasmPointer) => {
        const heap = this.#heap();
        const end = heap.indexOf(0, name) + 1;
        if (end - name > length) return SQLITE_CANTOPEN;
        heap.copyWithin(result, name, end);
        return SQLITE_OK;
      },
      // Nobody sleeps on the caller's thread: SQLite is told that the time has passed, and gives up soon.
      xSleep: (_vfs: WasmPointer, microseconds: number) => microseconds,
    };
  }

  #ioMethods() {
    const {
      SQLITE_OK,
      SQLITE_BUSY,
      SQLITE_NOTFOUND,
      SQLITE_IOERR_READ,
      SQLITE_IOERR_SHORT_READ,
      SQLITE_IOERR_WRITE,
      SQLITE_IOERR_TRUNCATE,
      SQLITE_IOERR_FSYNC,
      SQLITE_IOERR_FSTAT,
      SQLITE_IOERR_LOCK,
      SQLITE_IOERR_UNLOCK,
      SQLITE_IOERR_CHECKRESERVEDLOCK,
      SQLITE_IOERR_CLOSE,
      SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    } = this.#codes;
    const use = (pointer: WasmPointer, code: number, run: (file: DatabaseFile) => number): number => {
      const { file, database } = this.#opened.get(pointer)!;
      return this.#attempt(database, code, () => run(file));
    };
    return {
      xRead: (pointer: WasmPointer, target: WasmPointer, length: number, position: bigint) =>
        use(pointer, SQLITE_IOERR_READ, (file) => {
          const bytes = this.#heap().subarray(target, target + length);
          const count = file.read(bytes, Number(position));
          if (count === length) return SQLITE_OK;
          bytes.fill(0, count);
          return SQLITE_IOERR_SHORT_READ;
        }),
      xWrite: (pointer: WasmPointer, source: WasmPointer, length: number, position: bigint) =>
        use(pointer, SQLITE_IOERR_WRITE, (file) => {
          file.write(this.#heap().subarray(source, source + length), Number(position));
          return SQLITE_OK;
        }),
      xTruncate: (pointer: WasmPointer, size: bigint) =>
        use(pointer, SQLITE_IOERR_TRUNCATE, (file) => {
          file.truncate(Number(size));
          return SQLITE_OK;
        }),
      xSync: (pointer: WasmPointer) =>
        use(pointer, SQLITE_IOERR_FSYNC, (file) => {
          file.sync();
          return SQLITE_OK;
        }),
      xFileSize: (pointer: WasmPointer, result: WasmPointer) =>
        use(pointer, SQLITE_IOERR_FSTAT, (file) => {
          new DataView(this.#heap().buffer).setBigInt64(result, BigInt(file.size()), true);
          return SQLITE_OK;
        }),
      xLock: (pointer: WasmPointer, level: number) =>
        use(pointer, SQLITE_IOERR_LOCK, (file) => file.lock(level) ? SQLITE_OK : SQLITE_BUSY),
      xUnlock: (pointer: WasmPointer, level: number) =>
        use(pointer, SQLITE_IOERR_UNLOCK, (file) => {
          file.unlock(level);
          return SQLITE_OK;
        }),
      xCheckReservedLock: (pointer: WasmPointer, result: WasmPointer) =>
        use(pointer, SQLITE_IOERR_CHECKRESERVEDLOCK, (file) => {
          this.#setUint32(result, file.isReserved() ? 1 : 0);
          return SQLITE_OK;
        }),
      xClose: (pointer: WasmPointer) => {
        const code = use(pointer, SQLITE_IOERR_CLOSE, (file) => {
          file.close();
          return SQLITE_OK;
        });
        this.#opened.delete(pointer);
        return code;
      },
      xFileControl: () => SQLITE_NOTFOUND,
      xSectorSize: () => SECTOR_BYTES,
      xDeviceCharacteristics: () => SQLITE_IOCAP_POWERSAFE_OVERWRITE,
    };
  }

  #walIndexMethods() {
    const { SQLITE_OK, SQLITE_BUSY, SQLITE_IOERR_SHMMAP, SQLITE_IOERR_SHMLOCK, SQLITE_IOERR_UNLOCK } = this.#codes;
    const use = (pointer: WasmPointer, code: number, run: (walIndex: WalIndex) => number): number => {
      const opened = this.#opened.get(pointer)!;
      const { database } = opened;
      return this.#attempt(database, code, () => {
        const walIndex = opened.walIndex ??= database.files.openWalIndex!();
        return walIndex ? run(walIndex) : SQLITE_BUSY;
      });
    };
    return {
      xShmMap: (pointer: WasmPointer, region: number, _size: number, extend: number, result: WasmPointer) => {
        this.#setUint32(result, 0);
        return use(pointer, SQLITE_IOERR_SHMMAP, (walIndex) => {
          this.#setUint32(result, walIndex.map(region, extend !== 0));
          return SQLITE_OK;
        });
      },
      xShmLock: (pointer: WasmPointer, first: number, count: number, flags: number) =>
        use(pointer, SQLITE_IOERR_SHMLOCK, (walIndex) => {
          if ((flags & SHM_UNLOCK) !== 0) {
            walIndex.unlock(first, count);
            return SQLITE_OK;
          }
          const mode = (flags & SHM_SHARED) !== 0 ? "shared" : "exclusive";
          return walIndex.lock(first, count, mode) ? SQLITE_OK : SQLITE_BUSY;
        }),
      xShmBarrier: (pointer: WasmPointer) => {
        // It cannot be refused: what failed shows when the next lock is taken.
        use(pointer, SQLITE_OK, (walIndex) => {
          walIndex.barrier();
          return SQLITE_OK;
        });
      },
      xShmUnmap: (pointer: WasmPointer, remove: number) => {
        const opened = this.#opened.get(pointer)!;
        const { walIndex } = opened;
        opened.walIndex = undefined;
        return this.#attempt(opened.database, SQLITE_IOERR_UNLOCK, () => {
          walIndex?.unmap(remove !== 0);
          return SQLITE_OK;
        });
      },
    };
  }

  #attempt(database: AttachedDatabase, code: number, run: () => number): number {
    try {
      return run();
    } catch (error) {
      const told = this.#codeOf(error) ?? code;
      database.failure = { error, code: told };
      return told;
    }
  }

  /** The result code of failures that have one of their own, whatever was tried. */
  #codeOf(error: unknown): number | undefined {
    if (!(error instanceof FileError)) return undefined;
    if (error.code === "ENOSPC" || error.code === "EDQUOT") return this.#codes.SQLITE_FULL;
    return error.code === "EROFS" ? this.#codes.SQLITE_READONLY : undefined;
  }

  #find(name: WasmPointer): { database: AttachedDatabase; part: FilePart } | undefined {
    if (!name) return undefined;
    const heap = this.#heap();
    const [id, part] = splitName(String.fromCharCode(...heap.subarray(name, heap.indexOf(0, name))));
    const database = this.#databases.get(id);
    return database && { database, part };
  }

  #setUint32(pointer: WasmPointer, value: number): void {
    new DataView(this.#heap().buffer).setUint32(pointer, value, true);
  }
}

function splitName(name: string): [id: string, part: FilePart] {
  for (const part of ["-wal", "-journal"] as const) {
    if (name.endsWith(part)) return [name.slice(0, -part.length), part];
  }
  return [name, ""];
}

/** A struct's members as the package really has them: its types lack most. */
function fields(struct: object): Record<`$${string}`, number | undefined> {
  return struct as Record<`$${string}`, number | undefined>;
}
