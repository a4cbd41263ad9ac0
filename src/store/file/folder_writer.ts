/**
 * What waits to be changed in one model's folder. Changes of one turn of the event loop share a lock, those of one bin
 * are made together and written once, and several bins are on their way to the disk at the same time. The lock is let go
 * every few milliseconds, so that other processes get their turn.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { Contents } from "./bin.ts";
import { isDamaged } from "./bin.ts";
import type { BinReader } from "./bin_reader.ts";
import { FORMAT, refuseNewer, writeBin } from "./bin_text.ts";
import { toCacheError } from "./failure.ts";
import { binPath, brokenPath, brokenPaths, shardPath } from "./folder.ts";
import type { FolderLock } from "./folder_lock.ts";
import { lockFolder } from "./folder_lock.ts";
import { nextTurn } from "./turns.ts";

/** What all folders of a store have in common. */
export interface WriterSettings {
  readonly runtime: Runtime;
  readonly checksum: Checksum;
  readonly reader: BinReader;
  readonly synchronous: "normal" | "full";
  /** How long to try for the lock. */
  readonly lockTimeout: Milliseconds;
}

/** What is to become of a bin. */
export interface Change {
  /** What is to be there; the very same where nothing changes. It may be asked twice. */
  run(there: Contents): Contents;
  /** What cannot be read is not kept either, nor what was put aside before. */
  readonly forgets: boolean;
}

interface Waiting {
  readonly change: Change;
  readonly resolve: () => void;
  readonly reject: (reason: CacheError) => void;
}

/** So many bins are written at the same time. */
const AT_ONCE = 8;
/** No bin is begun in one turn of the event loop when those before it have taken so long. */
const LONG: Milliseconds = 4;
/** How long the lock is kept while more waits, and for how long it is then left to others. */
const HOLD: Milliseconds = 8;
const PAUSE: Milliseconds = 2;

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The changes to one folder. It ends when nothing is left to do; the next change needs a new one. */
export class FolderWriter {
  /** Resolves once nothing is left to do. */
  readonly idle: Promise<void>;
  readonly #settings: WriterSettings;
  readonly #folder: string;
  /** By the key of the bin, in the order in which they came. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** Parts of the folder from which a bin was removed. */
  readonly #emptied = new Set<string>();
  #named: Promise<void> | undefined;

  /** `onIdle` is called when nothing is left to do. */
  constructor(settings: WriterSettings, folder: string, onIdle: () => void) {
    this.#settings = settings;
    this.#folder = folder;
    this.idle = this.#work(onIdle);
  }

  /**
   * Resolves when the change of a bin, by its key in hexadecimal, is on the disk.
   *
   * @throws CacheError
   */
  change(key: string, change: Change): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(key) ?? [];
      waiting.push({ change, resolve, reject });
      this.#waiting.set(key, waiting);
    });
  }

  get #isFull(): boolean {
    return this.#settings.synchronous === "full";
  }

  async #work(onIdle: () => void): Promise<void> {
    const { clock } = this.#settings.runtime;
    do {
      await nextTurn(clock);
      const lock = await this.#lock();
      if (lock && await this.#changeWhileHeld(lock) >= HOLD && this.#waiting.size > 0) await clock.sleep(PAUSE);
    } while (this.#waiting.size > 0);
    onIdle();
  }

  /** The lock; without it, nothing that waits now is done. */
  async #lock(): Promise<FolderLock | undefined> {
    const { runtime, lockTimeout } = this.#settings;
    const waiting = new Map([...this.#waiting].map(([key, changes]) => [key, changes.slice()]));
    try {
      return await lockFolder(runtime, this.#folder, lockTimeout);
    } catch (error) {
      const reason = toCacheError(error);
      for (const [key, changes] of waiting) {
        const later = this.#waiting.get(key)!.slice(changes.length);
        if (later.length > 0) this.#waiting.set(key, later);
        else this.#waiting.delete(key);
        for (const { reject } of changes) reject(reason);
      }
      return undefined;
    }
  }

  /** Returns how long the lock was held. */
  async #changeWhileHeld(lock: FolderLock): Promise<Milliseconds> {
    const { clock } = this.#settings.runtime;
    const began = clock.monotonic();
    try {
      await this.#changeSome();
      while (this.#waiting.size > 0 && clock.monotonic() - began < HOLD) {
        // Where nothing was written, nobody else has had a turn yet.
        await nextTurn(clock);
        await this.#changeSome();
      }
    } finally {
      lock.release();
    }
    return clock.monotonic() - began;
  }

  async #changeSome(): Promise<void> {
    const { clock } = this.#settings.runtime;
    const began = clock.monotonic();
    const running: Promise<void>[] = [];
    for (const [key, changes] of this.#waiting) {
      this.#waiting.delete(key);
      running.push(this.#changeBin(key, changes));
      if (running.length >= AT_ONCE || clock.monotonic() - began >= LONG) break;
    }
    await Promise.all(running);
    this.#removeEmptied();
  }

  async #changeBin(key: string, waiting: readonly Waiting[]): Promise<void> {
    try {
      const path = binPath(this.#folder, key);
      const there = this.#settings.reader.read(path);
      const next = waiting.reduce((contents, { change }) => change.run(contents), there);
      const forgets = waiting.some(({ change }) => change.forgets);
      if (next !== there) await this.#replace(key, there, next, forgets);
      if (forgets) this.#forget(path);
    } catch (error) {
      if (waiting.length === 1) return waiting[0]!.reject(toCacheError(error));
      // One that is too large must not take the others with it.
      for (const each of waiting) await this.#changeBin(key, [each]);
      return;
    }
    try {
      if (this.#isFull) await this.#syncNames(key);
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      // Not to be tried again: what was added is there.
      for (const { reject } of waiting) reject(toCacheError(error));
    }
  }

  async #replace(key: string, there: Contents, next: Contents, forgets: boolean): Promise<void> {
    const { runtime: { files }, checksum } = this.#settings;
    const path = binPath(this.#folder, key);
    if (!forgets && isDamaged(there)) await this.#putAside(path);
    if (!next.bin) {
      files.remove(path);
      this.#emptied.add(shardPath(this.#folder, key));
      return;
    }
    await (this.#named ??= this.#name(next.bin.model));
    const shard = shardPath(this.#folder, key);
    if (!files.exists(shard)) files.makeDirectory(shard);
    // Only a bin whose question is known is ever changed.
    const bytes = writeBin(next.bin, next.bin.question()!, checksum);
    await files.replace(path, bytes, { synchronous: this.#isFull });
  }

  /** A copy, so that at no moment there is less than there was. */
  async #putAside(path: string): Promise<void> {
    const { runtime: { files }, reader } = this.#settings;
    const bytes = reader.bytesAt(path);
    if (bytes) {
      await files.replace(brokenPath(path, brokenPaths(files, path).length + 1), bytes, { synchronous: this.#isFull });
    }
  }

  #forget(path: string): void {
    const { files } = this.#settings.runtime;
    for (const broken of brokenPaths(files, path)) files.remove(broken);
  }

  /** Waits until the disk has the names by which a bin is found, or its name no longer. */
  async #syncNames(key: string): Promise<void> {
    const { files } = this.#settings.runtime;
    for (const each of [shardPath(this.#folder, key), this.#folder, `${this.#folder}/..`]) {
      if (files.exists(each)) await files.sync(each);
    }
  }

  /** A folder that cannot be removed does no harm. */
  #removeEmptied(): void {
    try {
      for (const shard of this.#emptied) this.#settings.runtime.files.removeEmptyDirectory(shard);
    } catch {
      // As said above.
    }
    this.#emptied.clear();
  }

  /** Writes down whose folder it is. */
  async #name(model: string): Promise<void> {
    try {
      const { runtime: { files }, reader } = this.#settings;
      const path = `${this.#folder}/model.json`;
      const named = parseName(reader.bytesAt(path));
      refuseNewer(named?.format, path);
      if (named?.model === model) return;
      if (typeof named?.model === "string") {
        const reason = `it is the folder of ${JSON.stringify(named.model)}`;
        throw new CacheError(
          "foreign_file",
          `Cannot store answers of ${JSON.stringify(model)} in ${this.#folder}: ${reason}; use another directory`,
        );
      }
      await files.replace(path, encoder.encode(`${JSON.stringify({ format: FORMAT, model }, null, 2)}\n`), {
        synchronous: this.#isFull,
      });
    } catch (error) {
      // The next bin tries again.
      this.#named = undefined;
      throw error;
    }
  }
}

/** What a folder's file says; nothing where it cannot be read, which the next write mends. */
function parseName(bytes: Uint8Array | undefined): { readonly format?: unknown; readonly model?: unknown } | undefined {
  if (!bytes) return undefined;
  try {
    return JSON.parse(decoder.decode(bytes)) ?? undefined;
  } catch {
    return undefined;
  }
}
