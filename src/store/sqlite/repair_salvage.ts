/**
 * Copies what is left of a database into a new one: each answer whose checksum holds, the request it answers, the
 * dictionaries, and what belongs to them. Pages are read one by one, several times over, so that no more than one of
 * them, and what is in doubt, is in memory.
 *
 * What was deleted must not come back: free pages are not read. An answer from a page that does not lie where it belongs,
 * or from a broken page in which it had to be looked for, is in doubt; it is taken where an index still names it, with
 * the very place that it had.
 *
 * @module
 */

import { hexOf } from "../../runtime/hex.ts";
import type { SqlDriver, SqlStatement, SqlValue } from "../../sqlite/driver.ts";
import type { Dictionary } from "../../codec/dictionary.ts";
import type { RowTools } from "./entry_row.ts";
import { ENTRY_COLUMNS, REQUEST_COLUMNS } from "./entry_row.ts";
import type { DatabaseImage } from "./repair_image.ts";
import type { EntryFound, SalvagedRow } from "./repair_rows.ts";
import { rowsIn } from "./repair_rows.ts";
import { ROW_VERSION } from "./schema.ts";
import type { PageReader } from "./verify_pages.ts";
import { DAMAGED, IN_TREE, UNKNOWN } from "./verify_structure.ts";

/** What was found and what was not. */
export interface Salvaged {
  /** Answers that were copied, each sample counted as one. */
  readonly entries: number;
  /** Answers that an index names, and that are not among those that were copied; as far as indexes can be read. */
  readonly lost: number;
  /** Answers that may have been deleted: nothing says that they are still in use. They were left out. */
  readonly doubtful: number;
  /** Answers whose dictionary is lost. */
  readonly withoutDictionary: number;
  /** Answers and requests whose checksum is wrong, as far as they can be told from nothing. */
  readonly broken: number;
  readonly requests: number;
  readonly dictionaries: number;
  readonly tags: number;
}

/** What a first look at a database has found. */
export interface Survey {
  /** Names of models that it may be of: what it says itself first, then what its answers say. */
  readonly models: readonly string[];
  /** Whether something in it is ours beyond doubt. */
  readonly isOurs: boolean;
  readonly dictionaries: ReadonlyMap<number, { readonly dictionary: Dictionary; readonly created: SqlValue }>;
}

/** More names are none. */
const MOST_MODELS = 64;
const ENTRY_MARKS = ENTRY_COLUMNS.split(", ").map(() => "?").join(", ");
const REQUEST_MARKS = REQUEST_COLUMNS.split(", ").map(() => "?").join(", ");

/** The pages of an image in which rows may be, and what is known of them. */
interface Leaf {
  readonly reader: PageReader;
  readonly number: number;
  readonly isPlaced: boolean;
}

/** An answer that waits for an index to name it. */
interface Doubt {
  /** Its checksum: an answer that was compressed again may be there twice. */
  readonly sum: string;
  readonly key: Uint8Array;
  readonly sample: number;
  readonly leaf: Leaf;
  readonly rowid: number;
  readonly created: number;
  isNamed: boolean;
}

/** A salvage of one database. Yields after each page or row. */
export class Salvage {
  readonly #image: DatabaseImage;
  readonly #pages: Uint8Array;
  readonly #tools: RowTools;

  /** `pages` says what each page of the image is. */
  constructor(image: DatabaseImage, pages: Uint8Array, tools: RowTools) {
    this.#image = image;
    this.#pages = pages;
    this.#tools = tools;
  }

  /** Finds out whose it is, and all dictionaries. */
  *survey(): Generator<undefined, Survey> {
    const said = new Set<string>();
    const asked = new Set<string>();
    const dictionaries = new Map<number, { dictionary: Dictionary; created: SqlValue }>();
    let isOurs = false;
    for (const leaf of this.#leaves()) {
      for (const row of this.#rows(leaf)) {
        if (row.kind === "model") said.add(row.model);
        if (row.kind === "dictionary") {
          const { dictionary, created } = row;
          dictionaries.set(dictionary.id, { dictionary, created });
        }
        if (row.kind === "entry" && asked.size < MOST_MODELS) asked.add(row.model);
        isOurs ||= row.kind === "entry" || row.kind === "request";
      }
      yield;
    }
    return { models: [...said, ...asked], isOurs, dictionaries };
  }

  /** Copies into a new database; whoever runs it may commit at each stop. */
  *copy(driver: SqlDriver, { dictionaries }: Survey): Generator<undefined, Salvaged> {
    const target = new Target(driver);
    const counts = { lost: 0, doubtful: 0, withoutDictionary: 0, broken: 0 };
    for (const [id, { dictionary, created }] of dictionaries) {
      target.dictionary(id, this.#tools.sha256(dictionary.content), dictionary.content, created);
      yield;
    }
    const doubts = new Map<string, Doubt[]>();
    const take = (row: EntryFound, leaf: Leaf): void => {
      const there = target.find(row);
      if (there === undefined && leaf.isPlaced && !row.isCarved) return target.entry(row);
      if (there === "same") return;
      const name = nameOf(row.key, row.sample);
      const doubt = {
        sum: sumOf(row),
        key: row.key,
        sample: row.sample,
        leaf,
        rowid: row.rowid,
        created: row.created,
        isNamed: false,
      };
      doubts.set(name, [...doubts.get(name) ?? [], doubt]);
    };
    for (const leaf of this.#leaves()) {
      for (const row of this.#rows(leaf)) {
        if (row.kind === "broken") counts.broken++;
        if (row.kind !== "entry" || row.version !== ROW_VERSION) continue;
        if (row.dictionary !== null && !dictionaries.has(row.dictionary)) counts.withoutDictionary++;
        else take(row, leaf);
        yield;
      }
      yield;
    }
    yield* this.#name(doubts);
    for (const all of doubts.values()) {
      const best = all.filter(({ isNamed }) => isNamed).sort((left, right) => right.created - left.created)[0];
      const row = best &&
        this.#rows(best.leaf).find((row): row is EntryFound =>
          row.kind === "entry" && row.rowid === best.rowid && sumOf(row) === best.sum
        );
      if (row !== undefined) target.instead(row);
      else if (!target.has(all[0]!.key, all[0]!.sample)) counts.doubtful++;
      yield;
    }
    counts.lost = yield* this.#countLost(target);
    yield* this.#copyRequests(target);
    yield* this.#copyRest(target);
    return { ...counts, ...target.counts };
  }

  *#copyRequests(target: Target): Generator<undefined, void> {
    for (const leaf of this.#leaves()) {
      for (const row of this.#rows(leaf)) {
        if (row.kind !== "request") continue;
        target.request(row.key, row.values);
        yield;
      }
      yield;
    }
  }

  *#copyRest(target: Target): Generator<undefined, void> {
    for (const leaf of this.#leaves()) {
      // Nothing vouches for these but the place of their page.
      if (leaf.isPlaced) {
        for (const row of this.#rows(leaf)) {
          if (row.kind === "tag" || row.kind === "access" || row.kind === "daily") target.rest(row.kind, row.values);
        }
      }
      yield;
    }
  }

  /** Marks what an index names. */
  *#name(doubts: ReadonlyMap<string, readonly Doubt[]>): Generator<undefined, void> {
    if (doubts.size === 0) return;
    for (const leaf of this.#leaves()) {
      for (const row of this.#rows(leaf)) {
        if (row.kind !== "place") continue;
        for (const doubt of doubts.get(nameOf(row.key, row.sample)) ?? []) doubt.isNamed ||= doubt.rowid === row.rowid;
      }
      yield;
    }
  }

  *#countLost(target: Target): Generator<undefined, number> {
    let lost = 0;
    for (const leaf of this.#leaves()) {
      if (leaf.isPlaced && leaf.reader === this.#image) {
        for (const row of this.#rows(leaf)) if (row.kind === "place" && !target.has(row.key, row.sample)) lost++;
      }
      yield;
    }
    return lost;
  }

  #rows({ reader, number, isPlaced }: Leaf): readonly SalvagedRow[] {
    return rowsIn(reader, number, this.#tools, isPlaced);
  }

  *#leaves(): Generator<Leaf> {
    const image = this.#image;
    for (let number = 1; number <= image.count; number++) {
      const kind = this.#pages[number];
      if (kind === IN_TREE || kind === DAMAGED || kind === UNKNOWN) {
        yield { reader: image, number, isPlaced: kind === IN_TREE };
      }
    }
    // A number that no page of the file has: nothing is known of its place.
    for (let index = 0; index < image.beyond; index++) {
      const number = image.count + 1 + index;
      yield { reader: image.with(index, number), number, isPlaced: false };
    }
  }
}

/** A new database that is being filled. */
class Target {
  /** How many rows were added to it. */
  readonly counts = { entries: 0, requests: 0, dictionaries: 0, tags: 0 };
  readonly #driver: SqlDriver;
  readonly #statements = new Map<string, SqlStatement>();

  constructor(driver: SqlDriver) {
    this.#driver = driver;
  }

  dictionary(id: number, digest: Uint8Array, content: Uint8Array, created: SqlValue): void {
    this.counts.dictionaries += this.#run(
      "INSERT OR IGNORE INTO dictionary (id, digest, content, created) VALUES (?, ?, ?, ?)",
      [
        id,
        digest,
        content,
        typeof created === "number" ? created : 0,
      ],
    );
  }

  /** Whether the answer's place is taken: by the `same` answer, or by an`other`. */
  find({ key, sample, values }: EntryFound): "same" | "other" | undefined {
    const [sum] = this.#get("SELECT checksum FROM entry WHERE key = ? AND sample = ?", [key, sample]) ?? [];
    if (sum === undefined) return undefined;
    return hexOf(sum as Uint8Array) === sumOf({ values }) ? "same" : "other";
  }

  has(key: Uint8Array, sample: number): boolean {
    return this.#get("SELECT 1 FROM entry WHERE key = ? AND sample = ?", [key, sample]) !== undefined;
  }

  entry({ rowid, values }: EntryFound): void {
    // Rowids keep the order in which answers came, where they can.
    const isFree = rowid > 0 && this.#get("SELECT 1 FROM entry WHERE rowid = ?", [rowid]) === undefined;
    this.counts.entries += this.#run(`INSERT INTO entry (rowid, ${ENTRY_COLUMNS}) VALUES (?, ${ENTRY_MARKS})`, [
      isFree ? rowid : null,
      ...values,
    ]);
  }

  /** Puts an answer that an index names in place of one that may be older. */
  instead(row: EntryFound): void {
    this.counts.entries -= this.#run("DELETE FROM entry WHERE key = ? AND sample = ?", [row.key, row.sample]);
    this.entry(row);
  }

  /** Of requests that have no answer nothing is kept. */
  request(key: Uint8Array, values: readonly SqlValue[]): void {
    if (this.#get("SELECT 1 FROM entry WHERE key = ? LIMIT 1", [key]) === undefined) return;
    const insert = `INSERT OR IGNORE INTO request (${REQUEST_COLUMNS}, sketch) VALUES (${REQUEST_MARKS}, ?)`;
    this.counts.requests += this.#run(insert, values);
  }

  rest(kind: "tag" | "access" | "daily", values: readonly SqlValue[]): void {
    const key = kind === "tag" ? values[1] : kind === "access" ? values[0] : undefined;
    if (key !== undefined && this.#get("SELECT 1 FROM request WHERE key = ?", [key]) === undefined) return;
    const added = this.#run(`INSERT OR IGNORE INTO ${kind} VALUES (${values.map(() => "?").join(", ")})`, values);
    if (kind === "tag") this.counts.tags += added;
  }

  #run(sql: string, values: readonly SqlValue[]): number {
    return this.#statement(sql).run(...values);
  }

  #get(sql: string, values: readonly SqlValue[]): readonly SqlValue[] | undefined {
    return this.#statement(sql).get(...values);
  }

  #statement(sql: string): SqlStatement {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#driver.prepare(sql));
    return statement;
  }
}

function nameOf(key: Uint8Array, sample: number): string {
  return `${hexOf(key)}:${sample}`;
}

function sumOf({ values }: Pick<EntryFound, "values">): string {
  return hexOf(values.at(-1) as Uint8Array);
}
