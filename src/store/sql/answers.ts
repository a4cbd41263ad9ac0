/**
 * The answers of a store on one SQL database, with the requests they are answers to: what is there, and how more of it
 * gets there.
 *
 * @module
 */

import { plain } from "../../codec/plain.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlRow, SqlValue } from "../../sqlite/driver.ts";
import { packRow } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import type { CompressedEntry, Unusable } from "../sqlite/entry_row.ts";
import { ENTRY_COLUMNS, entryRow, readEntry, REQUEST_COLUMNS, requestRow, StoredRow } from "../sqlite/entry_row.ts";
import type { Found, Key, Placement, RequestRecord, Want } from "../store.ts";
import { inRow, partsOf, readParts, removeParts, writeParts } from "./parts.ts";
import type { SqlSession } from "./session.ts";

/** More samples than anybody has, as SQLite takes them for a limit. */
const MOST_SAMPLES = 2 ** 31;
/** What a request and each of its answers take beside their bodies: columns, keys and indexes, about. */
const REQUEST_BYTES = 300;
/** The same of an answer. */
export const ENTRY_BYTES = 400;

const COLUMNS = ENTRY_COLUMNS.split(", ");
const BODY = COLUMNS.indexOf("body");
const CODEC = COLUMNS.indexOf("codec");
const REQUEST = REQUEST_COLUMNS.split(", ");

/** Joined with itself by rowid, so that all columns come from the row and none from an index (`entry_row.ts`). */
const SELECT = `SELECT ${COLUMNS.map((column) => `row.${column}`).join(", ")}, row.parts, row.rowid ` +
  "FROM warmcache_entry AS found LEFT JOIN warmcache_entry AS row ON row.rowid = found.rowid " +
  "WHERE found.key = ? AND found.model = ? ORDER BY found.sample LIMIT ? OFFSET ?";
const INSERT = `INSERT INTO warmcache_entry (${ENTRY_COLUMNS}, model, stored, parts) ` +
  `VALUES (${marks(COLUMNS.length + 3)}) RETURNING rowid`;
const OF_SAMPLE = "SELECT rowid, parts, stored FROM warmcache_entry WHERE key = ? AND model = ? AND sample = ?";
const FROM_SAMPLE = "SELECT rowid, parts, stored FROM warmcache_entry WHERE key = ? AND model = ? AND sample >= ?";
const DELETE = "DELETE FROM warmcache_entry WHERE rowid = ?";
const INSERT_REQUEST = `INSERT INTO warmcache_request (${REQUEST_COLUMNS}, model, sketch, used, bytes, parts) ` +
  `VALUES (${marks(REQUEST.length + 5)}) RETURNING rowid`;
const USE_REQUEST = "UPDATE warmcache_request SET used = ?, bytes = bytes + ? WHERE key = ? AND model = ?";
const INSERT_TAG = "INSERT OR IGNORE INTO warmcache_tag (tag, key, model) VALUES (?, ?, ?)";

/** What is to be put. */
export interface SqlPut {
  readonly model: string;
  readonly request: RequestRecord;
  readonly entries: readonly CompressedEntry[];
  readonly placement: Placement;
  readonly tags: readonly string[];
}

/** A row, whole again, and where it is. */
interface WholeRow {
  readonly values: readonly SqlValue[];
  readonly row: StoredRow | Unusable;
}

/** The answers of a database. */
export class SqlAnswers {
  readonly #session: SqlSession;

  constructor(session: SqlSession) {
    this.#session = session;
  }

  /**
   * What there is of one {@link Want}.
   *
   * @throws CacheError `unavailable` when an answer was compressed by what is not here.
   */
  find(model: string, { key, samples, grace = 0 }: Want, now: Milliseconds): Found {
    const most = Math.min(Math.ceil(samples), MOST_SAMPLES);
    const entries: StoredRow[] = [];
    const late: StoredRow[] = [];
    const found = { stale: false, expired: false, corrupt: false };
    let [seen, last] = [0, -1];
    for (let batch = most, isEnd = false; !isEnd && entries.length < most; batch = Math.max(batch, seen)) {
      const rows = this.#rows(model, key, now - grace, batch, seen);
      isEnd = rows.length < batch;
      seen += rows.length;
      for (const { values, row } of rows) {
        if (!(row instanceof StoredRow)) {
          found[row] = true;
        } else if (row.sample <= last) {
          found.corrupt = true;
        } else {
          last = row.sample;
          this.#refuseUnreadable(values);
          (row.expires !== null && row.expires <= now ? late : entries).push(row);
          if (entries.length === most) break;
        }
      }
    }
    entries.push(...late.slice(0, most - entries.length));
    for (const [index, row] of entries.entries()) row.sample = index;
    return { entries, ...found };
  }

  /** Stores a request and its answers in a transaction; returns by how many bytes there are more. */
  put({ model, request, entries, placement, tags }: SqlPut): number {
    const { codecs, clock } = this.#session;
    const { key } = request;
    const now = clock.now();
    const there = placement === "replace_all" ? [] : this.#usableSamples(model, key, now);
    const replaced = placement === "replace" ? there : [];
    let sample = (there.at(-1) ?? -1) + 1;
    let more = 0;
    for (const [index, entry] of entries.entries()) {
      const at = replaced[index] ?? sample++;
      more -= this.#drop(this.#session.statement(OF_SAMPLE).all(key, model, at));
      const values = entryRow(key, at, entry, codecs);
      values[BODY] = inRow(entry.body);
      const stored = entry.body.byteLength;
      const [id] = this.#session.statement(INSERT).get(...values, model, stored, partsOf(entry.body))!;
      writeParts(this.#session, "entry", id as number, entry.body);
      more += stored + ENTRY_BYTES;
    }
    if (placement === "replace_all") {
      more -= this.#drop(this.#session.statement(FROM_SAMPLE).all(key, model, sample));
    }
    // One that is new is written once: a row that is written is paid for.
    const isKnown = this.#session.statement(USE_REQUEST).run(now, more, key, model) > 0;
    if (!isKnown) more += this.#putRequest(model, request, now, more);
    for (const tag of tags) this.#session.statement(INSERT_TAG).run(tag, key, model);
    return more;
  }

  /** Returns how many bytes it takes, its answers' apart. */
  #putRequest(model: string, request: RequestRecord, now: Milliseconds, answers: number): number {
    const values = requestRow(request, now, this.#session.codecs);
    const at = REQUEST.indexOf("body");
    const body = values[at] as Uint8Array;
    values[at] = inRow(body);
    const bytes = body.byteLength + REQUEST_BYTES;
    const insert = this.#session.statement(INSERT_REQUEST);
    const [id] = insert.get(...values, model, request.sketch, now, bytes + answers, partsOf(body))!;
    writeParts(this.#session, "request", id as number, body);
    return bytes;
  }

  /**
   * The numbers of a request's samples that can be served, ascending. What is appended comes after them, so that those that
   * were found stay where they were; what lies there, broken, expired or older, gives way.
   */
  #usableSamples(model: string, key: Key, now: Milliseconds): number[] {
    const usable = new Set<number>();
    for (const { row } of this.#rows(model, key, now, MOST_SAMPLES, 0)) {
      if (row instanceof StoredRow) usable.add(row.sample);
    }
    return [...usable].toSorted((left, right) => left - right);
  }

  /** Rows of a request from the `offset`th on, those that expire up to `now` told as such. */
  #rows(model: string, key: Key, now: Milliseconds, limit: number, offset: number): WholeRow[] {
    return this.#session.statement(SELECT).all(key, model, limit, offset).map((read) => {
      const values: SqlValue[] = read.slice(0, COLUMNS.length);
      const [parts, id] = read.slice(COLUMNS.length) as [number, number];
      if (parts > 0) values[BODY] = readParts(this.#session, "entry", id);
      return { values, row: readEntry(packRow(values), key, now, this.#session.codecs, noDictionary) };
    });
  }

  /** An answer that was paid for must not look like none because a module is missing. */
  #refuseUnreadable(values: readonly SqlValue[]): void {
    const codec = values[CODEC];
    if (codec === plain.name || codec === this.#session.codecs.zstd.name) return;
    throw new CacheError(
      "unavailable",
      `Cannot read a stored answer: it was compressed with ${codec}, which is not here; call provideWasm with zstd.wasm`,
    );
  }

  /** Removes rows of rowid, parts and stored bytes; returns how many bytes that makes. */
  #drop(rows: readonly SqlRow[]): number {
    let bytes = 0;
    for (const [id, parts, stored] of rows as (readonly [number, number, number])[]) {
      this.#session.statement(DELETE).run(id);
      if (parts > 0) removeParts(this.#session, "entry", id);
      bytes += stored + ENTRY_BYTES;
    }
    return bytes;
  }
}

/** There are none here: they gain most where a model has thousands of answers. */
const noDictionary = (): undefined => undefined;

function marks(count: number): string {
  return Array.from({ length: count }, () => "?").join(", ");
}
