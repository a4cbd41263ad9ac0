/**
 * The server's end of the wire: takes messages and answers them from a store. It knows nothing of HTTP, and trusts
 * nothing that comes.
 *
 * @module
 */

import { type Checksum, loadChecksum } from "../../codec/checksum.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import { refuseLongError, refuseOddSketch } from "../limits.ts";
import type { ListedRequest, Store } from "../store.ts";
import { arbitrated, type SharedStore } from "./arbiter.ts";
import { BadBytes, ByteReader, ByteWriter } from "./bytes.ts";
import { Call, ID_BYTES, MOST_WANTS, Reply } from "./calls.ts";
import { byPlace, type Frame, frameHead, messageStart, readMessage, writeMessage } from "./message.ts";
import { answersOf, Room } from "./found_answers.ts";
import { Once } from "./once.ts";
import { storeOf } from "./owned_store.ts";
import {
  readDaily,
  readKey,
  readNewEntry,
  readPlacement,
  readRequest,
  readSelection,
  readSketch,
  readWant,
  writeCode,
  writeDaily,
  writeFailure,
  writeListed,
  writeRequest,
} from "./values.ts";

/** So many calls are in one message at most. */
const MOST_FRAMES = 4096;
/** Calls are begun for so long before others have a turn. */
const LONGEST_TURN: Milliseconds = 4;
/** Requests are listed in pages of so many bytes, about. */
const PAGE_BYTES = 64 * 1024;
/** The most requests that `nearest` gives. */
const MOST_NEAREST = 1000;

/** What a service needs. */
export interface StoreServiceOptions {
  /** Not closed here. */
  readonly store: Store;
  readonly clock: Clock;
  /** Hears why a call failed. */
  readonly report: (error: unknown) => void;
  /** Whether clients hear that too, as the user's own pages may. Default: they are told what kind of failure it is. */
  readonly tellsWhy?: boolean;
}

/** Makes a service on a store. */
export async function openStoreService(options: StoreServiceOptions): Promise<StoreService> {
  return new StoreService(options, await loadChecksum());
}

/** Answers clients. */
export class StoreService {
  readonly #store: SharedStore;
  readonly #clock: Clock;
  readonly #checksum: Checksum;
  readonly #report: (error: unknown) => void;
  readonly #tellsWhy: boolean;
  readonly #once = new Once();
  readonly #failed = new Set<string>();

  constructor({ store, clock, report, tellsWhy = false }: StoreServiceOptions, checksum: Checksum) {
    this.#store = arbitrated(store, clock);
    this.#clock = clock;
    this.#checksum = checksum;
    this.#report = report;
    this.#tellsWhy = tellsWhy;
  }

  /**
   * Answers a message with one. Its calls begin in their order, and do not wait for each other.
   *
   * @param owner whose entries it is about; `undefined` where all share them.
   * @throws TypeError when it is no message, or none of this version.
   */
  async answer(owner: string | undefined, message: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const frames = this.#read(message);
    const store = storeOf(this.#store, owner, this.#failed) as SharedStore;
    const room = new Room();
    const replies: Promise<Uint8Array>[] = [];
    let began = this.#clock.monotonic();
    for (const [index, frame] of frames.entries()) {
      if (this.#clock.monotonic() - began >= LONGEST_TURN) {
        await new Promise<void>((resolve) => this.#clock.afterTurn(resolve));
        began = this.#clock.monotonic();
      }
      replies.push(this.#reply(store, frame, index === 0, room));
    }
    return writeMessage(await Promise.all(replies), (index) => frames[index]!.sum, this.#checksum).bytes;
  }

  /**
   * Answers a message that asks for a list, page by page, as fast as it is read.
   *
   * @throws TypeError as {@link answer} does.
   */
  list(owner: string | undefined, message: Uint8Array): ReadableStream<Uint8Array<ArrayBuffer>> {
    const [frame] = this.#read(message);
    if (frame === undefined || !frame.isIntact) throw new TypeError("Cannot list requests: the call is damaged");
    const { call, reader } = checked(() => opened(frame));
    if (call !== Call.LIST) throw new TypeError(`Cannot list requests: the call is another: ${call}`);
    const selection = checked(() => readSelection(reader));
    const requests = storeOf(this.#store, owner, this.#failed).list(selection)[Symbol.asyncIterator]();
    let sent = 0;
    const asFrame = (payload: Uint8Array): Uint8Array<ArrayBuffer> => {
      const head = frameHead(payload, this.#checksum(payload, frame.sum + BigInt(sent)));
      const start = sent++ === 0 ? messageStart() : new Uint8Array();
      const bytes = new Uint8Array(start.byteLength + head.byteLength + payload.byteLength);
      bytes.set(start);
      bytes.set(head, start.byteLength);
      bytes.set(payload, start.byteLength + head.byteLength);
      return bytes;
    };
    return new ReadableStream({
      pull: async (controller) => {
        try {
          const { page, isLast } = await pageOf(requests);
          controller.enqueue(asFrame(page));
          if (isLast) controller.close();
        } catch (error) {
          controller.enqueue(asFrame(this.#failure(error)));
          controller.close();
        }
      },
      cancel: async () => void await requests.return?.(),
    }, { highWaterMark: 0 });
  }

  #read(message: Uint8Array): Frame[] {
    const frames = checked(() => readMessage(message, byPlace, this.#checksum));
    if (frames.length <= MOST_FRAMES) return frames;
    throw new TypeError(`Cannot answer so many calls at once (${MOST_FRAMES} at most): ${frames.length}`);
  }

  async #reply(store: SharedStore, frame: Frame, isFirst: boolean, room: Room): Promise<Uint8Array> {
    if (!frame.isIntact) return new ByteWriter().byte(Reply.DAMAGED).done();
    const reply = new ByteWriter().byte(Reply.DONE);
    try {
      const { call, reader } = opened(frame);
      return await this.#do(call, store, reader, reply, isFirst, room);
    } catch (error) {
      return this.#failure(error);
    }
  }

  async #do(
    call: number,
    store: SharedStore,
    reader: ByteReader,
    reply: ByteWriter,
    isFirst: boolean,
    room: Room,
  ): Promise<Uint8Array> {
    const { claims, failures, ledger } = store;
    switch (call) {
      case Call.HELLO:
        return reply.done();
      case Call.LOOKUP: {
        const [model, all] = [reader.text(), reader.list(() => readWant(reader))];
        const wants = all.slice(0, MOST_WANTS);
        return answersOf(wants, await store.lookup(model, wants), isFirst, room);
      }
      case Call.PUT:
        await this.#put(store, reader);
        return reply.done();
      case Call.REMOVE: {
        const { entries, storedBytes } = await store.remove(readSelection(reader));
        return reply.number(entries).number(storedBytes).done();
      }
      case Call.NEAREST: {
        const [sketch, limit] = [readSketch(reader), reader.count()];
        const model = reader.nullable(() => reader.text()) ?? undefined;
        const requests = await store.nearest(sketch, Math.min(limit, MOST_NEAREST), model);
        return reply.list(requests, (request) => writeRequest(reply, request)).done();
      }
      case Call.CLAIM: {
        const [model, key, holder, duration] = [reader.text(), readKey(reader), reader.text(), reader.number()];
        const claim = await claims.claim(model, key, holder, duration);
        // For how long, since the clocks differ.
        const left = claim.granted ? null : claim.expires - this.#clock.now();
        return reply.nullable(left, (time) => reply.number(time)).done();
      }
      case Call.RELEASE:
        await claims.release(reader.text(), readKey(reader), reader.text());
        return reply.done();
      case Call.RECORD_FAILURE: {
        const [model, key, last] = [reader.text(), readKey(reader), reader.number()];
        const failure = { last, expires: reader.nullable(() => reader.number()), error: reader.blob() };
        refuseLongError(failure.error);
        await failures.record(model, key, failure);
        return reply.done();
      }
      case Call.LAST_FAILURE: {
        const failure = await failures.last(reader.text(), readKey(reader));
        return reply.nullable(failure ?? null, (each) => writeFailure(reply, each)).done();
      }
      case Call.ADD_AMOUNTS: {
        const [id, days] = [readId(reader), reader.list(() => readDaily(reader))];
        await this.#once.do(id, () => Promise.resolve(days.forEach((daily) => ledger.add(daily))));
        return reply.done();
      }
      case Call.READ_AMOUNTS: {
        const days = await ledger.read();
        return reply.list(days, (daily) => writeDaily(reply, daily)).done();
      }
      case Call.SIZE: {
        const { entries, bodyBytes, storedBytes, totalBytes } = await store.size();
        return reply.number(entries).number(bodyBytes).number(storedBytes).number(totalBytes).done();
      }
      default:
        throw new BadBytes(`the call ${call} is not known here`);
    }
  }

  async #put(store: Store, reader: ByteReader): Promise<void> {
    const lateness = reader.byte();
    const id = readId(reader);
    const model = reader.text();
    const request = readRequest(reader);
    refuseOddSketch(request);
    const placement = readPlacement(reader);
    const tags = reader.list(() => reader.text());
    const entries = reader.list(() => readNewEntry(reader));
    reader.end();
    await this.#once.put(store, { id, lateness, model, request, entries, placement, options: { tags } });
  }

  /** A failure, as the client is told of it. */
  #failure(error: unknown): Uint8Array {
    const reply = new ByteWriter();
    if (error instanceof RangeError || error instanceof TypeError || error instanceof BadBytes) {
      return reply.byte(Reply.REFUSED).text(error.message).done();
    }
    this.#report(error);
    const failure = error instanceof CacheError ? error : new CacheError("unavailable", "");
    writeCode(reply.byte(Reply.FAILED), failure);
    if (this.#tellsWhy) reply.text(messageOf(error));
    return reply.done();
  }
}

/** The next requests of a list; the last page says that it is. */
async function pageOf(requests: AsyncIterator<ListedRequest>): Promise<{ page: Uint8Array; isLast: boolean }> {
  const page = new ByteWriter();
  let isLast = false;
  while (!isLast && page.length < PAGE_BYTES) {
    const next = await requests.next();
    if (next.done) isLast = true;
    else writeListed(page.byte(1), next.value);
  }
  if (isLast) page.byte(0);
  return { page: new ByteWriter().byte(Reply.DONE).blob(page.done()).done(), isLast };
}

function opened({ payload }: Frame): { readonly call: number; readonly reader: ByteReader } {
  const reader = new ByteReader(payload);
  return { call: reader.byte(), reader };
}

function readId(reader: ByteReader): Uint8Array {
  const id = reader.blob();
  if (id.byteLength !== ID_BYTES) throw new BadBytes(`an id has ${ID_BYTES} bytes: ${id.byteLength}`);
  return id;
}

/** Does what fails for bad bytes only, as misuse. */
function checked<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof BadBytes)) throw error;
    throw new TypeError(`Cannot read the message: ${error.message}`, { cause: error });
  }
}
