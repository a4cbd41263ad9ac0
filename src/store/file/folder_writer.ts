/**
 * What waits to be changed in one model's folder. Changes of one turn of the event loop share a lock, those of one bin
 * are made together and written once, and several bins are on their way to the disk at the same time. The lock is let go
 * every few milliseconds, so that other processes get their turn. What was written while the lock was lost, since
 * somebody removed its file, is looked at once more: another process may have written over it.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { CacheError } from "../error.ts";
import type { Contents } from "./bin.ts";
import type { BinSettings, Session } from "./bin_writer.ts";
import { BinWriter } from "./bin_writer.ts";
import { toCacheError } from "./failure.ts";
import type { FolderLock } from "./folder_lock.ts";
import { lockFolder, lostLock, TURN } from "./folder_lock.ts";
import { nextTurn, Turns } from "./turns.ts";

/** What all folders of a store have in common. */
export interface WriterSettings extends BinSettings {
  /** How long to try for the lock. */
  readonly lockTimeout: Milliseconds;
}

/** What is to become of a bin. */
export interface Change {
  /**
   * What is to be there; the very same where nothing changes. It may be asked twice; `isAgain` when what it said was
   * written already, and may be there or not.
   */
  run(there: Contents, isAgain: boolean): Contents;
  /** What cannot be read is not kept either, nor what was put aside before. */
  readonly forgets: boolean;
}

interface Waiting {
  readonly change: Change;
  /** How often the lock was lost while it was made, so that it may have been made. */
  readonly losses: number;
  readonly resolve: () => void;
  readonly reject: (reason: CacheError) => void;
}

/** Changes of one bin that were written, or were not. */
interface Written {
  readonly key: string;
  readonly changes: readonly Waiting[];
  readonly failure: CacheError | undefined;
}

/** So many bins are written at the same time. */
const AT_ONCE = 8;
/** No bin is begun in one turn of the event loop when those before it have taken so long. */
const LONG: Milliseconds = 4;
/** So often a change is begun anew. */
const MOST_LOSSES = 20;
/** How long the lock is kept while more waits. */
const HOLD: Milliseconds = 8;

/** The changes to one folder. It ends when nothing is left to do; the next change needs a new one. */
export class FolderWriter {
  /** Resolves once nothing is left to do. */
  readonly idle: Promise<void>;
  readonly #settings: WriterSettings;
  readonly #folder: string;
  /** By the key of the bin, in the order in which they came. */
  readonly #waiting = new Map<string, Waiting[]>();
  readonly #bins: BinWriter;

  /** `onIdle` is called when nothing is left to do. */
  constructor(settings: WriterSettings, folder: string, onIdle: () => void) {
    this.#settings = settings;
    this.#folder = folder;
    this.#bins = new BinWriter(settings, folder);
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
      waiting.push({ change, losses: 0, resolve, reject });
      this.#waiting.set(key, waiting);
    });
  }

  async #work(onIdle: () => void): Promise<void> {
    const { clock } = this.#settings.runtime;
    do {
      await nextTurn(clock);
      const lock = await this.#lock();
      if (lock && await this.#changeWhileHeld(lock) >= HOLD && this.#waiting.size > 0) await clock.sleep(TURN);
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
      let isHeld = await this.#changeSome(lock);
      while (isHeld && this.#waiting.size > 0 && clock.monotonic() - began < HOLD) {
        // Where nothing was written, nobody else has had a turn yet.
        await nextTurn(clock);
        isHeld = await this.#changeSome(lock);
      }
    } finally {
      lock.release();
    }
    return clock.monotonic() - began;
  }

  /** Returns whether the lock is held still. */
  async #changeSome(lock: FolderLock): Promise<boolean> {
    const { clock } = this.#settings.runtime;
    const turns = new Turns(clock);
    const began = clock.monotonic();
    const running: Promise<Written[]>[] = [];
    for (const [key, changes] of this.#waiting) {
      this.#waiting.delete(key);
      running.push(this.#changeBin(key, changes, { lock, turns }));
      if (running.length >= AT_ONCE || clock.monotonic() - began >= LONG) break;
    }
    const written = (await Promise.all(running)).flat();
    this.#bins.removeEmptied();
    const isHeld = await lock.isInPlace();
    for (const each of written) {
      if (isHeld) settle(each);
      else this.#tryAgain(each);
    }
    return isHeld;
  }

  #tryAgain({ key, changes }: Written): void {
    const again: Waiting[] = [];
    for (const change of changes) {
      const losses = change.losses + 1;
      if (losses < MOST_LOSSES) again.push({ ...change, losses });
      else change.reject(lostLock(this.#folder));
    }
    const waiting = [...again, ...this.#waiting.get(key) ?? []];
    if (waiting.length > 0) this.#waiting.set(key, waiting);
  }

  async #changeBin(key: string, changes: readonly Waiting[], session: Session): Promise<Written[]> {
    const forgets = changes.some(({ change }) => change.forgets);
    const run = (there: Contents): Contents =>
      changes.reduce((contents, { change, losses }) => change.run(contents, losses > 0), there);
    try {
      await this.#bins.write(key, run, forgets, session);
    } catch (error) {
      if (changes.length === 1) return [{ key, changes, failure: toCacheError(error) }];
      // One that is too large must not take the others with it.
      const written: Written[] = [];
      for (const each of changes) written.push(...await this.#changeBin(key, [each], session));
      return written;
    }
    // Not to be tried one by one when this fails: what was added is there.
    const failure = await this.#bins.finish(key, forgets).then(() => undefined, toCacheError);
    return [{ key, changes, failure }];
  }
}

function settle({ changes, failure }: Written): void {
  for (const { resolve, reject } of changes) {
    if (failure) reject(failure);
    else resolve();
  }
}
