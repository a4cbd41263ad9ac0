/**
 * A pack as a store that is only read: for replays of what was recorded, by itself or behind a store that takes what is
 * new. Nothing of it is written, nor is a file made beside it.
 *
 * A shard is read through when something in it is first looked for; what is remembered of shards, and how much of their
 * text, is bounded. What is broken is a miss, as in any store: a shard whose digest is wrong is one for all its requests.
 *
 * @module
 */

import { LRUCache } from "lru-cache";
import { hexOf } from "../../runtime/hex.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { toCacheError } from "../file/failure.ts";
import { nextTurn, Turns } from "../file/turns.ts";
import { fileNameOf } from "../names.ts";
import { NearestSketches } from "../nearest.ts";
import type {
  Found,
  ListedRequest,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoredEntry,
  StoreSize,
  Want,
} from "../store.ts";
import { forged, linesOf } from "./block.ts";
import { broken } from "./failure.ts";
import { MANIFEST, type PackTools } from "./format.ts";
import { hasItsKey } from "./key_check.ts";
import { type Answer, readAnswer, readAsked } from "./line.ts";
import { type Manifest, openManifest } from "./manifest.ts";
import { blockTexts, checkShard, type PlacedShard, shardsOf } from "./pack_reader.ts";
import { ShardIndex } from "./shard_index.ts";

/** How to open a pack. */
export interface PackStoreOptions {
  /** Answers requests under other keys than `docs/key.md` gives them, too. Default: false. */
  readonly foreignKeys?: boolean;
  /** Bytes of text that are remembered. Default: 64 MiB. */
  readonly memoryBytes?: number;
}

const MEMORY_BYTES = 64 * 1024 * 1024;
/** Requests whose places are remembered: some 200 bytes each. */
const MOST_PLACES = 250_000;
const MISS: Found = { entries: [], stale: false, expired: false, corrupt: false };

/**
 * Opens the pack in a folder.
 *
 * @throws CacheError `foreign_file`, `newer_schema` or `corrupt` for what is no pack, or has not all of its shards.
 * @throws RangeError when `memoryBytes` is no positive integer.
 */
export async function openPackStore(
  tools: PackTools,
  directory: string,
  { foreignKeys = false, memoryBytes = MEMORY_BYTES }: PackStoreOptions = {},
): Promise<Store> {
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes <= 0) {
    throw new RangeError(`Cannot open a pack (memoryBytes has to be a positive integer): ${memoryBytes}`);
  }
  try {
    const manifest = await openManifest(tools.runtime.files, directory);
    return new PackStore(tools, directory, manifest, { foreignKeys, memoryBytes });
  } catch (error) {
    throw toCacheError(error);
  }
}

class PackStore implements Store {
  readonly name = "pack";
  readonly location: string;
  readonly isReadOnly = true;
  readonly #tools: PackTools;
  readonly #manifest: Manifest;
  readonly #foreignKeys: boolean;
  readonly #shards: readonly PlacedShard[];
  /** By folder, then by the digits of the key. */
  readonly #places = new Map<string, Map<string, PlacedShard>>();
  readonly #frames: LRUCache<string, Uint8Array>;
  readonly #indexes: LRUCache<string, ShardIndex>;
  readonly #loading = new Map<string, Promise<ShardIndex | undefined>>();
  readonly #broken = new Set<string>();
  #closed = false;

  constructor(tools: PackTools, directory: string, manifest: Manifest, options: Required<PackStoreOptions>) {
    this.#tools = tools;
    this.location = directory;
    this.#manifest = manifest;
    this.#foreignKeys = options.foreignKeys;
    this.#shards = shardsOf(manifest, directory);
    for (const shard of this.#shards) {
      const places = this.#places.get(shard.folder) ?? new Map();
      this.#places.set(shard.folder, places.set(shard.prefix, shard));
    }
    this.#frames = new LRUCache({
      maxSize: options.memoryBytes,
      sizeCalculation: (text) => text.byteLength,
    });
    this.#indexes = new LRUCache({ maxSize: MOST_PLACES, sizeCalculation: (index) => index.size });
  }

  async lookup(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    this.#refuseClosed("look up");
    const found: Found[] = [];
    const turns = new Turns(this.#tools.runtime.clock);
    for (const want of wants) {
      found.push(await this.#find(model, want));
      if (turns.isOver()) await turns.next();
    }
    return found;
  }

  put(): never {
    throw this.#readOnly("store an answer");
  }

  remove(): Promise<Removed> {
    return Promise.reject(this.#readOnly("remove entries"));
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    this.#refuseClosed("look for requests");
    const near = new NearestSketches(sketch, limit);
    const starts: { readonly id: number; readonly shard: PlacedShard }[] = [];
    let id = 0;
    for (const shard of this.#of(model)) {
      const index = await this.#index(shard);
      if (index === undefined) continue;
      index.offer(near, id, model);
      starts.push({ id, shard });
      id += index.size;
      await nextTurn(this.#tools.runtime.clock);
    }
    const records: RequestRecord[] = [];
    for (const { id } of near.best()) {
      const start = starts.findLast((start) => start.id <= id)!;
      const index = await this.#index(start.shard);
      if (index === undefined) continue;
      const { key, model } = index.place(id - start.id);
      const text = index.find(key, model, this.#frames)!;
      const [first] = linesOf(text, start.shard.path);
      records.push(readAsked(first!, this.#tools.runtime.sha256).record);
    }
    return records;
  }

  async *list({ model, namespace }: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    this.#refuseClosed("list requests");
    try {
      const { sha256 } = this.#tools.runtime;
      for (const shard of this.#of(model)) {
        await checkShard(this.#tools, shard);
        for await (const { first } of blockTexts(this.#tools, shard)) {
          const { model: asked, record, tags } = readAsked(first, sha256);
          if (model !== undefined && model !== asked) continue;
          if (namespace !== undefined && namespace !== record.namespace) continue;
          yield { model: asked, request: record, tags };
        }
      }
    } catch (error) {
      throw toCacheError(error);
    }
  }

  async size(): Promise<StoreSize> {
    this.#refuseClosed("measure");
    const { samples, shards } = this.#manifest;
    const storedBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
    const manifest = await this.#tools.runtime.files.stat(`${this.location}/${MANIFEST}`);
    const bodyBytes = shards.reduce((sum, { answerBytes }) => sum + answerBytes, 0);
    return { entries: samples, bodyBytes, storedBytes, totalBytes: storedBytes + (manifest?.size ?? 0) };
  }

  /** A pack that is open stays as it is. */
  stamp(): string {
    return "pack";
  }

  close(): void {
    this.#closed = true;
    this.#frames.clear();
    this.#indexes.clear();
  }

  async #find(model: string, want: Want): Promise<Found> {
    const key = hexOf(want.key);
    const shard = this.#shardFor(fileNameOf(model, this.#tools.runtime.sha256), key);
    if (shard === undefined) return MISS;
    const index = await this.#index(shard);
    this.#refuseClosed("look up");
    if (index === undefined) return { ...MISS, corrupt: true };
    try {
      const text = index.find(key, model, this.#frames);
      return text === undefined ? MISS : this.#read(text, want, shard);
    } catch (error) {
      const failure = toCacheError(error);
      if (failure.code === "corrupt") return { ...MISS, corrupt: true };
      throw failure;
    }
  }

  #shardFor(folder: string, key: string): PlacedShard | undefined {
    const places = this.#places.get(folder);
    if (places === undefined) return undefined;
    const [prefix] = places.keys();
    return places.get(key.slice(0, prefix!.length));
  }

  #read(text: Uint8Array, { key, samples, grace = 0 }: Want, { path }: PlacedShard): Found {
    const { sha256 } = this.#tools.runtime;
    const [first, ...lines] = linesOf(text, path);
    const hex = hexOf(key);
    const record = sound(() => readAsked(first!, sha256).record);
    if (record === undefined) throw broken(path, `the line of request ${hex} was changed`);
    if (!this.#foreignKeys && !hasItsKey(record, sha256)) throw forged(path, hex);
    const now = this.#tools.runtime.clock.now();
    const [fresh, late]: [StoredEntry[], StoredEntry[]] = [[], []];
    const found = { stale: false, expired: false, corrupt: false };
    for (const [sample, line] of lines.entries()) {
      if (fresh.length >= samples) break;
      const answer = sound(() => readAnswer(line, hex, sample, sha256));
      if (answer === undefined) found.corrupt = true;
      else if (!isExpired(answer, now)) fresh.push(entryOf(answer, line.length));
      else if (!isExpired(answer, now - grace)) late.push(entryOf(answer, line.length));
      else found.expired = true;
    }
    const entries = [...fresh, ...late].slice(0, samples).map((entry, sample) => ({ ...entry, sample }));
    return { entries, ...found };
  }

  /** `undefined` when it is broken. Others that want it meanwhile wait for the same reading. */
  #index(shard: PlacedShard): Promise<ShardIndex | undefined> {
    const { name } = shard;
    if (this.#broken.has(name)) return Promise.resolve(undefined);
    const known = this.#indexes.get(name);
    if (known !== undefined) return Promise.resolve(known);
    const loading = this.#loading.get(name) ?? this.#load(shard).finally(() => this.#loading.delete(name));
    this.#loading.set(name, loading);
    return loading;
  }

  async #load(shard: PlacedShard): Promise<ShardIndex | undefined> {
    try {
      const index = await ShardIndex.load(this.#tools, shard);
      if (!this.#closed) this.#indexes.set(shard.name, index);
      return index;
    } catch (error) {
      const failure = toCacheError(error);
      if (failure.code !== "corrupt") throw failure;
      this.#broken.add(shard.name);
      return undefined;
    }
  }

  #of(model: string | undefined): readonly PlacedShard[] {
    if (model === undefined) return this.#shards;
    const folder = fileNameOf(model, this.#tools.runtime.sha256);
    return this.#shards.filter((shard) => shard.folder === folder);
  }

  #readOnly(tried: string): CacheError {
    this.#refuseClosed(tried);
    const advice = 'put a store in front of it that does (tiers: ["sqlite", pack]), or import it into one';
    return new CacheError("read_only", `Cannot ${tried} in the pack ${this.location}: it is only read; ${advice}`);
  }

  #refuseClosed(tried: string): void {
    if (this.#closed) throw new CacheError("closed", `Cannot ${tried} in the pack ${this.location}: it was closed`);
  }
}

function entryOf({ fields, body }: Answer, storedBytes: number): StoredEntry {
  return { ...fields, sample: 0, storedBytes, bytes: () => body.slice(), read: (use) => use(body) };
}

function isExpired({ fields: { expires } }: Answer, now: Milliseconds): boolean {
  return expires !== null && expires <= now;
}

function sound<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
