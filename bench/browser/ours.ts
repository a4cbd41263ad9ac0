/// <reference lib="dom" />
/** Our SQLite on our files. */

import { browserRuntime } from "../../src/runtime/browser.ts";
import { provideRuntime } from "../../src/runtime/current.ts";
import { openOpfsFiles, opfsDirectory, type OpfsFiles } from "../../src/runtime/opfs_files.ts";
import { loadEngine } from "../../src/sqlite/engine.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { run } from "./measure.ts";

const machine = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

// As the other side has its own before it opens anything.
await loadEngine();

let files: OpfsFiles;

await run({
  async open() {
    files = await openOpfsFiles(await opfsDirectory("ours"), { clock: machine.clock });
    const database = await openDatabase({
      runtime: browserRuntime(files),
      path: "/database",
      locking: "exclusive",
      create: true,
      synchronous: "normal",
      lockTimeout: 0,
      schema: (driver) => driver.exec("CREATE TABLE IF NOT EXISTS row (key BLOB PRIMARY KEY, body BLOB)"),
    });
    const { driver } = database;
    const [put, get, begin, commit] = [
      "INSERT INTO row VALUES (?, ?)",
      "SELECT body FROM row WHERE key = ?",
      "BEGIN",
      "COMMIT",
    ].map((sql) => driver.prepare(sql)) as [Statement, Statement, Statement, Statement];
    return {
      put: (key, body) => void put.run(key, body),
      get: (key) => get.get(key)?.[0] as Uint8Array | undefined,
      begin: () => void begin.run(),
      commit: () => void commit.run(),
      checkpoint: () => database.checkpoint(),
      close() {
        database.close();
        files.close();
      },
    };
  },
});

type Statement = ReturnType<Awaited<ReturnType<typeof openDatabase>>["driver"]["prepare"]>;
