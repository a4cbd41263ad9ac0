/**
 * The requests of a model's database, some at a time and in the order in which they came.
 *
 * @module
 */

import type { Milliseconds } from "../../runtime/runtime.ts";
import { packedRows } from "../../sqlite/packed_row.ts";
import { SKETCH_BYTES } from "../nearest.ts";
import type { ListedRequest } from "../store.ts";
import type { Connection } from "./connection.ts";
import { readRequest, SELECT_REQUEST } from "./request_row.ts";

/** Read in one slice: with bodies of 100 KB, some milliseconds. */
const AT_ONCE = 32;
/** Those in other namespaces are passed over so many at once, and for so long in one slice: there may be a million. */
const PASSED_AT_ONCE = 256;
const LONGEST: Milliseconds = 3;

const NEXT = "SELECT rowid, sketch, ?3 IS NULL OR namespace = ?3 FROM request WHERE rowid > ?1 ORDER BY rowid LIMIT ?2";
const TAGS = "SELECT tag FROM tag WHERE key = ?";

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
   * The next ones, those that are broken left out; perhaps none yet.
   *
   * @throws SqliteError
   */
  some(connection: Connection): Omit<ListedRequest, "model">[] {
    const { clock } = connection;
    connection.enterReading(clock.now());
    const end = clock.monotonic() + LONGEST;
    const select = connection.statement(SELECT_REQUEST);
    const tags = connection.statement(TAGS);
    const requests: Omit<ListedRequest, "model">[] = [];
    let most = AT_ONCE;
    do {
      const rows = connection.statement(NEXT).all(this.#after, most, this.#namespace ?? null);
      this.isDone = rows.length < most;
      for (const [id, sketch, fits] of rows) {
        this.#after = id as number;
        if (fits !== 1) continue;
        const [packed] = packedRows(select, id as number);
        const request = packed && readRequest(packed, sketchOf(sketch), connection.tools);
        if (request) requests.push({ request, tags: tags.all(request.key).map(([tag]) => tag as string) });
        if (requests.length < AT_ONCE) continue;
        this.isDone &&= id === rows.at(-1)![0];
        return requests;
      }
      most = PASSED_AT_ONCE;
    } while (!this.isDone && requests.length === 0 && clock.monotonic() <= end);
    return requests;
  }
}

/** Requests of the first schema have none. */
function sketchOf(value: unknown): Uint8Array {
  return value instanceof Uint8Array && value.byteLength === SKETCH_BYTES ? value : new Uint8Array(SKETCH_BYTES);
}
