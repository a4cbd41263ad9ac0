/** A process of the torture on the SQLite that came with its runtime. */

import { createLedgerOnce } from "./ledger.ts";
import { openNative } from "./native_driver.ts";
import { work } from "./worker.ts";

await work(async ({ database }, random) => {
  const driver = await openNative(database);
  try {
    // Waiting asleep, as most programs do, or not at all, as we do.
    driver.exec(
      `PRAGMA busy_timeout = ${random.pick([0, 0, 2000])}; PRAGMA wal_autocheckpoint = ${random.pick([0, 20, 1000])}`,
    );
    driver.exec(`PRAGMA cache_size = ${random.pick([10, 2000])}`);
    driver.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE");
    createLedgerOnce(driver);
    driver.exec("COMMIT");
    return { driver, close: () => driver.close() };
  } catch (error) {
    driver.close();
    throw error;
  }
});
