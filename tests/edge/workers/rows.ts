/** A Durable Object that counts the rows its cache reads and writes, as they are paid for. */

import { type DurableObjectStorage, openCache } from "@warmcache/warmcache/edge";

interface Cursor {
  readonly rowsRead: number;
  readonly rowsWritten: number;
  raw(): Iterable<readonly (ArrayBuffer | string | number | null)[]>;
}

interface Environment {
  readonly ROWS: { getByName(name: string): { fetch(request: Request): Promise<Response> } };
}

/** Says what a first answer, another one, and a hit cost. */
export class Rows {
  readonly #storage: DurableObjectStorage;
  #rows = { read: 0, written: 0 };

  constructor({ storage }: { readonly storage: DurableObjectStorage }) {
    this.#storage = storage;
  }

  async fetch(): Promise<Response> {
    const cache = await openCache({ storage: this.#counted(), maxBytes: 1024 ** 3 });
    const said: Record<string, object> = {};
    for (const [name, content] of [["first", "one"], ["miss", "two"], ["hit", "two"]] as const) {
      this.#rows = { read: 0, written: 0 };
      await cache.wrap(
        { model: "m", messages: [{ role: "user", content }] },
        () => Promise.resolve({ choices: [{ message: { content }, finish_reason: "stop" }] }),
      );
      said[name] = this.#rows;
    }
    return Response.json(said);
  }

  #counted(): DurableObjectStorage {
    const { sql } = this.#storage;
    return {
      transactionSync: (action) => this.#storage.transactionSync(action),
      sql: {
        databaseSize: sql.databaseSize,
        exec: (query, ...bindings) => {
          const cursor = sql.exec(query, ...bindings) as Cursor;
          const rows = [...cursor.raw()];
          this.#rows.read += cursor.rowsRead;
          this.#rows.written += cursor.rowsWritten;
          return { rowsWritten: cursor.rowsWritten, raw: () => rows };
        },
      },
    };
  }
}

export default {
  fetch: (request: Request, { ROWS }: Environment): Promise<Response> => ROWS.getByName("one").fetch(request),
};
