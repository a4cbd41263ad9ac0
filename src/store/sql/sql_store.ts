/**
 * The store on any SQL database that answers at once ({@link ../../sqlite/driver.ts SqlDriver}): a Durable Object's, the
 * runtime's own SQLite, or one in memory. All models are in it, apart by a column. It belongs to this process alone.
 *
 * It keeps what the store on disk keeps, in rows with the same checksums, and does less behind the caller's back: it has
 * no log to shorten, builds no dictionaries, and looks through all sketches when it is asked for what is nearest.
 *
 * @module
 */

import { loadChecksum } from "../../codec/checksum.ts";
import type { Codec } from "../../codec/codec.ts";
import { plain } from "../../codec/plain.ts";
import { loadZstd } from "../../codec/zstd.ts";
import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import type { SqlDriver } from "../../sqlite/driver.ts";
import { CacheError } from "../error.ts";
import { refuseOddSketch } from "../limits.ts";
import { AmountsByDay } from "../sqlite/amounts_by_day.ts";
import { compressEntry, type RowCodecs } from "../sqlite/entry_row.ts";
import { MISS } from "../sqlite/entry_table.ts";
import type {
  DailyAmounts,
  DailyLedger,
  Failures,
  Found,
  Key,
  ListedRequest,
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
import { SqlAnswers } from "./answers.ts";
import { SqlRemover } from "./entry_removal.ts";
import { SqlFailures } from "./failures.ts";
import { removeSelected } from "./removal.ts";
import { SqlRequests } from "./requests.ts";
import { SqlRoom } from "./room.ts";
import { SqlSession } from "./session.ts";
import { SqlUpkeep } from "./upkeep.ts";

/** Where and how to store. */
export interface SqlStoreOptions {
  /** The database. Closing the store closes it. */
  readonly driver: SqlDriver;
  /** The time. */
  readonly clock: Clock;
  /** Where it is, for people; "SQL" by default. */
  readonly location?: string;
  /** How answers are compressed: by zstd where its module is to be had (`provideWasm`), else not at all. */
  readonly codec?: Codec;
  /**
   * How many bytes requests and answers may take; as many as there is room for by default. The least recently used ones
   * are removed for new ones.
   */
  readonly maxBytes?: number;
  /** How long answers are kept after their time has passed, to be served in a need; 0 by default. */
  readonly keepExpired?: Milliseconds;
}

const OPTIONS: Record<keyof SqlStoreOptions, true> = {
  driver: true,
  clock: true,
  location: true,
  codec: true,
  maxBytes: true,
  keepExpired: true,
};

/** A model has some twenty a day, and they are written within a second. */
const MOST_WAITING_AMOUNTS = 16_384;

const SIZES = "SELECT count(*), ifnull(sum(size), 0), ifnull(sum(stored), 0) FROM warmcache_entry";
const MODEL_SIZES = "SELECT model, count(*), sum(size), sum(stored) FROM warmcache_entry GROUP BY model";
const MODEL_BYTES = "SELECT ifnull(sum(bytes), 0) FROM warmcache_request WHERE model = ?";
const PAGES = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
const DAILY = "SELECT model, day, name, amount FROM warmcache_daily";

/**
 * Opens a store on a database. Nothing is created until something is written.
 *
 * @throws TypeError, RangeError when an option is wrong.
 */
export async function openSqlStore(options: SqlStoreOptions): Promise<Store> {
  refuseUnknownOptions("open a SQL store", options, Object.keys(OPTIONS));
  const { driver, clock, location = "SQL", codec, maxBytes, keepExpired = 0 } = options;
  if (maxBytes !== undefined && !(Number.isSafeInteger(maxBytes) && maxBytes >= 1)) {
    throw new RangeError(`Cannot open a SQL store: maxBytes must be a positive integer: ${maxBytes}`);
  }
  if (!(keepExpired >= 0)) {
    throw new RangeError(`Cannot open a SQL store: keepExpired must be 0 or more: ${keepExpired}`);
  }
  const [zstd, checksum] = await Promise.all([codec ?? zstdOrPlain(), loadChecksum()]);
  return new SqlStore(driver, { zstd, checksum }, { clock, location, maxBytes, keepExpired });
}

/** At the edge there is no WebAssembly but what was uploaded; whoever has not uploaded zstd stores more bytes. */
async function zstdOrPlain(): Promise<Codec> {
  try {
    return await loadZstd();
  } catch (error) {
    if (error instanceof FileError && error.code === "ENOENT") return plain;
    throw error;
  }
}

/** What is said of it, or is so by default. */
interface Settings {
  readonly clock: Clock;
  readonly location: string;
  readonly maxBytes: number | undefined;
  readonly keepExpired: Milliseconds;
}

class SqlStore implements Store {
  readonly name = "sql";
  readonly location: string;
  readonly failures: Failures;
  readonly ledger: DailyLedger = {
    add: (daily) => this.#count(daily),
    read: () => this.#ledger(),
  };
  readonly #session: SqlSession;
  readonly #answers: SqlAnswers;
  readonly #requests: SqlRequests;
  readonly #remover: SqlRemover;
  readonly #amounts = new AmountsByDay(MOST_WAITING_AMOUNTS);
  readonly #upkeep: SqlUpkeep;
  /** Where there is a limit. */
  readonly #room?: SqlRoom;
  readonly #removals = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(driver: SqlDriver, codecs: RowCodecs, { clock, location, maxBytes, keepExpired }: Settings) {
    const session = new SqlSession(driver, codecs, clock, () => this.#room?.add(undefined));
    this.#session = session;
    this.location = location;
    this.#answers = new SqlAnswers(session);
    this.#requests = new SqlRequests(session);
    const lastUse = (model: string, key: Key): Milliseconds | undefined => this.#upkeep.lastUse(model, key);
    if (maxBytes !== undefined) this.#room = new SqlRoom(session, maxBytes, lastUse);
    this.#remover = new SqlRemover(session, (bytes) => this.#room?.add(-bytes));
    this.#upkeep = new SqlUpkeep(session, this.#remover, this.#amounts, keepExpired);
    this.failures = new SqlFailures(session, (tried) => this.#assertOpen(tried));
  }

  lookup(model: string, wants: readonly Want[]): readonly Found[] {
    this.#assertOpen("look up");
    return this.#session.read(wants.map(() => MISS), () => {
      const now = this.#session.clock.now();
      return wants.map((want) => {
        const found = this.#answers.find(model, want, now);
        if (this.#room && found.entries.length > 0 && !want.peek) this.#upkeep.use(model, want.key);
        return found;
      });
    });
  }

  put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): void {
    this.#assertOpen("store");
    refuseOddSketch(request);
    const compressed = entries.map((entry) => compressEntry(entry, this.#session.codecs));
    this.#session.write(() => {
      const bytes = this.#answers.put({ model, request, entries: compressed, placement, tags });
      if (!this.#room) return;
      this.#room.add(bytes);
      this.#room.make(this.#remover, request.key, model);
    });
    if (entries.some(({ expires }) => expires !== null)) this.#upkeep.begin();
  }

  async remove(selection: Selection): Promise<Removed> {
    this.#assertOpen("remove entries");
    const removal = removeSelected(this.#session, this.#remover, selection);
    this.#removals.add(removal);
    try {
      return await removal;
    } finally {
      this.#removals.delete(removal);
    }
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    this.#assertOpen("look for requests");
    return await this.#requests.nearest(sketch, limit, model);
  }

  async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    for (let after: number | undefined = 0; after !== undefined;) {
      this.#assertOpen("list requests");
      const { listed, last } = this.#requests.some(selection, after);
      yield* listed;
      after = last;
    }
  }

  size(): StoreSize {
    this.#assertOpen("measure");
    const nothing = { entries: 0, bodyBytes: 0, storedBytes: 0, totalBytes: 0 };
    return this.#session.read(nothing, () => {
      const [entries, bodyBytes, storedBytes] = this.#session.statement(SIZES).get() as [number, number, number];
      const { driver } = this.#session;
      const totalBytes = driver.size ? driver.size() : this.#session.statement(PAGES).get()![0] as number;
      return { entries, bodyBytes, storedBytes, totalBytes };
    });
  }

  modelSizes(): ReadonlyMap<string, StoreSize> {
    this.#assertOpen("measure");
    return this.#session.read(new Map(), () => {
      const rows = this.#session.statement(MODEL_SIZES).all() as [string, number, number, number][];
      return new Map(rows.map(([model, entries, bodyBytes, storedBytes]) => {
        const totalBytes = this.#session.statement(MODEL_BYTES).get(model)![0] as number;
        return [model, { entries, bodyBytes, storedBytes, totalBytes }];
      }));
    });
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await Promise.allSettled([...this.#removals]);
    await this.#upkeep.finish();
    this.#session.close();
  }

  #count({ model, day, amounts }: DailyAmounts): void {
    for (const [name, amount] of Object.entries(amounts)) this.#amounts.add(model, { day, name, amount });
    if (this.#amounts.has(model)) this.#upkeep.begin();
  }

  #ledger(): readonly DailyAmounts[] {
    this.#assertOpen("read the ledger");
    const sums = new AmountsByDay();
    const written = this.#session.read([], () => this.#session.statement(DAILY).all());
    for (const [model, day, name, amount] of written as (readonly [string, string, string, number])[]) {
      sums.add(model, { day, name, amount });
    }
    for (const { model, day, amounts } of this.#amounts.list()) {
      for (const [name, amount] of Object.entries(amounts)) sums.add(model, { day, name, amount });
    }
    return sums.list();
  }

  #assertOpen(tried: string): void {
    if (this.#closing) throw new CacheError("closed", `Cannot ${tried} in the SQL store: it was closed`);
  }
}
