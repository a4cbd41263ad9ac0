/**
 * The machine that an instance believes to run on: the files and locks of the simulated disk, one primitive operation
 * after the other, and a clock that nobody waits for.
 */

import type { Files, OpenFile, OpenMode, RangeLocks, Runtime } from "../../src/runtime/runtime.ts";
import { FileError } from "../../src/runtime/runtime.ts";
import type { SimulatedDisk } from "./disk.ts";
import { NOTHING } from "./disk.ts";
import type { Turns } from "./turns.ts";
import { DIE, FAIL, failure, SPLIT } from "./turns.ts";

/** Where everything lies. */
export const FOLDER = "/simulated";

const STEPS_PER_MILLISECOND = 50;

/** Makes the machine of one instance. What is not simulated is the real machine's. */
export function simulatedRuntime(real: Runtime, disk: SimulatedDisk, turns: Turns): Runtime {
  const machine = new Machine(disk, turns);
  return {
    ...real,
    files: machine,
    rangeLocks: machine.rangeLocks,
    processId: turns.instance + 1,
    usage: () => ({ cpuSeconds: 0, residentBytes: 0 }),
    clock: {
      now: () => 1_800_000_000_000 + turns.steps / STEPS_PER_MILLISECOND,
      monotonic: () => turns.steps / STEPS_PER_MILLISECOND,
      sleep: (_duration, { signal } = {}) =>
        unlessDead(turns, () => {
          signal?.throwIfAborted();
          turns.rest();
          signal?.throwIfAborted();
        }),
      afterTurn: (run) => void unlessDead(turns, () => (turns.rest(), run())),
    },
    lockWholeFile: () => {
      throw new Error("Not simulated");
    },
    // As in a bundle: what would be done by Workers is done here.
    spawnWorker: (url) => {
      throw new FileError(`Cannot start ${url}: ENOENT (simulated)`, "ENOENT");
    },
  };
}

/** Does something later. The dead wait for ever: no clock tells them that they are. */
async function unlessDead(turns: Turns, run: () => void): Promise<void> {
  await Promise.resolve();
  try {
    run();
  } catch (error) {
    if (!turns.dead) throw error;
    await new Promise(() => {});
  }
}

class Machine implements Files {
  readonly rangeLocks: RangeLocks;
  readonly #disk: SimulatedDisk;
  readonly #turns: Turns;
  readonly #inodes = new Map<number, number>();

  constructor(disk: SimulatedDisk, turns: Turns) {
    this.#disk = disk;
    this.#turns = turns;
    const inodeOf = (descriptor: number): number => this.#inodes.get(descriptor)!;
    this.rangeLocks = {
      tryLock: (descriptor, start, length, mode) => {
        turns.step();
        return disk.tryLock(inodeOf(descriptor), descriptor, turns.instance, start, length, mode === "exclusive");
      },
      unlock: (descriptor, start, length) => {
        turns.step();
        disk.unlock(inodeOf(descriptor), descriptor, start, length);
      },
      isLocked: (descriptor, start, length) => {
        turns.step();
        return disk.isLocked(inodeOf(descriptor), descriptor, start, length, true);
      },
    };
  }

  open(path: string, mode: OpenMode): OpenFile {
    this.#step(`open ${path}`);
    if (path === FOLDER) return this.#folder();
    let inode = this.#disk.find(path);
    if (inode === NOTHING) {
      if (mode !== "create") throw failure(`open ${path}`, "ENOENT");
      inode = this.#disk.create(path);
    }
    const handle = this.#turns.nextHandle();
    this.#inodes.set(handle, inode);
    return new SimulatedFile(this.#disk, this.#turns, path, inode, handle);
  }

  exists(path: string): boolean {
    this.#turns.step();
    return this.#disk.find(path) !== NOTHING;
  }

  async stat(path: string): ReturnType<Files["stat"]> {
    this.#step(`look at ${path}`);
    const inode = this.#disk.find(path);
    if (inode === NOTHING && path !== FOLDER) return undefined;
    const isDirectory = path === FOLDER;
    const size = isDirectory ? 0 : this.#disk.size(inode);
    const common = { mode: 0o600, mtimeNs: 0n, ctimeNs: 0n, inode: BigInt(inode), device: 1n };
    return await Promise.resolve({ isFile: !isDirectory, isDirectory, size, ...common });
  }

  async realPath(path: string): Promise<string | undefined> {
    this.#step(`look for ${path}`);
    return await Promise.resolve(this.#disk.find(path) === NOTHING ? undefined : path);
  }

  fileSystem(): string {
    return "local";
  }

  async list(): ReturnType<Files["list"]> {
    this.#step("list");
    const names = [...this.#disk.contents().keys()].sort();
    const entries = names.map((path) => ({ name: path.slice(FOLDER.length + 1), isFile: true, isDirectory: false }));
    return await Promise.resolve(entries);
  }

  async read(path: string): Promise<Uint8Array<ArrayBuffer>> {
    this.#step(`read ${path}`);
    const inode = this.#disk.find(path);
    if (inode === NOTHING) throw failure(`read ${path}`, "ENOENT");
    const bytes = new Uint8Array(this.#disk.size(inode));
    this.#disk.read(inode, bytes, 0);
    return await Promise.resolve(bytes);
  }

  async replace(path: string, bytes: Uint8Array): Promise<void> {
    this.#step(`replace ${path}`);
    this.#disk.write(this.#disk.create(path), bytes, 0);
    await Promise.resolve();
  }

  async sync(path: string): Promise<void> {
    this.#step(`sync ${path}`);
    if (path === FOLDER) this.#disk.syncNames();
    else this.#disk.sync(this.#disk.find(path));
    await Promise.resolve();
  }

  rename(): never {
    throw new Error("nothing that is simulated renames a file in this way");
  }

  link(): never {
    throw new Error("nothing that is simulated makes links");
  }

  copy(): never {
    throw new Error("nothing that is simulated copies files");
  }

  makeDirectory(): void {
    this.#step("make a folder");
  }

  removeEmptyDirectory(): void {
    this.#step("remove a folder");
  }

  remove(path: string): void {
    this.#step(`remove ${path}`);
    this.#disk.remove(path);
    this.#turns.delicate();
  }

  #folder(): OpenFile {
    const refuse = (): never => {
      throw new FileError("This is a folder", "EISDIR");
    };
    const sync = (): void => {
      this.#step("sync the folder");
      this.#disk.syncNames();
    };
    return {
      descriptor: -1,
      read: refuse,
      write: refuse,
      truncate: refuse,
      sync,
      size: () => 0,
      isInPlace: () => true,
      close: () => {},
    };
  }

  #step(action: string): void {
    if (this.#turns.step().kind === FAIL) throw failure(action, "EIO");
  }
}

class SimulatedFile implements OpenFile {
  readonly descriptor: number;
  readonly #disk: SimulatedDisk;
  readonly #turns: Turns;
  readonly #path: string;
  readonly #inode: number;
  #closed = false;

  constructor(disk: SimulatedDisk, turns: Turns, path: string, inode: number, handle: number) {
    this.#disk = disk;
    this.#turns = turns;
    this.#path = path;
    this.#inode = inode;
    this.descriptor = handle;
  }

  read(target: Uint8Array, position: number): number {
    const { kind, cut, next } = this.#step("read", true);
    if (kind !== SPLIT || target.length < 2) return this.#disk.read(this.#inode, target, position);
    const part = cutAt(target.length, cut);
    const count = this.#disk.read(this.#inode, target.subarray(0, part), position);
    this.#turns.handOver(next);
    if (count < part) return count;
    return count + this.#disk.read(this.#inode, target.subarray(part), position + part);
  }

  write(source: Uint8Array, position: number): void {
    const { kind, cut, next } = this.#turns.step(true);
    if (kind !== SPLIT && kind !== DIE && kind !== FAIL) return this.#disk.write(this.#inode, source, position);
    const part = cutAt(source.length, cut);
    this.#disk.write(this.#inode, source.subarray(0, part), position);
    if (kind === DIE) this.#turns.die();
    if (kind === FAIL) throw failure(`write ${this.#path}`, cut * 1000 % 2 < 1 ? "ENOSPC" : "EIO");
    this.#turns.handOver(next);
    this.#disk.write(this.#inode, source.subarray(part), position + part);
  }

  truncate(size: number): void {
    this.#step("truncate");
    this.#disk.truncate(this.#inode, size);
    this.#turns.delicate();
  }

  sync(): void {
    const { kind, cut } = this.#turns.step();
    if (kind !== FAIL) return this.#disk.sync(this.#inode);
    // Some file systems forget what they could not write. What is lost of the log, no SQLite would notice.
    if (cut < 0.5 && !this.#path.endsWith("-wal")) this.#disk.forget(this.#inode);
    throw failure(`sync ${this.#path}`, "EIO");
  }

  size(): number {
    this.#step("ask for the size of");
    return this.#disk.size(this.#inode);
  }

  isInPlace(): boolean {
    this.#turns.step();
    return this.#disk.find(this.#path) === this.#inode;
  }

  close(): void {
    if (this.#closed || this.#turns.dead) return;
    this.#turns.step();
    this.#closed = true;
    this.#disk.closeHandle(this.descriptor);
  }

  #step(action: string, divisible = false): ReturnType<Turns["step"]> {
    const event = this.#turns.step(divisible);
    if (event.kind === FAIL) throw failure(`${action} ${this.#path}`, "EIO");
    if (event.kind === DIE) this.#turns.die();
    return event;
  }
}

/** Where an operation on `length` bytes is cut: anywhere, but often where somebody may have thought it cannot be. */
function cutAt(length: number, cut: number): number {
  const at = Math.floor(cut * length);
  const grain = [1, 4, 8, 512][Math.floor(cut * 4096) & 3]!;
  return length > grain ? at - at % grain : at;
}
