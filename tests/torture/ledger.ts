/**
 * What the torture writes and what must hold of it, whichever SQLite reads it: a counter of all transactions, one log
 * row for each, balances that sum to zero, and pages that are overwritten now and then. Everything carries its checksum,
 * so that half a transaction, another's page or an older state cannot look right.
 */

import { createHash } from "node:crypto";
import type { SqlDriver, SqlRow, SqlStatement } from "../../src/sqlite/driver.ts";
import type { RandomNumbers } from "./random.ts";

/** Rows in `balance`. */
const ACCOUNTS = 8;
/** Rows in `page`. */
const PAGES = 32;
/** How many of the newest log rows a reader looks into. */
const NEWEST = 4;

/** Makes the tables in an empty database; several who try at once are kept apart by the caller's transaction. */
export function createLedger(driver: Pick<SqlDriver, "exec">): void {
  driver.exec(`
    CREATE TABLE counter (n INTEGER NOT NULL, removed INTEGER NOT NULL);
    CREATE TABLE log (
      id INTEGER PRIMARY KEY, writer INTEGER NOT NULL, seq INTEGER NOT NULL, page INTEGER NOT NULL,
      checksum TEXT NOT NULL, content BLOB NOT NULL);
    CREATE UNIQUE INDEX log_by_writer ON log (writer, seq);
    CREATE TABLE balance (account INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
    CREATE TABLE page (page INTEGER PRIMARY KEY, version INTEGER NOT NULL, checksum TEXT NOT NULL, content BLOB NOT NULL);
    INSERT INTO counter VALUES (0, 0);
    WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ${ACCOUNTS})
      INSERT INTO balance SELECT n, 0 FROM i;
    WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ${PAGES})
      INSERT INTO page SELECT n, 0, '${checksum(0, 0, new Uint8Array(0))}', x'' FROM i;`);
}

/** {@link createLedger} where it has not been done. To be called in a transaction. */
export function createLedgerOnce(driver: SqlDriver): void {
  const tables = driver.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'counter'");
  const missing = tables.get()![0] === 0;
  tables.finalize();
  if (missing) createLedger(driver);
}

/** One transaction as it is to be written. */
export interface Entry {
  /** Which process, counted over all that were ever started. */
  readonly writer: number;
  /** Counts what this process committed, from 1. */
  readonly seq: number;
  readonly content: Uint8Array;
  readonly checksum: string;
  /** Which row of `page` is overwritten with the same content, or -1. */
  readonly page: number;
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

/** Sixteen hexadecimal digits that no other content, and the same content of no other transaction, has. */
export function checksum(writer: number, seq: number, content: Uint8Array): string {
  return createHash("sha1").update(`${writer}:${seq}:`).update(content).digest("hex").slice(0, 16);
}

/** Makes entries up: mostly tiny ones, some that fill pages, a few that need a chain of them. */
export class EntryMaker {
  readonly #random: RandomNumbers;
  readonly #writer: number;
  readonly #noise: Uint8Array;
  readonly #largest: number;

  constructor(random: RandomNumbers, writer: number, largest: number) {
    this.#random = random;
    this.#writer = writer;
    this.#largest = largest;
    this.#noise = new Uint8Array(256 * 1024);
    for (let i = 0; i < this.#noise.length; i += 65536) crypto.getRandomValues(this.#noise.subarray(i, i + 65536));
  }

  make(seq: number): Entry {
    const random = this.#random;
    const kind = random.fraction();
    const size = Math.min(
      this.#largest,
      kind < 0.85
        ? random.between(10, 200)
        : kind < 0.97
        ? random.between(200, 4000)
        : kind < 0.999
        ? random.between(4000, 20_000)
        : random.between(20_000, 150_000),
    );
    const start = random.between(0, this.#noise.length - size);
    const content = this.#noise.subarray(start, start + size);
    const from = random.between(0, ACCOUNTS - 1);
    return {
      writer: this.#writer,
      seq,
      content,
      checksum: checksum(this.#writer, seq, content),
      page: random.fraction() < 0.2 ? random.between(0, PAGES - 1) : -1,
      from,
      to: (from + random.between(1, ACCOUNTS - 1)) % ACCOUNTS,
      amount: random.between(1, 1000),
    };
  }
}

/** The database contradicts itself, or what was acknowledged. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** What one read transaction saw. */
export interface Snapshot {
  readonly n: number;
  readonly removed: number;
  /** Changes whenever anything that was looked at does. */
  readonly digest: string;
}

/** The statements of writers and readers on one connection. */
export class Ledger {
  readonly #driver: SqlDriver;
  readonly #prepared: SqlStatement[] = [];
  readonly #counter: SqlStatement;
  readonly #count: SqlStatement;
  readonly #log: SqlStatement;
  readonly #move: SqlStatement;
  readonly #overwrite: SqlStatement;
  readonly #rows: SqlStatement;
  readonly #sum: SqlStatement;
  readonly #newest: SqlStatement;
  readonly #page: SqlStatement;

  constructor(driver: SqlDriver) {
    this.#driver = driver;
    this.#counter = this.#prepare("SELECT n, removed FROM counter");
    this.#count = this.#prepare("UPDATE counter SET n = n + 1");
    this.#log = this.#prepare(
      "INSERT INTO log (id, writer, seq, page, checksum, content) VALUES ((SELECT n FROM counter), ?, ?, ?, ?, ?)",
    );
    this.#move = this.#prepare("UPDATE balance SET amount = amount + ? WHERE account = ?");
    this.#overwrite = this.#prepare(
      "UPDATE page SET version = (SELECT n FROM counter), checksum = ?, content = ? WHERE page = ?",
    );
    this.#rows = this.#prepare("SELECT count(*) FROM log");
    this.#sum = this.#prepare("SELECT count(*), sum(amount) FROM balance");
    this.#newest = this.#prepare(
      `SELECT id, writer, seq, page, checksum, content FROM log ORDER BY id DESC LIMIT ${NEWEST}`,
    );
    this.#page = this.#prepare(
      `SELECT page.version, log.writer, log.seq, page.checksum, page.content FROM page LEFT JOIN log
       ON log.id = page.version WHERE page.page = ?`,
    );
  }

  /** Writes an entry inside the caller's transaction; returns the counter, which is the entry's number. */
  write(entry: Entry): number {
    this.#count.run();
    this.#log.run(entry.writer, entry.seq, entry.page, entry.checksum, entry.content);
    this.#move.run(-entry.amount, entry.from);
    if (entry.page >= 0) this.#overwrite.run(entry.checksum, entry.content, entry.page);
    this.#move.run(entry.amount, entry.to);
    return this.counter();
  }

  /** How many transactions there have been. */
  counter(): number {
    return Number(this.#counter.get()![0]);
  }

  /**
   * Checks what is seen inside the caller's transaction.
   *
   * @throws Violation
   */
  check(page: number): Snapshot {
    const [n, removed] = numbers(this.#counter.get());
    const [rows] = numbers(this.#rows.get());
    if (rows !== n! - removed!) {
      throw new Violation(`torn: the counter says ${n} less ${removed}, there are ${rows} rows`);
    }
    const [accounts, sum] = numbers(this.#sum.get());
    if (accounts !== ACCOUNTS || sum !== 0) throw new Violation(`torn: ${accounts} balances sum to ${sum}`);
    const digest = [n, removed];
    const newest = this.#newest.all();
    if (newest.length !== Math.min(NEWEST, rows!)) throw new Violation(`torn: ${newest.length} newest of ${rows} rows`);
    newest.forEach(([id, writer, seq, , sum, content], i) => {
      if (Number(id) !== n! - i) throw new Violation(`torn: the counter says ${n}, newest row ${i} is ${id}`);
      const right = checksum(Number(writer), Number(seq), content as Uint8Array);
      if (sum !== right) throw new Violation(`torn: row ${id} of ${writer}:${seq} has the content of another`);
    });
    const [version, writer, seq, pageSum, content] = this.#page.get(page % PAGES)!;
    if (Number(version) > n!) throw new Violation(`torn: page ${page} is of ${version}, the counter says ${n}`);
    if (Number(version) > removed!) {
      const right = checksum(Number(writer), Number(seq), content as Uint8Array);
      if (pageSum !== right) throw new Violation(`torn: page ${page} of ${version} is not what ${writer}:${seq} wrote`);
    }
    return {
      n: n!,
      removed: removed!,
      digest: JSON.stringify([digest, newest.map((row) => row[4]), version, pageSum]),
    };
  }

  /** Frees the statements. */
  finalize(): void {
    for (const statement of this.#prepared) statement.finalize();
  }

  #prepare(sql: string): SqlStatement {
    const statement = this.#driver.prepare(sql);
    this.#prepared.push(statement);
    return statement;
  }
}

function numbers(row: SqlRow | undefined): number[] {
  if (row === undefined) throw new Violation("torn: a row that is always there is missing");
  return row.map(Number);
}

/** A transaction as lines of SQL, for a peer that only speaks it. */
export function entryAsSql({ writer, seq, page, checksum, content, amount, from, to }: Entry): string[] {
  const bytes = `x'${[...content].map((byte) => byte.toString(16).padStart(2, "0")).join("")}'`;
  return [
    "UPDATE counter SET n = n + 1;",
    `INSERT INTO log SELECT n, ${writer}, ${seq}, ${page}, '${checksum}', ${bytes} FROM counter;`,
    `UPDATE balance SET amount = amount - ${amount} WHERE account = ${from};`,
    `UPDATE page SET version = (SELECT n FROM counter), checksum = '${checksum}', content = ${bytes} WHERE page = ${page};`,
    `UPDATE balance SET amount = amount + ${amount} WHERE account = ${to};`,
  ];
}
