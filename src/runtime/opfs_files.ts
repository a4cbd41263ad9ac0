/**
 * Files in a browser that stay: in its origin private file system, by way of sync access handles, which a dedicated
 * Worker can have. A handle keeps everybody else from its file, and takes time to get. So a directory is a pool of slots,
 * all open from the beginning, a few of them spare; what a slot holds is written in it ({@link ./opfs_slot.ts}). This is
 * the way that SQLite's own `opfs-sahpool` has found (https://sqlite.org/wasm/doc/trunk/persistence.md); here it serves
 * all our files, the database in it is the file that SQLite has anywhere else, and a label half written loses nothing.
 *
 * One Worker at a time has a directory; whoever wants it next waits until the handles of the last one are closed, which
 * those of a tab that was closed are after a moment. Nothing here chooses whose turn it is: a Web Lock does.
 *
 * @module
 */

import type { BodyKeeper, FileBody } from "./named_files.ts";
import { NamedFiles, toFileError } from "./named_files.ts";
import type { SlotPool, SyncAccessHandle } from "./opfs_slot.ts";
import { OpfsSlot } from "./opfs_slot.ts";
import type { Clock, Files, Milliseconds } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** As much as is used of a directory of the private file system (https://fs.spec.whatwg.org). */
export interface OpfsDirectory {
  readonly name: string;
  keys(): AsyncIterable<string>;
  getFileHandle(name: string, options?: { create?: boolean }): Promise<object>;
  removeEntry(name: string): Promise<void>;
}

/** How to open a directory. */
export interface OpfsOptions {
  readonly clock: Pick<Clock, "sleep" | "monotonic">;
  /** How long to wait for handles that somebody else has. Default: 10 seconds. */
  readonly patience?: Milliseconds;
}

/** Files that stay, and that nobody else has meanwhile. */
export interface OpfsFiles extends Files {
  /** Has at hand what {@link Files.open} will be asked for. */
  prepare(paths: readonly string[]): Promise<void>;
  /** Lets go of all files. Closing twice is no error. */
  close(): void;
}

/**
 * The directory at a path in the origin's private file system, made if missing, with its parents.
 *
 * @throws FileError where there is no private file system, or this page may not have it.
 */
export async function opfsDirectory(path: string): Promise<OpfsDirectory> {
  const { storage } = navigator as unknown as { storage?: { getDirectory?(): Promise<DirectoryMaker> } };
  if (!storage?.getDirectory) {
    throw new FileError(`Cannot open ${path}: this page has no private file system; it takes https`, "ENOTSUP");
  }
  try {
    let directory = await storage.getDirectory();
    for (const name of path.split("/")) {
      if (name !== "") directory = await directory.getDirectoryHandle(name, { create: true });
    }
    return directory;
  } catch (error) {
    // As in Firefox's private windows.
    throw toFileError(`open ${path} in the private file system`, error);
  }
}

/**
 * Opens the files in a directory, which has to be theirs alone.
 *
 * @throws FileError `EBUSY` when somebody else has them for longer than `patience`; `ENOTSUP` in a page or a shared Worker,
 * and for what a later version has written.
 */
export async function openOpfsFiles(directory: OpfsDirectory, options: OpfsOptions): Promise<OpfsFiles> {
  const pool = new Pool(directory, options);
  try {
    await pool.open();
  } catch (error) {
    pool.close();
    throw toFileError(`open the files in ${directory.name}`, error);
  }
  const files = new NamedFiles(pool, pool.named());
  return Object.assign(files, { prepare: files.prepare!, close: () => pool.close() });
}

interface DirectoryMaker extends OpfsDirectory {
  getDirectoryHandle(name: string, options: { create: boolean }): Promise<DirectoryMaker>;
}

interface AccessMaker {
  createSyncAccessHandle?(): Promise<SyncAccessHandle>;
}

const SLOT = /^slot-[0-9a-f-]{36}$/;
/** How many are kept for files that nobody announced. */
const SPARE = 4;
/** More than that are given back when a directory is opened. */
const MOST_SPARE = 16;
/** Announcements that are remembered: those of some hundred databases, each with its logs. */
const MOST_PROMISED = 512;
const PATIENCE: Milliseconds = 10_000;
const FIRST_WAIT: Milliseconds = 10;
const LONGEST_WAIT: Milliseconds = 250;

class Pool implements BodyKeeper, SlotPool {
  readonly #directory: OpfsDirectory;
  readonly #clock: OpfsOptions["clock"];
  readonly #patience: Milliseconds;
  readonly #slots = new Set<OpfsSlot>();
  #spare: OpfsSlot[] = [];
  /** Paths for each of which there will be a slot when it is wanted, the one announced last at the end. */
  readonly #promised = new Set<string>();
  #generation = 0;
  /** The slot that was labelled last: the only one whose label may not be on the disk yet. */
  #labelled: OpfsSlot | undefined;
  #growing: Promise<void> | undefined;
  /** Why there are no more slots. */
  #shortage: FileError | undefined;
  #isClosed = false;

  constructor(directory: OpfsDirectory, { clock, patience = PATIENCE }: OpfsOptions) {
    this.#directory = directory;
    this.#clock = clock;
    this.#patience = patience;
  }

  async open(): Promise<void> {
    const names: string[] = [];
    for await (const name of this.#directory.keys()) if (SLOT.test(name)) names.push(name);
    const deadline = this.#clock.monotonic() + this.#patience;
    await settleAll(names.map((name) => this.#openSlot(name, deadline)));
    // There was no room for more of them.
    await settleAll([...this.#slots].filter(({ isWhole }) => !isWhole).map((slot) => this.#discard(slot)));
    for (const slot of this.#slots) {
      if (slot.generation <= this.#generation) continue;
      this.#generation = slot.generation;
      this.#labelled = slot;
    }
    this.#sort();
    await settleAll(this.#spare.splice(MOST_SPARE).map((slot) => this.#discard(slot)));
    await this.#fill(0);
  }

  /** What is there. */
  *named(): Iterable<[path: string, body: FileBody]> {
    for (const slot of this.#slots) if (slot.path !== undefined) yield [slot.path, slot];
  }

  async prepare(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      this.#promised.delete(path);
      this.#promised.add(path);
    }
    for (const path of this.#promised) {
      if (this.#promised.size <= MOST_PROMISED) break;
      this.#promised.delete(path);
    }
    await this.#fill(0);
  }

  create(path: string): FileBody {
    this.#refuseClosed();
    const isPromised = this.#promised.has(path);
    if (this.#spare.length <= (isPromised ? 0 : this.#unclaimed())) {
      throw this.#shortage ?? new FileError("no file is at hand; prepare it first", "EAGAIN");
    }
    const slot = this.#takeSpare();
    try {
      slot.name(path);
      return slot;
    } catch (error) {
      slot.free();
      throw error;
    }
  }

  async createUnnamed(): Promise<FileBody> {
    // Others may take what was just made.
    do {
      await this.#fill(1);
      if (this.#shortage && this.#spare.length <= this.#unclaimed()) throw this.#shortage;
    } while (this.#spare.length <= this.#unclaimed());
    return this.#takeSpare();
  }

  syncNames(): void {
    this.#refuseClosed();
    this.#labelled?.syncLabel();
  }

  beginLabel(slot: OpfsSlot): number {
    // One after the other. Else a file that was moved could be lost, when the power fails, to what has its name since; and
    // of a slot whose two labels are both lost the one before them would be left.
    this.#labelled?.syncLabel();
    this.#labelled = slot;
    return ++this.#generation;
  }

  takeBack(slot: OpfsSlot): void {
    this.#spare.push(slot);
  }

  close(): void {
    this.#isClosed = true;
    for (const slot of this.#slots) slot.close();
    this.#slots.clear();
    this.#spare = [];
  }

  #refuseClosed(): void {
    if (this.#isClosed) throw new FileError(`the directory ${this.#directory.name} was closed`, "EBADF");
  }

  #takeSpare(): OpfsSlot {
    const slot = this.#spare.pop()!;
    // What it held must be gone for good before anything else lies there, or a power failure makes one of the other.
    slot.syncLabel();
    return slot;
  }

  /** How many slots are promised and not taken yet. */
  #unclaimed(): number {
    const taken = new Set([...this.#slots].map(({ path }) => path));
    let count = 0;
    for (const path of this.#promised) if (!taken.has(path)) count++;
    return count;
  }

  /** Makes slots until there are enough spare ones, and `more`, or until the disk is full. */
  async #fill(more: number): Promise<void> {
    this.#shortage = undefined;
    for (;;) {
      this.#refuseClosed();
      const lacking = this.#unclaimed() + Math.max(more, SPARE) - this.#spare.length;
      if (lacking <= 0 || this.#shortage) return;
      await (this.#growing ??= this.#grow(lacking).finally(() => this.#growing = undefined));
    }
  }

  async #grow(count: number): Promise<void> {
    try {
      await settleAll(Array.from({ length: count }, () => this.#makeSlot()));
    } catch (error) {
      // Those that need none are not kept from what is there; the others hear why.
      this.#shortage = toFileError("make room for another file", error);
    }
  }

  async #makeSlot(): Promise<void> {
    const slot = await this.#openSlot(`slot-${crypto.randomUUID()}`, 0);
    try {
      slot.complete();
    } catch (error) {
      await this.#discard(slot);
      throw error;
    }
    this.#spare.push(slot);
  }

  async #openSlot(name: string, deadline: Milliseconds): Promise<OpfsSlot> {
    let access: SyncAccessHandle | undefined;
    try {
      const file = await this.#directory.getFileHandle(name, { create: true }) as AccessMaker;
      access = await this.#access(file, deadline);
      this.#refuseClosed();
      const slot = new OpfsSlot(name, access, this);
      this.#slots.add(slot);
      return slot;
    } catch (error) {
      access?.close();
      throw error;
    }
  }

  /** Opens a file, as soon as whoever has it open lets go of it. */
  async #access(file: AccessMaker, deadline: Milliseconds): Promise<SyncAccessHandle> {
    if (!file.createSyncAccessHandle) {
      throw new FileError("only a dedicated Worker can have files of the private file system open", "ENOTSUP");
    }
    for (let wait = FIRST_WAIT;; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        return await file.createSyncAccessHandle();
      } catch (error) {
        const isHeld = error instanceof Error && error.name === "NoModificationAllowedError";
        if (!isHeld || this.#clock.monotonic() >= deadline) throw error;
        await this.#clock.sleep(wait);
      }
    }
  }

  /** Finds out which slots are spare: those of nobody, and of a path that a later one has. */
  #sort(): void {
    const latest = new Map<string, OpfsSlot>();
    for (const slot of this.#slots) {
      if (slot.path === undefined) continue;
      const other = latest.get(slot.path);
      if (!other || other.generation < slot.generation) latest.set(slot.path, slot);
    }
    for (const slot of this.#slots) if (slot.path === undefined || latest.get(slot.path) !== slot) slot.free();
  }

  async #discard(slot: OpfsSlot): Promise<void> {
    this.#slots.delete(slot);
    slot.close();
    await this.#directory.removeEntry(slot.fileName);
  }
}

/** As `Promise.all`, but nothing is under way any more when it rejects. */
async function settleAll<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}
