/**
 * A directory of a private file system whose power can fail: of each sector written since its file was flushed there are
 * the old bytes then, or the new ones, whichever way the other sectors went, and the same for the file's size; and a file
 * that was never flushed may be gone. A Worker that is only killed leaves all as it is.
 */

import type { SyncAccessHandle } from "../../../src/runtime/opfs_slot.ts";
import type { OpfsDirectory } from "../../../src/runtime/opfs_files.ts";

const SECTOR = 512;

class SimulatedFile {
  bytes = new Uint8Array();
  durable: Uint8Array<ArrayBuffer> | undefined;
  isOpen = false;

  flush(): void {
    this.durable = this.bytes.slice();
  }

  /** `false` when nothing of it is left. */
  loseCache(below: (count: number) => number): boolean {
    const { durable, bytes } = this;
    if (!durable && below(2) === 0) return false;
    const old = durable ?? new Uint8Array();
    const size = below(2) === 0 ? old.length : bytes.length;
    const left = new Uint8Array(size);
    for (let at = 0; at < size; at += SECTOR) {
      const from = below(2) === 0 ? old : bytes;
      left.set(from.subarray(at, Math.min(at + SECTOR, size)), at);
    }
    this.bytes = left;
    this.flush();
    return true;
  }
}

/** A directory. Give its handles to one at a time, and end him with {@link SimulatedDirectory.kill}. */
export class SimulatedDirectory implements OpfsDirectory {
  readonly name = "simulated";
  /** Whether nothing is written any more, and nothing is said of it, as in Firefox on a full disk. */
  isFull = false;
  readonly #files = new Map<string, SimulatedFile>();
  #generation = 0;

  async *keys(): AsyncIterable<string> {
    yield* [...this.#files.keys()];
  }

  getFileHandle(name: string): Promise<object> {
    const file = this.#files.get(name) ?? new SimulatedFile();
    this.#files.set(name, file);
    return Promise.resolve({ createSyncAccessHandle: () => Promise.resolve().then(() => this.#open(file)) });
  }

  removeEntry(name: string): Promise<void> {
    this.#files.delete(name);
    return Promise.resolve();
  }

  /** Ends whoever has files open. */
  kill(): void {
    this.#generation++;
    for (const file of this.#files.values()) file.isOpen = false;
  }

  /** Ends him, and takes away what was not flushed. */
  failPower(below: (count: number) => number): void {
    this.kill();
    for (const [name, file] of this.#files) if (!file.loseCache(below)) this.#files.delete(name);
  }

  #open(file: SimulatedFile): SyncAccessHandle {
    if (file.isOpen) throw new DOMException("it is open", "NoModificationAllowedError");
    file.isOpen = true;
    const generation = this.#generation;
    let isOpen = true;
    const use = (): SimulatedFile => {
      if (generation !== this.#generation || !isOpen) throw new DOMException("it was closed", "InvalidStateError");
      return file;
    };
    const resize = (size: number): void => {
      const bytes = new Uint8Array(size);
      bytes.set(file.bytes.subarray(0, size));
      file.bytes = bytes;
    };
    return {
      read(target, { at }) {
        const found = use().bytes.subarray(at, at + target.length);
        target.set(found);
        return found.length;
      },
      write: (source, { at }) => {
        if (this.isFull) return 0;
        if (use().bytes.length < at + source.length) resize(at + source.length);
        file.bytes.set(source, at);
        return source.length;
      },
      truncate(size) {
        use();
        resize(size);
      },
      flush: () => use().flush(),
      getSize: () => use().bytes.length,
      close: () => {
        if (generation === this.#generation && isOpen) file.isOpen = false;
        isOpen = false;
      },
    };
  }
}
