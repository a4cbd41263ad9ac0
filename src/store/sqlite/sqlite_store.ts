/**
 * The store on disk: one SQLite database per model in a directory ({@link ./names.ts}), used
 * alone or with other processes. Once a model's database is open, lookups are synchronous; opening it, and what finds it
 * locked, waits without blocking anybody ({@link ./databases.ts}), and writes wait for each other to share a transaction
 * ({@link ./write_queue.ts}).
 *
 * @module
 */

import { loadChecksum } from "../../codec/checksum.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Files, Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { loadEngine } from "../../sqlite/engine.ts";
import type { Locking } from "../../sqlite/open.ts";
import { refuseRemote } from "../../sqlite/open.ts";
import { CacheError } from "../error.ts";
import { refuseOddSketch } from "../limits.ts";
import type {
  Claims,
  DailyLedger,
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
import type { VerifyOptions, VerifyReport } from "../verify.ts";
import { AmountsByDay } from "./amounts_by_day.ts";
import { bytesOnDisk } from "./bytes_on_disk.ts";
import { SqliteClaims } from "./claims.ts";
import type { DatabasesSettings } from "./databases.ts";
import { Databases } from "./databases.ts";
import { FEWEST_ANSWERS } from "./dictionary_policy.ts";
import { MISS, NewPut } from "./entry_table.ts";
import { EveryDatabase } from "./every_database.ts";
import { toCacheError } from "./failure.ts";
import { SqliteFailures } from "./failures.ts";
import { SqliteLedger } from "./ledger.ts";
import { measureSome } from "./measured.ts";
import { modelsIn } from "./model_list.ts";
import { Room } from "./room.ts";
import { verifyDatabases } from "./verify.ts";

/** Where and how to store. */
export interface SqliteStoreOptions {
  readonly runtime: Runtime;
  /** Where the databases lie; made on first write. */
  readonly directory: string;
  /**
   * `normal` (the default): what was acknowledged survives the end of the process. `full`: it survives a power failure
   * too, and every write waits for the disk.
   */
  readonly synchronous?: "normal" | "full";
  /**
   * Who else may use the databases meanwhile. `shared`: every process that shares them too, the `sqlite3` shell among
   * them. It takes Linux, on Deno with `--allow-ffi`, and a directory on a disk of this machine; elsewhere it is refused
   * with `unavailable`. `exclusive`: nobody; whoever comes second is refused. By default `shared` where it can be had,
   * else `exclusive`.
   */
  readonly locking?: Locking;
  /** How long to try for a database or a lock that somebody else holds; 1000 by default. */
  readonly lockTimeout?: Milliseconds;
  /** How many databases stay open at once; 16 by default. */
  readonly maxOpenDatabases?: number;
  /**
   * How many bytes the databases may take on the disk, logs included; as many as there is room for by default. The least
   * recently used answers are removed for new ones. All who use a directory should agree.
   */
  readonly maxBytes?: number;
  /** How long answers are kept after their time has passed, to be served in a need; 0 by default. */
  readonly keepExpired?: Milliseconds;
  /** From how many answers on a dictionary is built of what those of a database have in common; 200 by default. */
  readonly dictionaryFrom?: number;
  /**
   * Whether another process takes the databases over when this one ends, in the middle of what their clients do: it is to
   * know of their claims, though it could not see them before. Default: no.
   */
  readonly handsOver?: boolean;
}

const OPTIONS: readonly string[] = [
  "runtime",
  "directory",
  "synchronous",
  "locking",
  "lockTimeout",
  "maxOpenDatabases",
  "maxBytes",
  "keepExpired",
  "dictionaryFrom",
  "handsOver",
];

/** A model has some twenty a day, and they are written within seconds once it has a database. */
const MOST_WAITING_AMOUNTS = 16_384;

/**
 * Opens a store in a directory. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when it cannot be shared as asked.
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  refuseUnknownOptions("open a SQLite store", options, OPTIONS);
  const { runtime, directory, synchronous = "normal", locking, lockTimeout = 1000, maxOpenDatabases = 16 } = options;
  const { maxBytes, keepExpired = 0, dictionaryFrom = FEWEST_ANSWERS, handsOver = false } = options;
  if (synchronous !== "normal" && synchronous !== "full") {
    throw new TypeError(`Cannot open a SQLite store: synchronous must be "normal" or "full": ${synchronous}`);
  }
  if (locking !== undefined && locking !== "shared" && locking !== "exclusive") {
    throw new TypeError(`Cannot open a SQLite store: locking must be "shared" or "exclusive": ${locking}`);
  }
  if (!(lockTimeout >= 0)) {
    throw new RangeError(`Cannot open a SQLite store: lockTimeout must be 0 or more: ${lockTimeout}`);
  }
  if (!(Number.isInteger(maxOpenDatabases) && maxOpenDatabases >= 1)) {
    throw new RangeError(`Cannot open a SQLite store: maxOpenDatabases must be 1 or more: ${maxOpenDatabases}`);
  }
  if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes >= 1)) {
    throw new RangeError(`Cannot open a SQLite store: maxBytes must be a positive integer: ${maxBytes}`);
  }
  if (!(keepExpired >= 0)) {
    throw new RangeError(`Cannot open a SQLite store: keepExpired must be 0 or more: ${keepExpired}`);
  }
  if (!(Number.isSafeInteger(dictionaryFrom) && dictionaryFrom >= 1)) {
    throw new RangeError(`Cannot open a SQLite store: dictionaryFrom must be 1 or more: ${dictionaryFrom}`);
  }
  if (locking === "shared" && runtime.rangeLocks === undefined) {
    throw new CacheError(
      "unavailable",
      `Cannot share the cache in ${directory}: this process cannot see the locks of others (that takes Linux and, on ` +
        'Deno, --allow-ffi); use locking "exclusive"',
    );
  }
  try {
    // Else every lookup would be a miss and no answer kept, and only the statistics would say so.
    if (locking === "shared") refuseRemote(runtime, nearest(runtime.files, directory));
    // SQLite too, though nothing is opened yet: all at once is sooner, and a program without it hears of it here.
    const [zstd, checksum] = await Promise.all([loadZstd(), loadChecksum(), loadEngine()]);
    const tools = { zstd, checksum, sha256: (bytes: Uint8Array) => runtime.sha256(bytes) };
    const waitingAmounts = new AmountsByDay(MOST_WAITING_AMOUNTS);
    const limits = { lockTimeout, maxOpenDatabases, keepExpired, maxBytes, dictionaryFrom, handsOver };
    const store = new SqliteStore({ runtime, directory, synchronous, locking, ...limits, tools, waitingAmounts });
    await store.checkRoom();
    return store;
  } catch (error) {
    throw toCacheError(error);
  }
}

class SqliteStore implements Store {
  readonly name = "sqlite";
  readonly location: string;
  readonly claims?: Claims;
  readonly failures: Failures;
  readonly ledger: DailyLedger;
  readonly #settings: DatabasesSettings;
  readonly #databases: Databases;
  readonly #everyDatabase: EveryDatabase;
  /** Where there is a limit. */
  readonly #room: Room | undefined;

  constructor(settings: DatabasesSettings) {
    this.#settings = settings;
    this.#databases = new Databases(settings);
    this.#everyDatabase = new EveryDatabase(this.#databases, settings);
    const { maxBytes } = settings;
    if (maxBytes !== undefined) this.#room = new Room(this.#databases, settings, maxBytes);
    this.location = settings.directory;
    if (settings.locking !== "exclusive" || settings.handsOver) this.claims = new SqliteClaims(this.#databases);
    this.failures = new SqliteFailures(this.#databases);
    this.ledger = new SqliteLedger(this.#databases, settings.waitingAmounts);
  }

  lookup(model: string, wants: readonly Want[]): MaybePromise<readonly Found[]> {
    const found = this.#databases.read(model, "look into", (database) => database.lookup(wants));
    if (Array.isArray(found)) return found;
    return found === undefined ? nothingFor(wants) : found.then((found) => found ?? nothingFor(wants));
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    options: PutOptions = {},
  ): Promise<void> {
    this.#databases.refuseClosed();
    refuseOddSketch(request);
    const put = new NewPut(request, entries, placement, options, this.#settings.tools);
    const write = (): Promise<void> =>
      this.#databases.write(model, {
        purpose: "store an answer",
        get bytes() {
          return put.bytes;
        },
        run: ({ entries }) => entries.put(put),
      });
    return this.#room ? this.#room.admit(put, write) : write();
  }

  verify(options: VerifyOptions): Promise<VerifyReport> {
    return verifyDatabases(this.#databases, this.#settings, options);
  }

  async size(): Promise<StoreSize> {
    const total = { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 };
    for (const size of (await this.#sizes()).values()) {
      total.entries += size.entries;
      total.bodyBytes += size.bodyBytes;
      total.storedBytes += size.storedBytes;
      total.totalBytes += size.totalBytes;
    }
    return total;
  }

  async modelSizes(): Promise<ReadonlyMap<string, StoreSize>> {
    const { models } = await modelsIn(this.#databases, this.#settings);
    const sizes = await this.#sizes();
    return new Map([...models].flatMap(([path, model]) => sizes.has(path) ? [[model, sizes.get(path)!]] : []));
  }

  remove(selection: Selection): Promise<Removed> {
    return this.#everyDatabase.remove(selection);
  }

  nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    return this.#everyDatabase.nearest(sketch, limit, model);
  }

  list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncIterable<ListedRequest> {
    return this.#everyDatabase.list(selection);
  }

  /** One for all requests to a model. `undefined` until its database is open. */
  stamp(model: string): number | undefined {
    try {
      return this.#databases.peek(model)?.connection.owned.stamp;
    } catch {
      // Whoever looks something up will say what is wrong.
      return undefined;
    }
  }

  /** Measures what is there, and begins to make room where it is too much. */
  async checkRoom(): Promise<void> {
    await this.#room?.check();
  }

  close(): Promise<void> {
    this.#room?.open();
    return this.#databases.close();
  }

  /** By the paths of the databases. */
  async #sizes(): Promise<Map<string, StoreSize>> {
    const sizes = new Map<string, StoreSize>();
    const { files } = this.#settings.runtime;
    await this.#databases.readEach(async (path) => {
      const size = { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: await bytesOnDisk(files, path) };
      sizes.set(path, size);
      let after = 0;
      return (driver) => {
        const { last, ...some } = measureSome(driver, after);
        size.entries += some.entries;
        size.bodyBytes += some.bodyBytes;
        size.storedBytes += some.storedBytes;
        after = last ?? after;
        return last !== undefined;
      };
    });
    return sizes;
  }
}

/** A directory, or where it would be made. */
function nearest(files: Files, directory: string): string {
  if (files.exists(directory)) return directory;
  const end = directory.lastIndexOf("/");
  return end > 0 ? nearest(files, directory.slice(0, end)) : end === 0 ? "/" : ".";
}

function nothingFor(wants: readonly Want[]): Found[] {
  return wants.map(() => MISS);
}
