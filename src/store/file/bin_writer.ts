/**
 * Puts bins on the disk, and takes them away, while a folder is locked: whole or not at all, with what was there and
 * could not be read put aside first.
 *
 * @module
 */

import type { Checksum } from "../../codec/checksum.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import type { Contents } from "./bin.ts";
import { answersOf, foreignTo, isDamaged } from "./bin.ts";
import type { BinReader } from "./bin_reader.ts";
import { FORMAT, refuseNewer, writeAnswer, writeBin } from "./bin_text.ts";
import { isMissing } from "./failure.ts";
import { binPath, brokenPath, brokenPaths, namePath, shardPath } from "./folder.ts";
import type { FolderLock } from "./folder_lock.ts";
import { lostLock } from "./folder_lock.ts";
import type { Turns } from "./turns.ts";

/** What bins are written with. */
export interface BinSettings {
  readonly runtime: Runtime;
  readonly checksum: Checksum;
  readonly reader: BinReader;
  readonly synchronous: "normal" | "full";
}

/** What is shared by all that is written while the lock is held. */
export interface Session {
  readonly lock: FolderLock;
  readonly turns: Turns;
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Writes the bins of one model's folder. Methods throw FileError and CacheError. */
export class BinWriter {
  readonly #settings: BinSettings;
  readonly #folder: string;
  /** Parts of the folder from which a bin was removed. */
  readonly #emptied = new Set<string>();
  /** Models whose folder this was found, or made, to be. */
  readonly #named = new Map<string, Promise<void>>();

  constructor(settings: BinSettings, folder: string) {
    this.#settings = settings;
    this.#folder = folder;
  }

  get #isFull(): boolean {
    return this.#settings.synchronous === "full";
  }

  /** Replaces what is at a key's place by what `run` makes of it; with `forgets`, nothing of it is put aside. */
  async write(
    key: string,
    run: (there: Contents) => Contents,
    forgets: boolean,
    { lock, turns }: Session,
  ): Promise<void> {
    const { runtime: { files }, checksum, reader } = this.#settings;
    const path = binPath(this.#folder, key);
    const there = reader.read(path);
    await turns.each(there.bin?.samples ?? [], (sample) => void sample());
    const next = run(there);
    if (next === there) return;
    const { bin } = next;
    if (!bin) {
      await this.#prepare(path, there, forgets, lock);
      files.remove(path);
      this.#emptied.add(shardPath(this.#folder, key));
      return;
    }
    await this.#nameOnce(bin.model);
    await turns.each(answersOf(bin), (answer) => void writeAnswer(bin, answer, checksum));
    // Only a bin whose question is known is ever changed.
    const bytes = writeBin(bin, bin.question()!, checksum);
    await this.#prepare(path, there, forgets, lock);
    await this.#place(shardPath(this.#folder, key), path, bytes);
    reader.remember(path, bytes, next);
  }

  /** What is to be done besides, once a key's bin is written. */
  async finish(key: string, forgets: boolean): Promise<void> {
    if (forgets) this.#forget(binPath(this.#folder, key));
    if (this.#isFull) await this.#syncNames(key);
  }

  async #prepare(path: string, there: Contents, forgets: boolean, lock: FolderLock): Promise<void> {
    if (!forgets && isDamaged(there)) await this.#putAside(path);
    if (!await lock.isInPlace()) throw lostLock(this.#folder);
  }

  async #place(shard: string, path: string, bytes: Uint8Array): Promise<void> {
    const { files } = this.#settings.runtime;
    const place = async (): Promise<void> => {
      if (!files.exists(shard)) files.makeDirectory(shard);
      await files.replace(path, bytes, { synchronous: this.#isFull });
    };
    try {
      await place();
    } catch (error) {
      if (!isMissing(error)) throw error;
      // `git checkout` may have had the folder go just now.
      await place();
    }
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

  /** Removes the folders in which nothing is left. One that cannot be removed does no harm. */
  removeEmptied(): void {
    try {
      for (const shard of this.#emptied) this.#settings.runtime.files.removeEmptyDirectory(shard);
    } catch {
      // As said above.
    }
    this.#emptied.clear();
  }

  /** Writes down whose folder it is, unless that has been done. */
  #nameOnce(model: string): Promise<void> {
    let named = this.#named.get(model);
    if (!named) {
      named = this.#name(model);
      this.#named.set(model, named);
      // The next bin tries again.
      named.catch(() => this.#named.delete(model));
    }
    return named;
  }

  async #name(model: string): Promise<void> {
    const { runtime: { files }, reader } = this.#settings;
    const path = namePath(this.#folder);
    const named = parseName(reader.bytesAt(path));
    refuseNewer(named?.format, path);
    if (named?.model === model) return;
    if (typeof named?.model === "string") throw foreignTo(model, named.model);
    const bytes = encoder.encode(`${JSON.stringify({ format: FORMAT, model }, null, 2)}\n`);
    await files.replace(path, bytes, { synchronous: this.#isFull });
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
