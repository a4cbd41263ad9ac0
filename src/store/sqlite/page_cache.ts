/**
 * How much of a database may stay in memory. SQLite's heap in WASM never shrinks, so the bound has to hold for all open
 * databases together; up to it, a database that fits into its cache is read from the disk once.
 *
 * @module
 */

const MIB = 1024 * 1024;
/** What SQLite's default is in this build; a database that is small now has room to grow into. */
const LEAST_BYTES = 16 * MIB;
/** For one database at most. */
const MOST_BYTES = 64 * MIB;
/** For all open databases of a store together at most. */
const TOTAL_BYTES = 256 * MIB;

/** How many bytes of a database's pages may be kept, while so many databases are open. */
export function pageCacheBytes(databaseBytes: number, openDatabases: number): number {
  const wanted = Math.min(Math.max(databaseBytes, LEAST_BYTES), MOST_BYTES);
  return Math.floor(Math.min(wanted, TOTAL_BYTES / openDatabases));
}
