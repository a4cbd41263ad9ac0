/**
 * The store behind another warmcache server, reached over HTTP with nothing but `fetch`: for programs on other machines,
 * in browsers and at the edge. An outage is a miss and never an error of the cache: lookups fail at once, and answers wait
 * in memory until the server is back.
 *
 * @module
 */

import { type Checksum, loadChecksum } from "../../codec/checksum.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { refuseLongClaim, refuseLongError, refuseOddSketch } from "../limits.ts";
import type {
  ClaimReply,
  Claims,
  DailyLedger,
  FailureRecord,
  Failures,
  Found,
  Key,
  ListedRequest,
  NewEntry,
  NewFailure,
  Placement,
  PutOptions,
  Removed,
  RequestRecord,
  Selection,
  Store,
  StoreFault,
  StoreSize,
  Want,
} from "../store.ts";
import { BadBytes, ByteReader, ByteWriter } from "./bytes.ts";
import { Call, Lateness, MOST_WANTS } from "./calls.ts";
import { RemoteLedger } from "./ledger.ts";
import { Link } from "./link.ts";
import { listRequests } from "./listing.ts";
import { newId } from "./new_id.ts";
import { type RemoteStoreOptions, type Settings, settingsOf } from "./options.ts";
import {
  readFailure,
  readFound,
  readRequest,
  writeNewEntry,
  writePlacement,
  writeRequest,
  writeSelection,
  writeWant,
} from "./values.ts";
import { WriteQueue } from "./write_queue.ts";

export type { RemoteConnection, RemoteStoreOptions } from "./options.ts";

/**
 * Opens a store at a server. A server that is away is no error: lookups fail, answers wait, and it is tried again until it
 * is there.
 *
 * @throws TypeError, RangeError when an option is wrong.
 * @throws CacheError `unavailable` when the server refuses the API key, or is none of this version.
 */
export async function openRemoteStore(options: RemoteStoreOptions): Promise<Store> {
  return await openStoreOver(settingsOf(options), options.runtime.clock);
}

/**
 * Opens a store that is reached with a `fetch` that need not be HTTP.
 *
 * @throws CacheError as {@link openRemoteStore} does.
 */
export async function openStoreOver(settings: Settings, clock: Clock): Promise<Store> {
  const checksum = await loadChecksum();
  const link = new Link(settings, clock, checksum);
  await link.open();
  return new RemoteStore(settings, clock, link, checksum);
}

class RemoteStore implements Store {
  readonly name: string;
  readonly location: string;
  readonly claims: Claims;
  readonly failures: Failures;
  readonly ledger: DailyLedger;
  readonly #settings: Settings;
  readonly #clock: Clock;
  readonly #link: Link;
  readonly #checksum: Checksum;
  readonly #writes: WriteQueue;
  readonly #ledger: RemoteLedger;
  #closing: Promise<void> | undefined;

  constructor(settings: Settings, clock: Clock, link: Link, checksum: Checksum) {
    this.name = settings.name;
    this.location = settings.location;
    this.#settings = settings;
    this.#clock = clock;
    this.#link = link;
    this.#checksum = checksum;
    this.#writes = new WriteQueue(link, clock, settings.queueBytes);
    this.ledger = this.#ledger = new RemoteLedger(link, clock);
    this.claims = {
      claim: (...claim) => this.#claim(...claim),
      release: (...claim) => this.#release(...claim),
    };
    this.failures = {
      record: (...failure) => this.#recordFailure(...failure),
      last: (...request) => this.#lastFailure(...request),
    };
    link.onUp = () => void this.#writes.flush();
    link.onAway = () => this.#writes.keepAll();
  }

  onFault(listener: (fault: StoreFault) => void): void {
    this.#writes.onFault = listener;
  }

  async lookup(model: string, wants: readonly Want[]): Promise<readonly Found[]> {
    const tried = "look up answers";
    this.#assertOpen(tried);
    // Copies, since the caller may change his.
    const asked = wants.map(({ key, samples, grace = 0 }): Want => ({ key: key.slice(), samples, grace }));
    const found: Found[] = [];
    while (found.length < asked.length) {
      const next = asked.slice(found.length, found.length + MOST_WANTS);
      const writer = new ByteWriter().byte(Call.LOOKUP).text(model);
      writer.list(next, (want) => writeWant(writer, want));
      found.push(
        ...await this.#ask(tried, writer, (reader) => {
          const answered = reader.list(() => readFound(new ByteReader(reader.blob())));
          if (answered.length > 0 && answered.length <= next.length) return answered;
          throw new BadBytes(`${answered.length} answers to ${next.length} questions`);
        }),
      );
    }
    return found;
  }

  async put(
    model: string,
    request: RequestRecord,
    entries: readonly NewEntry[],
    placement: Placement,
    { tags = [] }: PutOptions = {},
  ): Promise<void> {
    this.#assertOpen("store an answer");
    refuseOddSketch(request);
    const writer = new ByteWriter().byte(Call.PUT).byte(Lateness.NONE).blob(newId()).text(model);
    writeRequest(writer, request);
    writePlacement(writer, placement);
    writer.list(tags, (tag) => writer.text(tag)).list(entries, (entry) => writeNewEntry(writer, entry));
    await this.#writes.write({ model, key: request.key.slice(), payload: writer.done() });
  }

  async remove(selection: Selection): Promise<Removed> {
    const tried = "remove answers";
    this.#assertOpen(tried);
    const writer = new ByteWriter().byte(Call.REMOVE);
    writeSelection(writer, selection);
    const { model } = selection;
    const names = selection.keys && new Set(selection.keys.map(String));
    await this.#writes.settle(
      tried,
      (write) => (model === undefined || model === write.model) && names?.has(String(write.key)) !== false,
    );
    return await this.#askLong(tried, writer, (reader) => {
      return { entries: reader.number(), storedBytes: reader.number() };
    });
  }

  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<readonly RequestRecord[]> {
    const tried = "look for requests";
    this.#assertOpen(tried);
    refuseOddSketch({ sketch });
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(`Cannot ${tried}: limit has to be a positive integer: ${limit}`);
    }
    const writer = new ByteWriter().byte(Call.NEAREST).blob(sketch).count(Math.min(limit, 2 ** 32 - 1));
    writer.nullable(model ?? null, (name) => writer.text(name));
    return await this.#askLong(tried, writer, (reader) => reader.list(() => readRequest(reader)));
  }

  async *list(selection: Pick<Selection, "model" | "namespace"> = {}): AsyncGenerator<ListedRequest> {
    this.#assertOpen("list requests");
    yield* listRequests(this.#link, this.#clock, this.#checksum, selection);
  }

  async size(): Promise<StoreSize> {
    const tried = "measure the store";
    this.#assertOpen(tried);
    return await this.#askLong(tried, new ByteWriter().byte(Call.SIZE), (reader) => {
      const [entries, bodyBytes, storedBytes] = [reader.number(), reader.number(), reader.number()];
      return { entries, bodyBytes, storedBytes, totalBytes: reader.number() };
    });
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    await this.#writes.close(this.#settings.flushTimeout);
    await this.#ledger.close();
    this.#link.close();
  }

  async #claim(model: string, key: Key, holder: string, duration: Milliseconds): Promise<ClaimReply> {
    const tried = "claim a request";
    this.#assertOpen(tried);
    refuseLongClaim(duration);
    const writer = new ByteWriter().byte(Call.CLAIM).text(model).blob(key).text(holder).number(duration);
    const left = await this.#ask(tried, writer, (reader) => reader.nullable(() => reader.number()));
    return left === null ? { granted: true } : { granted: false, expires: this.#clock.now() + left };
  }

  async #release(model: string, key: Key, holder: string): Promise<void> {
    const writer = new ByteWriter().byte(Call.RELEASE).text(model).blob(key).text(holder);
    try {
      await this.#link.call("give up a claim", writer.done());
    } catch {
      // It ends by itself.
    }
  }

  async #recordFailure(model: string, key: Key, { last, expires, error }: NewFailure): Promise<void> {
    const tried = "record a failure";
    this.#assertOpen(tried);
    refuseLongError(error);
    const writer = new ByteWriter().byte(Call.RECORD_FAILURE).text(model).blob(key).number(last);
    writer.nullable(expires, (time) => writer.number(time)).blob(error);
    await this.#ask(tried, writer, () => {});
  }

  async #lastFailure(model: string, key: Key): Promise<FailureRecord | undefined> {
    const tried = "look for a failure";
    this.#assertOpen(tried);
    const writer = new ByteWriter().byte(Call.LAST_FAILURE).text(model).blob(key);
    return await this.#ask(tried, writer, (reader) => reader.nullable(() => readFailure(reader)) ?? undefined);
  }

  async #ask<T>(tried: string, writer: ByteWriter, read: (reader: ByteReader) => T): Promise<T> {
    return this.#readable(tried, await this.#link.call(tried, writer.done()), read);
  }

  async #askLong<T>(tried: string, writer: ByteWriter, read: (reader: ByteReader) => T): Promise<T> {
    return this.#readable(tried, await this.#link.longCall(tried, writer.done()), read);
  }

  #readable<T>(tried: string, reader: ByteReader, read: (reader: ByteReader) => T): T {
    try {
      const value = read(reader);
      reader.end();
      return value;
    } catch (error) {
      if (!(error instanceof BadBytes)) throw error;
      throw this.#link.unavailable(tried, `its reply makes no sense: ${error.message}`, error);
    }
  }

  #assertOpen(tried: string): void {
    if (this.#closing) throw new CacheError("closed", `Cannot ${tried} at ${this.location}: the store was closed`);
  }
}
