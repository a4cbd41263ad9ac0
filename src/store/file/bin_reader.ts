/**
 * Reads bins, and parses only those that have changed since they were read last. Whether one has is told by the bytes
 * themselves: a file's times are too coarse to be believed, and for answers of usual size, reading the bytes is quicker
 * than asking the runtimes for the times (17 µs and 37 µs for 4 KB on Deno 2.9).
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import type { Checksum } from "../../codec/checksum.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { fileNameOf } from "../names.ts";
import type { Contents } from "./bin.ts";
import { NOTHING, RUIN } from "./bin.ts";
import { readBin } from "./bin_text.ts";
import { isMissing } from "./failure.ts";
import { binPath } from "./folder.ts";

/** Bytes of files whose bins are remembered, which take two to three times as much in memory. */
const MOST_REMEMBERED = 32 * 1024 * 1024;

interface Remembered {
  /** Of the bytes it was parsed from. */
  readonly digest: bigint;
  readonly length: number;
  readonly contents: Contents;
}

/** Reads bins of any model. Synchronously: a small file in the system's cache is read sooner than a thread is woken. */
export class BinReader {
  readonly #runtime: Runtime;
  readonly #checksum: Checksum;
  readonly #remembered = new LRUCache<string, Remembered>({
    maxSize: MOST_REMEMBERED,
    sizeCalculation: ({ length }) => length + 1,
  });

  constructor(runtime: Runtime, checksum: Checksum) {
    this.#runtime = runtime;
    this.#checksum = checksum;
  }

  /**
   * What is at a path now.
   *
   * @throws FileError, CacheError `newer_schema`
   */
  read(path: string): Contents {
    const bytes = this.bytesAt(path);
    if (!bytes) return NOTHING;
    const digest = this.#checksum(bytes);
    const known = this.#remembered.get(path);
    if (known?.digest === digest && known.length === bytes.length) return known.contents;
    const contents = this.#parse(bytes, path);
    this.#remembered.set(path, { digest, length: bytes.length, contents });
    return contents;
  }

  /** Has what was written at a path, and is read from these bytes, not be parsed. */
  remember(path: string, bytes: Uint8Array, contents: Contents): void {
    this.#remembered.set(path, { digest: this.#checksum(bytes), length: bytes.length, contents });
  }

  /**
   * What is at a path now, for who looks at all there is once, and its bytes.
   *
   * @throws as {@link read} does.
   */
  glance(path: string): { readonly contents: Contents; readonly bytes: number } {
    const bytes = this.bytesAt(path);
    if (!bytes) return { contents: NOTHING, bytes: 0 };
    return { contents: this.#parse(bytes, path), bytes: bytes.length };
  }

  /**
   * The bytes at a path; `undefined` when nothing is there.
   *
   * @throws FileError
   */
  bytesAt(path: string): Uint8Array | undefined {
    try {
      const file = this.#runtime.files.open(path, "read");
      try {
        const bytes = new Uint8Array(file.size());
        return bytes.subarray(0, file.read(bytes, 0));
      } finally {
        file.close();
      }
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  /** Lets go of everything. */
  clear(): void {
    this.#remembered.clear();
  }

  #parse(bytes: Uint8Array, path: string): Contents {
    const contents = readBin(bytes, path, this.#checksum);
    const { bin } = contents;
    if (!bin) return contents;
    // A copy that lies where another bin belongs is none of that bin's.
    const place = binPath(fileNameOf(bin.model, this.#runtime.sha256), bin.key);
    return path.endsWith(`/${place}`) ? contents : RUIN;
  }
}
