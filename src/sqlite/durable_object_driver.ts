/**
 * A Durable Object's SQL as a {@link SqlDriver}. The object has its database for itself, next to it: statements are
 * synchronous, and nothing the object says to others leaves it before what was written is safe
 * (https://developers.cloudflare.com/durable-objects/api/sqlite-storage-api/).
 *
 * Types are said by their structure, so that nobody needs Cloudflare's to check a program that uses this one.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import type { SqlDriver, SqlRow, SqlStatement, SqlValue } from "./driver.ts";
import { SqliteError } from "./error.ts";

/** As much of a Durable Object's `ctx.storage` as is used. */
export interface DurableObjectStorage {
  /** Its database. */
  readonly sql: {
    /** Bytes that it takes. */
    readonly databaseSize: number;
    /** Runs statements; the last one's rows, and how many rows were written. */
    exec(query: string, ...bindings: (ArrayBuffer | string | number | null)[]): {
      readonly rowsWritten: number;
      raw(): Iterable<readonly (ArrayBuffer | string | number | null)[]>;
    };
  };
  /** Runs something in a transaction. */
  transactionSync<T>(action: () => T): T;
}

/** Where SQLite's name for what went wrong stands in a message: `UNIQUE constraint failed: …: SQLITE_CONSTRAINT (…)`. */
const CODE = /\b(SQLITE_[A-Z]+)\b/;

/** The database of a Durable Object. Closing it closes nothing: it belongs to the object. */
export function durableObjectDriver(storage: DurableObjectStorage): SqlDriver {
  const { sql } = storage;
  const run = (query: string, parameters: readonly SqlValue[]) => {
    try {
      // It takes views of bytes as well as whole buffers, whatever its types say.
      return sql.exec(query, ...parameters as (ArrayBuffer | string | number | null)[]);
    } catch (cause) {
      throw failed(query, cause);
    }
  };
  const rowsOf = (query: string, parameters: readonly SqlValue[]): SqlRow[] => {
    const cursor = run(query, parameters);
    try {
      return Array.from(cursor.raw(), (row) => row.map(ours));
    } catch (cause) {
      throw failed(query, cause);
    }
  };
  const prepare = (query: string): SqlStatement => ({
    run(...parameters) {
      rowsOf(query, parameters);
      // What the cursor counts as written are index entries, too.
      return rowsOf("SELECT changes()", [])[0]![0] as number;
    },
    get: (...parameters) => rowsOf(query, parameters)[0],
    all: (...parameters) => rowsOf(query, parameters),
    // The object keeps statements that are asked for again by itself.
    finalize() {},
  });
  return {
    exec: (query) => void rowsOf(query, []),
    prepare,
    transaction: (action) => storage.transactionSync(action),
    size: () => sql.databaseSize,
    close() {},
  };
}

function ours(value: ArrayBuffer | string | number | null): SqlValue {
  return value instanceof ArrayBuffer ? new Uint8Array(value) : value;
}

function failed(query: string, cause: unknown): SqliteError {
  const message = messageOf(cause);
  const code = CODE.exec(message)?.[1] ?? "SQLITE_ERROR";
  return new SqliteError(`Cannot run ${query.trim().split("\n", 1)[0]} in a Durable Object: ${message}`, code, {
    cause,
  });
}
