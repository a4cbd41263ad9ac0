/** A process that owns or shares a store: puts answers, says so after each, and waits to be ended. */

import process from "node:process";
import type { SqliteStoreOptions } from "../../../src/store/sqlite/sqlite_store.ts";
import { entryOf, MODEL, openStore, requestOf } from "./fixture.ts";

const [directory, count, locking] = process.argv.slice(2);
const shared: Partial<SqliteStoreOptions> = { locking: "shared", lockTimeout: 60_000 };
const store = await openStore(directory!, locking === "shared" ? shared : { locking: "exclusive" });
for (let index = 0; index < Number(count); index++) {
  await store.put(MODEL, requestOf(String(index)), [entryOf(`answer ${index} `.repeat(50))], "append");
  console.log(`stored ${index}`);
  // Lets the event loop turn, so that what was printed leaves the process.
  if (index % 16 === 0) await new Promise((resolve) => setTimeout(resolve));
}
setInterval(() => {}, 60_000);
