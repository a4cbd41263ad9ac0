/**
 * Who promised to call for which request, and until when. A claim is granted in the transaction that writes it, so of
 * two processes that ask at once one gets it.
 *
 * Where a database belongs to this process alone there is nobody to tell, and nothing is written, unless somebody is to
 * take it over.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { LONGEST_BINDING } from "../limits.ts";
import type { ClaimReply, Key } from "../store.ts";
import type { Connection } from "./connection.ts";

const GRANTED: ClaimReply = Object.freeze({ granted: true });

/** The claims in one database. Methods have to be called in a write transaction and throw SqliteError. */
export class ClaimTable {
  readonly #connection: Connection;
  readonly #isKept: boolean;

  constructor(connection: Connection, isKept: boolean) {
    this.#connection = connection;
    this.#isKept = isKept;
  }

  /** As {@link ../store.ts Claims.claim}. */
  claim(key: Key, holder: string, duration: Milliseconds): ClaimReply {
    if (!this.#isKept) return GRANTED;
    const now = this.#connection.clock.now();
    const row = this.#connection.statement("SELECT holder, expires FROM claim WHERE key = ?").get(key);
    if (row && row[0] !== holder && isBinding(row[1], now)) return { granted: false, expires: row[1] };
    this.#connection.statement("INSERT OR REPLACE INTO claim (key, holder, expires) VALUES (?, ?, ?)")
      .run(key, holder, now + duration);
    return GRANTED;
  }

  /** As {@link ../store.ts Claims.release}. */
  release(key: Key, holder: string): void {
    if (!this.#isKept) return;
    this.#connection.statement("DELETE FROM claim WHERE key = ? AND holder = ?").run(key, holder);
  }
}

/** A clock that was set back must not make a claim immortal. */
function isBinding(expires: unknown, now: Milliseconds): expires is Milliseconds {
  return typeof expires === "number" && expires > now && expires <= now + LONGEST_BINDING;
}
