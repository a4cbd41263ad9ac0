/**
 * An open database in the WASM engine.
 *
 * @module
 */

import type { DatabaseFiles } from "./database_files.ts";
import type { SqlDriver } from "./driver.ts";
import type { Engine } from "./engine.ts";
import { SqliteError } from "./error.ts";
import type { Pointer } from "./heap.ts";
import { SQLITE_OK } from "./heap.ts";
import { chooseCells } from "./result_cells.ts";
import type { ResultCells } from "./result_cells.ts";
import type { StatementHost } from "./statement.ts";
import { WasmStatement } from "./statement.ts";
import { VFS_NAME } from "./vfs.ts";

const SQLITE_OPEN_READONLY = 0x1;
const SQLITE_OPEN_READWRITE = 0x2;
const SQLITE_OPEN_CREATE = 0x4;
/** Result codes carry the kind of I/O error. */
const SQLITE_OPEN_EXRESCODE = 0x02000000;
const SQLITE_PREPARE_PERSISTENT = 1;
const SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE = 1006;

/** A database over {@link DatabaseFiles}. */
export class WasmDatabase implements SqlDriver, StatementHost {
  readonly engine: Engine;
  /** Where it lies, for messages. */
  readonly path: string;
  readonly #name: string;
  readonly #statements = new Set<WasmStatement>();
  #database: Pointer;
  #cells: ResultCells | undefined;
  #cellsChosen = false;

  /**
   * Opens it.
   *
   * @throws SqliteError
   */
  constructor(engine: Engine, path: string, files: DatabaseFiles) {
    this.engine = engine;
    this.path = path;
    this.#name = engine.vfs.attach(files);
    const flags = files.readOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    let code = SQLITE_OK;
    this.#database = engine.withText(
      this.#name,
      (name) =>
        engine.withText(VFS_NAME, (vfs) =>
          engine.withOutput((output) => {
            code = engine.raw.sqlite3_open_v2(name, output, flags | SQLITE_OPEN_EXRESCODE, vfs);
          })),
    );
    if (code === SQLITE_OK) return;
    const error = this.failure("open it", code);
    this.close();
    throw error;
  }

  get cells(): ResultCells | undefined {
    if (!this.#cellsChosen) chooseCells(this);
    return this.#cells;
  }

  set cells(cells: ResultCells | undefined) {
    this.#cells = cells;
    this.#cellsChosen = true;
  }

  exec(sql: string): void {
    const database = this.#open();
    const code = this.engine.withText(sql, (text) => this.engine.raw.sqlite3_exec(database, text, 0, 0, 0));
    if (code !== SQLITE_OK) throw this.failure(`run ${summary(sql)}`, code);
  }

  prepare(sql: string): WasmStatement {
    const database = this.#open();
    let code = SQLITE_OK;
    const pointer = this.engine.withText(sql, (text, length) =>
      this.engine.withOutput((output) => {
        code = this.engine.raw.sqlite3_prepare_v3(database, text, length, SQLITE_PREPARE_PERSISTENT, output, 0);
      }));
    if (code !== SQLITE_OK) throw this.failure(`prepare ${sql}`, code);
    const statement = new WasmStatement(this, pointer, sql);
    this.#statements.add(statement);
    return statement;
  }

  close(): void {
    if (this.#database === 0) return;
    for (const statement of this.#statements) statement.finalize();
    this.engine.raw.sqlite3_close_v2(this.#database);
    this.#database = 0;
    this.engine.vfs.detach(this.#name);
  }

  /** Whether closing it leaves its log as it is, rather than moving it into the database if nobody else uses it. */
  keepLogOnClose(keep: boolean): void {
    const code = this.engine.raw.sqlite3__wasm_db_config_ip(
      this.#open(),
      SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE,
      keep ? 1 : 0,
      0,
    );
    if (code !== SQLITE_OK) throw this.failure("configure it", code);
  }

  changes(): number {
    return this.engine.raw.sqlite3_changes(this.#database);
  }

  failure(action: string, code: number): SqliteError {
    const cause = this.engine.vfs.takeFailure(this.#name, code);
    const text = this.engine.readText(this.engine.raw.sqlite3_errmsg(this.#database));
    const reason = cause instanceof Error ? `${text}: ${cause.message}` : text;
    return new SqliteError(`Cannot ${action} in ${this.path}: ${reason}`, this.engine.codeName(code), { cause });
  }

  forget(statement: WasmStatement): void {
    this.#statements.delete(statement);
  }

  #open(): Pointer {
    if (this.#database !== 0) return this.#database;
    throw new SqliteError(`Cannot use ${this.path}: it was closed`, "SQLITE_MISUSE");
  }
}

function summary(sql: string): string {
  const line = sql.trim().replace(/\s+/g, " ");
  return line.length > 80 ? `${line.slice(0, 79)}…` : line;
}
