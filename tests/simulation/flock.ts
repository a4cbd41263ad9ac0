/**
 * Locks as an early prototype had them, to learn what the corruption was that it met once: `flock` on a side file for
 * each slot, where no byte ranges can be locked. Turning a shared lock into an exclusive one, or back, gives it up first;
 * if it is refused then, it is lost.
 */

import type { Files, OpenFile, RangeLocks, Runtime } from "../../src/runtime/runtime.ts";

/** The slots of a database (PENDING, RESERVED, SHARED) and of its wal-index, by their first byte. */
const DATABASE_SLOTS: readonly number[] = [0x40000000, 0x40000001, 0x40000002];
const INDEX_SLOTS: readonly number[] = [120, 121, 122, 123, 124, 125, 126, 127, 128];

/** How whoever uses the locks takes them. */
export interface FlockUse {
  /** Takes it for granted that a lock can be made weaker, and goes on without one where that was refused. */
  readonly trustsDowngrades?: boolean;
}

/** The file that is locked for a slot of the file at `path`. */
export function sideFileOf(path: string, slot: number): string {
  return `${path}.${slot % 0x40000000}`;
}

/** A machine that has no other locks. */
export function withFlock(runtime: Runtime, { trustsDowngrades = false }: FlockUse): Runtime {
  const { files } = runtime;
  const locks = runtime.rangeLocks!;
  const slotsOf = (path: string): readonly number[] =>
    /(\.sqlite|-owner)$/.test(path) ? DATABASE_SLOTS : path.endsWith("-shm") ? INDEX_SLOTS : [];
  const sideFiles = new Map<number, ReadonlyMap<number, Slot>>();

  const open: Files["open"] = (path, mode) => {
    const file = files.open(path, mode);
    if (slotsOf(path).length === 0) return file;
    const slots = new Map<number, Slot>();
    const close = (): void => {
      for (const slot of slots.values()) slot.close();
      file.close();
    };
    try {
      for (const slot of slotsOf(path)) {
        slots.set(slot, new Slot(files.open(sideFileOf(path, slot), "create"), slot, locks));
      }
    } catch (error) {
      close();
      throw error;
    }
    sideFiles.set(file.descriptor, slots);
    return new Proxy(file, {
      get(target, name) {
        if (name === "close") return close;
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  const slotsIn = (descriptor: number, start: number, length: number): Slot[] => {
    const slots = [...sideFiles.get(descriptor)!];
    return slots.filter(([slot]) => start <= slot && slot < start + length).map(([, slot]) => slot);
  };
  const rangeLocks: RangeLocks = {
    tryLock(descriptor, start, length, mode) {
      const taken: Slot[] = [];
      for (const slot of slotsIn(descriptor, start, length)) {
        if (!slot.tryLock(mode, trustsDowngrades)) {
          taken.forEach((each) => each.unlock());
          return false;
        }
        taken.push(slot);
      }
      return true;
    },
    unlock: (descriptor, start, length) => slotsIn(descriptor, start, length).forEach((slot) => slot.unlock()),
    isLocked: (descriptor, start, length) => slotsIn(descriptor, start, length).some((slot) => slot.isLocked()),
  };
  const changed = new Proxy(files, {
    get(target, name) {
      if (name === "open") return open;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return { ...runtime, files: changed, rangeLocks };
}

/** One side file, as one connection has it open. */
class Slot {
  readonly #file: OpenFile;
  /** The byte of it that stands for all of it: the slot's own. */
  readonly #at: number;
  readonly #locks: RangeLocks;
  #held: "shared" | "exclusive" | undefined;

  constructor(file: OpenFile, at: number, locks: RangeLocks) {
    this.#file = file;
    this.#at = at;
    this.#locks = locks;
  }

  tryLock(mode: "shared" | "exclusive", trustsDowngrades: boolean): boolean {
    const held = this.#held;
    if (held === mode) return true;
    if (held !== undefined) this.unlock();
    if (this.#locks.tryLock(this.#file.descriptor, this.#at, 1, mode)) {
      this.#held = mode;
      return true;
    }
    return trustsDowngrades && held === "exclusive";
  }

  unlock(): void {
    this.#locks.unlock(this.#file.descriptor, this.#at, 1);
    this.#held = undefined;
  }

  isLocked(): boolean {
    return this.#locks.isLocked(this.#file.descriptor, this.#at, 1);
  }

  close(): void {
    this.#file.close();
  }
}
