/** A process that opens a golden copy, which migrates it, looks for an answer and puts another. */

import process from "node:process";
import { loadRuntime } from "../../src/runtime/load.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import { entryOf, keyOf, MODEL, requestOf } from "./golden.ts";

const [directory, word] = process.argv.slice(2);
const runtime = await loadRuntime();
const store = await openSqliteStore({ runtime, directory: directory!, locking: "shared", lockTimeout: 60_000 });
const [found] = await store.lookup(MODEL, [{ key: keyOf("three"), samples: 9 }]);
await store.put(MODEL, requestOf(word!), [entryOf(word!, 0)], "append", { tags: [word!] });
console.log(found!.entries.length);
await store.close();
