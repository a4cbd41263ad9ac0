/**
 * The requests of a store on one SQL database: all of them, or those that resemble one.
 *
 * @module
 */

import type { SqlValue } from "../../sqlite/driver.ts";
import { packRow } from "../../sqlite/packed_row.ts";
import { NearestSketches } from "../nearest.ts";
import { REQUEST_COLUMNS } from "../sqlite/entry_row.ts";
import { readRequest } from "../sqlite/request_row.ts";
import type { ListedRequest, RequestRecord, Selection } from "../store.ts";
import { readParts } from "./parts.ts";
import type { SqlSession } from "./session.ts";
import { conditions } from "./conditions.ts";

/** Requests listed, and sketches compared, before others have their turn. */
const LISTED_AT_ONCE = 32;
const COMPARED_AT_ONCE = 4096;

const COLUMNS = REQUEST_COLUMNS.split(", ");
const BODY = COLUMNS.indexOf("body");

const SELECT = `SELECT ${REQUEST_COLUMNS}, model, sketch, parts FROM warmcache_request WHERE rowid = ?`;
const TAGS = "SELECT tag FROM warmcache_tag WHERE key = ? AND model = ?";

/** The requests of a database. */
export class SqlRequests {
  readonly #session: SqlSession;

  constructor(session: SqlSession) {
    this.#session = session;
  }

  /** The next requests after a rowid, those that are broken left out; `last` is `undefined` when there are no more. */
  some({ model, namespace }: Pick<Selection, "model" | "namespace">, after: number): {
    readonly listed: readonly ListedRequest[];
    readonly last: number | undefined;
  } {
    return this.#session.read({ listed: [], last: undefined }, () => {
      const { where, values } = conditions([["rowid > ?", after], ["model = ?", model], ["namespace = ?", namespace]]);
      const next = this.#session.statement(`SELECT rowid FROM warmcache_request ${where} ORDER BY rowid LIMIT ?`)
        .all(...values, LISTED_AT_ONCE);
      const ids = next.map(([id]) => id as number);
      const listed = ids.flatMap((id): ListedRequest[] => {
        const found = this.#read(id);
        if (!found) return [];
        const tags = this.#session.statement(TAGS).all(found.request.key, found.model).map(([tag]) => tag as string);
        return [{ ...found, tags }];
      });
      return { listed, last: ids.length < LISTED_AT_ONCE ? undefined : ids.at(-1) };
    });
  }

  /** As {@link ../store.ts Store.nearest}. */
  async nearest(sketch: Uint8Array, limit: number, model?: string): Promise<RequestRecord[]> {
    if (!Number.isSafeInteger(limit) || limit < 1) {
      throw new RangeError(`Cannot look for the nearest requests (limit has to be a positive integer): ${limit}`);
    }
    // Some may be broken.
    const near = new NearestSketches(sketch, 2 * limit);
    let after: number | undefined = 0;
    while (after !== undefined) {
      after = this.#compare(near, after, model);
      if (after !== undefined) await new Promise<void>((resolve) => this.#session.clock.afterTurn(resolve));
    }
    return this.#session.read([], () => {
      const found: RequestRecord[] = [];
      for (const { id } of near.best()) {
        const request = found.length < limit ? this.#read(id)?.request : undefined;
        if (request) found.push(request);
      }
      return found;
    });
  }

  /** Compares some sketches; returns after which to go on. */
  #compare(near: NearestSketches, after: number, model: string | undefined): number | undefined {
    return this.#session.read(undefined, () => {
      const { where, values } = conditions([["rowid > ?", after], ["model = ?", model]]);
      const rows = this.#session.statement(
        `SELECT rowid, sketch FROM warmcache_request ${where} ORDER BY rowid LIMIT ?`,
      )
        .all(...values, COMPARED_AT_ONCE);
      for (const [id, sketch] of rows) near.offer(id as number, sketch as Uint8Array);
      return rows.length < COMPARED_AT_ONCE ? undefined : rows.at(-1)![0] as number;
    });
  }

  #read(id: number): Omit<ListedRequest, "tags"> | undefined {
    const read = this.#session.statement(SELECT).get(id);
    if (!read) return undefined;
    const values: SqlValue[] = read.slice(0, COLUMNS.length);
    const [model, sketch, parts] = read.slice(COLUMNS.length) as [string, Uint8Array, number];
    if (parts > 0) values[BODY] = readParts(this.#session, "request", id);
    const request = readRequest(packRow(values), sketch, this.#session.codecs);
    return request && { model, request };
  }
}
