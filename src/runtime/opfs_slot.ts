/**
 * One file of the browser's private file system, open for good, as room for one file of ours after another: opening takes
 * time there, and SQLite gives none. Before the bytes it keeps whose room it is now, twice: the two are written in turn,
 * so that one half written, by a Worker that was killed or a power failure, leaves what was said before.
 *
 * @module
 */

import { sha256 } from "@noble/hashes/sha2.js";
import type { FileBody } from "./named_files.ts";
import { FileError } from "./runtime.ts";

/** As much as is used of a file of the private file system that is open: the DOM library has it for Workers only. */
export interface SyncAccessHandle {
  read(target: Uint8Array, options: { at: number }): number;
  write(source: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  getSize(): number;
  close(): void;
}

/** What a slot says whose room it is. */
interface Label {
  /** The later a label was written, in whichever slot, the higher. */
  readonly generation: number;
  /** `undefined`: nobody's. */
  readonly path: string | undefined;
}

/** Labels, and pages of a database, are written whole where they begin at multiples of this. */
const BLOCK = 4096;
const LABELS = 2;
const BODY_AT = LABELS * BLOCK;
/** `warmslot` and the version of this layout. */
const MAGIC = 0x7761726d736c6f74n;
const VERSION = 1;
const VERSION_AT = 8;
const PATH_LENGTH_AT = 12;
const GENERATION_AT = 16;
const PATH_AT = 24;
const CHECKSUM_AT = BLOCK - 32;

/** Room for one file. */
export class OpfsSlot implements FileBody {
  /** What it is called in its directory. */
  readonly fileName: string;
  readonly #access: SyncAccessHandle;
  readonly #pool: SlotPool;
  #label: Label;
  /** Which of the two places the label lies in. */
  #labelIndex: number;
  /** Whether the label may not be on the disk yet, as that of a Worker which was killed. */
  #isLabelNew = true;

  /**
   * @throws FileError `ENOTSUP` for what a later version of this program wrote.
   */
  constructor(fileName: string, access: SyncAccessHandle, pool: SlotPool) {
    this.fileName = fileName;
    this.#access = access;
    this.#pool = pool;
    const labels = [readLabel(access, 0), readLabel(access, 1)] as const;
    this.#labelIndex = (labels[1]?.generation ?? -1) > (labels[0]?.generation ?? -1) ? 1 : 0;
    this.#label = labels[this.#labelIndex] ?? { generation: 0, path: undefined };
  }

  /** Whether it has room for its labels. Of a new one nothing is there. */
  get isWhole(): boolean {
    return this.#access.getSize() >= BODY_AT;
  }

  /**
   * Takes the room for its labels, so that the disk cannot be full when one has to be written.
   *
   * @throws what the browser throws, such as `QuotaExceededError`.
   */
  complete(): void {
    this.truncate(0);
  }

  /** Whose room it is; `undefined`: nobody's. */
  get path(): string | undefined {
    return this.#label.path;
  }

  /** When its label was written: of two slots that say the same path, the higher one is right. */
  get generation(): number {
    return this.#label.generation;
  }

  read(target: Uint8Array, position: number): number {
    return this.#access.read(target, { at: BODY_AT + position });
  }

  write(source: Uint8Array, position: number): void {
    const written = this.#access.write(source, { at: BODY_AT + position });
    if (written < source.byteLength) {
      throw new FileError(`only ${written} of ${source.byteLength} bytes were taken`, "ENOSPC");
    }
  }

  truncate(size: number): void {
    this.#access.truncate(BODY_AT + size);
  }

  size(): number {
    return this.#access.getSize() - BODY_AT;
  }

  sync(): void {
    this.#access.flush();
    this.#isLabelNew = false;
  }

  /** Waits until its label is on the disk. */
  syncLabel(): void {
    if (this.#isLabelNew) this.sync();
  }

  name(path: string | undefined): void {
    const label = { generation: this.#pool.beginLabel(this), path };
    const index = (this.#labelIndex + 1) % LABELS;
    const written = this.#access.write(blockOf(label), { at: index * BLOCK });
    if (written < BLOCK) throw new FileError("there is no room to write its name", "ENOSPC");
    this.#label = label;
    this.#labelIndex = index;
    this.#isLabelNew = true;
  }

  free(): void {
    if (this.#label.path !== undefined) this.name(undefined);
    if (this.size() > 0) {
      // What comes back with its name, since the power fails now, has to come back whole.
      this.syncLabel();
      this.truncate(0);
    }
    this.#pool.takeBack(this);
  }

  close(): void {
    this.#access.close();
  }
}

/** Where slots come from. */
export interface SlotPool {
  /** The number of a slot's next label, once all labels before it are on the disk. */
  beginLabel(slot: OpfsSlot): number;
  /** It is nobody's again. */
  takeBack(slot: OpfsSlot): void;
}

function blockOf({ generation, path = "" }: Label): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const view = new DataView(block.buffer);
  const name = new TextEncoder().encode(path);
  if (name.length > CHECKSUM_AT - PATH_AT) throw new FileError("the path is too long", "ENAMETOOLONG");
  view.setBigUint64(0, MAGIC);
  view.setUint32(VERSION_AT, VERSION);
  view.setUint32(PATH_LENGTH_AT, name.length);
  view.setBigUint64(GENERATION_AT, BigInt(generation));
  block.set(name, PATH_AT);
  block.set(checksumOf(block), CHECKSUM_AT);
  return block;
}

/**
 * A label, or `undefined` where there is none that is whole.
 *
 * @throws FileError `ENOTSUP` for one that a later version of this program wrote.
 */
function readLabel(access: SyncAccessHandle, index: number): Label | undefined {
  const block = new Uint8Array(BLOCK);
  access.read(block, { at: index * BLOCK });
  const view = new DataView(block.buffer);
  if (view.getBigUint64(0) !== MAGIC) return undefined;
  if (!checksumOf(block).every((byte, at) => byte === block[CHECKSUM_AT + at])) return undefined;
  const version = view.getUint32(VERSION_AT);
  if (version !== VERSION) {
    throw new FileError(`its layout is version ${version}, this program knows ${VERSION}`, "ENOTSUP");
  }
  const length = view.getUint32(PATH_LENGTH_AT);
  const path = new TextDecoder().decode(block.subarray(PATH_AT, PATH_AT + length));
  return { generation: Number(view.getBigUint64(GENERATION_AT)), path: length > 0 ? path : undefined };
}

function checksumOf(block: Uint8Array): Uint8Array {
  return sha256(block.subarray(0, CHECKSUM_AT));
}
