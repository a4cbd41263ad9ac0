/** The runtimes' own SQLites behind the contract of ours, so that one program serves as their peer. */

import type { SqlDriver, SqlRow, SqlStatement, SqlValue } from "../../src/sqlite/driver.ts";
import { SqliteError } from "../../src/sqlite/error.ts";

interface NodeStatement {
  setReturnArrays(on: boolean): void;
  run(...parameters: SqlValue[]): { readonly changes: number | bigint };
  get(...parameters: SqlValue[]): SqlRow | undefined;
  all(...parameters: SqlValue[]): SqlRow[];
}
interface NodeSqlite {
  readonly DatabaseSync: new (
    path: string,
  ) => { exec(sql: string): void; prepare(sql: string): NodeStatement; close(): void };
}
interface BunStatement {
  run(...parameters: SqlValue[]): { readonly changes: number };
  values(...parameters: SqlValue[]): SqlRow[];
  finalize(): void;
}
interface BunSqlite {
  readonly Database: new (path: string, flags: number) => {
    run(sql: string): void;
    prepare(sql: string): BunStatement;
    close(throwOnError: boolean): void;
  };
}

const CODES: Record<number, string> = {
  1: "SQLITE_ERROR",
  5: "SQLITE_BUSY",
  6: "SQLITE_LOCKED",
  8: "SQLITE_READONLY",
  10: "SQLITE_IOERR",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  14: "SQLITE_CANTOPEN",
  15: "SQLITE_PROTOCOL",
  19: "SQLITE_CONSTRAINT",
  26: "SQLITE_NOTADB",
};

/** What Deno's `node:sqlite` says, whose errors have no number. */
const MESSAGES: Record<string, string> = {
  "database is locked": "SQLITE_BUSY",
  "database table is locked": "SQLITE_LOCKED",
  "attempt to write a readonly database": "SQLITE_READONLY",
  "disk I/O error": "SQLITE_IOERR",
  "database disk image is malformed": "SQLITE_CORRUPT",
  "database or disk is full": "SQLITE_FULL",
  "unable to open database file": "SQLITE_CANTOPEN",
  "locking protocol": "SQLITE_PROTOCOL",
  "file is not a database": "SQLITE_NOTADB",
};

/** Opens a database in the SQLite that came with the runtime. */
export async function openNative(path: string): Promise<SqlDriver> {
  return "Bun" in globalThis ? await openBun(path) : await openNode(path);
}

function named<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    const { errcode, errno, message } = error as { errcode?: number; errno?: number; message: string };
    const code = errcode ?? errno;
    const name = code === undefined ? MESSAGES[message] : CODES[code & 0xff] ?? `SQLITE_${code}`;
    if (name === undefined) throw error;
    throw new SqliteError(`${message} (${code ?? name})`, name, { cause: error });
  }
}

/** Types of the runtime that checks this may lack a module of another's. */
async function builtIn<T>(name: string): Promise<T> {
  return await import(name);
}

async function openNode(path: string): Promise<SqlDriver> {
  const { DatabaseSync } = await builtIn<NodeSqlite>("node:sqlite");
  const database = named(() => new DatabaseSync(path));
  let open = true;
  return {
    exec: (sql) => named(() => database.exec(sql)),
    prepare(sql): SqlStatement {
      const statement = named(() => database.prepare(sql));
      statement.setReturnArrays(true);
      return {
        run: (...parameters) => named(() => Number(statement.run(...parameters).changes)),
        get: (...parameters) => named(() => statement.get(...parameters)),
        all: (...parameters) => named(() => statement.all(...parameters)),
        finalize() {},
      };
    },
    close() {
      if (open) named(() => database.close());
      open = false;
    },
  };
}

async function openBun(path: string): Promise<SqlDriver> {
  const { Database } = await builtIn<BunSqlite>("bun:sqlite");
  const SQLITE_OPEN_READWRITE_CREATE = 6;
  const database = named(() => new Database(path, SQLITE_OPEN_READWRITE_CREATE));
  const statements = new Set<BunStatement>();
  let open = true;
  return {
    exec: (sql) => named(() => void database.run(sql)),
    prepare(sql): SqlStatement {
      const statement = named(() => database.prepare(sql));
      statements.add(statement);
      return {
        run: (...parameters) => named(() => statement.run(...parameters).changes),
        get: (...parameters) => named(() => statement.values(...parameters)[0]),
        all: (...parameters) => named(() => statement.values(...parameters)),
        finalize() {
          statements.delete(statement);
          statement.finalize();
        },
      };
    },
    close() {
      if (!open) return;
      for (const statement of statements) statement.finalize();
      named(() => database.close(true));
      open = false;
    },
  };
}
