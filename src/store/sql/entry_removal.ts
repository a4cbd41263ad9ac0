/**
 * Takes answers out of a SQL database, whoever wants them gone: somebody who asked for it, time, or want of room. With a
 * request's last answer goes all that is known of the request, in the same transaction.
 *
 * @module
 */

import type { SqlRow } from "../../sqlite/driver.ts";
import type { Key, Removed } from "../store.ts";
import { ENTRY_BYTES } from "./answers.ts";
import { removeParts } from "./parts.ts";
import type { SqlSession } from "./session.ts";

/** What {@link SqlRemover.remove} has to know of an answer. */
export const PLACE_COLUMNS = "rowid, key, model, stored, parts";

const DELETE = "DELETE FROM warmcache_entry WHERE rowid = ?";
const SHRINK = "UPDATE warmcache_request SET bytes = bytes - ? WHERE key = ? AND model = ?";
const HAS_ENTRY = "SELECT 1 FROM warmcache_entry WHERE key = ? AND model = ? LIMIT 1";
const REQUEST = "SELECT rowid, parts, bytes FROM warmcache_request WHERE key = ? AND model = ?";
const REMAINS = ["request", "tag", "failure"].map((table) =>
  `DELETE FROM warmcache_${table} WHERE key = ? AND model = ?`
);

/** Removes from one database. Its methods have to be called in a transaction. */
export class SqlRemover {
  readonly #session: SqlSession;
  readonly #onRemoved: (bytes: number) => void;

  /** `onRemoved` is told how many bytes have gone, requests and all. */
  constructor(session: SqlSession, onRemoved: (bytes: number) => void) {
    this.#session = session;
    this.#onRemoved = onRemoved;
  }

  /** Removes the answers in rows of {@link PLACE_COLUMNS}. */
  remove(places: readonly SqlRow[]): Removed {
    let storedBytes = 0;
    let [gone, last]: [number, { readonly key: Key; readonly model: string } | undefined] = [0, undefined];
    for (const [id, key, model, stored, parts] of places as (readonly [number, Key, string, number, number])[]) {
      if (last && (last.model !== model || !isEqual(last.key, key))) {
        this.#settle(last, gone);
        gone = 0;
      }
      this.#session.statement(DELETE).run(id);
      if (parts > 0) removeParts(this.#session, "entry", id);
      gone += stored + ENTRY_BYTES;
      storedBytes += stored;
      last = { key, model };
    }
    if (last) this.#settle(last, gone);
    return { entries: places.length, storedBytes };
  }

  /** Sees to a request of whose answers so many bytes have gone: it goes, too, or is written down as smaller. */
  #settle({ key, model }: { readonly key: Key; readonly model: string }, gone: number): void {
    if (this.#session.statement(HAS_ENTRY).get(key, model)) {
      this.#session.statement(SHRINK).run(gone, key, model);
      this.#onRemoved(gone);
    } else {
      this.forget(key, model);
    }
  }

  /** Removes what is known of a request that has no answer left. */
  forget(key: Key, model: string): void {
    if (this.#session.statement(HAS_ENTRY).get(key, model)) return;
    const request = this.#session.statement(REQUEST).get(key, model) as readonly [number, number, number] | undefined;
    if (request) {
      const [id, parts, bytes] = request;
      if (parts > 0) removeParts(this.#session, "request", id);
      this.#onRemoved(bytes);
    }
    for (const remains of REMAINS) this.#session.statement(remains).run(key, model);
  }
}

function isEqual(left: Key, right: Key): boolean {
  for (let index = 0; index < right.byteLength; index++) if (left[index] !== right[index]) return false;
  return left.byteLength === right.byteLength;
}
