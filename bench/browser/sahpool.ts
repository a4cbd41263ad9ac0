/// <reference lib="dom" />
/** The package's own way: its object-oriented API on its own `opfs-sahpool`. */

import init from "@sqlite.org/sqlite-wasm";
import { run } from "./measure.ts";

const sqlite3 = await init();

await run({
  async open() {
    const pool = await sqlite3.installOpfsSAHPoolVfs({ directory: "/sahpool" });
    if (pool.isPaused()) await pool.unpauseVfs();
    const database = new pool.OpfsSAHPoolDb("/database");
    // As ours: the log without shared memory, moved when asked to.
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 4096; PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0");
    database.exec("CREATE TABLE IF NOT EXISTS row (key BLOB PRIMARY KEY, body BLOB)");
    const put = database.prepare("INSERT INTO row VALUES (?, ?)");
    const get = database.prepare("SELECT body FROM row WHERE key = ?");
    return {
      put: (key, body) => void put.bind([key, body]).stepReset(),
      get(key) {
        const found = get.bind([key]).step() ? get.getBlob(0)! : undefined;
        get.reset();
        return found;
      },
      begin: () => void database.exec("BEGIN"),
      commit: () => void database.exec("COMMIT"),
      checkpoint: () => void database.exec("PRAGMA wal_checkpoint(PASSIVE)"),
      close() {
        put.finalize();
        get.finalize();
        database.close();
        pool.pauseVfs();
      },
    };
  },
});
