/**
 * What the instances write and what must hold of it. Every transaction counts on, adds a row that names its attempt,
 * moves an amount between two balances and overwrites some pages with its number. What became of each attempt is kept
 * in shared memory, beside the simulated machine: the simulation's truth.
 */

import type { SqlDriver, SqlRow, SqlStatement } from "../../src/sqlite/driver.ts";
import { noise } from "./noise.ts";
import { PAGES } from "./plan.ts";
import { Violation } from "./violation.ts";

const RUNNING = 0;
const ACKNOWLEDGED = 1;
const UNCERTAIN = 2;
const UNDONE = 3;

const HIGH = 0;
const ATTEMPTS = 1;
/** Attempts up to this one may have been lost in a power failure. */
const LAST_BEFORE_LOSS = 2;
const MOST = 4096;
const ACKNOWLEDGED_AS = 16;
const NUMBER_OF = ACKNOWLEDGED_AS + MOST;
const STATE_OF = NUMBER_OF + MOST;

export function newTruthMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer((STATE_OF + MOST) * 4);
}

/** What really happened. */
export class Truth {
  readonly #words: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  reset(): void {
    this.#words.fill(0);
  }

  /** The number of the newest transaction that is known to be committed. */
  get high(): number {
    return this.#words[HIGH]!;
  }

  get attempts(): number {
    return this.#words[ATTEMPTS]!;
  }

  /** A transaction begins that is to be number `n`; returns the number of the attempt. */
  attempt(n: number): number {
    const attempt = ++this.#words[ATTEMPTS]!;
    if (attempt >= MOST || n >= MOST) throw new Error("Too many transactions in one simulation");
    this.#words[NUMBER_OF + attempt] = n;
    this.#words[STATE_OF + attempt] = RUNNING;
    return attempt;
  }

  acknowledge(attempt: number): void {
    const n = this.#words[NUMBER_OF + attempt]!;
    if (this.#words[ACKNOWLEDGED_AS + n]! > this.#words[LAST_BEFORE_LOSS]!) {
      throw new Violation(`doubled: two transactions were acknowledged as number ${n}`);
    }
    this.#words[STATE_OF + attempt] = ACKNOWLEDGED;
    this.#words[ACKNOWLEDGED_AS + n] = attempt;
    this.saw(n);
  }

  /** COMMIT failed, but its pages may be in the log already, where a recovery finds them. */
  doubt(attempt: number): void {
    this.#words[STATE_OF + attempt] = UNCERTAIN;
  }

  undo(attempt: number): void {
    this.#words[STATE_OF + attempt] = UNDONE;
  }

  /** Somebody has read transaction `n`. */
  saw(n: number): void {
    if (n > this.high) this.#words[HIGH] = n;
  }

  /** The power failed where commits do not wait for the disk. */
  lose(): void {
    this.#words[HIGH] = 0;
    this.#words[LAST_BEFORE_LOSS] = this.attempts;
  }

  /**
   * The power failed where they do. What somebody committed who died before it was durable is seen by all others, but may
   * be lost now.
   */
  loseUnacknowledged(): void {
    let high = 0;
    for (let n = 1; n <= this.high; n++) if (this.#words[ACKNOWLEDGED_AS + n] !== 0) high = n;
    this.#words[HIGH] = high;
  }

  /** Checks that row `n` may be there and be of this attempt. */
  checkRow(n: number, attempt: number): void {
    const words = this.#words;
    if (attempt < 1 || attempt > this.attempts || words[NUMBER_OF + attempt] !== n) {
      throw new Violation(`foreign: row ${n} is of attempt ${attempt}, which was number ${words[NUMBER_OF + attempt]}`);
    }
    if (words[STATE_OF + attempt] === UNDONE) throw new Violation(`undone: row ${n} is of attempt ${attempt}`);
    const acknowledged = words[ACKNOWLEDGED_AS + n]!;
    if (acknowledged === 0 || acknowledged === attempt) return;
    const lost = words[LAST_BEFORE_LOSS]!;
    if (acknowledged <= lost && attempt > lost) return;
    throw new Violation(`lost: row ${n} is of attempt ${attempt}, acknowledged was ${acknowledged}`);
  }
}

/** Makes the tables. */
export function createLedger(driver: Pick<SqlDriver, "exec">): void {
  driver.exec(`
    CREATE TABLE counter (n INTEGER NOT NULL);
    CREATE TABLE log (n INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, mask INTEGER NOT NULL, content BLOB NOT NULL);
    CREATE UNIQUE INDEX log_by_attempt ON log (attempt);
    CREATE TABLE balance (account INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
    CREATE TABLE page (page INTEGER PRIMARY KEY, n INTEGER NOT NULL, content BLOB NOT NULL);
    CREATE TABLE filler (n INTEGER NOT NULL);
    INSERT INTO filler VALUES (0);
    INSERT INTO counter VALUES (0);
    INSERT INTO balance VALUES (0, 0), (1, 0);
    WITH RECURSIVE i (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM i WHERE n + 1 < ${PAGES})
      INSERT INTO page SELECT n, 0, zeroblob(300) FROM i;`);
}

/** {@link createLedger} where it has not been done. */
export function createLedgerOnce(driver: SqlDriver): void {
  const statement = driver.prepare("SELECT count(*) FROM sqlite_schema WHERE name = 'counter'");
  const missing = statement.get()![0] === 0;
  statement.finalize();
  if (missing) createLedger(driver);
}

/** The ledger as one connection reads and writes it. */
export class Ledger {
  readonly #truth: Truth;
  readonly #statements = new Map<string, SqlStatement>();
  readonly #driver: SqlDriver;

  constructor(driver: SqlDriver, truth: Truth) {
    this.#driver = driver;
    this.#truth = truth;
  }

  get number(): number {
    return Number(this.#run("SELECT n FROM counter").get()?.[0]);
  }

  /** Writes a transaction, without committing it. */
  write(n: number, attempt: number, pages: readonly number[]): void {
    const mask = pages.reduce((mask, page) => mask | (1 << page), 0);
    this.#run("UPDATE counter SET n = ?").run(n);
    this.#run("UPDATE balance SET amount = amount - ? WHERE account = 0").run(attempt);
    this.#run("INSERT INTO log VALUES (?, ?, ?, ?)").run(n, attempt, mask, contentOf(attempt));
    for (const page of pages) {
      this.#run("UPDATE page SET n = ?, content = ? WHERE page = ?").run(n, pageContent(n, page), page);
    }
    this.#run("UPDATE balance SET amount = amount + ? WHERE account = 1").run(attempt);
  }

  /**
   * Checks what a read transaction sees; returns its number.
   *
   * @throws Violation
   */
  check(full: boolean): number {
    const n = this.number;
    const [accounts, sum, moved] = this.#numbers("SELECT count(*), sum(amount), max(amount) FROM balance");
    if (accounts !== 2 || sum !== 0) throw new Violation(`torn: ${accounts} balances sum to ${sum}`);
    const newest = this.#run("SELECT n, attempt, content FROM log ORDER BY n DESC LIMIT 2").all();
    if ((newest[0]?.[0] ?? 0) !== n) {
      throw new Violation(`torn: the counter says ${n}, the newest row ${newest[0]?.[0]}`);
    }
    for (const row of newest) this.#checkRow(row);
    if (!full) return n;
    const rows = this.#run("SELECT n, attempt, content, mask FROM log NOT INDEXED ORDER BY n").all();
    const versions = new Map<number, number>();
    let total = 0;
    rows.forEach((row, index) => {
      if (row[0] !== index + 1) throw new Violation(`torn: row ${index + 1} is ${row[0]}`);
      this.#checkRow(row);
      total += Number(row[1]);
      for (let page = 0; page < PAGES; page++) if ((Number(row[3]) & (1 << page)) !== 0) versions.set(page, index + 1);
    });
    if (moved !== total) throw new Violation(`torn: the rows moved ${total}, the balance is ${moved}`);
    const [indexed] = this.#numbers("SELECT count(*) FROM log INDEXED BY log_by_attempt WHERE attempt > 0");
    if (rows.length !== n || indexed !== n) {
      throw new Violation(`torn: ${rows.length} rows, ${indexed} indexed, of ${n}`);
    }
    for (const [page, version, content] of this.#run("SELECT page, n, content FROM page").all()) {
      const expected = versions.get(Number(page)) ?? 0;
      if (version !== expected) throw new Violation(`torn: page ${page} is of ${version}, written last by ${expected}`);
      const right = expected === 0 ? new Uint8Array(300) : pageContent(expected, Number(page));
      if (!isEqual(content as Uint8Array, right)) {
        throw new Violation(`torn: page ${page} is not what ${version} wrote`);
      }
    }
    return n;
  }

  #checkRow([n, attempt, content]: SqlRow): void {
    this.#truth.checkRow(Number(n), Number(attempt));
    if (!isEqual(content as Uint8Array, contentOf(Number(attempt)))) {
      throw new Violation(`torn: row ${n} is not what attempt ${attempt} wrote`);
    }
  }

  #numbers(sql: string): number[] {
    return this.#run(sql).get()!.map(Number);
  }

  #run(sql: string): SqlStatement {
    let statement = this.#statements.get(sql);
    if (!statement) this.#statements.set(sql, statement = this.#driver.prepare(sql));
    return statement;
  }
}

function contentOf(attempt: number): Uint8Array {
  return noise(attempt, 10 + (Math.imul(attempt, 0x9e3779b1) & 0xff));
}

function pageContent(n: number, page: number): Uint8Array {
  return noise(n * 64 + page, 300);
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
