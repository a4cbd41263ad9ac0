/**
 * Files in memory, gone with whoever made them: where there is no disk, and in tests.
 *
 * @module
 */

import type { FileBody } from "./named_files.ts";
import { NamedFiles } from "./named_files.ts";
import type { Files } from "./runtime.ts";
import { FileError } from "./runtime.ts";

/** How much to keep. */
export interface MemoryFilesOptions {
  /** Bytes that all files may take; writing more is refused with `ENOSPC`. Default: no limit. */
  readonly maxBytes?: number;
}

/** Files grow by this much, so that growing one copies nothing. */
const BLOCK = 16 * 1024;

/** Makes an empty file system. */
export function memoryFiles({ maxBytes = Infinity }: MemoryFilesOptions = {}): Files {
  let free = maxBytes;
  const take = (bytes: number): void => {
    if (bytes > free) throw new FileError(`all files together may take ${maxBytes} bytes`, "ENOSPC");
    free -= bytes;
  };
  const create = (): FileBody => new MemoryBody(take);
  return new NamedFiles({ create, createUnnamed: () => Promise.resolve(create()), syncNames() {} });
}

class MemoryBody implements FileBody {
  /** Asks for bytes, or gives some back. */
  readonly #take: (bytes: number) => void;
  #blocks: Uint8Array<ArrayBuffer>[] = [];
  #size = 0;

  constructor(take: (bytes: number) => void) {
    this.#take = take;
  }

  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.#size - position));
    this.#each(position, length, (part, done) => target.set(part, done));
    return length;
  }

  write(source: Uint8Array, position: number): void {
    this.#grow(position + source.length);
    this.#each(position, source.length, (part, done) => part.set(source.subarray(done, done + part.length)));
  }

  truncate(size: number): void {
    if (size > this.#size) return this.#grow(size);
    const kept = Math.ceil(size / BLOCK);
    this.#take((kept - this.#blocks.length) * BLOCK);
    this.#blocks.length = kept;
    this.#blocks[kept - 1]?.fill(0, size - (kept - 1) * BLOCK);
    this.#size = size;
  }

  size(): number {
    return this.#size;
  }

  sync(): void {}

  name(): void {}

  free(): void {
    this.truncate(0);
  }

  #grow(size: number): void {
    const lacking = Math.ceil(size / BLOCK) - this.#blocks.length;
    if (lacking > 0) {
      this.#take(lacking * BLOCK);
      for (let made = 0; made < lacking; made++) this.#blocks.push(new Uint8Array(BLOCK));
    }
    this.#size = Math.max(this.#size, size);
  }

  /** Calls `run` with the parts of `length` bytes from `position`, one in each block, and how many bytes came before. */
  #each(position: number, length: number, run: (part: Uint8Array, done: number) => void): void {
    for (let done = 0; done < length;) {
      const at = position + done;
      const start = at % BLOCK;
      const count = Math.min(BLOCK - start, length - done);
      run(this.#blocks[(at - start) / BLOCK]!.subarray(start, start + count), done);
      done += count;
    }
  }
}
