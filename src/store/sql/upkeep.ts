/**
 * What a SQL store does when nobody waits for it: writes down what was counted, and removes what has expired. It is begun
 * some seconds after something gave it work, so that a burst of hits costs a few rows written and not one each: at the
 * edge, these are paid for. A store that nobody uses does nothing: what expires there goes once somebody comes.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { placeOf } from "../place.ts";
import type { AmountsByDay } from "../sqlite/amounts_by_day.ts";
import type { Key } from "../store.ts";
import { PLACE_COLUMNS, type SqlRemover } from "./entry_removal.ts";
import type { SqlSession } from "./session.ts";

/** How long it waits for more to do. An object that is reset meanwhile forgets what it has counted since. */
const DELAY: Milliseconds = 10_000;
/**
 * By how much the time of a request's last use may lag behind in the database, as a file's access time does (`relatime`
 * of Linux): a request that is asked for all day costs a row each time this has passed. Memory knows better, and is asked
 * before anything goes.
 */
const USE_LAG: Milliseconds = 3_600_000;
/** Rows written or removed in one transaction. */
const AT_ONCE = 256;
/** Requests whose last use is remembered in memory at most. */
const MOST_USES = 16_384;

const ADD = "INSERT INTO warmcache_daily (model, day, name, amount) VALUES (?, ?, ?, ?) " +
  "ON CONFLICT (model, day, name) DO UPDATE SET amount = amount + excluded.amount";
const USE = "UPDATE warmcache_request SET used = ? WHERE key = ? AND model = ? AND used < ?";
const EXPIRED = `SELECT ${PLACE_COLUMNS} FROM warmcache_entry WHERE expires <= ? ORDER BY expires LIMIT ${AT_ONCE}`;

/** When a request was used last, and when that was last seen to in the database. */
interface Use {
  readonly key: Key;
  readonly model: string;
  readonly time: Milliseconds;
  readonly written: Milliseconds;
}

/** The upkeep of one store. */
export class SqlUpkeep {
  readonly #session: SqlSession;
  readonly #remover: SqlRemover;
  readonly #amounts: AmountsByDay;
  readonly #keepExpired: Milliseconds;
  readonly #ending = new AbortController();
  /** By place, those of longest ago first. */
  readonly #uses = new Map<string, Use>();
  /** Of these, what is to be seen to. */
  readonly #unwritten = new Set<string>();
  #waiting: Promise<void> | undefined;
  /** Something has come while it worked. */
  #isAskedAgain = false;

  constructor(session: SqlSession, remover: SqlRemover, amounts: AmountsByDay, keepExpired: Milliseconds) {
    this.#session = session;
    this.#remover = remover;
    this.#amounts = amounts;
    this.#keepExpired = keepExpired;
  }

  /** A request was used. */
  use(model: string, key: Key): void {
    const place = placeOf(model, key);
    const time = this.#session.clock.now();
    const before = this.#uses.get(place);
    const written = before?.written ?? -Infinity;
    this.#uses.delete(place);
    if (this.#uses.size >= MOST_USES) this.#forget(this.#uses.keys().next().value!);
    this.#uses.set(place, { key: before?.key ?? key.slice(), model, time, written });
    if (time - written < USE_LAG) return;
    this.#unwritten.add(place);
    this.begin();
  }

  /** When a request was used last, as far as is remembered. */
  lastUse(model: string, key: Key): Milliseconds | undefined {
    return this.#uses.get(placeOf(model, key))?.time;
  }

  /** There may be something to do. */
  begin(): void {
    const { signal } = this.#ending;
    if (signal.aborted) return;
    this.#isAskedAgain = this.#waiting !== undefined;
    this.#waiting ??= this.#session.clock.sleep(DELAY, { signal, background: true })
      .then(() => {
        this.#isAskedAgain = false;
        return this.#work();
      })
      // What could not be written is tried again with what comes next.
      .catch(() => {})
      .finally(() => {
        this.#waiting = undefined;
        if (this.#isAskedAgain) this.begin();
      });
  }

  /** Writes down what waits, since the store is about to be closed. Never throws. */
  async finish(): Promise<void> {
    this.#ending.abort();
    await this.#waiting;
    try {
      this.#writeCounts();
    } catch {
      // Counts are not worth an error.
    }
  }

  async #work(): Promise<void> {
    this.#writeCounts();
    while (this.#removeExpired() === AT_ONCE && !this.#ending.signal.aborted) {
      await new Promise<void>((resolve) => this.#session.clock.afterTurn(resolve));
    }
  }

  #writeCounts(): void {
    for (const model of this.#amounts.models) {
      const amounts = this.#amounts.take(model, Infinity);
      try {
        this.#session.write(() => {
          for (const { day, name, amount } of amounts) this.#session.statement(ADD).run(model, day, name, amount);
        });
      } catch (error) {
        for (const amount of amounts) this.#amounts.add(model, amount);
        throw error;
      }
    }
    if (this.#unwritten.size > 0) this.#writeUses();
  }

  #writeUses(): void {
    const uses = [...this.#unwritten].map((place) => [place, this.#uses.get(place)!] as const);
    this.#session.write(() => {
      for (const [, { key, model, time }] of uses) this.#session.statement(USE).run(time, key, model, time - USE_LAG);
    });
    this.#unwritten.clear();
    for (const [place, use] of uses) this.#uses.set(place, { ...use, written: use.time });
  }

  #forget(place: string): void {
    this.#uses.delete(place);
    this.#unwritten.delete(place);
  }

  /** Returns how many went. */
  #removeExpired(): number {
    const before = this.#session.clock.now() - this.#keepExpired;
    const places = this.#session.read([], () => this.#session.statement(EXPIRED).all(before));
    if (places.length > 0) this.#session.write(() => this.#remover.remove(places));
    return places.length;
  }
}
