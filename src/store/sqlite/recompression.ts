/**
 * Makes answers shorter when there is time: builds a dictionary of what a database's answers have in common, and
 * compresses them again with it, thoroughly. A put only compresses as fast as it can, without a dictionary.
 *
 * The walk through the answers, whatever process takes its next step, is written down in the same transaction as what it
 * has done. Every step makes sure that the dictionary it was taken with is still the current one, so rows only ever come
 * to need that one. How far the walk went is a number that nothing vouches for, and with a dictionary goes every answer
 * that needs it: before others are removed every row is looked at once more, by one process from the first to the last.
 *
 * @module
 */

import { buildDictionary, type BuiltDictionary, FEWEST_SAMPLES } from "../../codec/build_dictionary.ts";
import { THOROUGH } from "../../codec/codec.ts";
import type { Dictionary } from "../../codec/dictionary.ts";
import { plain } from "../../codec/plain.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";
import type { SqlValue } from "../../sqlite/driver.ts";
import { isBusy } from "../../sqlite/error.ts";
import { PackedRow, packedRows } from "../../sqlite/packed_row.ts";
import { CacheError } from "../error.ts";
import type { Connection } from "./connection.ts";
import type { Dictionaries } from "./dictionaries.ts";
import {
  isBuildDue,
  LARGEST_RECOMPRESSED,
  LARGEST_WITH_DICTIONARY,
  SAMPLED_ANSWERS,
  takesDictionary,
} from "./dictionary_policy.ts";
import { ENTRY_COLUMNS, entryRow, KEY_COLUMN, readEntry, StoredRow } from "./entry_row.ts";
import type { Upkeep } from "./upkeep.ts";

const SLICE: Milliseconds = 4;
/** Rows that are looked at in one slice at most, and bytes that are written in one transaction, about. */
const ROWS_AT_ONCE = 256;
const BYTES_AT_ONCE = 128 * 1024;
/** How many rows to look at for a sample: others may be too large. */
const SEARCHED_ROWS = 32;
/** An answer this short has nothing to gain. */
const SMALLEST = 64;
/** Compressing thoroughly takes a millisecond for so many bytes. */
const BYTES_PER_MILLISECOND = 32 * 1024;
/** Successive multiples of the golden ratio's fraction spread evenly, however many there are. */
const SPREAD = 0.6180339887498949;

const SELECT_ROW = `SELECT ${ENTRY_COLUMNS} FROM entry WHERE rowid = ?`;
const SELECT_SAMPLE =
  `SELECT id FROM (SELECT rowid AS id, size FROM entry WHERE rowid >= ? ORDER BY rowid LIMIT ${SEARCHED_ROWS}) ` +
  "WHERE size <= ? LIMIT 1";
/** Of any size, and chosen afterwards: looking for those that fit could take long. */
const SELECT_NEXT =
  `SELECT rowid, size, dictionary, checksum FROM entry WHERE rowid > ? ORDER BY rowid LIMIT ${ROWS_AT_ONCE}`;
const SELECT_USED = `SELECT rowid, dictionary FROM entry WHERE rowid > ? ORDER BY rowid LIMIT ${ROWS_AT_ONCE}`;
const UPDATE = "UPDATE entry SET codec = ?, dictionary = ?, body = ?, checksum = ? WHERE rowid = ? AND checksum = ?";

/** Where things stand, as the table `meta` has it. */
interface State {
  /** The current dictionary's id; `null` when there is none. */
  readonly dictionary: number | null;
  /** How many answers there were when one was last built, whatever came of it; 0 for never. */
  readonly tried: number;
  /** The last row that the walk has passed. */
  readonly walked: number;
}

/** A row that a walk comes by. */
type Passed = readonly [rowid: number, size: number, dictionary: number | null, checksum: Uint8Array];

/** A dictionary that is being built, and how things stood when that was begun. */
interface Building {
  readonly state: State;
  readonly answers: number;
  readonly steps: Generator<undefined, BuiltDictionary | undefined>;
}

/** A row, compressed again. */
interface Shorter {
  readonly rowid: number;
  readonly before: Uint8Array;
  readonly bytes: number;
  readonly values: readonly SqlValue[];
}

/** Recompresses one database. */
export class Recompression implements Upkeep {
  readonly #connection: Connection;
  readonly #dictionaries: Dictionaries;
  /** Whether there may be answers that were not looked at. */
  #isExpected = true;
  #building: Building | undefined;
  /** How far it was looked for rows that need another dictionary than the current one. */
  #check: { readonly dictionary: number | null; after: number } | undefined;
  readonly #onShortened: () => void;

  readonly #fewest: number;
  readonly #fewestSamples: number;

  /**
   * A dictionary is built from `fewest` answers on. `onShortened` is called when a walk has left free room behind.
   */
  constructor(connection: Connection, dictionaries: Dictionaries, fewest: number, onShortened: () => void) {
    this.#connection = connection;
    this.#dictionaries = dictionaries;
    this.#fewest = fewest;
    this.#fewestSamples = Math.min(fewest, FEWEST_SAMPLES);
    this.#onShortened = onShortened;
  }

  get hasWork(): boolean {
    return this.#isExpected;
  }

  /** An answer was put. */
  expect(): void {
    this.#isExpected = true;
  }

  work(): void {
    // Whatever goes wrong, there will be more some day.
    this.#isExpected = false;
    try {
      this.#isExpected = this.#slice();
    } catch (error) {
      // Who has it locked will be gone soon.
      this.#isExpected = isBusy(error);
      throw error;
    }
  }

  /** Does a slice; returns whether there is more to be done. */
  #slice(): boolean {
    const { clock } = this.#connection;
    const end = clock.monotonic() + SLICE;
    this.#connection.enterReading(clock.now());
    const state = this.#state();
    const answers = this.#connection.statement("SELECT max(rowid) FROM entry").get()![0] as number ?? 0;
    if (this.#building !== undefined || isBuildDue(answers, state.tried, this.#fewest)) {
      this.#building ??= { state, answers, steps: this.#builder(state, answers) };
      this.#build(this.#building, end);
      return true;
    }
    // Before there are enough for a dictionary, all would be compressed once for nothing.
    return state.tried > 0 && this.#walk(state, answers, end);
  }

  #build(building: Building, end: Milliseconds): void {
    do {
      let step: IteratorResult<undefined, BuiltDictionary | undefined>;
      try {
        step = building.steps.next();
      } catch (error) {
        this.#building = undefined;
        throw error;
      }
      if (!step.done) continue;
      this.#building = undefined;
      return this.#adopt(building, step.value?.dictionary);
    } while (this.#connection.clock.monotonic() < end);
  }

  /** Takes a dictionary into use, or notes that none was worth it. */
  #adopt({ state, answers }: Building, dictionary: Dictionary | undefined): void {
    this.#connection.write(() => {
      // Another process has built one meanwhile.
      const now = this.#state();
      if (now.tried !== state.tried || now.dictionary !== state.dictionary) return;
      this.#set("dictionary_tried", answers);
      if (dictionary === undefined) return;
      this.#dictionaries.add(dictionary, this.#connection.clock.now());
      this.#set("dictionary", dictionary.id);
      this.#set("dictionary_walked", 0);
    });
  }

  /** Builds from answers from all over the table, in no order that has to do with it. */
  *#builder({ dictionary: id }: State, answers: number): Generator<undefined, BuiltDictionary | undefined> {
    const samples = new Map<number, Uint8Array>();
    for (let index = 1; index <= SAMPLED_ANSWERS; index++) {
      const from = 1 + Math.floor(((index * SPREAD) % 1) * answers);
      const found = this.#connection.statement(SELECT_SAMPLE).get(from, LARGEST_WITH_DICTIONARY);
      const rowid = found?.[0] as number | undefined;
      if (rowid === undefined || samples.has(rowid)) continue;
      const bytes = this.#read(rowid)?.bytes;
      if (bytes !== undefined) samples.set(rowid, bytes);
      yield;
    }
    const current = id === null ? undefined : this.#dictionaries.find(id);
    const { zstd: codec, sha256 } = this.#connection.tools;
    return yield* buildDictionary([...samples.values()], {
      codec,
      sha256,
      current,
      fewestSamples: this.#fewestSamples,
    });
  }

  /** Takes some steps; returns whether there are more to take. */
  #walk({ dictionary: id, walked }: State, answers: number, end: Milliseconds): boolean {
    const { clock } = this.#connection;
    const dictionary = id === null ? undefined : this.#dictionaries.find(id);
    const shorter: Shorter[] = [];
    let [last, bytes, isOver, isEnough] = [walked, 0, false, false];
    while (!isOver && !isEnough) {
      const rows = this.#connection.statement(SELECT_NEXT).all(last) as unknown as Passed[];
      for (const [rowid, size, used, checksum] of rows) {
        const mustLeave = used !== null && used !== id;
        const isSuitable = mustLeave || (size >= SMALLEST && size <= LARGEST_RECOMPRESSED);
        const takes = isSuitable ? size / BYTES_PER_MILLISECOND : 0;
        isEnough = bytes >= BYTES_AT_ONCE || (last > walked && clock.monotonic() + takes >= end);
        if (isEnough) break;
        const row = isSuitable ? this.#shorten(rowid, checksum, dictionary) : undefined;
        last = rowid;
        if (row === undefined) continue;
        shorter.push(row);
        bytes += row.bytes;
      }
      isOver = !isEnough && rows.length < ROWS_AT_ONCE;
    }
    if (isOver) last = answers;
    if (last === walked) return this.#dictionaries.hasOthers(id) && this.#removeOthers(id, end);
    this.#connection.write(() => {
      const now = this.#state();
      if (now.dictionary !== id || now.walked !== walked) return;
      // Somebody may have removed it, or its row is broken: it would be missed as soon as nobody remembers it.
      if (dictionary !== undefined && shorter.length > 0) this.#dictionaries.keep(dictionary, clock.now());
      for (const { rowid, before, values } of shorter) {
        this.#connection.statement(UPDATE).run(...values, rowid, before);
      }
      this.#set("dictionary_walked", last);
    });
    if (isOver) this.#onShortened();
    return !isOver || this.#dictionaries.hasOthers(id);
  }

  /**
   * Goes on looking for rows that need another dictionary than `id`, and removes the others once there is none. Where there
   * is one the walk goes back to it. Returns whether there is more to do.
   */
  #removeOthers(id: number | null, end: Milliseconds): boolean {
    const check = this.#check?.dictionary === id ? this.#check : this.#check = { dictionary: id, after: 0 };
    let isOver = false;
    do {
      const rows = this.#connection.statement(SELECT_USED).all(check.after) as unknown as [number, number | null][];
      for (const [rowid, used] of rows) {
        check.after = rowid;
        // What cannot be read is no answer.
        if (used === null || used === id || this.#read(rowid) === undefined) continue;
        this.#check = undefined;
        this.#connection.write(() => {
          if (this.#state().dictionary === id) this.#set("dictionary_walked", rowid - 1);
        });
        return true;
      }
      isOver = rows.length < ROWS_AT_ONCE;
    } while (!isOver && this.#connection.clock.monotonic() < end);
    if (!isOver) return true;
    this.#check = undefined;
    this.#connection.write(() => {
      if (this.#state().dictionary === id) this.#dictionaries.removeOthers(id);
    });
    return false;
  }

  /** A row, compressed as well as can be; `undefined` when it is so already, or broken. */
  #shorten(rowid: number, before: Uint8Array, dictionary: Dictionary | undefined): Shorter | undefined {
    const read = this.#read(rowid);
    if (read === undefined) return undefined;
    const { key, row, bytes } = read;
    const { tools } = this.#connection;
    const used = takesDictionary(bytes.byteLength) ? dictionary : undefined;
    const body = tools.zstd.compress(bytes, { level: THOROUGH, dictionary: used });
    const mustLeave = row.dictionary !== undefined && row.dictionary !== dictionary;
    if (body.byteLength >= row.storedBytes && !mustLeave) return undefined;
    const size = bytes.byteLength;
    const compressed = body.byteLength < size
      ? { entry: row, size, codec: tools.zstd.name, dictionary: used?.id ?? null, body }
      : { entry: row, size, codec: plain.name, dictionary: null, body: bytes };
    const values = entryRow(key, row.sample, compressed, tools);
    const [codec, id, , stored, checksum] = values.slice(-5);
    return { rowid, before, bytes: compressed.body.byteLength, values: [codec!, id!, stored!, checksum!] };
  }

  /** A verified answer; `undefined` when it is broken or of an older version. */
  #read(rowid: number): { key: Uint8Array; row: StoredRow; bytes: Uint8Array } | undefined {
    const [packed] = packedRows(this.#connection.statement(SELECT_ROW), rowid);
    const key = packed && new PackedRow(packed).blob(KEY_COLUMN)?.slice();
    if (packed === undefined || !key) return undefined;
    const { tools } = this.#connection;
    const row = readEntry(packed, key, -Infinity, tools, (id) => this.#dictionaries.find(id));
    if (!(row instanceof StoredRow)) return undefined;
    try {
      return { key, row, bytes: row.bytes() };
    } catch (error) {
      if (error instanceof CacheError) return undefined;
      throw error;
    }
  }

  #state(): State {
    const rows = this.#connection.statement("SELECT name, value FROM meta WHERE name LIKE 'dictionary%'").all();
    const values = new Map(rows as [string, SqlValue][]);
    const number = (name: string): number | undefined => {
      const value = values.get(name);
      return Number.isSafeInteger(value) ? value as number : undefined;
    };
    return {
      dictionary: number("dictionary") ?? null,
      tried: number("dictionary_tried") ?? 0,
      walked: number("dictionary_walked") ?? 0,
    };
  }

  #set(name: string, value: number): void {
    this.#connection.statement("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)").run(name, value);
  }
}
