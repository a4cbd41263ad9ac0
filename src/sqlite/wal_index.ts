/**
 * The wal-index of a shared database, without shared memory: WASM cannot map a file into its heap, so each connection
 * works on a copy of the `-shm` file and keeps it in step at the moments at which SQLite orders its memory accesses.
 *
 * SQLite believes that it shares memory with others, but relies on their order only where it takes a lock, gives one up
 * or calls a barrier. Loads that see the state of the last such fence, and stores that become visible at the next, are
 * what a weakly ordered processor might have done as well. So each fence first writes what has changed here, in the
 * order in which others may see it, then reads what others have changed:
 *
 * - Every word has one owner at a time: the headers and the tables whoever holds WRITE, a read mark whoever holds that
 *   slot exclusively, the backfill counts the checkpointer. A word is written only if it was changed here, which is
 *   found by comparing with what was last seen in the file; so that must be the file's present state for all that the
 *   holder of WRITE may write: on taking WRITE everything is read again.
 * - Written: tables, then checkpoint information, then both headers. Read: headers, then checkpoint information, then
 *   tables. Who accepts a header has tables at least as new; who sees a commit's header sees every read mark that was
 *   set before it.
 * - A process that is killed leaves the old header, or two that differ, from which the next one recovers; a commit that
 *   was published is in the log's file already.
 *
 * - Files have no such order of their own. What SQLite does to the log because of what it has written to the wal-index
 *   would come first; so cutting the log off is a fence as well.
 *
 * Native SQLites map the same file into their memory and see these writes, as the kernel keeps one copy of its pages.
 *
 * Layout: https://sqlite.org/walformat.html#the_wal_index_file_format
 *
 * @module
 */

import type { Files, OpenFile, RangeLocks } from "../runtime/runtime.ts";
import type { Pointer, WalIndex } from "./database_files.ts";
import { newStamp } from "./stamp.ts";

/** SQLite's heap, as far as a copy in it is concerned. */
export interface HeapMemory {
  /** All of it. Asked for again after every call that may allocate. */
  readonly heap: Uint8Array<ArrayBuffer>;
  allocate(size: number): Pointer;
  free(pointer: Pointer): void;
}

const REGION_BYTES = 32 * 1024;
/** One header; two copies of it come first. */
const HEADER_BYTES = 48;
const HEADERS_BYTES = 2 * HEADER_BYTES;
/** Checkpoint information follows them: `nBackfill`, five read marks, eight bytes to lock, `nBackfillAttempted`. */
const CHECKPOINT_AT = HEADERS_BYTES;
const CHECKPOINT_BYTES = 40;
const TABLES_AT = CHECKPOINT_AT + CHECKPOINT_BYTES;
const BACKFILLED_AT = CHECKPOINT_AT;
/** Words of the checkpoint information that SQLite uses, by their offset in it. The others are bytes to lock. */
const CHECKPOINT_WORDS: readonly number[] = [0, 4, 8, 12, 16, 20, 32];
const PAGE_SIZE_AT = 14;
const LAST_FRAME_AT = 16;
const SALT_AT = 32;
const SALT_BYTES = 8;
const FRAME_HEADER_BYTES = 24;
/** Frames that the first region has room for, and each further one. */
const FIRST_REGION_FRAMES = 4062;
const REGION_FRAMES = 4096;

/** The bytes that are locked for slots 0, 1, …, and the one that says that the file is in use ("dead man's switch"). */
const LOCKS_AT = 120;
const LOCK_IN_USE = 128;
const WRITE_SLOT = 1 << 0;
/** What is left of the file by the first one to open it: too little to be taken for a wal-index. */
const UNUSED_BYTES = 3;

interface Region {
  readonly pointer: Pointer;
  /** What the file was last seen to hold. */
  readonly seen: Uint8Array<ArrayBuffer>;
}

/** A connection's copy of the wal-index in a `-shm` file. */
export class WalIndexCopy implements WalIndex {
  readonly #files: Files;
  readonly #path: string;
  readonly #file: OpenFile;
  readonly #locks: RangeLocks;
  readonly #memory: HeapMemory;
  readonly #regions: (Region | undefined)[] = [];
  /** What a read of the first bytes of the file found. */
  readonly #found = new Uint8Array(TABLES_AT);
  readonly #foundHeader = this.#found.subarray(0, HEADER_BYTES);
  readonly #foundCheckpoint = this.#found.subarray(CHECKPOINT_AT);
  readonly #checkpointAgain = new Uint8Array(CHECKPOINT_BYTES);
  /** The header that the copied tables belong to. */
  readonly #tablesOf = new Uint8Array(HEADER_BYTES);
  /** Slots held, as bit masks. */
  #shared = 0;
  #exclusive = 0;
  /** The header for which {@link stamp} was given. */
  readonly #stamped = new Uint8Array(HEADER_BYTES);
  #stamp = newStamp();
  /** Whether that was just now, and nothing was committed here since. */
  #isStampNew = false;
  /** Why something could not be published. Nobody may go on from a state that others cannot see. */
  #failure: unknown;

  /** Opens the file, made if missing; `undefined` when somebody is just setting it up. */
  static open(files: Files, path: string, locks: RangeLocks, memory: HeapMemory): WalIndexCopy | undefined {
    const file = files.open(path, "create");
    const { descriptor } = file;
    let joined = false;
    try {
      // Whoever comes first, or after all others were killed, cannot trust what is there.
      if (locks.tryLock(descriptor, LOCK_IN_USE, 1, "exclusive")) file.truncate(UNUSED_BYTES);
      joined = locks.tryLock(descriptor, LOCK_IN_USE, 1, "shared");
      return joined ? new WalIndexCopy(files, path, file, locks, memory) : undefined;
    } finally {
      if (!joined) leave(file, locks);
    }
  }

  private constructor(files: Files, path: string, file: OpenFile, locks: RangeLocks, memory: HeapMemory) {
    this.#files = files;
    this.#path = path;
    this.#file = file;
    this.#locks = locks;
    this.#memory = memory;
  }

  /** Whether all that was given up to others could be published. */
  get isPublished(): boolean {
    return this.#failure === undefined;
  }

  /** Bytes of the log that no checkpoint has moved yet, as of the last fence. */
  get logged(): number {
    const region = this.#regions[0];
    if (!region) return 0;
    const header = new DataView(this.#memory.heap.buffer, region.pointer, TABLES_AT);
    const frames = header.getUint32(LAST_FRAME_AT, true) - header.getUint32(BACKFILLED_AT, true);
    const stored = header.getUint16(PAGE_SIZE_AT, true);
    const pageBytes = stored === 1 ? 65536 : stored;
    return Math.max(0, frames) * (pageBytes + FRAME_HEADER_BYTES);
  }

  /** Whether its path still leads to it. Whoever comes when it was removed makes another, whose locks nobody here sees. */
  get isInPlace(): boolean {
    return this.#file.isInPlace();
  }

  /** Whether somebody has committed since the last fence. */
  get hasNews(): boolean {
    const region = this.#regions[0];
    if (!region) return false;
    this.#file.read(this.#foundHeader, 0);
    return !isEqual(this.#foundHeader, this.#memory.heap, region.pointer);
  }

  /** A number that is the same as before only if nobody has committed since, here or elsewhere. */
  get stamp(): number {
    // Of many requests that come at once each would read the file, which is a tenth of all that a hit in memory takes.
    // Whoever asks before the microtasks that are due now have run was here when the first one asked, and what was
    // committed before he came was read then.
    if (this.#isStampNew) return this.#stamp;
    this.#file.read(this.#foundHeader, 0);
    this.#isStampNew = true;
    queueMicrotask(() => this.#isStampNew = false);
    if (!isEqual(this.#foundHeader, this.#stamped, 0)) {
      this.#stamped.set(this.#foundHeader);
      this.#stamp = newStamp();
    }
    return this.#stamp;
  }

  map(index: number, extend: boolean): Pointer {
    const mapped = this.#regions[index];
    if (mapped) return mapped.pointer;
    const end = (index + 1) * REGION_BYTES;
    const size = this.#file.size();
    if (size < end) {
      if (!extend) return 0;
      // Only the holder of WRITE gets here. All of it is written, so that the disk cannot be full later on, when
      // nobody could be told; and a native SQLite has it mapped.
      this.#file.write(new Uint8Array(end - size), size);
    }
    const pointer = this.#memory.allocate(REGION_BYTES);
    const region = { pointer, seen: new Uint8Array(REGION_BYTES) };
    this.#memory.heap.fill(0, pointer, pointer + REGION_BYTES);
    this.#regions[index] = region;
    try {
      if (index === 0) this.#readAll();
      else this.#readTables(index, region);
    } catch (error) {
      // It would be taken for one that was read.
      this.#regions[index] = undefined;
      this.#memory.free(pointer);
      throw error;
    }
    return pointer;
  }

  lock(first: number, count: number, mode: "shared" | "exclusive"): boolean {
    const slots = ((1 << count) - 1) << first;
    // The kernel would turn our own shared lock into an exclusive one; SQLite expects to be refused.
    if (mode === "exclusive" && (this.#shared & slots) !== 0) return false;
    if (this.#failure !== undefined) throw this.#failure;
    this.#flush();
    if (!this.#locks.tryLock(this.#file.descriptor, LOCKS_AT + first, count, mode)) return false;
    try {
      if (mode === "exclusive" && (slots & WRITE_SLOT) !== 0) this.#readAll();
      else this.#refresh();
    } catch (error) {
      // SQLite will not give up what it was not given.
      this.#locks.unlock(this.#file.descriptor, LOCKS_AT + first, count);
      throw error;
    }
    if (mode === "shared") this.#shared |= slots;
    else this.#exclusive |= slots;
    return true;
  }

  unlock(first: number, count: number): void {
    const slots = ((1 << count) - 1) << first;
    this.#flush();
    this.#locks.unlock(this.#file.descriptor, LOCKS_AT + first, count);
    this.#shared &= ~slots;
    this.#exclusive &= ~slots;
  }

  barrier(): void {
    // Between its two headers SQLite orders nothing but these, and they are published together, at the next fence.
    if (this.#isBetweenHeaders()) return;
    try {
      this.#flush();
    } finally {
      // Whoever leaves last takes no more locks, and goes by what it finds after its barrier, whether or not it could
      // publish. What could not be is given up: that something was moved or read, which is safe to forget.
      this.#refresh();
    }
  }

  /**
   * A fence that only SQLite's memory has by itself: what was written before is seen before what is done to the log next.
   * Whoever cuts the log off has just said in the wal-index that it is empty; killed in between, it would leave others to
   * look for frames that are gone.
   *
   * @throws FileError
   */
  publish(): void {
    if (this.#failure !== undefined) throw this.#failure;
    this.#flush();
  }

  unmap(remove: boolean): void {
    try {
      this.#flush();
      if (remove && this.isInPlace) this.#files.remove(this.#path);
    } finally {
      for (const region of this.#regions) if (region) this.#memory.free(region.pointer);
      this.#regions.length = 0;
      leave(this.#file, this.#locks);
    }
  }

  /**
   * Whether the second header, which SQLite writes first, is all that differs from the first. Whoever leaves last may
   * write them without a lock, when it recovers.
   */
  #isBetweenHeaders(): boolean {
    const region = this.#regions[0];
    if (!region) return false;
    const { heap } = this.#memory;
    const { pointer, seen } = region;
    return isEqual(seen.subarray(0, HEADER_BYTES), heap, pointer) &&
      !isEqual(seen.subarray(HEADER_BYTES, HEADERS_BYTES), heap, pointer + HEADER_BYTES);
  }

  /** Publishes what was changed here. Without an exclusive lock nothing can have been. */
  #flush(): void {
    const first = this.#regions[0];
    if (!first || this.#exclusive === 0) return;
    const writing = (this.#exclusive & WRITE_SLOT) !== 0;
    this.#isStampNew = false;
    try {
      if (writing) this.#regions.forEach((region, index) => region && this.#writeTables(index, region));
      this.#writeCheckpoint(first);
      if (writing) this.#writeHeaders(first);
    } catch (error) {
      // SQLite does not ask whether a lock was given up. The lock is kept, so nobody goes on from the old state, until
      // this connection is closed, which tries again.
      this.#failure = error;
      throw error;
    }
  }

  /** Takes in what others have changed. While WRITE is held, that is checkpoint information only. */
  #refresh(): void {
    const first = this.#regions[0];
    if (!first) return;
    if ((this.#exclusive & WRITE_SLOT) !== 0) return this.#readStart(first, CHECKPOINT_AT);
    this.#orSpoil(first, () => {
      this.#readStart(first, 0);
      this.#followTables();
    });
  }

  /** Reads the file as it is now, with what a killed writer left in it: once WRITE is taken nobody else changes that. */
  #readAll(): void {
    const first = this.#regions[0];
    if (!first) return;
    this.#orSpoil(first, () => {
      this.#readStart(first, 0);
      this.#regions.forEach((region, index) => region && this.#readTables(index, region));
      this.#tablesOf.set(this.#foundHeader);
    });
  }

  /**
   * Reads, or makes sure that SQLite does not go on with what was read before: a barrier cannot be refused, and whoever
   * leaves last takes no more locks. Two headers that differ it never accepts: it reads again under WRITE, or, alone,
   * looks into the log itself.
   */
  #orSpoil({ pointer, seen }: Region, read: () => void): void {
    try {
      read();
    } catch (error) {
      seen.fill(0, 0, HEADER_BYTES);
      seen.fill(0xff, HEADER_BYTES, HEADERS_BYTES);
      this.#memory.heap.set(seen.subarray(0, HEADERS_BYTES), pointer);
      throw error;
    }
  }

  /** Reads the tables again that a new header is about. */
  #followTables(): void {
    const header = this.#foundHeader;
    // One that is only half there counts: at the next fence SQLite may find its other half in the second copy, and takes
    // the two for one.
    if (isEqual(header, this.#tablesOf, 0)) return;
    const salt = header.subarray(SALT_AT, SALT_AT + SALT_BYTES);
    // In one generation of the log only the tables from its end on change.
    const from = isEqual(salt, this.#tablesOf, SALT_AT) ? regionOf(lastFrame(this.#tablesOf)) : 0;
    const to = Math.min(regionOf(lastFrame(header)), this.#regions.length - 1);
    for (let index = from; index <= to; index++) {
      const region = this.#regions[index];
      if (region) this.#readTables(index, region);
    }
    this.#tablesOf.set(header);
  }

  /** Reads what lies before the tables, from `at` on: the headers before the checkpoint information. */
  #readStart({ pointer, seen }: Region, at: number): void {
    const found = at === 0 ? this.#found : this.#foundCheckpoint;
    this.#file.read(found, at);
    // A word that is just being written may be read half. Words change seldom, so this ends soon.
    while (
      this.#file.read(this.#checkpointAgain, CHECKPOINT_AT) > 0 &&
      !isEqual(this.#checkpointAgain, this.#foundCheckpoint, 0)
    ) this.#foundCheckpoint.set(this.#checkpointAgain);
    seen.set(found, at);
    this.#memory.heap.set(found, pointer + at);
  }

  #readTables(index: number, { pointer, seen }: Region): void {
    const at = tablesAt(index);
    const tables = seen.subarray(at);
    this.#file.read(tables, index * REGION_BYTES + at);
    this.#memory.heap.set(tables, pointer + at);
  }

  #writeTables(index: number, { pointer, seen }: Region): void {
    const at = tablesAt(index);
    const now = new Uint32Array(this.#memory.heap.buffer, pointer + at, (REGION_BYTES - at) / 4);
    const before = new Uint32Array(seen.buffer, at, now.length);
    for (const [from, to] of changedWords(now, before)) this.#write(index, at + from * 4, at + to * 4);
  }

  #writeCheckpoint({ pointer, seen }: Region): void {
    const { heap } = this.#memory;
    for (const offset of CHECKPOINT_WORDS) {
      const at = CHECKPOINT_AT + offset;
      if (!isEqual(seen.subarray(at, at + 4), heap, pointer + at)) this.#write(0, at, at + 4);
    }
  }

  #writeHeaders({ pointer, seen }: Region): void {
    if (isEqual(seen.subarray(0, HEADERS_BYTES), this.#memory.heap, pointer)) return;
    this.#write(0, 0, HEADERS_BYTES);
    this.#tablesOf.set(seen.subarray(0, HEADER_BYTES));
  }

  /** Writes bytes `from` to `to` of a region. */
  #write(index: number, from: number, to: number): void {
    const { pointer, seen } = this.#regions[index]!;
    const bytes = this.#memory.heap.subarray(pointer + from, pointer + to);
    this.#file.write(bytes, index * REGION_BYTES + from);
    seen.set(bytes, from);
  }
}

/** Closes the file; a process that is just being started has a copy of the descriptor, and must not stay in its place. */
function leave(file: OpenFile, locks: RangeLocks): void {
  try {
    locks.unlock(file.descriptor, LOCK_IN_USE, 1);
  } finally {
    file.close();
  }
}

function tablesAt(region: number): number {
  return region === 0 ? TABLES_AT : 0;
}

function lastFrame(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset).getUint32(LAST_FRAME_AT, true);
}

function regionOf(frame: number): number {
  return frame <= FIRST_REGION_FRAMES ? 0 : 1 + Math.floor((frame - FIRST_REGION_FRAMES - 1) / REGION_FRAMES);
}

/**
 * Where two tables differ, in pairs of words, aligned: eight bytes are copied at once by every kernel, fewer byte by byte
 * by some, and a reader could find the number of a frame half written and take it for an older frame's.
 *
 * It compares and does nothing else. As one loop with the writes it was so hot that V8 still optimized it, and the file
 * operation called from it, in the background when a short program ended; Deno 2.9.6 frees its operations first, and two
 * in a hundred such programs died with SIGSEGV once all was done.
 */
function changedWords(now: Uint32Array, before: Uint32Array): [from: number, to: number][] {
  const isSame = (word: number): boolean => now[word] === before[word] && now[word + 1] === before[word + 1];
  const changed: [number, number][] = [];
  for (let word = 0; word < now.length; word += 2) {
    if (isSame(word)) continue;
    const start = word;
    while (word < now.length && !isSame(word)) word += 2;
    changed.push([start, word]);
  }
  return changed;
}

/** Whether `bytes` are what lies at `at` of `others`. */
function isEqual(bytes: Uint8Array, others: Uint8Array, at: number): boolean {
  for (let index = 0; index < bytes.length; index++) if (bytes[index] !== others[at + index]) return false;
  return true;
}
