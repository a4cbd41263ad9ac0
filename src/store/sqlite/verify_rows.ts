/**
 * Looks at every row of a database, found by its place in the table and not by an index, and at every entry of the
 * indexes that lookups go by: what a lookup would only notice when somebody asks.
 *
 * It is a generator that stops after each row, so that whoever runs it decides how long a slice is. What it looks at
 * between two stops is one state of the database; what was removed in the meantime is no damage.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { messageOf } from "../../runtime/message.ts";
import type { Dictionary as DictionaryType } from "../../codec/dictionary.ts";
import { Dictionary } from "../../codec/dictionary.ts";
import { CodecError } from "../../codec/error.ts";
import type { SqlRow, SqlStatement, SqlValue } from "../../sqlite/driver.ts";
import { SqliteError } from "../../sqlite/error.ts";
import { PackedRow, packedRows } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import type { Key } from "../store.ts";
import type { ModelFindings, VerifyOptions } from "../verify.ts";
import type { RowTools } from "./entry_row.ts";
import { ENTRY_COLUMNS, isIntact, KEY_COLUMN, readEntry, StoredRow } from "./entry_row.ts";
import { readRequest, SELECT_REQUEST } from "./request_row.ts";
import { ROW_VERSION } from "./schema.ts";

/** Where statements come from: a connection, which may be another one after each stop. */
export interface RowSource {
  statement(sql: string): SqlStatement;
}

/** What rows are looked at with. */
export interface RowCheckParts {
  readonly source: () => RowSource;
  readonly tools: RowTools;
  readonly findings: ModelFindings;
  readonly options: Pick<VerifyOptions, "deep" | "checkKey">;
  readonly now: () => Milliseconds;
  /** Told of each row. */
  readonly onRow: () => void;
}

// Their places in ENTRY_COLUMNS.
const SCHEMA_VERSION = 0;
const SAMPLE = 2;
const EXPIRES = 13;
const DICTIONARY = 15;

/** Read at once, by number only. */
const AT_ONCE = 64;
/** Looked for so many times, each time twice as far, before what comes behind a broken page is given up. */
const MOST_JUMPS = 40;
/** A claim nobody came back for. */
const OLD: Milliseconds = 60 * 60 * 1000;

const encoder = new TextEncoder();

const SELECT_ENTRY = `SELECT ${ENTRY_COLUMNS} FROM entry WHERE rowid = ?`;
const IN_INDEX = "SELECT rowid FROM entry INDEXED BY sqlite_autoindex_entry_1 WHERE key = ? AND sample = ?";
const NEXT_IN_INDEX = "SELECT key, sample, rowid FROM entry INDEXED BY sqlite_autoindex_entry_1 " +
  `WHERE (key, sample) > (?, ?) ORDER BY key, sample LIMIT ${AT_ONCE}`;
const REQUEST_IN_INDEX = "SELECT rowid FROM request INDEXED BY sqlite_autoindex_request_1 WHERE key = ?";
const NEXT_REQUEST_IN_INDEX = "SELECT key, 0, rowid FROM request INDEXED BY sqlite_autoindex_request_1 " +
  `WHERE key > ? ORDER BY key LIMIT ${AT_ONCE}`;
const NEXT_TAG = `SELECT tag, key FROM tag WHERE (tag, key) > (?, ?) ORDER BY tag, key LIMIT ${AT_ONCE}`;
const LATE_SKETCHES = "SELECT count(*) FROM sketch WHERE last > (SELECT ifnull(max(rowid), 0) FROM request)";

/** Looks at all rows of a database. */
export class RowCheck {
  readonly #parts: RowCheckParts;
  readonly #dictionaries = new Map<number, DictionaryType | undefined>();

  constructor(parts: RowCheckParts) {
    this.#parts = parts;
  }

  /** Looks at everything; stops after each row. */
  *all(): Generator<undefined, void> {
    yield* this.#allDictionaries();
    yield* this.#entries();
    yield* this.#index("entry", NEXT_IN_INDEX, IN_INDEX);
    yield* this.#requests();
    yield* this.#index("request", NEXT_REQUEST_IN_INDEX, REQUEST_IN_INDEX);
    yield* this.#tags();
    yield* this.#accesses();
    this.#rest();
  }

  *#allDictionaries(): Generator<undefined, void> {
    for (const id of this.#rowids("dictionary")) {
      if (id !== undefined && this.#dictionary(id) === undefined && this.#has("dictionary", id)) {
        this.#parts.findings.add("dictionary", `dictionary ${id} is not what its number stands for`);
      } else if (id !== undefined) this.#parts.findings.dictionaries++;
      yield;
    }
  }

  *#entries(): Generator<undefined, void> {
    for (const rowid of this.#rowids("entry")) {
      if (rowid !== undefined) this.#entry(rowid);
      yield;
    }
  }

  #entry(rowid: number): void {
    const { findings, tools, options, now } = this.#parts;
    const packed = this.#row(SELECT_ENTRY, rowid, "entry");
    if (packed === undefined) return;
    findings.entries++;
    this.#parts.onRow();
    const row = new PackedRow(packed);
    const [key, sample] = [row.blob(KEY_COLUMN), row.number(SAMPLE)];
    const version = row.number(SCHEMA_VERSION);
    if (version !== null && version < ROW_VERSION) {
      return findings.add("stale", `row ${rowid} is of version ${version}`, key, sample);
    }
    if (key === null || !isIntact(packed, tools.checksum)) {
      return findings.add("corrupt", `the checksum of row ${rowid} does not hold`, key, sample);
    }
    const id = row.number(DICTIONARY);
    if (id !== null && this.#dictionary(id) === undefined) {
      return findings.add("dictionary", `its dictionary ${id} is missing or broken`, key, sample);
    }
    const found = readEntry(packed, key, -Infinity, tools, (id) => this.#dictionary(id));
    if (!(found instanceof StoredRow)) return findings.add("corrupt", `row ${rowid} is ${found}`, key, sample);
    if (options.deep) this.#decompress(found, key, sample);
    const expires = row.number(EXPIRES);
    if (expires !== null && expires <= now()) findings.add("expired", "its time has passed", key, sample);
    if (this.#one(IN_INDEX, key, sample) !== rowid) {
      findings.add("index", `row ${rowid} is not where lookups look for it`, key, sample);
    }
    if (this.#one(REQUEST_IN_INDEX, key) === undefined) {
      findings.add("orphan", "the request of this answer is not stored", key, sample);
    }
  }

  #decompress(row: StoredRow, key: Key, sample: number | null): void {
    try {
      row.read(() => {});
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      this.#parts.findings.add("undecodable", messageOf(error), key, sample);
    }
  }

  *#requests(): Generator<undefined, void> {
    for (const rowid of this.#rowids("request")) {
      if (rowid !== undefined) this.#request(rowid);
      yield;
    }
  }

  #request(rowid: number): void {
    const { findings, tools, options } = this.#parts;
    const packed = this.#row(SELECT_REQUEST, rowid, "request");
    if (packed === undefined) return;
    findings.requests++;
    this.#parts.onRow();
    const request = readRequest(packed, new Uint8Array(SKETCH_BYTES), tools);
    const key = new PackedRow(packed).blob(0);
    if (request === undefined || key === null) {
      return findings.add("corrupt", `the checksum of request ${rowid} does not hold`, key);
    }
    if (this.#one(REQUEST_IN_INDEX, key) !== rowid) findings.add("index", `request ${rowid} is not in its index`, key);
    const wrong = options.checkKey?.(request);
    if (wrong !== undefined) findings.add("key", wrong, key);
    if (this.#one("SELECT 1 FROM entry WHERE key = ? LIMIT 1", key) === undefined) {
      findings.add("orphan", "a request without an answer", key);
    }
  }

  /** Whether each entry of an index leads to its row. */
  *#index(table: "entry" | "request", next: string, find: string): Generator<undefined, void> {
    const row = `SELECT ${table === "entry" ? "key, sample" : "key, 0"} FROM ${table} NOT INDEXED WHERE rowid = ?`;
    let [key, sample] = [new Uint8Array(0), -1];
    for (;;) {
      const rows = this.#all(`the index of ${table}`, next, key, ...table === "entry" ? [sample] : []);
      for (const [foundKey, foundSample, before] of rows) {
        if (!isLater(foundKey, foundSample, key, sample)) {
          return this.#parts.findings.add("index", `the index of ${table} is out of order`);
        }
        [key, sample] = [foundKey as Uint8Array<ArrayBuffer>, foundSample as number];
        // It may have been put elsewhere since.
        const rowid = this.#one(find, key, ...table === "entry" ? [sample] : []) ?? before!;
        const there = this.#all(`row ${rowid} of ${table}`, row, rowid)[0];
        const isRight = there !== undefined && isEqual(there[0], key) && there[1] === sample;
        const isFound = this.#one(find, key, ...table === "entry" ? [sample] : []) !== undefined;
        if (isRight !== isFound) {
          const what = isRight ? "is out of order" : `leads to row ${rowid}, which is another's`;
          this.#parts.findings.add("index", `the index of ${table} ${what}`, key, table === "entry" ? sample : null);
        }
        yield;
      }
      if (rows.length < AT_ONCE) return;
    }
  }

  *#tags(): Generator<undefined, void> {
    let [tag, key]: [string, Key] = ["", new Uint8Array(0)];
    for (;;) {
      const rows = this.#all("the tags", NEXT_TAG, tag, key);
      for (const [nextTag, nextKey] of rows) {
        const order = compare(encoder.encode(nextTag as string), encoder.encode(tag));
        if (order < 0 || (order === 0 && !isLater(nextKey, 0, key, 0))) {
          return this.#parts.findings.add("index", "the tags are out of order");
        }
        [tag, key] = [nextTag as string, nextKey as Key];
        if (this.#one("SELECT 1 FROM tag WHERE tag = ? AND key = ?", tag, key) === undefined) continue;
        if (this.#one("SELECT 1 FROM tag INDEXED BY tag_key WHERE key = ? AND tag = ?", key, tag) === undefined) {
          this.#parts.findings.add("index", `the tag ${JSON.stringify(tag)} is not in its index`, key);
        }
        if (this.#one(REQUEST_IN_INDEX, key) === undefined) {
          this.#parts.findings.add("orphan", `the tag ${JSON.stringify(tag)} of no request`, key);
        }
        yield;
      }
      if (rows.length < AT_ONCE) return;
    }
  }

  *#accesses(): Generator<undefined, void> {
    for (const rowid of this.#rowids("access")) {
      const key = rowid === undefined ? undefined : this.#one("SELECT key FROM access WHERE rowid = ?", rowid);
      if (key instanceof Uint8Array && this.#one(REQUEST_IN_INDEX, key) === undefined) {
        this.#parts.findings.add("orphan", "hits are counted of a request that is not stored", key);
      }
      yield;
    }
  }

  #rest(): void {
    const { findings, now } = this.#parts;
    const late = this.#one(LATE_SKETCHES);
    if (late) findings.add("orphan", `${late} blocks of sketches reach beyond the last request`);
    const claims = this.#one("SELECT count(*) FROM claim WHERE expires < ?", now() - OLD);
    if (claims) findings.add("leftover", `${claims} claims of processes that never gave them up`);
  }

  /** The rows of a table by number; `undefined` in place of what cannot be read, which is reported. */
  *#rowids(table: string): Generator<number | undefined, void> {
    const next = `SELECT rowid FROM ${table} NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ${AT_ONCE}`;
    let after = -1;
    let jump = 1;
    let jumps = 0;
    for (;;) {
      let rows: SqlRow[];
      try {
        rows = this.#parts.source().statement(next).all(after);
      } catch (error) {
        if (!isDamage(error)) throw error;
        if (jumps === 0) {
          this.#parts.findings.add("unreadable", `rows of ${table} behind ${after}: ${messageOf(error)}`);
        }
        if (++jumps > MOST_JUMPS) return;
        after += jump;
        jump *= 2;
        yield undefined;
        continue;
      }
      [jump, jumps] = [1, 0];
      for (const [rowid] of rows) {
        // In a broken tree a search may lead back to where it began.
        if ((rowid as number) <= after) {
          return this.#parts.findings.add("structure", `the rows of ${table} are out of order behind ${after}`);
        }
        after = rowid as number;
        yield after;
      }
      if (rows.length < AT_ONCE) return;
    }
  }

  #dictionary(id: number): DictionaryType | undefined {
    if (this.#dictionaries.has(id)) return this.#dictionaries.get(id);
    let dictionary: DictionaryType | undefined;
    const content = this.#one("SELECT content FROM dictionary WHERE id = ?", id);
    try {
      if (content instanceof Uint8Array) dictionary = new Dictionary(content, this.#parts.tools.sha256, id);
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
    }
    // One that is not there may be there later: rows come to need it while they are looked at.
    if (dictionary !== undefined) this.#dictionaries.set(id, dictionary);
    return dictionary;
  }

  #has(table: string, rowid: number): boolean {
    return this.#one(`SELECT 1 FROM ${table} WHERE rowid = ?`, rowid) !== undefined;
  }

  #row(sql: string, rowid: number, table: string): Uint8Array | undefined {
    try {
      return packedRows(this.#parts.source().statement(sql), rowid)[0];
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#parts.findings.add("unreadable", `row ${rowid} of ${table}: ${messageOf(error)}`);
      return undefined;
    }
  }

  #all(what: string, sql: string, ...parameters: SqlValue[]): SqlRow[] {
    try {
      return this.#parts.source().statement(sql).all(...parameters);
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#parts.findings.add("unreadable", `${what}: ${messageOf(error)}`);
      return [];
    }
  }

  #one(sql: string, ...parameters: SqlValue[]): SqlValue | undefined {
    try {
      return this.#parts.source().statement(sql).get(...parameters)?.[0];
    } catch (error) {
      // What cannot be found here is found missing by whoever asked.
      if (!isDamage(error)) throw error;
      return undefined;
    }
  }
}

/** Whether an entry of an index comes after another. */
function isLater(key: SqlValue | undefined, sample: SqlValue | undefined, before: Key, sampleBefore: number): boolean {
  if (!(key instanceof Uint8Array) || typeof sample !== "number") return false;
  const order = compare(key, before);
  return order > 0 || (order === 0 && sample > sampleBefore);
}

/** As SQLite compares blobs, and text in UTF-8. */
function compare(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.byteLength, right.byteLength);
  for (let at = 0; at < length; at++) if (left[at] !== right[at]) return left[at]! - right[at]!;
  return left.byteLength - right.byteLength;
}

/** Whether SQLite gave up because of what is in the file: a page, or a table that its schema no longer has. */
export function isDamage(error: unknown): boolean {
  return error instanceof SqliteError && ["SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR"].includes(error.code);
}

function isEqual(value: SqlValue | undefined, key: Key): boolean {
  return value instanceof Uint8Array && value.byteLength === key.byteLength &&
    value.every((byte, at) => byte === key[at]);
}
