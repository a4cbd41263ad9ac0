/**
 * The error of this room: SQLite's result codes as words, so that callers need not know numbers.
 *
 * @module
 */

/**
 * SQLite refused something. `code` is the primary result code's name, such as `SQLITE_BUSY`, `SQLITE_CORRUPT`,
 * `SQLITE_FULL`, `SQLITE_NOTADB` or `SQLITE_IOERR` (https://sqlite.org/rescode.html); `cause` is the failed file
 * operation, where there was one.
 */
export class SqliteError extends Error {
  /** `SqliteError`. */
  override readonly name = "SqliteError";
  /** SQLite's name for what it was, as a word a program can test. */
  readonly code: string;
  /** An error with a reason for programs and a message for people. */
  constructor(message: string, code: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/**
 * Whether a statement was refused because of what somebody else is doing just now, so that it may succeed when it is
 * tried again.
 */
export function isBusy(error: unknown): boolean {
  return error instanceof SqliteError && (error.code === "SQLITE_BUSY" || error.code === "SQLITE_PROTOCOL");
}
