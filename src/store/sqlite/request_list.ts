/**
 * The requests of a model's database, some at a time and in the order in which they came.
 *
 * @module
 */

import { packedRows } from "../../sqlite/packed_row.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import type { RequestRecord } from "../store.ts";
import type { Connection } from "./connection.ts";
import { readRequest, SELECT_REQUEST } from "./request_row.ts";

/** Read in one slice: with bodies of 100 KB, some milliseconds. */
const AT_ONCE = 32;

const NEXT = "SELECT rowid, sketch FROM request WHERE rowid > ? ORDER BY rowid LIMIT ?";
const NEXT_IN_NAMESPACE = "SELECT rowid, sketch FROM request WHERE rowid > ? AND namespace = ? ORDER BY rowid LIMIT ?";

/** A walk through a model's requests; it goes on where it was, in whatever connection it is given. */
export class RequestWalk {
  /** Whether all were seen. */
  isDone = false;
  readonly #namespace: string | undefined;
  #after = 0;

  /** Through those in one namespace only, if one is given. */
  constructor(namespace?: string) {
    this.#namespace = namespace;
  }

  /**
   * The next ones, those that are broken left out.
   *
   * @throws SqliteError
   */
  some(connection: Connection): RequestRecord[] {
    connection.enterReading(connection.clock.now());
    const rows = this.#namespace === undefined
      ? connection.statement(NEXT).all(this.#after, AT_ONCE)
      : connection.statement(NEXT_IN_NAMESPACE).all(this.#after, this.#namespace, AT_ONCE);
    const select = connection.statement(SELECT_REQUEST);
    const requests: RequestRecord[] = [];
    for (const [id, sketch] of rows) {
      const [packed] = packedRows(select, id as number);
      const request = packed && readRequest(packed, sketchOf(sketch), connection.tools);
      if (request) requests.push(request);
    }
    this.#after = rows.at(-1)?.[0] as number ?? this.#after;
    this.isDone = rows.length < AT_ONCE;
    return requests;
  }
}

/** Requests of the first schema have none. */
function sketchOf(value: unknown): Uint8Array {
  return value instanceof Uint8Array && value.byteLength === SKETCH_BYTES ? value : new Uint8Array(SKETCH_BYTES);
}
