/**
 * Makes the golden directory of the schema that is written now. To be run once, when a schema is released, and never
 * again: what it wrote has to be read for ever. `schema_1` was made by the code of its day.
 *
 * Run: `deno run -A tests/golden/make.ts`
 */

import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { loadRuntime } from "../../src/runtime/load.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import { ManualClock } from "../store/manual_clock.ts";
import {
  ALIKE,
  BRIEF,
  BRIEF_EXPIRES,
  entryOf,
  FAILURE,
  FILE_NAME,
  goldenDirectory,
  keyOf,
  LEDGER,
  MODEL,
  requestOf,
  REQUESTS,
} from "./golden.ts";

const machine = await loadRuntime();
const clock = new ManualClock();
const making = goldenDirectory(0);
await mkdir(making);
const store = await openSqliteStore({ runtime: { ...machine, clock }, directory: making, locking: "shared" });
for (const [word, samples] of [...REQUESTS, ...ALIKE]) {
  const entries = Array.from({ length: samples }, (_, sample) => entryOf(word, sample));
  await store.put(MODEL, requestOf(word), entries, "append", { tags: ["golden", word] });
}
await store.put(MODEL, requestOf(BRIEF), [{ ...entryOf(BRIEF, 0), expires: BRIEF_EXPIRES }], "append");
await store.lookup(MODEL, [{ key: keyOf("one"), samples: 1 }]);
for (let time = 0; time < 2; time++) await store.failures!.record(MODEL, keyOf("failing"), FAILURE);
await store.claims!.claim(MODEL, keyOf("claimed"), "golden", 60_000);
store.ledger!.add(LEDGER);
// The upkeep, as far as there is any.
for (let slice = 0; slice < 400; slice++) {
  clock.advance(500);
  await new Promise((resolve) => setTimeout(resolve));
}
await store.claims!.claim(MODEL, keyOf("claimed"), "golden", 60_000);
await store.close();
const native = new DatabaseSync(join(making, FILE_NAME));
const { compressed } = native.prepare("SELECT count(*) AS compressed FROM entry WHERE dictionary IS NOT NULL").get()!;
if (compressed === 0) throw new Error("Cannot make a golden file: no answer was compressed with a dictionary");
const version = Number(native.prepare("PRAGMA user_version").get()!.user_version);
native.close();
const made = goldenDirectory(version);
await mkdir(made);
await machine.files.replace(join(made, FILE_NAME), await machine.files.read(join(making, FILE_NAME)));
await rm(making, { recursive: true });
console.log(`${made}: ${await readdir(made)}`);
