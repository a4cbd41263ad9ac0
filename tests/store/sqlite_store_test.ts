/** The SQLite store keeps the contract of every store. What is its own is tested in `sqlite/`. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import type { Locking } from "../../src/sqlite/open.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import type { Key } from "../../src/store/store.ts";
import { ManualClock, storeConformance, type StoreFacet, type StoreUnderTest } from "../../src/testing/testing.ts";
import { databaseIn } from "./sqlite/fixture.ts";

const machine = await loadRuntime();
const FACETS: readonly StoreFacet[] = ["failures", "ledger", "stamp", "reopen"];

async function open(runtime: Partial<Runtime>, locking?: Locking): Promise<StoreUnderTest> {
  const clock = new ManualClock();
  const directory = await mkdtemp(join(tmpdir(), "warmcache-"));
  const reopen = () =>
    openSqliteStore({ runtime: { ...machine, ...runtime, clock }, directory, ...(locking && { locking }) });
  return {
    store: await reopen(),
    clock,
    reopen,
    ...(locking === "shared" && { another: reopen, damage: (_model, key) => changeRowIn(directory, key) }),
    cleanup: () => rm(directory, { recursive: true }),
  };
}

/** A native SQLite sees the same database; what it writes has no checksum of ours. */
async function changeRowIn(directory: string, key: Key): Promise<void> {
  const native = new DatabaseSync(await databaseIn(directory));
  native.prepare("UPDATE entry SET latency = 12345 WHERE key = ?").run(key);
  native.close();
}

/** Nobody can see the locks of others, so that what is not asked to be shared is not. */
storeConformance(
  { describe, it },
  "sqlite, exclusive since it cannot be shared",
  () => open({ rangeLocks: undefined }),
  [...FACETS, "claims"],
);

storeConformance({ describe, it }, "sqlite, exclusive", () => open({}, "exclusive"), FACETS);

// What is missing where there are no range locks, `shared_test.ts` in `sqlite/` says.
if (machine.rangeLocks) {
  storeConformance({ describe, it }, "sqlite, shared", () => open({}, "shared"), [
    ...FACETS,
    "claims",
    "another",
    "damage",
  ]);
}
