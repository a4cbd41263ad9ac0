/**
 * Keeps a store within so many bytes: for what is put, the least recently used requests go, in the same transaction, so
 * that no moment shows too much. A request goes with all its answers: one of them alone could not be found without those
 * before it.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../error.ts";
import type { Key } from "../store.ts";
import { PLACE_COLUMNS, type SqlRemover } from "./entry_removal.ts";
import type { SqlSession } from "./session.ts";

/** Once there is too much, this part more goes, so that not every put has to look for something. */
const SPARE = 0.05;
const AT_ONCE = 64;

const TOTAL = "SELECT ifnull(sum(bytes), 0) FROM warmcache_request";
const BYTES = "SELECT bytes FROM warmcache_request WHERE key = ? AND model = ?";
const OLDEST = "SELECT key, model, used FROM warmcache_request ORDER BY used LIMIT ?";
const USE = "UPDATE warmcache_request SET used = ? WHERE key = ? AND model = ?";
const ENTRIES = `SELECT ${PLACE_COLUMNS} FROM warmcache_entry WHERE key = ? AND model = ?`;

/** When a request was used last, where that is known better than by the database. */
export type LastUse = (model: string, key: Key) => Milliseconds | undefined;

/** The room of one store. */
export class SqlRoom {
  readonly #session: SqlSession;
  readonly #maxBytes: number;
  readonly #lastUse: LastUse;
  /** What all requests take, as far as is known. */
  #total: number | undefined;

  constructor(session: SqlSession, maxBytes: number, lastUse: LastUse) {
    this.#session = session;
    this.#maxBytes = maxBytes;
    this.#lastUse = lastUse;
  }

  /** Bytes were added, or removed where they are negative; nobody knows how many where a transaction failed. */
  add(bytes: number | undefined): void {
    this.#total = bytes === undefined || this.#total === undefined ? undefined : this.#total + bytes;
  }

  /**
   * Makes room for a request that was just put; has to be called in the same transaction.
   *
   * @throws CacheError `unavailable` when it alone takes too much.
   */
  make(remover: SqlRemover, key: Key, model: string): void {
    this.#total ??= this.#session.statement(TOTAL).get()![0] as number;
    if (this.#total <= this.#maxBytes) return;
    const own = this.#session.statement(BYTES).get(key, model)![0] as number;
    if (own > this.#maxBytes) {
      throw new CacheError(
        "unavailable",
        `Cannot store the answers to one request within maxBytes (${this.#maxBytes}): they take ${own} bytes`,
      );
    }
    const goal = Math.max(own, this.#maxBytes * (1 - SPARE));
    for (let isStuck = false; !isStuck && this.#total > goal;) {
      isStuck = true;
      const oldest = this.#session.statement(OLDEST).all(AT_ONCE) as (readonly [Key, string, number])[];
      for (const [each, of, used] of oldest) {
        if (this.#total <= goal) break;
        if (of === model && isEqual(each, key)) continue;
        isStuck = false;
        const last = this.#lastUse(of, each) ?? used;
        if (last > used) {
          this.#session.statement(USE).run(last, each, of);
        } else {
          remover.remove(this.#session.statement(ENTRIES).all(each, of));
          remover.forget(each, of);
        }
      }
    }
    // Somebody else has removed what was counted here; the next put counts anew.
    if (this.#total > goal) this.add(undefined);
  }
}

function isEqual(left: Key, right: Key): boolean {
  return left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index]);
}
