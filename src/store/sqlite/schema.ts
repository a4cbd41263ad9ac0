/**
 * The tables of a model's database, and who may touch a file: one that is not ours, or newer than this program, is
 * refused before anything is written to it.
 *
 * `schema_version`, here and in each row, says how a row's columns are to be read; `user_version` in the file's header
 * how the tables lie. `PRIMARY KEY (key, sample)` on a rowid table: without rowids, lookups of blobs took four times as
 * long (measured).
 *
 * @module
 */

import type { Files } from "../../runtime/runtime.ts";
import type { SqlDriver } from "../../sqlite/driver.ts";
import { CacheError } from "../error.ts";

/** How rows written now are to be read. Rows of an older version are misses. */
export const ROW_VERSION = 1;

/** "WARM" in ASCII: whose file this is. */
const APPLICATION_ID = 0x5741524d;

/**
 * What takes a file from `user_version` 1 to 2, from 2 to 3, and so on. A new file gets the tables of version 1 and then
 * all of these, so that there is one way only in which a file of today can come about.
 */
const MIGRATIONS: readonly string[] = [
  `
  ALTER TABLE request ADD COLUMN sketch BLOB;
  CREATE INDEX entry_expires ON entry (expires) WHERE expires IS NOT NULL;
  CREATE TABLE tag (tag TEXT NOT NULL, key BLOB NOT NULL, PRIMARY KEY (tag, key)) STRICT, WITHOUT ROWID;
  CREATE INDEX tag_key ON tag (key);
  CREATE TABLE failure (
    key BLOB NOT NULL PRIMARY KEY,
    count INTEGER NOT NULL,
    last ANY NOT NULL,
    expires ANY,
    error BLOB NOT NULL
  ) STRICT;
  CREATE TABLE daily (day TEXT NOT NULL, name TEXT NOT NULL, amount ANY NOT NULL, PRIMARY KEY (day, name))
    STRICT, WITHOUT ROWID;
  CREATE TABLE sketch (last INTEGER PRIMARY KEY, content BLOB NOT NULL) STRICT;
  `,
];
const FILE_VERSION: number = MIGRATIONS.length + 1;

const TABLES = `
  CREATE TABLE entry (
    key BLOB NOT NULL,
    sample INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    outcome TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    model_answered TEXT,
    fingerprint TEXT,
    prompt_tokens ANY,
    completion_tokens ANY,
    cost_microdollars ANY,
    latency ANY,
    created ANY NOT NULL,
    expires ANY,
    codec TEXT NOT NULL,
    dictionary INTEGER,
    size INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (key, sample)
  ) STRICT;
  CREATE TABLE request (
    key BLOB NOT NULL PRIMARY KEY,
    namespace TEXT NOT NULL,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    identity TEXT,
    codec TEXT NOT NULL,
    dictionary INTEGER,
    size INTEGER NOT NULL,
    created ANY NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE TABLE dictionary (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, content BLOB NOT NULL, created ANY NOT NULL) STRICT;
  CREATE TABLE access (key BLOB NOT NULL PRIMARY KEY, count INTEGER NOT NULL, last ANY NOT NULL) STRICT;
  CREATE TABLE claim (key BLOB NOT NULL PRIMARY KEY, holder TEXT NOT NULL, expires ANY NOT NULL) STRICT;
  CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT;
`;

const MAGIC = "SQLite format 3\0";
const HEADER_BYTES = 100;
/** What a rollback journal begins with: https://sqlite.org/fileformat2.html#the_rollback_journal */
const JOURNAL_MAGIC: readonly number[] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
const USER_VERSION_AT = 60;
const APPLICATION_ID_AT = 68;
/** Which SQLite wrote it, and when: never zero in a whole header. */
const WRITER_AT = 92;

/**
 * Looks at a file's first bytes (https://sqlite.org/fileformat2.html#the_database_header) without touching it: whether
 * it is `missing`, `empty` or not yet made, or `ours`.
 *
 * @throws CacheError `foreign_file` or `newer_schema`.
 * @throws FileError when it cannot be read.
 */
export function inspectFile(files: Files, path: string): "missing" | "empty" | "ours" {
  if (!files.exists(path)) return "missing";
  const hasJournal = (): boolean => files.exists(`${path}-journal`);
  const hadJournal = hasJournal();
  const header = new Uint8Array(HEADER_BYTES);
  const file = files.open(path, "read");
  let length: number;
  try {
    length = file.read(header, 0);
  } finally {
    file.close();
  }
  if (length === 0) return "empty";
  const view = new DataView(header.buffer);
  // The power failed before its first pages were on the disk, whole, or they are being written now, or taken back. Rolling
  // the journal back leaves an empty file.
  const isZero = (from: number, to: number): boolean => header.subarray(from, to).every((byte) => byte === 0);
  const isUnfinished = length < HEADER_BYTES || isZero(0, MAGIC.length) || isZero(WRITER_AT, HEADER_BYTES);
  if (isUnfinished && (hadJournal || hasJournal())) return "empty";
  if (length < HEADER_BYTES || String.fromCharCode(...header.subarray(0, MAGIC.length)) !== MAGIC) {
    throw new CacheError("foreign_file", `Cannot use ${path} as a cache: it is no SQLite database`);
  }
  refuseForeign(path, view.getUint32(APPLICATION_ID_AT), view.getUint32(USER_VERSION_AT));
  return "ours";
}

/**
 * Whether the journal beside a database is that of its making: once it has a log it writes no other. Anything else that
 * is called so may lie beside a database full of answers.
 *
 * @throws FileError when it cannot be read.
 */
export function isBeingMade(files: Files, path: string): boolean {
  const journal = `${path}-journal`;
  // It was made, or taken back, a moment ago.
  if (!files.exists(journal)) return true;
  const file = files.open(journal, "read");
  try {
    const start = new Uint8Array(JOURNAL_MAGIC.length);
    return file.read(start, 0) === start.length && JOURNAL_MAGIC.every((byte, index) => byte === start[index]);
  } finally {
    file.close();
  }
}

/**
 * Creates the tables of a new database, or brings those of an older one up to date. Has to be called in a transaction:
 * the header is written with the tables, so no moment shows a file of ours without our mark.
 *
 * @throws CacheError `foreign_file` or `newer_schema`.
 */
export function applySchema(driver: SqlDriver, path: string, model: string): void {
  const version = numberOf(driver, "PRAGMA user_version");
  const applicationId = numberOf(driver, "PRAGMA application_id");
  if (version === 0 && applicationId === 0 && numberOf(driver, "SELECT count(*) FROM sqlite_schema") === 0) {
    driver.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    driver.exec(TABLES);
    const statement = driver.prepare("INSERT INTO meta (name, value) VALUES ('model', ?)");
    statement.run(model);
    statement.finalize();
    migrate(driver, 1);
    return;
  }
  refuseForeign(path, applicationId, version);
  migrate(driver, version);
}

/**
 * Whose answers a database holds.
 *
 * @throws SqliteError
 * @throws CacheError `corrupt` when it does not say.
 */
export function modelOf(driver: SqlDriver): string {
  const statement = driver.prepare("SELECT value FROM meta WHERE name = 'model'");
  try {
    const model = statement.get()?.[0];
    if (typeof model === "string") return model;
    throw new CacheError("corrupt", `Cannot read which model a database belongs to: ${model}`);
  } finally {
    statement.finalize();
  }
}

/**
 * What a database has that ours never have, such as a trigger, which would run whenever something is stored, or a view in
 * place of a table, which may never end; or lacks. `undefined`: nothing.
 *
 * @throws SqliteError
 */
export function oddInSchema(driver: SqlDriver): string | undefined {
  const missing = new Set(Array.from(TABLES.matchAll(/CREATE TABLE (\w+)/g), ([, name]) => name));
  if (numberOf(driver, "PRAGMA user_version") === FILE_VERSION) {
    for (const [, name] of MIGRATIONS.join("").matchAll(/CREATE TABLE (\w+)/g)) missing.add(name);
  }
  const statement = driver.prepare("SELECT type, name, sql LIKE 'CREATE VIRTUAL%' FROM sqlite_schema");
  try {
    for (const [type, name, isVirtual] of statement.all()) {
      if (type !== "table" && type !== "index") return `the ${type} ${name}`;
      if (isVirtual === 1) return `the virtual table ${name}`;
      if (type === "table") missing.delete(`${name}`);
    }
  } finally {
    statement.finalize();
  }
  const [lacking] = missing;
  return lacking === undefined ? undefined : `no table ${lacking}`;
}

function migrate(driver: SqlDriver, version: number): void {
  if (version === FILE_VERSION) return;
  for (const migration of MIGRATIONS.slice(version - 1)) driver.exec(migration);
  driver.exec(`PRAGMA user_version = ${FILE_VERSION}`);
}

function refuseForeign(path: string, applicationId: number, version: number): void {
  if (applicationId !== APPLICATION_ID) {
    const found = `application_id ${applicationId}`;
    throw new CacheError("foreign_file", `Cannot use ${path} as a cache: it is another program's database: ${found}`);
  }
  if (version > FILE_VERSION) {
    const found = `version ${version}, this program knows ${FILE_VERSION}`;
    throw new CacheError("newer_schema", `Cannot use ${path}: a newer version of this program wrote it: ${found}`);
  }
}

function numberOf(driver: SqlDriver, sql: string): number {
  const statement = driver.prepare(sql);
  try {
    return statement.get()?.[0] as number;
  } finally {
    statement.finalize();
  }
}
