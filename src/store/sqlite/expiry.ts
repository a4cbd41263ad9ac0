/**
 * Removes answers whose time has passed, though nobody asks for them: else a cache whose answers are kept for a day only
 * would grow for ever. They are found by their index, in quiet moments.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import type { Connection } from "./connection.ts";
import type { EntryRemover } from "./entry_removal.ts";
import { PLACE_COLUMNS, placeOf } from "./entry_removal.ts";
import type { Upkeep } from "./upkeep.ts";

/** After a failure it is tried again so much later. */
const RETRY: Milliseconds = 60_000;

const NEXT = "SELECT min(expires) FROM entry WHERE expires IS NOT NULL";
const EXPIRED = `SELECT ${PLACE_COLUMNS} FROM entry WHERE expires <= ? ORDER BY expires LIMIT ?`;

/** The expired answers of one database. */
export class ExpirySweep implements Upkeep {
  readonly #connection: Connection;
  readonly #remover: EntryRemover;
  readonly #kept: Milliseconds;
  /** When the next answer can be removed, as far as is known; the sooner one where others put answers, too. */
  #due: Milliseconds;

  /** Answers are kept for `kept` after their time has passed, so that they can be served while nothing better is had. */
  constructor(remover: EntryRemover, kept: Milliseconds) {
    const { connection } = remover;
    this.#connection = connection;
    this.#remover = remover;
    this.#kept = kept;
    try {
      this.#due = this.#next();
    } catch {
      // Whoever looks for answers will say what is wrong.
      this.#due = connection.clock.now() + RETRY;
    }
  }

  get due(): Milliseconds {
    return this.#due;
  }

  get hasWork(): boolean {
    return this.#due <= this.#connection.clock.now();
  }

  /** An answer was put that expires then. */
  expect(expires: number): void {
    this.#due = Math.min(this.#due, expires + this.#kept);
  }

  work(): void {
    const now = this.#connection.clock.now();
    this.#due = now + RETRY;
    this.#connection.enterReading(now);
    const expired = this.#connection.statement(EXPIRED).all(now - this.#kept, this.#remover.most);
    const places = this.#remover.firstOf(expired.map(placeOf));
    if (places.length > 0) this.#connection.write(() => this.#remover.remove(places));
    this.#due = this.#next();
  }

  #next(): Milliseconds {
    const first = this.#connection.statement(NEXT).get()![0];
    // What is no number expires never.
    return typeof first === "number" ? first + this.#kept : Infinity;
  }
}
