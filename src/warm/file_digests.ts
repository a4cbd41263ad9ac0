/**
 * What is in a file, without reading it again each time: a model's weights are gigabytes, and every request asks. A
 * digest is remembered with the state of the file it was computed from, in memory and on disk, and holds only as long
 * as the file is in that very state.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { ContentFile } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { FileDigest, FileStat, Milliseconds, Runtime } from "../runtime/runtime.ts";

/** The slice of the runtime that hashes and remembers. */
export type DigestingRuntime = Pick<Runtime, "clock" | "digestFile" | "files">;

/** Where to remember digests, and who hears when that fails. */
export interface FileDigestsOptions {
  readonly runtime: DigestingRuntime;
  /** The file that remembers; its folder is created. Without it, they are remembered as long as this is. */
  readonly memoPath?: string | undefined;
  /** Hears why digests could not be remembered. */
  readonly log?: (message: string) => void;
}

/** A file that was just seen, in the state it was in. */
export interface LocatedFile {
  readonly path: string;
  readonly stat: FileStat;
}

/** How to ask for a digest. */
export interface DigestOptions {
  /** Reads the file even when its digest is remembered: somebody found other bytes in it. */
  readonly fresh?: boolean;
}

/**
 * A file may be written twice within one tick of a clock and look the same: FAT counts in steps of 2 s, Deno 2.9 gives
 * the time of the last change in whole seconds. One that is younger than this may still change so: not remembered.
 */
export const SETTLED_AFTER: Milliseconds = 2000;

/** A file that changes while it is read is read again, this often in all. */
const MAX_READS = 3;

/** Increased when the memo's format changes; another version is ignored. */
const MEMO_VERSION = 1;

/** Digests of files, each computed once per state of its file. */
export class FileDigests {
  readonly #runtime: DigestingRuntime;
  readonly #memoPath: string | undefined;
  readonly #log: (message: string) => void;
  /** By path. `state` is the file's when it was hashed. */
  readonly #memo = new Map<string, { readonly state: string; readonly sha256: string }>();
  /** By path and state, so that nobody joins the reading of a file that has changed since. */
  readonly #reading = new Map<string, Promise<FileDigest>>();
  #loaded: Promise<void> | undefined;
  #saved: Promise<void> = Promise.resolve();
  #unsaved = false;

  constructor({ runtime, memoPath, log = () => {} }: FileDigestsOptions) {
    this.#runtime = runtime;
    this.#memoPath = memoPath;
    this.#log = log;
  }

  /**
   * The content of a file that was just seen.
   *
   * @throws ModelError `model_load_failed`: it cannot be read, or changes all the time.
   */
  async digest({ path, stat }: LocatedFile, { fresh = false }: DigestOptions = {}): Promise<ContentFile> {
    await (this.#loaded ??= this.#load());
    const remembered = this.#memo.get(path);
    if (remembered?.state === stateOf(stat) && !fresh) return { path, sha256: remembered.sha256, size: stat.size };
    let failure: unknown;
    for (let reads = 0; reads < MAX_READS; reads++) {
      const state = await this.#state(path);
      try {
        const { sha256, stat } = await this.#read(path, state);
        if (stateOf(stat) === state) return { path, sha256, size: stat.size };
        failure = new Error("the file keeps changing");
      } catch (error) {
        failure = error;
      }
    }
    throw unreadable(path, failure);
  }

  /** Writes what was learnt since the last time to disk. Never fails: a digest that is forgotten is computed again. */
  save(): Promise<void> {
    return this.#saved = this.#saved.then(() => this.#write());
  }

  async #state(path: string): Promise<string> {
    try {
      const stat = await this.#runtime.files.stat(path);
      if (stat?.isFile !== true) throw new Error("no such file");
      return stateOf(stat);
    } catch (error) {
      throw unreadable(path, error);
    }
  }

  #read(path: string, state: string): Promise<FileDigest> {
    const key = `${state} ${path}`;
    const running = this.#reading.get(key);
    if (running !== undefined) return running;
    // Read before hashing starts: a file that was still young then may have changed unseen meanwhile.
    const started = this.#runtime.clock.now();
    const reading = this.#runtime.digestFile(path)
      .then((digest) => {
        this.#remember(path, digest, started);
        return digest;
      })
      .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  #remember(path: string, { sha256, stat }: FileDigest, started: Milliseconds): void {
    const changed = stat.mtimeNs > stat.ctimeNs ? stat.mtimeNs : stat.ctimeNs;
    const settled = started - Number(changed / NANOSECONDS_PER_MILLISECOND) >= SETTLED_AFTER;
    if (settled) this.#memo.set(path, { state: stateOf(stat), sha256 });
    else if (!this.#memo.delete(path)) return;
    this.#unsaved = true;
  }

  async #load(): Promise<void> {
    if (this.#memoPath === undefined) return;
    try {
      if (!this.#runtime.files.exists(this.#memoPath)) return;
      const { version, files } = JSON.parse(new TextDecoder().decode(await this.#runtime.files.read(this.#memoPath)));
      if (version !== MEMO_VERSION) return;
      for (const [path, state, sha256] of files) {
        if (typeof path === "string" && typeof state === "string" && /^[0-9a-f]{64}$/.test(sha256)) {
          this.#memo.set(path, { state, sha256 });
        }
      }
    } catch (error) {
      this.#log(`Cannot read the remembered digests, files are hashed again: ${messageOf(error)}`);
    }
  }

  async #write(): Promise<void> {
    if (!this.#unsaved || this.#memoPath === undefined) return;
    this.#unsaved = false;
    const files = [...this.#memo].map(([path, { state, sha256 }]) => [path, state, sha256]);
    try {
      const folder = this.#memoPath.split("/").slice(0, -1).join("/");
      if (folder !== "") this.#runtime.files.makeDirectory(folder);
      const text = JSON.stringify({ version: MEMO_VERSION, files });
      await this.#runtime.files.replace(this.#memoPath, new TextEncoder().encode(text));
    } catch (error) {
      this.#log(`Cannot remember digests, files are hashed again after a restart: ${messageOf(error)}`);
    }
  }
}

const NANOSECONDS_PER_MILLISECOND = 1_000_000n;

/** Everything that changes with a file's content, as one text. */
export function stateOf({ size, mtimeNs, ctimeNs, inode, device }: FileStat): string {
  return [size, mtimeNs, ctimeNs, inode, device].join(" ");
}

function unreadable(path: string, cause: unknown): ModelError {
  return new ModelError("model_load_failed", `Cannot identify ${path}: ${messageOf(cause)}`, { cause });
}
