/**
 * What a process of the torture does, on whichever runtime and SQLite: it writes or reads as its random numbers say,
 * tells what it has seen committed, and stops with exit code 3 at the first contradiction.
 */

import fs from "node:fs";
import process from "node:process";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import { EntryMaker, Ledger, Violation } from "./ledger.ts";
import { RandomNumbers } from "./random.ts";
import { CLOSE, CLOSED, noScores, OPEN, Scoreboard, STOP } from "./scoreboard.ts";

/** What a process is told on its command line, as JSON. */
export interface WorkerOptions {
  readonly database: string;
  readonly scoreboard: string;
  readonly slots: number;
  readonly slot: number;
  /** A file to which each commit is added once COMMIT has returned. */
  readonly acknowledged: string;
  readonly writer: number;
  readonly seed: number;
  readonly role: "writer" | "reader";
  /** Bytes of the largest content. */
  readonly largest: number;
  /** One reopening in so many actions. */
  readonly reopenOnceIn: number;
  /** Codes of errors that the machine is made to cause. */
  readonly tolerates: readonly string[];
  /** How long somebody may be kept from what they want. */
  readonly deadline: number;
  /** A fault that is planted to see whether it is found. */
  readonly fault?: Fault;
}

/**
 * What a planted fault does: locks that always say yes; a wal-index of which some writes go missing; half a transaction;
 * an acknowledgement of what was undone.
 */
export type Fault = "no-locks" | "lost-index" | "half" | "liar";

/** A connection, and how to leave. */
export interface Peer {
  readonly driver: SqlDriver;
  /** Another connection of the same process. */
  readonly second?: SqlDriver | undefined;
  /** Has the log shortened in a thread of its own. */
  shorten?(): Promise<void>;
  close(): void;
}

/** Exit code of a process that has found a contradiction. */
export const EXIT_VIOLATION = 3;

const BUSY = ["SQLITE_BUSY", "SQLITE_PROTOCOL", "SQLITE_LOCKED"];
const CHECKPOINTS = ["passive", "passive", "full", "restart", "truncate"] as const;

const sleep = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Runs the process until it is told to stop. */
export async function work(open: (options: WorkerOptions, random: RandomNumbers) => Promise<Peer>): Promise<never> {
  const options: WorkerOptions = JSON.parse(process.argv[2]!);
  try {
    await new Worker(options, open).run();
  } catch (error) {
    const kind = error instanceof Violation ? "violation" : "unexpected";
    fs.writeSync(2, `${kind}: ${(error as Error).message}\n${(error as Error).stack}\n`);
    process.exit(EXIT_VIOLATION);
  }
  process.exit(0);
}

class Worker {
  readonly #options: WorkerOptions;
  readonly #openPeer: () => Promise<Peer>;
  readonly #random: RandomNumbers;
  readonly #maker: EntryMaker;
  readonly #board: Scoreboard;
  readonly #scores = noScores();
  readonly #acknowledged: number;
  readonly #parent = process.ppid;
  #seq = 0;
  #peer: Peer | undefined;
  #ledger: Ledger | undefined;

  constructor(options: WorkerOptions, open: (options: WorkerOptions, random: RandomNumbers) => Promise<Peer>) {
    this.#options = options;
    this.#random = new RandomNumbers(options.seed);
    this.#openPeer = () => open(options, this.#random);
    this.#maker = new EntryMaker(this.#random, options.writer, options.largest);
    this.#board = new Scoreboard(options.scoreboard, options.slots);
    this.#acknowledged = fs.openSync(options.acknowledged, "a");
  }

  async run(): Promise<void> {
    while (true) {
      this.#board.refresh();
      const command = this.#board.command(this.#options.slot);
      if (command === STOP) break;
      if (command === CLOSE) {
        this.#close();
        this.#report({ state: CLOSED });
        await sleep(1);
      } else {
        await this.#act();
        this.#report({ state: OPEN });
        await turn();
      }
      // An orphan would write on for ever.
      if (this.#random.once(100) && process.ppid !== this.#parent) break;
    }
    this.#close();
    this.#report({ state: CLOSED });
  }

  async #act(): Promise<void> {
    const { role, reopenOnceIn } = this.#options;
    const random = this.#random;
    if (random.once(reopenOnceIn)) {
      this.#close();
      this.#scores.reopened++;
    } else if (random.once(60)) {
      await this.#checkpoint();
    } else if (role === "writer" && !random.once(40)) {
      await this.#transact();
    } else {
      await this.#read();
    }
  }

  async #transact(): Promise<void> {
    const random = this.#random;
    const entry = this.#maker.make(this.#seq + 1);
    const undo = random.once(30);
    // Begun as a reader, so that somebody else may get in between.
    const begin = random.once(10) ? "BEGIN; SELECT n FROM counter" : "BEGIN IMMEDIATE";
    const { fault, deadline } = this.#options;
    const start = performance.now();
    while (true) {
      this.#board.refresh();
      const floor = this.#board.high;
      const n = await this.#attempt((ledger, driver) => {
        driver.exec(begin);
        return ledger.write(fault === "half" ? { ...entry, from: -1 } : entry);
      });
      if (n === undefined) return;
      if (n <= floor) throw new Violation(`went back: wrote ${n} after ${floor} had been committed`);
      const end = undo ? this.#end("ROLLBACK") : this.#end("COMMIT");
      if (end === "uncertain") {
        // It failed, but its pages may be in the log already, where a recovery finds them.
        this.#scores.uncertain++;
        return this.#tell("u", entry.checksum);
      }
      if (end === "undone") {
        // Written again as it was: had it been committed, that would be refused as a second one.
        if (performance.now() - start > deadline) throw new Violation(`stuck: COMMIT was refused for ${deadline} ms`);
        this.#scores.undone++;
        await turn();
        continue;
      }
      if (undo) this.#scores.rollbacks++;
      if (undo && fault !== "liar") return;
      this.#tell("a", entry.checksum);
      this.#scores.transactions++;
      this.#scores.high = Math.max(this.#scores.high, n);
      return;
    }
  }

  /**
   * Ends a transaction: `done`, `undone` where somebody was in the way (SQLite has then rolled it back), or `uncertain`
   * where the machine refused.
   */
  #end(how: "COMMIT" | "ROLLBACK"): "done" | "undone" | "uncertain" {
    try {
      this.#peer!.driver.exec(how);
      return "done";
    } catch (error) {
      const code = String((error as { code?: string }).code);
      this.#undo();
      if (BUSY.includes(code)) return "undone";
      if (!this.#options.tolerates.includes(code)) throw error;
      this.#scores.refused++;
      return "uncertain";
    }
  }

  #tell(what: "a" | "u", checksum: string): void {
    this.#seq++;
    fs.writeSync(this.#acknowledged, `${what} ${this.#seq} ${checksum}\n`);
  }

  async #read(): Promise<void> {
    const random = this.#random;
    const page = random.between(0, 31);
    const floor = Math.max(this.#board.high, this.#scores.high);
    const first = await this.#attempt((ledger, driver) => {
      driver.exec("BEGIN");
      return ledger.check(page);
    });
    if (first === undefined) return;
    if (first.n < floor) throw new Violation(`went back: read ${first.n} after ${floor} had been committed`);
    if (random.once(3)) await sleep(random.between(0, 12));
    const again = await this.#attempt((ledger) => ledger.check(page), "once");
    if (again === undefined) return;
    if (again.digest !== first.digest) {
      throw new Violation(`torn: one read transaction saw ${first.digest}, then ${again.digest}`);
    }
    this.#end("COMMIT");
    this.#scores.reads++;
    this.#scores.high = Math.max(this.#scores.high, first.n);
  }

  /** In one of the ways; all but PASSIVE need a moment without readers, which is waited for, but not for ever. */
  async #checkpoint(): Promise<void> {
    if (this.#peer?.shorten && this.#random.once(10)) {
      await this.#peer.shorten();
      this.#scores.aside++;
      return;
    }
    const mode = this.#random.pick(CHECKPOINTS);
    for (let tries = 0; tries < 100; tries++) {
      const busy = await this.#attempt((_, driver) => {
        const statement = (this.#peer?.second ?? driver).prepare(`PRAGMA wal_checkpoint(${mode})`);
        try {
          return Number(statement.get()![0]);
        } finally {
          statement.finalize();
        }
      });
      if (busy === 0) this.#scores[mode]++;
      if (busy !== 1) return;
      this.#scores.busy++;
      await sleep(this.#random.between(0, 2));
    }
  }

  /**
   * Does something until nobody is in the way, or once; `undefined` when that is so or when the machine refuses. What is
   * inside a transaction is undone before each new attempt.
   */
  async #attempt<T>(
    run: (ledger: Ledger, driver: SqlDriver) => T,
    times: "until done" | "once" = "until done",
  ): Promise<T | undefined> {
    const start = performance.now();
    let before: unknown;
    for (let attempt = 0;; attempt++) {
      try {
        if (this.#peer === undefined) {
          this.#peer = await this.#openPeer();
          this.#ledger = new Ledger(this.#peer.driver);
        }
        const result = run(this.#ledger!, this.#peer.driver);
        this.#scores.longestWait = Math.max(this.#scores.longestWait, performance.now() - start);
        return result;
      } catch (error) {
        const code = String((error as { code?: string }).code);
        if (error instanceof Violation) throw error;
        if (this.#peer !== undefined) this.#undo();
        if (BUSY.includes(code)) {
          this.#scores.busy++;
          if (performance.now() - start > this.#options.deadline) {
            throw new Violation(`stuck: ${code} for ${Math.round(performance.now() - start)} ms`, { cause: error });
          }
          if (times === "once") return undefined;
          // Half a connection is not tried again.
          if (this.#ledger === undefined) this.#close();
          if (attempt < 3) await turn();
          else await sleep(this.#random.between(0, 4));
        } else if (this.#options.tolerates.includes(code)) {
          this.#scores.refused++;
          if (this.#ledger === undefined || this.#random.once(10)) this.#close();
          await sleep(this.#random.between(1, 10));
          return undefined;
        } else if (before !== undefined) {
          throw new Error(`${(error as Error).message}, after ${(before as Error).message}`, { cause: error });
        } else {
          throw error;
        }
        before = error;
      }
    }
  }

  #undo(): void {
    try {
      this.#peer!.driver.exec("ROLLBACK");
    } catch {
      // SQLite has done so itself, or there was nothing to undo.
    }
  }

  #close(): void {
    const peer = this.#peer;
    this.#ledger?.finalize();
    this.#peer = this.#ledger = undefined;
    try {
      peer?.close();
    } catch (error) {
      if (!this.#options.tolerates.includes(String((error as { code?: string }).code))) throw error;
      this.#scores.refused++;
    }
  }

  #report({ state }: { state: number }): void {
    this.#scores.state = state;
    this.#board.write(this.#options.slot, this.#scores);
  }
}
