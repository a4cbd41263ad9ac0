/** One lookup with a native SQLite in a new process: the same file, opened, read by key, decompressed; see `startup.ts`. */

import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const started = performance.now();
const [driver, directory] = process.argv.slice(2);
const path = join(directory, readdirSync(directory).find((name) => name.endsWith(".sqlite")));
const require = createRequire(new URL("./peers/package.json", import.meta.url));
let database;
if (driver === "node:sqlite") {
  const { DatabaseSync } = await import("node:sqlite");
  database = new DatabaseSync(path);
} else database = new (require("better-sqlite3"))(path);
const { decompress } = require("zstd-napi");
const { body } = database.prepare("SELECT body FROM entry WHERE sample = 0").get();
const answer = new TextDecoder().decode(decompress(body));
const milliseconds = performance.now() - started;
console.log(JSON.stringify({ milliseconds, answer }));
database.close();
