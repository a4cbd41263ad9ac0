/** The SQLite store keeps the contract of every store. What is its own is tested in `sqlite/`. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Locking } from "../../src/sqlite/open.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import { storeConformance } from "./conformance.ts";
import { ManualClock } from "./manual_clock.ts";

const machine = await loadRuntime();

/** Nobody can see the locks of others, so that what is not asked to be shared is not. */
storeConformance("sqlite, exclusive since it cannot be shared", async () => {
  const clock = new ManualClock();
  const directory = await mkdtemp(join(tmpdir(), "warmcache-"));
  const store = await openSqliteStore({ runtime: { ...machine, clock, rangeLocks: undefined }, directory });
  return { store, clock, cleanup: () => rm(directory, { recursive: true }) };
});

// What is missing where there are no range locks, `shared_test.ts` in `sqlite/` says.
const modes: readonly Locking[] = machine.rangeLocks ? ["exclusive", "shared"] : ["exclusive"];
for (const locking of modes) {
  storeConformance(`sqlite, ${locking}`, async () => {
    const clock = new ManualClock();
    const directory = await mkdtemp(join(tmpdir(), "warmcache-"));
    const store = await openSqliteStore({ runtime: { ...machine, clock }, directory, locking });
    return { store, clock, cleanup: () => rm(directory, { recursive: true }) };
  });
}
