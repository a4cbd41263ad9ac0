/**
 * Finds the requests of one database whose sketches resemble one most. Sketches are gathered, in quiet moments, in blocks
 * that are read and compared at once; those of the last requests, which are in no block yet, are read row by row.
 *
 * A block says up to which rowid it reaches, and begins after the one before it. What it says of a request is only a
 * hint: the row itself is read and verified, and where it is gone or broken the next nearest takes its place.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { packedRows } from "../../sqlite/packed_row.ts";
import { NearestSketches, packSketch, RECORD_BYTES, SKETCH_BYTES } from "../nearest.ts";
import type { RequestRecord } from "../store.ts";
import type { Connection } from "./connection.ts";
import { readRequest, SELECT_REQUEST } from "./request_row.ts";
import type { Upkeep } from "./upkeep.ts";

/** Requests in a block. */
const BLOCK = 4096;
/** Rows read at once, and how long reading goes on in one slice. */
const AT_ONCE = 128;
const LONGEST: Milliseconds = 3;
/** More candidates than these are not kept, so that the search stays quick where most of what is in blocks is gone. */
const MOST_CANDIDATES = 1024;
/** Blocks are looked through for requests that are gone once so many are; one that has lost this part is made anew. */
const MANY_GONE = 1024;
const LOST_PART = 0.25;

const LAST_REQUEST = "SELECT ifnull(max(rowid), 0) FROM request";
const LAST_BLOCK = "SELECT ifnull(max(last), 0) FROM sketch";
const SKETCHES = "SELECT rowid, sketch FROM request WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?";
const NEXT_BLOCK = "SELECT last, content FROM sketch WHERE last > ? ORDER BY last LIMIT 1";
const BLOCK_LENGTH = "SELECT last, length(content) FROM sketch WHERE last > ? ORDER BY last LIMIT 1";
const COUNT_REQUESTS = "SELECT count(*) FROM request WHERE rowid > ? AND rowid <= ?";
const REMOVE_BLOCK = "DELETE FROM sketch WHERE last = ?";
const WRITE_BLOCK = "INSERT OR REPLACE INTO sketch (last, content) VALUES (?, ?)";

/** A request, and how many bits of its sketch differ. */
export interface Near {
  readonly request: RequestRecord;
  readonly distance: number;
}

/** A search under way in one database. */
export class SketchSearch {
  /** What was found, once {@link SketchIndex.search} says that all was seen. */
  found: readonly Near[] = [];
  readonly sketch: Uint8Array;
  readonly limit: number;
  /** How many candidates to look for: some may be gone, or broken. */
  most: number;
  near: NearestSketches;
  /** Rowid of the last request that was seen. */
  after = 0;
  /** Whether all blocks were. */
  isPastBlocks = false;

  /** @throws RangeError when `limit` is no positive integer, or the sketch none. */
  constructor(sketch: Uint8Array, limit: number) {
    this.sketch = sketch;
    this.limit = limit;
    this.most = 2 * limit;
    this.near = new NearestSketches(sketch, this.most);
  }

  /** Starts anew with more candidates. */
  widen(): void {
    this.most *= 8;
    this.near = new NearestSketches(this.sketch, this.most);
    this.after = 0;
    this.isPastBlocks = false;
  }
}

/** A block that is being gathered. */
interface Gathering {
  /** Where it ends; `undefined` for a new one, which ends where it is full. */
  readonly last: number | undefined;
  readonly ids: number[];
  readonly sketches: Uint8Array[];
  /** Rowid of the last request that was looked at, and how many were. */
  after: number;
  rows: number;
}

/** The sketches of one database. */
export class SketchIndex implements Upkeep {
  readonly #connection: Connection;
  /** How many requests are in no block, as far as is known. */
  #ungathered: number;
  /** How many requests have gone that may still be in a block, as far as is known. */
  #gone = 0;
  #gathering: Gathering | undefined;
  /** The block after which it is looked for requests that are gone; `undefined` when it is not. */
  #checked: number | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
    try {
      this.#ungathered = this.#number(LAST_REQUEST) - this.#number(LAST_BLOCK);
    } catch {
      // Whoever looks for answers will say what is wrong.
      this.#ungathered = 0;
    }
  }

  get hasWork(): boolean {
    return this.#ungathered >= BLOCK || this.#gone >= MANY_GONE || this.#gathering !== undefined ||
      this.#checked !== undefined;
  }

  /** A request was put. */
  added(): void {
    this.#ungathered++;
  }

  /** So many requests were removed, at most. */
  removed(requests: number): void {
    this.#gone += requests;
  }

  work(): void {
    const { clock } = this.#connection;
    this.#connection.enterReading(clock.now());
    try {
      if (this.#gathering) return this.#gather(this.#gathering);
      if (this.#checked !== undefined || this.#gone >= MANY_GONE) return this.#check(this.#checked ?? 0);
      // Others may have gathered them.
      const after = this.#number(LAST_BLOCK);
      this.#ungathered = this.#number(LAST_REQUEST) - after;
      if (this.#ungathered >= BLOCK) this.#gathering = { last: undefined, ids: [], sketches: [], after, rows: 0 };
    } catch (error) {
      // It is tried again when more has come or gone.
      [this.#ungathered, this.#gone, this.#gathering, this.#checked] = [0, 0, undefined, undefined];
      throw error;
    }
  }

  /**
   * Looks through some of the sketches; returns whether all were seen, and `search` has the nearest requests.
   *
   * @throws SqliteError
   */
  search(search: SketchSearch): boolean {
    const { clock } = this.#connection;
    this.#connection.enterReading(clock.now());
    const end = clock.monotonic() + LONGEST;
    do {
      if (!search.isPastBlocks) this.#searchBlock(search);
      else if (!this.#searchRows(search)) return this.#read(search);
    } while (clock.monotonic() < end);
    return false;
  }

  #searchBlock(search: SketchSearch): void {
    const block = this.#connection.statement(NEXT_BLOCK).get(search.after);
    if (!block) {
      search.isPastBlocks = true;
      return;
    }
    const content = block[1] as Uint8Array;
    search.near.scan(content.subarray(0, content.byteLength - content.byteLength % RECORD_BYTES));
    search.after = block[0] as number;
  }

  /** Looks at requests that are in no block; returns whether there are more. */
  #searchRows(search: SketchSearch): boolean {
    const rows = this.#connection.statement(SKETCHES).all(search.after, Number.MAX_SAFE_INTEGER, AT_ONCE);
    for (const [id, sketch] of rows) if (isSketch(sketch)) search.near.offer(id as number, sketch);
    search.after = rows.at(-1)?.[0] as number ?? search.after;
    return rows.length === AT_ONCE;
  }

  /** Reads the requests found; returns whether these are enough. */
  #read(search: SketchSearch): boolean {
    const candidates = search.near.best();
    const found: Near[] = [];
    const select = this.#connection.statement(SELECT_REQUEST);
    const selectSketch = this.#connection.statement("SELECT sketch FROM request WHERE rowid = ?");
    let gone = 0;
    for (const { id, distance } of candidates) {
      if (found.length === search.limit) break;
      const sketch = Number.isSafeInteger(id) ? selectSketch.get(id)?.[0] : undefined;
      const [packed] = isSketch(sketch) ? packedRows(select, id) : [];
      const request = packed && readRequest(packed, sketch as Uint8Array, this.#connection.tools);
      if (request) found.push({ request, distance });
      else gone++;
    }
    this.#gone += gone;
    if (found.length < search.limit && candidates.length === search.most && search.most < MOST_CANDIDATES) {
      search.widen();
      return false;
    }
    search.found = found;
    return true;
  }

  /** Gathers some more sketches, and writes the block when it is full. */
  #gather(gathering: Gathering): void {
    const { clock } = this.#connection;
    const end = clock.monotonic() + LONGEST;
    const { last, ids, sketches } = gathering;
    const select = this.#connection.statement(SKETCHES);
    let isEnd = false;
    do {
      const most = Math.min(AT_ONCE, BLOCK - gathering.rows);
      const rows = select.all(gathering.after, last ?? Number.MAX_SAFE_INTEGER, most);
      for (const [id, sketch] of rows) {
        if (!isSketch(sketch)) continue;
        ids.push(id as number);
        sketches.push(sketch);
      }
      gathering.rows += rows.length;
      gathering.after = rows.at(-1)?.[0] as number ?? gathering.after;
      isEnd = rows.length < most;
    } while (!isEnd && gathering.rows < BLOCK && clock.monotonic() < end);
    if (!isEnd && gathering.rows < BLOCK) return;
    this.#gathering = undefined;
    // What was ungathered may have been removed meanwhile: then the rest waits until there is a blockful again.
    if (last !== undefined || gathering.rows === BLOCK) this.#write(gathering, packSketch(ids, sketches));
    this.#ungathered = this.#number(LAST_REQUEST) - this.#number(LAST_BLOCK);
  }

  #write({ last, after }: Gathering, block: Uint8Array): void {
    const end = last ?? after;
    this.#connection.write(() => {
      // What was gathered may be gone by now, and a block must not reach beyond the last request (entry_removal.ts). A
      // new block is kept even where no request in it has a sketch: these need not be looked at again.
      const isVain = (last !== undefined && block.byteLength === 0) || this.#number(LAST_REQUEST) < end;
      if (isVain) this.#connection.statement(REMOVE_BLOCK).run(end);
      else this.#connection.statement(WRITE_BLOCK).run(end, block);
    });
  }

  /** Looks at the block after `after`, and has it made anew when too many of its requests are gone. */
  #check(after: number): void {
    this.#gone = 0;
    const [last, length] = this.#connection.statement(BLOCK_LENGTH).get(after) as [number, number] | undefined ?? [];
    this.#checked = last;
    if (last === undefined || length === undefined) return;
    const there = this.#connection.statement(COUNT_REQUESTS).get(after, last)![0] as number;
    if (there > (1 - LOST_PART) * length / RECORD_BYTES) return;
    this.#gathering = { last, ids: [], sketches: [], after, rows: 0 };
  }

  #number(sql: string): number {
    return this.#connection.statement(sql).get()![0] as number;
  }
}

function isSketch(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array && value.byteLength === SKETCH_BYTES;
}
