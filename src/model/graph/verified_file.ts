/**
 * A large file, read in parts as they are needed, with every part the bytes that were promised. Weights then need not
 * be in memory as a whole beside the copy that onnxruntime makes of them, and may not change under way either.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { OpenFile, Runtime } from "../../runtime/runtime.ts";
import type { ContentFile } from "../backend.ts";
import { ModelError } from "../error.ts";

/** Read, checked and remembered at once. */
const BLOCK_BYTES = 1 << 20;

/** An open file whose content is known. */
export class VerifiedFile {
  readonly path: string;
  /** How many bytes it has. */
  readonly size: number;
  readonly #runtime: Runtime;
  readonly #file: OpenFile;
  /** Digests of its blocks, taken when the digest of the whole was; none of a file that cannot change. */
  readonly #digests: readonly string[] | undefined;
  readonly #block = new Uint8Array(BLOCK_BYTES);
  /** Which block is in `#block`. */
  #inMemory = -1;
  #failure: ModelError | undefined;

  private constructor(
    runtime: Runtime,
    path: string,
    file: OpenFile,
    size: number,
    digests: readonly string[] | undefined,
  ) {
    this.#runtime = runtime;
    this.path = path;
    this.#file = file;
    this.size = size;
    this.#digests = digests;
  }

  /**
   * Opens a file and reads it once, to compare it with what was promised.
   *
   * @throws ModelError `identity_changed` when it holds something else by now; FileError when it cannot be read.
   */
  static async open(runtime: Runtime, { path, sha256: promised }: ContentFile): Promise<VerifiedFile> {
    await runtime.files.prepare?.([path]);
    const file = runtime.files.open(path, "read");
    try {
      const whole = runtime.sha256InParts();
      const digests: string[] | undefined = file.neverChanges ? undefined : [];
      const block = new Uint8Array(BLOCK_BYTES);
      let size = 0;
      for (let count; (count = file.read(block, size)) > 0; size += count) {
        const bytes = block.subarray(0, count);
        whole.update(bytes);
        digests?.push(hexOf(runtime.sha256(bytes)));
        // A Worker that reads for minutes still answers who asks whether it is alive.
        await new Promise<void>((resolve) => runtime.clock.afterTurn(resolve));
      }
      const sha256 = hexOf(whole.digest());
      if (sha256 !== promised) {
        throw new ModelError("identity_changed", `${path} changed since it was hashed: SHA-256 is ${sha256} now`);
      }
      return new VerifiedFile(runtime, path, file, size, digests);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Why reading failed, when it did. Some of those who read keep it to themselves. */
  get failure(): ModelError | undefined {
    return this.#failure;
  }

  /**
   * The bytes from `start` to `end`, as a copy; written to `target` when one of that length is given.
   *
   * @throws ModelError `identity_changed` when the file was written to meanwhile.
   */
  read(start: number, end: number, target: Uint8Array = new Uint8Array(end - start)): Uint8Array {
    for (let position = start; position < end;) {
      const index = Math.floor(position / BLOCK_BYTES);
      const origin = index * BLOCK_BYTES;
      const block = this.#blockAt(index).subarray(position - origin, end - origin);
      target.set(block, position - start);
      position += block.length;
    }
    return target;
  }

  /** Closes it; closing twice is no error. */
  close(): void {
    this.#file.close();
  }

  #blockAt(index: number): Uint8Array {
    const start = index * BLOCK_BYTES;
    const block = this.#block.subarray(0, Math.min(BLOCK_BYTES, this.size - start));
    if (index === this.#inMemory) return block;
    this.#inMemory = -1;
    const count = this.#file.read(block, start);
    if (count < block.length || !this.#isAsItWas(block, index)) {
      this.#failure ??= new ModelError("identity_changed", `${this.path} changed while it was read: at byte ${start}`);
      throw this.#failure;
    }
    this.#inMemory = index;
    return block;
  }

  #isAsItWas(block: Uint8Array, index: number): boolean {
    return this.#digests === undefined || hexOf(this.#runtime.sha256(block)) === this.#digests[index];
  }
}
