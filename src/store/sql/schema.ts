/**
 * The tables of a store on one SQL database, for all models. Their names begin with `warmcache_`: a Durable Object's
 * database may hold tables of its own beside them.
 *
 * A row of `warmcache_entry` has the columns of the store on disk, with the same checksum over them
 * ({@link ../sqlite/entry_row.ts}), and three more: whose request it was, how many bytes its answer takes, and in how many
 * parts these lie elsewhere ({@link ./parts.ts}).
 *
 * @module
 */

import type { SqlDriver } from "../../sqlite/driver.ts";
import { CacheError } from "../error.ts";

/** How the tables lie. */
const VERSION = 1;

const TABLES = `
  CREATE TABLE warmcache_entry (
    key BLOB NOT NULL,
    model TEXT NOT NULL,
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
    stored INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (key, model, sample)
  ) STRICT;
  CREATE INDEX warmcache_entry_expires ON warmcache_entry (expires) WHERE expires IS NOT NULL;
  CREATE TABLE warmcache_request (
    key BLOB NOT NULL,
    model TEXT NOT NULL,
    namespace TEXT NOT NULL,
    provider TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    identity TEXT,
    codec TEXT NOT NULL,
    dictionary INTEGER,
    size INTEGER NOT NULL,
    created ANY NOT NULL,
    sketch BLOB NOT NULL,
    used ANY NOT NULL,
    bytes INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (key, model)
  ) STRICT;
  CREATE INDEX warmcache_request_used ON warmcache_request (used, bytes);
  CREATE TABLE warmcache_part (
    of TEXT NOT NULL,
    owner INTEGER NOT NULL,
    number INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (of, owner, number)
  ) STRICT;
  CREATE TABLE warmcache_tag (tag TEXT NOT NULL, key BLOB NOT NULL, model TEXT NOT NULL, PRIMARY KEY (tag, key, model))
    STRICT, WITHOUT ROWID;
  CREATE INDEX warmcache_tag_key ON warmcache_tag (key, model);
  CREATE TABLE warmcache_failure (
    key BLOB NOT NULL,
    model TEXT NOT NULL,
    count INTEGER NOT NULL,
    last ANY NOT NULL,
    expires ANY,
    error BLOB NOT NULL,
    PRIMARY KEY (key, model)
  ) STRICT;
  CREATE TABLE warmcache_daily (
    model TEXT NOT NULL,
    day TEXT NOT NULL,
    name TEXT NOT NULL,
    amount ANY NOT NULL,
    PRIMARY KEY (model, day, name)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE warmcache_meta (name TEXT NOT NULL PRIMARY KEY, value ANY) STRICT;
  INSERT INTO warmcache_meta (name, value) VALUES ('version', ${VERSION});
`;

/**
 * Whether the tables are there.
 *
 * @throws CacheError `newer_schema`.
 * @throws SqliteError
 */
export function hasTables(driver: SqlDriver): boolean {
  if (firstOf(driver, "SELECT 1 FROM sqlite_schema WHERE name = 'warmcache_meta'") === undefined) return false;
  const version = firstOf(driver, "SELECT value FROM warmcache_meta WHERE name = 'version'");
  if (version === VERSION) return true;
  throw new CacheError(
    "newer_schema",
    `Cannot use the tables warmcache_…: another version of this program wrote them: version ${version}, this program ` +
      `knows ${VERSION}`,
  );
}

/** Makes the tables; has to be called in a transaction. */
export function makeTables(driver: SqlDriver): void {
  driver.exec(TABLES);
}

function firstOf(driver: SqlDriver, sql: string): unknown {
  const statement = driver.prepare(sql);
  try {
    return statement.get()?.[0];
  } finally {
    statement.finalize();
  }
}
