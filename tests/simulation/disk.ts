/**
 * A disk in shared memory: files by name, what of them would survive a power failure, and open-file-description locks.
 * Whoever has the turn ({@link ./turns.ts}) works on it directly, so nothing here is atomic and nothing waits.
 *
 * What is written is in the cache, which every instance sees; what was synced is durable. A power failure leaves of each
 * sector written since then the old bytes, the new ones or a part of each, whichever way the other sectors went; the
 * same for each file's size and for each name that was made or removed since its directory was synced.
 */

const CHUNK_BYTES = 16 * 1024;
const SECTOR_BYTES = 512;
const SECTORS = CHUNK_BYTES / SECTOR_BYTES;
const CHUNKS = 6144;
const INODES = 2048;
/** The largest file: 8 MiB. */
const INODE_CHUNKS = 512;
const NAMES = 64;
const NAME_BYTES = 128;
const LOCKS = 1024;

// Where everything lies, in words.
const CHUNK_COUNT = 0;
const INODE_COUNT = 1;
const NAME_COUNT = 2;
const LOCK_COUNT = 3;
const BOUND = 16;
const DURABLY_BOUND = BOUND + NAMES;
const LOCK_TABLE = DURABLY_BOUND + NAMES;
const LOCK_WORDS = 6;
const INODE_TABLE = LOCK_TABLE + LOCKS * LOCK_WORDS;
/** Size, durable size, then three words a chunk: where it is, where its durable copy is, which sectors differ. */
const INODE_WORDS = 2 + 3 * INODE_CHUNKS;
const STATE_WORDS = INODE_TABLE + INODES * INODE_WORDS;

/** The memory of a disk, to be sent to every instance. */
export interface DiskMemory {
  readonly state: SharedArrayBuffer;
  readonly names: SharedArrayBuffer;
  readonly bytes: SharedArrayBuffer;
}

/** Makes an empty disk. */
export function newDiskMemory(): DiskMemory {
  return {
    state: new SharedArrayBuffer(STATE_WORDS * 4),
    names: new SharedArrayBuffer(NAMES * NAME_BYTES),
    bytes: new SharedArrayBuffer((CHUNKS + 1) * CHUNK_BYTES),
  };
}

/** What lies at a path: nothing, or the number of a file. */
export const NOTHING = -1;

/** From 0 up to, but not including, a limit. */
export type Random = (limit: number) => number;

/** Files, their durability and their locks. Files are known by number, so that one without a name lives on. */
export class SimulatedDisk {
  readonly #state: Int32Array;
  readonly #names: Uint8Array;
  readonly #bytes: Uint8Array;
  readonly #nameNumbers = new Map<string, number>();

  constructor({ state, names, bytes }: DiskMemory) {
    this.#state = new Int32Array(state);
    this.#names = new Uint8Array(names);
    this.#bytes = new Uint8Array(bytes);
  }

  /** Empties the disk. Names keep their numbers. */
  reset(): void {
    const state = this.#state;
    state.fill(0, INODE_TABLE, INODE_TABLE + state[INODE_COUNT]! * INODE_WORDS);
    state[CHUNK_COUNT] = state[INODE_COUNT] = state[LOCK_COUNT] = 0;
    state.fill(NOTHING, BOUND, LOCK_TABLE);
  }

  /** The file that a path leads to, or {@link NOTHING}. */
  find(path: string): number {
    return this.#state[BOUND + this.#nameNumber(path)]!;
  }

  /** Makes an empty file at a path, in place of whatever is there. */
  create(path: string): number {
    const inode = this.#state[INODE_COUNT]!++;
    if (inode >= INODES) throw new Error("The simulated disk has no room for another file");
    this.#state[BOUND + this.#nameNumber(path)] = inode;
    return inode;
  }

  remove(path: string): void {
    this.#state[BOUND + this.#nameNumber(path)] = NOTHING;
  }

  size(inode: number): number {
    return this.#state[INODE_TABLE + inode * INODE_WORDS]!;
  }

  /** Fills `target` from `position`; returns how many bytes there were. */
  read(inode: number, target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.size(inode) - position));
    const chunks = INODE_TABLE + inode * INODE_WORDS + 2;
    for (let done = 0; done < count;) {
      const at = position + done;
      const inside = at % CHUNK_BYTES;
      const length = Math.min(count - done, CHUNK_BYTES - inside);
      const start = this.#state[chunks + 3 * Math.floor(at / CHUNK_BYTES)]! * CHUNK_BYTES + inside;
      target.set(this.#bytes.subarray(start, start + length), done);
      done += length;
    }
    return count;
  }

  write(inode: number, source: Uint8Array, position: number): void {
    const state = this.#state;
    const at = INODE_TABLE + inode * INODE_WORDS;
    const end = position + source.length;
    if (end > INODE_CHUNKS * CHUNK_BYTES) throw new Error("A simulated file has grown too large");
    for (let done = 0; done < source.length;) {
      const inside = (position + done) % CHUNK_BYTES;
      const length = Math.min(source.length - done, CHUNK_BYTES - inside);
      const chunk = this.#touch(inode, Math.floor((position + done) / CHUNK_BYTES), inside, length);
      this.#bytes.set(source.subarray(done, done + length), chunk * CHUNK_BYTES + inside);
      done += length;
    }
    if (end > state[at]!) state[at] = end;
  }

  truncate(inode: number, size: number): void {
    const at = INODE_TABLE + inode * INODE_WORDS;
    const before = this.#state[at]!;
    // What comes to lie behind the end reads as zeros when the file grows again.
    for (let position = size; position < before;) {
      const inside = position % CHUNK_BYTES;
      const length = Math.min(before - position, CHUNK_BYTES - inside);
      const number = Math.floor(position / CHUNK_BYTES);
      if (this.#state[at + 2 + 3 * number] !== 0) {
        const start = this.#touch(inode, number, inside, length) * CHUNK_BYTES + inside;
        this.#bytes.fill(0, start, start + length);
      }
      position += length;
    }
    this.#state[at] = size;
  }

  /** Makes a file's bytes and size durable. */
  sync(inode: number): void {
    const state = this.#state;
    const at = INODE_TABLE + inode * INODE_WORDS;
    for (let number = 0; number < INODE_CHUNKS; number++) {
      const entry = at + 2 + 3 * number;
      if (state[entry] === 0 && number * CHUNK_BYTES >= state[at]!) break;
      for (let sector = 0; state[entry + 2] !== 0; sector++) this.#settle(entry, sector, SECTOR_BYTES);
    }
    state[at + 1] = state[at]!;
  }

  /** Makes a file's bytes what durably they are, though nothing has crashed: a disk refused to write them. */
  forget(inode: number): void {
    this.#eachDirty(inode, (entry, sector) => this.#restore(entry, sector));
  }

  /** Makes durable which names there are and what they lead to. */
  syncNames(): void {
    this.#state.copyWithin(DURABLY_BOUND, BOUND, BOUND + NAMES);
  }

  /** Makes some of what is not durable yet durable, as a disk does on its own. */
  writeBack(random: Random): void {
    const state = this.#state;
    const inode = random(state[INODE_COUNT]!);
    this.#eachDirty(inode, (entry, sector) => {
      if (random(2) === 0) this.#settle(entry, sector, SECTOR_BYTES);
    });
    if (random(4) === 0) {
      const at = INODE_TABLE + inode * INODE_WORDS;
      state[at + 1] = state[at]!;
    }
    const name = random(state[NAME_COUNT]!);
    if (random(4) === 0) state[DURABLY_BOUND + name] = state[BOUND + name]!;
  }

  /** Cuts the power: what was not durable is there or is not. */
  losePower(random: Random): void {
    const state = this.#state;
    state[LOCK_COUNT] = 0;
    for (let inode = 0; inode < state[INODE_COUNT]!; inode++) {
      // Some files are lucky or unlucky as a whole; others lose single sectors.
      const luck = random(4);
      this.#eachDirty(inode, (entry, sector) => {
        const fate = luck < 2 ? luck : random(5);
        if (fate === 1 || fate === 2) this.#settle(entry, sector, SECTOR_BYTES);
        else if (fate === 3) this.#settle(entry, sector, random(SECTOR_BYTES));
        this.#restore(entry, sector);
      });
      const at = INODE_TABLE + inode * INODE_WORDS;
      if (luck === 1 || (luck > 1 && random(2) === 0)) state[at + 1] = state[at]!;
      const size = state[at + 1]!;
      // Bytes behind the end are zeros, should the file grow.
      state[at] = Math.max(state[at]!, size);
      this.truncate(inode, size);
      this.sync(inode);
    }
    for (let name = 0; name < state[NAME_COUNT]!; name++) {
      const bound = random(2) === 0 ? state[BOUND + name]! : state[DURABLY_BOUND + name]!;
      state[BOUND + name] = state[DURABLY_BOUND + name] = bound;
    }
  }

  /** A copy of the file that a path leads to. */
  copy(path: string): Uint8Array<ArrayBuffer> | undefined {
    const inode = this.find(path);
    if (inode === NOTHING) return undefined;
    const bytes = new Uint8Array(this.size(inode));
    this.read(inode, bytes, 0);
    return bytes;
  }

  /** Copies of all files that have a name. */
  contents(): Map<string, Uint8Array> {
    const found = new Map<string, Uint8Array>();
    for (let number = 0; number < this.#state[NAME_COUNT]!; number++) {
      const path = this.#nameOf(number);
      const bytes = this.copy(path);
      if (bytes) found.set(path, bytes);
    }
    return found;
  }

  /** Puts files on the disk, durably. */
  load(files: ReadonlyMap<string, Uint8Array>): void {
    for (const [path, bytes] of files) {
      const inode = this.create(path);
      this.write(inode, bytes, 0);
      this.sync(inode);
    }
    this.syncNames();
  }

  /** Takes or converts a lock for an open file; `false` when another open file is in the way. */
  tryLock(inode: number, handle: number, owner: number, start: number, length: number, exclusive: boolean): boolean {
    if (this.isLocked(inode, handle, start, length, exclusive)) return false;
    this.unlock(inode, handle, start, length);
    this.#addLock(inode, handle, owner, start, start + length, exclusive);
    return true;
  }

  /** Whether another open file holds a lock there: any, or one that keeps a shared one out. */
  isLocked(inode: number, handle: number, start: number, length: number, any: boolean): boolean {
    const state = this.#state;
    const end = LOCK_TABLE + state[LOCK_COUNT]! * LOCK_WORDS;
    for (let at = LOCK_TABLE; at < end; at += LOCK_WORDS) {
      if (state[at] !== inode || state[at + 1] === handle) continue;
      if (state[at + 3]! < start + length && start < state[at + 4]! && (any || state[at + 5] === 1)) return true;
    }
    return false;
  }

  unlock(inode: number, handle: number, start: number, length: number): void {
    const state = this.#state;
    for (let number = state[LOCK_COUNT]! - 1; number >= 0; number--) {
      const at = LOCK_TABLE + number * LOCK_WORDS;
      if (state[at] !== inode || state[at + 1] !== handle) continue;
      const [owner, first, end, exclusive] = [state[at + 2]!, state[at + 3]!, state[at + 4]!, state[at + 5] === 1];
      if (end <= start || start + length <= first) continue;
      this.#dropLock(number);
      if (first < start) this.#addLock(inode, handle, owner, first, start, exclusive);
      if (start + length < end) this.#addLock(inode, handle, owner, start + length, end, exclusive);
    }
  }

  /** Gives up all locks of an open file. */
  closeHandle(handle: number): void {
    this.#dropLocks(1, handle);
  }

  /** Gives up all locks of a process. */
  endOwner(owner: number): void {
    this.#dropLocks(2, owner);
  }

  #dropLocks(field: number, value: number): void {
    for (let number = this.#state[LOCK_COUNT]! - 1; number >= 0; number--) {
      if (this.#state[LOCK_TABLE + number * LOCK_WORDS + field] === value) this.#dropLock(number);
    }
  }

  #addLock(inode: number, handle: number, owner: number, start: number, end: number, exclusive: boolean): void {
    const number = this.#state[LOCK_COUNT]!++;
    if (number >= LOCKS) throw new Error("The simulated disk has no room for another lock");
    this.#state.set([inode, handle, owner, start, end, exclusive ? 1 : 0], LOCK_TABLE + number * LOCK_WORDS);
  }

  #dropLock(number: number): void {
    const last = LOCK_TABLE + --this.#state[LOCK_COUNT]! * LOCK_WORDS;
    this.#state.copyWithin(LOCK_TABLE + number * LOCK_WORDS, last, last + LOCK_WORDS);
  }

  /** Makes a chunk of a file writable; returns where it is. */
  #touch(inode: number, number: number, inside: number, length: number): number {
    const state = this.#state;
    const entry = INODE_TABLE + inode * INODE_WORDS + 2 + 3 * number;
    if (state[entry] === 0) state[entry] = this.#newChunk();
    const first = Math.floor(inside / SECTOR_BYTES);
    const last = Math.floor((inside + length - 1) / SECTOR_BYTES);
    for (let sector = first; sector <= last; sector++) state[entry + 2]! |= 1 << sector;
    return state[entry]!;
  }

  #newChunk(): number {
    // Number 0 is a chunk of zeros that is never written.
    const chunk = ++this.#state[CHUNK_COUNT]!;
    if (chunk > CHUNKS) throw new Error("The simulated disk is full");
    this.#bytes.fill(0, chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    return chunk;
  }

  #eachDirty(inode: number, run: (entry: number, sector: number) => void): void {
    for (let number = 0; number < INODE_CHUNKS; number++) {
      const entry = INODE_TABLE + inode * INODE_WORDS + 2 + 3 * number;
      const dirty = this.#state[entry + 2]!;
      if (dirty === 0) continue;
      for (let sector = 0; sector < SECTORS; sector++) if ((dirty & (1 << sector)) !== 0) run(entry, sector);
    }
  }

  /** Makes the first `bytes` of a sector durable; all of them end its difference. */
  #settle(entry: number, sector: number, bytes: number): void {
    const state = this.#state;
    if ((state[entry + 2]! & (1 << sector)) === 0) return;
    if (state[entry + 1] === 0) state[entry + 1] = this.#newChunk();
    const from = state[entry]! * CHUNK_BYTES + sector * SECTOR_BYTES;
    this.#bytes.copyWithin(state[entry + 1]! * CHUNK_BYTES + sector * SECTOR_BYTES, from, from + bytes);
    if (bytes === SECTOR_BYTES) state[entry + 2]! &= ~(1 << sector);
  }

  /** Makes a sector what it durably is. */
  #restore(entry: number, sector: number): void {
    const state = this.#state;
    const from = state[entry + 1]! * CHUNK_BYTES + sector * SECTOR_BYTES;
    this.#bytes.copyWithin(state[entry]! * CHUNK_BYTES + sector * SECTOR_BYTES, from, from + SECTOR_BYTES);
    state[entry + 2]! &= ~(1 << sector);
  }

  #nameNumber(path: string): number {
    const known = this.#nameNumbers.get(path);
    if (known !== undefined) return known;
    const count = this.#state[NAME_COUNT]!;
    for (let number = this.#nameNumbers.size; number < count; number++) {
      this.#nameNumbers.set(this.#nameOf(number), number);
    }
    const found = this.#nameNumbers.get(path);
    if (found !== undefined) return found;
    const bytes = new TextEncoder().encode(path);
    if (count === NAMES || bytes.length >= NAME_BYTES) throw new Error(`The simulated disk has no room for ${path}`);
    this.#names.set(bytes, count * NAME_BYTES);
    this.#state[BOUND + count] = this.#state[DURABLY_BOUND + count] = NOTHING;
    this.#state[NAME_COUNT] = count + 1;
    this.#nameNumbers.set(path, count);
    return count;
  }

  #nameOf(number: number): string {
    const bytes = this.#names.slice(number * NAME_BYTES, (number + 1) * NAME_BYTES);
    return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
  }
}
