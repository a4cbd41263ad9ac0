/**
 * Files by a table of their names, wherever their bytes are kept: in memory, or in the slots of a browser's private file
 * system. Names, folders, and what becomes of a file that is removed while somebody has it open are dealt with here,
 * once; paths begin at a root of their own, where a path without `/` in front begins, too.
 *
 * @module
 */

import { messageOf } from "./message.ts";
import type { DirectoryEntry, Files, FileStat, OpenFile, OpenMode } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** The bytes of one file. Methods throw what they like: it is told as a {@link FileError}. */
export interface FileBody {
  /** As {@link OpenFile.read}. */
  read(target: Uint8Array, position: number): number;
  /** As {@link OpenFile.write}. */
  write(source: Uint8Array, position: number): void;
  /** As {@link OpenFile.truncate}. */
  truncate(size: number): void;
  /** Waits until its bytes and its name are on the disk. */
  sync(): void;
  /** Size in bytes. */
  size(): number;
  /**
   * Has it found under `path` from now on and under no other, rather than what was named so before; `undefined`: nowhere.
   * Names reach the disk in the order in which they are given and taken.
   */
  name(path: string | undefined): void;
  /** It has no name and nobody has it open: its room is for others. */
  free(): void;
}

/** Where bodies come from. */
export interface BodyKeeper {
  /** As {@link Files.prepare}. */
  prepare?(paths: readonly string[]): Promise<void>;
  /** An empty body under a new name, at once. */
  create(path: string): FileBody;
  /** An empty body without a name. */
  createUnnamed(): Promise<FileBody>;
  /** Waits until the names that were given and taken are on the disk. */
  syncNames(): void;
}

interface Entry {
  readonly body: FileBody;
  readonly inode: bigint;
  /** `undefined` once it was removed. */
  path: string | undefined;
  /** By how many it is open. */
  opened: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

type ReplaceOptions = NonNullable<Parameters<Files["replace"]>[2]>;

const COPIED_AT_ONCE = 1024 * 1024;

/** What the web says, in the operating system's words. */
const CODES: Readonly<Record<string, string>> = {
  QuotaExceededError: "ENOSPC",
  // Firefox, of what is no DOMException.
  NS_ERROR_FILE_NO_DEVICE_SPACE: "ENOSPC",
  NoModificationAllowedError: "EBUSY",
  NotAllowedError: "EACCES",
  SecurityError: "EACCES",
  NotFoundError: "ENOENT",
};

/** {@link Files} over bodies. */
export class NamedFiles implements Files {
  readonly prepare?: (paths: readonly string[]) => Promise<void>;
  readonly #keeper: BodyKeeper;
  readonly #entries = new Map<string, Entry>();
  readonly #directories = new Set(["/"]);
  #inode = 0n;
  #descriptor = 0;
  #time = 0n;

  /** `found` are the files that are there already. */
  constructor(keeper: BodyKeeper, found: Iterable<readonly [path: string, body: FileBody]> = []) {
    this.#keeper = keeper;
    if (keeper.prepare) {
      this.prepare = (paths) => attemptLater(`prepare ${paths.join(", ")}`, () => keeper.prepare!(paths.map(absolute)));
    }
    for (const [path, body] of found) {
      this.#addDirectory(parentOf(path));
      this.#add(path, body);
    }
  }

  open(path: string, mode: OpenMode): OpenFile {
    const name = absolute(path);
    return attempt(`open ${path}`, () => {
      if (this.#directories.has(name)) {
        if (mode !== "read") throw new FileError("it is a directory", "EISDIR");
        return new OpenDirectory(++this.#descriptor, () => this.#keeper.syncNames(), () => this.#directories.has(name));
      }
      let entry = this.#entries.get(name);
      if (!entry) {
        if (mode !== "create") throw missing(this.#whyNot(name));
        this.#refuseWithoutParent(name);
        entry = this.#add(name, this.#keeper.create(name));
      }
      return new OpenEntry(++this.#descriptor, entry, mode !== "read", () => this.#now());
    });
  }

  exists(path: string): boolean {
    if (this.#entries.has(path)) return true;
    const name = absolute(path);
    return this.#entries.has(name) || this.#directories.has(name);
  }

  // deno-lint-ignore require-await -- What it throws is to be a rejection.
  async stat(path: string): Promise<FileStat | undefined> {
    const name = absolute(path);
    const entry = this.#entries.get(name);
    if (entry) {
      const { inode, mtimeNs, ctimeNs } = entry;
      const size = attempt(`stat ${path}`, () => entry.body.size());
      return { isFile: true, isDirectory: false, size, mode: 0o600, mtimeNs, ctimeNs, inode, device: 0n };
    }
    if (!this.#directories.has(name)) return undefined;
    const times = { mtimeNs: 0n, ctimeNs: 0n };
    return { isFile: false, isDirectory: true, size: 0, mode: 0o700, ...times, inode: 0n, device: 0n };
  }

  realPath(path: string): Promise<string | undefined> {
    return Promise.resolve(this.exists(path) ? absolute(path) : undefined);
  }

  fileSystem(path: string): "local" {
    if (this.exists(path)) return "local";
    throw new FileError(`Cannot stat the file system of ${path}: nothing is there`, "ENOENT");
  }

  list(directory: string): Promise<DirectoryEntry[]> {
    const name = absolute(directory);
    const found: DirectoryEntry[] = [];
    const look = (paths: Iterable<string>, isFile: boolean): void => {
      for (const path of paths) {
        if (path === "/" || parentOf(path) !== name) continue;
        found.push({ name: path.slice(path.lastIndexOf("/") + 1), isFile, isDirectory: !isFile });
      }
    };
    look(this.#entries.keys(), true);
    look(this.#directories, false);
    return Promise.resolve(found.sort((one, other) => one.name < other.name ? -1 : 1));
  }

  // deno-lint-ignore require-await -- What it throws is to be a rejection.
  async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
    return attempt(`read ${path}`, () => {
      const { body } = this.#existing(path);
      const bytes = new Uint8Array(body.size());
      body.read(bytes, 0);
      return bytes;
    });
  }

  replace(path: string, bytes: Uint8Array, { synchronous = false }: ReplaceOptions = {}): Promise<void> {
    return attemptLater(`replace ${path}`, () =>
      this.#put(path, (body) => {
        body.write(bytes, 0);
        if (synchronous) body.sync();
      }));
  }

  // deno-lint-ignore require-await -- What it throws is to be a rejection.
  async rename(from: string, to: string): Promise<void> {
    attempt(`rename ${from} to ${to}`, () => {
      const entry = this.#existing(from);
      const former = entry.path!;
      const name = absolute(to);
      if (former === name) return;
      this.#refuseWithoutParent(name);
      this.#place(entry, name);
      this.#entries.delete(former);
    });
  }

  link(target: string, path: string): Promise<void> {
    return Promise.reject(new FileError(`Cannot link ${path} to ${target}: there are no links here`, "EPERM"));
  }

  copy(from: string, to: string): Promise<void> {
    return attemptLater(`copy ${from} to ${to}`, async () => {
      if (this.#existing(from).path === absolute(to)) return;
      await this.#put(to, (body) => {
        const source = this.#existing(from).body;
        const part = new Uint8Array(COPIED_AT_ONCE);
        let position = 0;
        for (let count: number; (count = source.read(part, position)) > 0; position += count) {
          body.write(part.subarray(0, count), position);
        }
      });
    });
  }

  // deno-lint-ignore require-await -- What it throws is to be a rejection.
  async sync(path: string): Promise<void> {
    attempt(`sync ${path}`, () => {
      if (this.#directories.has(absolute(path))) this.#keeper.syncNames();
      else this.#existing(path).body.sync();
    });
  }

  makeDirectory(path: string): void {
    attempt(`create directory ${path}`, () => {
      const name = absolute(path);
      if (this.#entries.has(name)) throw new FileError("a file has this name", "EEXIST");
      for (let above = name; above !== "/"; above = parentOf(above)) {
        if (this.#entries.has(above)) throw new FileError(`${above} is no directory`, "ENOTDIR");
      }
      this.#addDirectory(name);
    });
  }

  remove(path: string): void {
    attempt(`remove ${path}`, () => {
      const name = absolute(path);
      if (this.#directories.has(name)) throw new FileError("it is a directory", "EISDIR");
      const entry = this.#entries.get(name);
      if (!entry) return;
      entry.body.name(undefined);
      this.#entries.delete(name);
      leave(entry);
    });
  }

  removeEmptyDirectory(path: string): void {
    const name = absolute(path);
    if (name === "/") return;
    const isIn = (each: string): boolean => each.startsWith(`${name}/`);
    if ([...this.#entries.keys()].some(isIn) || [...this.#directories].some(isIn)) return;
    this.#directories.delete(name);
  }

  #existing(path: string): Entry {
    const name = absolute(path);
    const entry = this.#entries.get(name);
    if (entry) return entry;
    throw this.#directories.has(name) ? new FileError("it is a directory", "EISDIR") : missing(this.#whyNot(name));
  }

  /** Which of the names on the way is missing. */
  #whyNot(name: string): string {
    const parent = parentOf(name);
    return this.#directories.has(parent) ? name : this.#whyNot(parent);
  }

  #refuseWithoutParent(name: string): void {
    if (this.#directories.has(name)) throw new FileError("it is a directory", "EISDIR");
    const parent = parentOf(name);
    if (this.#directories.has(parent)) return;
    throw this.#entries.has(parent) ? new FileError(`${parent} is no directory`, "ENOTDIR") : missing(parent);
  }

  /** Fills a new file, and only then gives it its name. */
  async #put(path: string, fill: (body: FileBody) => void): Promise<void> {
    const name = absolute(path);
    const body = await this.#keeper.createUnnamed();
    try {
      this.#refuseWithoutParent(name);
      fill(body);
      this.#place(this.#newEntry(undefined, body), name);
    } catch (error) {
      body.free();
      throw error;
    }
  }

  /** Gives a file a name, in place of what has it. */
  #place(entry: Entry, name: string): void {
    const displaced = this.#entries.get(name);
    entry.body.name(name);
    entry.path = name;
    entry.ctimeNs = this.#now();
    this.#entries.set(name, entry);
    if (!displaced) return;
    try {
      displaced.body.name(undefined);
      leave(displaced);
    } catch {
      // Nobody finds it any more: who is looked for under its name is the later one.
      displaced.path = undefined;
    }
  }

  #add(path: string, body: FileBody): Entry {
    const entry = this.#newEntry(path, body);
    this.#entries.set(path, entry);
    return entry;
  }

  #newEntry(path: string | undefined, body: FileBody): Entry {
    const now = this.#now();
    return { body, inode: ++this.#inode, path, opened: 0, mtimeNs: now, ctimeNs: now };
  }

  #addDirectory(name: string): void {
    for (let above = name; !this.#directories.has(above); above = parentOf(above)) this.#directories.add(above);
  }

  /** The time, later than all before, so that no change goes unnoticed. */
  #now(): bigint {
    const now = BigInt(Date.now()) * 1_000_000n;
    return this.#time = now > this.#time ? now : this.#time + 1n;
  }
}

class OpenEntry implements OpenFile {
  readonly descriptor: number;
  readonly #entry: Entry;
  readonly #path: string;
  readonly #isWritable: boolean;
  readonly #now: () => bigint;
  #isOpen = true;

  constructor(descriptor: number, entry: Entry, isWritable: boolean, now: () => bigint) {
    this.descriptor = descriptor;
    this.#entry = entry;
    this.#path = entry.path!;
    this.#isWritable = isWritable;
    this.#now = now;
    entry.opened++;
  }

  read(target: Uint8Array, position: number): number {
    return this.#use("read", (body) => body.read(target, position));
  }

  write(source: Uint8Array, position: number): void {
    this.#change("write", (body) => body.write(source, position));
  }

  truncate(size: number): void {
    this.#change("truncate", (body) => body.truncate(size));
  }

  sync(): void {
    this.#use("sync", (body) => body.sync());
  }

  size(): number {
    return this.#use("measure", (body) => body.size());
  }

  isInPlace(): boolean {
    return this.#entry.path === this.#path;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const entry = this.#entry;
    entry.opened--;
    if (entry.path === undefined) attempt(`close ${this.#path}`, () => leave(entry));
  }

  #use<T>(action: string, run: (body: FileBody) => T): T {
    return attempt(`${action} ${this.#path}`, () => {
      if (!this.#isOpen) throw new FileError("it was closed", "EBADF");
      return run(this.#entry.body);
    });
  }

  #change(action: string, run: (body: FileBody) => void): void {
    this.#use(action, (body) => {
      if (!this.#isWritable) throw new FileError("it was opened for reading", "EBADF");
      run(body);
      this.#entry.mtimeNs = this.#entry.ctimeNs = this.#now();
    });
  }
}

/** What has lost its name goes once nobody has it open. */
function leave(entry: Entry): void {
  entry.path = undefined;
  if (entry.opened === 0) entry.body.free();
}

/** A directory may be opened for its names to be synchronized. */
class OpenDirectory implements OpenFile {
  readonly descriptor: number;
  readonly sync: () => void;
  readonly isInPlace: () => boolean;

  constructor(descriptor: number, sync: () => void, isInPlace: () => boolean) {
    this.descriptor = descriptor;
    this.sync = sync;
    this.isInPlace = isInPlace;
  }

  read(): number {
    throw new FileError("Cannot read a directory", "EISDIR");
  }

  write(): void {
    throw new FileError("Cannot write a directory", "EISDIR");
  }

  truncate(): void {
    throw new FileError("Cannot truncate a directory", "EISDIR");
  }

  size(): number {
    return 0;
  }

  close(): void {}
}

/** The path from the root, without `.` and `..`. */
function absolute(path: string): string {
  const names: string[] = [];
  for (const name of path.split("/")) {
    if (name === "..") names.pop();
    else if (name !== "" && name !== ".") names.push(name);
  }
  return `/${names.join("/")}`;
}

/** Of a path from the root. */
function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function missing(path: string): FileError {
  return new FileError(`nothing is there: ${path}`, "ENOENT");
}

function attempt<T>(action: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw toFileError(action, error);
  }
}

async function attemptLater<T>(action: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw toFileError(action, error);
  }
}

/** What went wrong when somebody tried to `action`. */
export function toFileError(action: string, error: unknown): FileError {
  const code = error instanceof FileError
    ? error.code
    : CODES[(error as Partial<Error> | undefined)?.name ?? ""] ?? "EIO";
  return new FileError(`Cannot ${action}: ${messageOf(error)}`, code, { cause: error });
}
