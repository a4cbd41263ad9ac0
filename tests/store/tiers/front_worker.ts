/** Another process at the same directory, with memory of its own in front: does what it is told, line by line. */

import process from "node:process";
import { createInterface } from "node:readline";
import { loadRuntime } from "../../../src/runtime/load.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import { keyOf, look, put } from "./support.ts";

const runtime = await loadRuntime();
const [directory] = process.argv.slice(2) as [string];
const below = await openSqliteStore({ runtime, directory, locking: "shared", lockTimeout: 60_000 });
const store = openTieredStore({ clock: runtime.clock, tiers: [{ store: below }], front: { maxBytes: 2 ** 20 } });
console.log(JSON.stringify("ready"));
for await (const line of createInterface({ input: process.stdin })) {
  const { act, bodies = [] } = JSON.parse(line) as {
    act: "look" | "append" | "replace" | "replace_all" | "remove";
    bodies?: string[];
  };
  if (act === "remove") await store.remove({ keys: [keyOf(1)] });
  else if (act !== "look") await put(store, 1, bodies, act);
  console.log(JSON.stringify(act === "look" ? await look(store, 1, 9) : "done"));
}
await store.close();
