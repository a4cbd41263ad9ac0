/**
 * The store for people who look: each request and its answers are a small JSON file, in a folder for each model
 * ({@link ./folder.ts}, {@link ./bin_text.ts}). It can be read in an editor, compared and merged by `git` request by
 * request, and shared by any number of processes on one machine.
 *
 * A lookup reads one small file, or finds none. A put writes one, so that samples that are put one at a time write all
 * those before them again: where a request has hundreds, the SQLite store serves better. Looking at everything
 * (`nearest`, `list`, `size`) reads everything.
 *
 * What git needs to know is `.gitignore`: `lock`, `lock-holder.json`, `*.tmp`.
 *
 * A file in which `git` has left conflicts is read as what both sides have, and the next put writes it so, without
 * marks. One that was changed, cut or merged wrongly is a miss; the next put to its request keeps it beside the new one,
 * as `<key>.json.broken-1`, for whoever wants to mend it, and nobody reads it again.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { loadChecksum } from "../../codec/checksum.ts";
import { hexOf } from "../../runtime/hex.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { FailuresInMemory } from "../failures_in_memory.ts";
import { refuseOddSketch } from "../limits.ts";
import { fileNameOf } from "../names.ts";
import type {
  EntryFields,
  Failures,
  Found,
  ListedRequest,
  MaybePromise,
  NewEntry,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreSize,
  Want,
} from "../store.ts";
import { Findings, type VerifyOptions, type VerifyReport } from "../verify.ts";
import { findIn, MISS, RUINED, withAdded, withoutExpired } from "./bin.ts";
import { BinReader } from "./bin_reader.ts";
import { toCacheError } from "./failure.ts";
import { binPath, shardPath } from "./folder.ts";
import type { Change, WriterSettings } from "./folder_writer.ts";
import { FolderWriter } from "./folder_writer.ts";
import { Leftovers } from "./leftovers.ts";
import { Removal } from "./removal.ts";
import type { SurveyPlace } from "./survey.ts";
import { Survey } from "./survey.ts";
import { Turns } from "./turns.ts";
import { verifyBins } from "./verify.ts";

/** Where and how to store. */
export interface FileStoreOptions {
  /** The machine whose files they are. */
  readonly runtime: Runtime;
  /** Where the models' folders lie; made on first write. */
  readonly directory: string;
  /**
   * `normal` (the default): what was acknowledged survives the end of the process. `full`: it survives a power failure
   * too, and every write waits for the disk.
   */
  readonly synchronous?: "normal" | "full";
  /**
   * How long to try for the lock of a model's folder while others write there; 5000 by default, since an answer that
   * is not stored is bought again.
   */
  readonly lockTimeout?: Milliseconds;
  /**
   * Not to be had: what was used last would have to be written down with every hit, where `git` would see it. Whoever
   * sets it is refused.
   */
  readonly maxBytes?: number;
  /**
   * How long answers are kept after their time has passed, to be served in a need; 0 by default. They are removed when
   * something is put to their request, or to their model after a lookup has come by them.
   */
  readonly keepExpired?: Milliseconds;
}

const OPTIONS: readonly string[] = ["runtime", "directory", "synchronous", "lockTimeout", "maxBytes", "keepExpired"];

/** Bytes of failures, which are remembered as long as the store is open. */
const MOST_FAILURE_BYTES = 4 * 1024 * 1024;
/** Models whose folders' names are remembered. */
const MOST_NAMES = 1024;
/** Bins in one folder that are remembered to hold something that has expired. */
const MOST_OVERDUE = 256;

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 */
export async function openFileStore(options: FileStoreOptions): Promise<Store> {
  refuseUnknownOptions("open a file store", options, OPTIONS);
  const { runtime, directory, synchronous = "normal", lockTimeout = 5000, maxBytes, keepExpired = 0 } = options;
  if (synchronous !== "normal" && synchronous !== "full") {
    throw new TypeError(`Cannot open a file store: synchronous must be "normal" or "full": ${synchronous}`);
  }
  if (!(lockTimeout >= 0)) {
    throw new RangeError(`Cannot open a file store: lockTimeout must be 0 or more: ${lockTimeout}`);
  }
  if (maxBytes !== undefined) {
    const advice = "prune it now and then, or use the sqlite store";
    throw new RangeError(`Cannot open a file store: it takes no maxBytes; ${advice}: ${maxBytes}`);
  }
  if (!(keepExpired >= 0)) {
    throw new RangeError(`Cannot open a file store: keepExpired must be 0 or more: ${keepExpired}`);
  }
  const checksum = await loadChecksum().catch((error) => {
    throw toCacheError(error);
  });
  const reader = new BinReader(runtime, checksum);
  return new FileStore({ runtime, checksum, reader, synchronous, lockTimeout }, directory, keepExpired);
}

class FileStore implements Store {
  readonly name = "file";
  readonly location: string;
  readonly failures: Failures = {
    record: (model, key, failure) => {
      this.#refuseClosed("record a failure");
      this.#failures.record(model, key, failure);
    },
    last: (model, key) => {
      this.#refuseClosed("look for a failure");
      return this.#failures.last(model, key);
    },
  };
  readonly #settings: WriterSettings;
  readonly #keepExpired: Milliseconds;
  readonly #place: SurveyPlace;
  readonly #survey: Survey;
  readonly #removal: Removal;
  readonly #leftovers: Leftovers;
  readonly #failures = new FailuresInMemory(MOST_FAILURE_BYTES);
  readonly #folders = new LRUCache<string, string>({ max: MOST_NAMES });
  readonly #writers = new Map<string, FolderWriter>();
  /** By folder, the keys of bins in which a lookup came by something that has expired. */
  readonly #overdue = new Map<string, Set<string>>();
  #closed = false;

  constructor(settings: WriterSettings, directory: string, keepExpired: Milliseconds) {
    this.#settings = settings;
    this.location = directory;
    this.#keepExpired = keepExpired;
    const { runtime, reader } = settings;
    const place: SurveyPlace = { runtime, directory, reader, folderOf: (model) => this.#folderOf(model) };
    this.#place = place;
    this.#survey = new Survey(place);
    this.#removal = new Removal(place, this.#failures, (folder, key, change) => this.#change(folder, key, change));
    this.#leftovers = new Leftovers(runtime);
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    this.#refuseClosed("look up");
    return this.#lookUp(model, this.#folderOf(model), wants, []);
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): Promise<void> {
    this.#refuseClosed("store");
    refuseOddSketch(request);
    const [folder, key] = [this.#folderOf(model), hexOf(request.key)];
    const { body, sketch } = request;
    const record = { ...request, key: request.key.slice(), body: body.slice(), sketch: sketch.slice() };
    const added = entries.map(({ body, ...fields }) => ({ fields: asWritten(fields), body: body.slice() }));
    const put = { model, key, asked: { record, tags: [...tags] }, added, placement };
    const { clock } = this.#settings.runtime;
    this.#removeOverdue(folder);
    await this.#change(folder, key, {
      forgets: false,
      run: (there, isAgain) => withAdded(there, put, clock.now(), isAgain),
    });
    for (const each of [folder, shardPath(folder, key)]) this.#leftovers.sweep(each);
  }

  async remove(selection: Selection): Promise<Removed> {
    this.#refuseClosed("remove entries");
    return await this.#removal.remove(selection).catch(fail);
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    this.#refuseClosed("look for requests");
    return await this.#survey.nearest(sketch, limit, model).catch(fail);
  }

  async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    this.#refuseClosed("list requests");
    try {
      yield* this.#survey.list(selection);
    } catch (error) {
      throw toCacheError(error);
    }
  }

  async verify(options: VerifyOptions): Promise<VerifyReport> {
    this.#refuseClosed("verify what is stored");
    const findings = new Findings(this, options);
    await verifyBins(this.#place, options, findings).catch((error) => {
      options.signal?.throwIfAborted();
      throw toCacheError(error);
    });
    return findings.report;
  }

  async size(): Promise<StoreSize> {
    this.#refuseClosed("measure");
    return await this.#survey.size().catch(fail);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#writers.values()].map(({ idle }) => idle));
    await this.#leftovers.idle;
    this.#settings.reader.clear();
  }

  /** At once, unless there is so much to look up that others would have to wait. */
  #lookUp(model: string, folder: string, wants: readonly Want[], found: Found[]): MaybePromise<Found[]> {
    const turns = new Turns(this.#settings.runtime.clock);
    while (found.length < wants.length) {
      found.push(this.#find(model, folder, wants[found.length]!));
      const goesOn = found.length < wants.length;
      if (goesOn && turns.isOver()) return turns.next().then(() => this.#lookUp(model, folder, wants, found));
    }
    return found;
  }

  #find(model: string, folder: string, want: Want): Found {
    const { reader, runtime } = this.#settings;
    try {
      const key = hexOf(want.key);
      const { bin, isRuin } = reader.read(binPath(folder, key));
      if (!bin) return isRuin ? RUINED : MISS;
      // Two models' names may have the same digest.
      if (bin.model !== model) return MISS;
      const found = findIn(bin, want, runtime.clock.now());
      if (found.expired) this.#noteOverdue(folder, key);
      return found;
    } catch (error) {
      throw toCacheError(error);
    }
  }

  #noteOverdue(folder: string, key: string): void {
    const keys = this.#overdue.get(folder) ?? new Set();
    if (keys.size < MOST_OVERDUE) this.#overdue.set(folder, keys.add(key));
  }

  /** Only with a put: who only reads must not find his files changed. */
  #removeOverdue(folder: string): void {
    const keys = this.#overdue.get(folder);
    if (!keys) return;
    this.#overdue.delete(folder);
    const { clock } = this.#settings.runtime;
    const run: Change["run"] = (there) => withoutExpired(there, clock.now() - this.#keepExpired);
    // Who cannot remove it now is told so by the put itself.
    for (const key of keys) this.#change(folder, key, { forgets: false, run }).catch(() => {});
  }

  #change(folder: string, key: string, change: Change): Promise<void> {
    let writer = this.#writers.get(folder);
    if (!writer) {
      writer = new FolderWriter(this.#settings, folder, () => this.#writers.delete(folder));
      this.#writers.set(folder, writer);
    }
    return writer.change(key, change);
  }

  #folderOf(model: string): string {
    let folder = this.#folders.get(model);
    if (folder === undefined) {
      folder = `${this.location}/${fileNameOf(model, this.#settings.runtime.sha256)}`;
      this.#folders.set(model, folder);
    }
    return folder;
  }

  #refuseClosed(tried: string): void {
    if (this.#closed) throw new CacheError("closed", `Cannot ${tried} in ${this.location}: the store was closed`);
  }
}

/** As JSON has them, so that what is remembered of a bin is what is read from it. */
function asWritten(fields: EntryFields): EntryFields {
  return JSON.parse(JSON.stringify(fields));
}

function fail(error: unknown): never {
  // A RangeError is the caller's.
  throw error instanceof RangeError ? error : toCacheError(error);
}
