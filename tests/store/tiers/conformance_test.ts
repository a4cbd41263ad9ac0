/** Tiers keep the contract of every store: memory in front of others, and several behind one another. */

import { describe, it } from "node:test";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Locking } from "../../../src/sqlite/open.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTieredStore, type TieredStoreOptions } from "../../../src/store/tiers/tiered_store.ts";
import { ManualClock, storeConformance, type StoreFacet } from "../../../src/testing/testing.ts";
import { RedisServer, requireRedis } from "../../support/redis_server.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { hasRedis, RedisClock } from "../redis/fixture.ts";

const machine = await loadRuntime();
const MEGABYTES = 2 ** 20;
const PATIENCE = 60_000;

type TestClock = ManualClock | RedisClock;
type Open = (clock: TestClock) => Promise<Store> | Store;

const memory: Open = (clock) => openMemoryStore({ clock, maxBytes: 64 * MEGABYTES });

/** One directory, however often it is opened. */
async function sqlite(locking: Locking): Promise<Open> {
  const directory = await temporaryFolder();
  return (clock) => openSqliteStore({ runtime: { ...machine, clock }, directory, locking });
}

let prefixes = 0;

/** Keys of its own on a server, however often it is opened. */
function redis({ url }: RedisServer): Open {
  const keyPrefix = `tiers${prefixes++}`;
  return (clock) => openRedisStore({ runtime: { ...machine, clock }, url, keyPrefix, commandTimeout: PATIENCE });
}

function conformance(
  name: string,
  facets: readonly StoreFacet[],
  stores: () => Promise<readonly Open[]>,
  options: Partial<TieredStoreOptions> = {},
  newClock: () => TestClock = () => new ManualClock(),
): void {
  storeConformance({ describe, it }, name, async () => {
    const clock = newClock();
    const opens = await stores();
    const open = async (): Promise<Store> => {
      const tiers = await Promise.all(opens.map(async (open) => {
        const store = await open(clock);
        // A machine that is busy with other tests is no tier that is gone.
        return opens.length === 1 ? { store } : { store, deadline: PATIENCE };
      }));
      return openTieredStore({ clock, tiers, ...options });
    };
    return {
      store: await open(),
      clock,
      cleanup: () => {},
      ...facets.includes("reopen") && { reopen: open },
      ...facets.includes("another") && { another: open },
    };
  }, facets);
}

const front = { maxBytes: 64 * MEGABYTES };
const onDisk: readonly StoreFacet[] = ["failures", "ledger", "stamp", "reopen"];

conformance("memory in front of memory", ["failures"], () => Promise.resolve([memory]), { front });
conformance("memory in front of sqlite, exclusive", onDisk, async () => [await sqlite("exclusive")], { front });
conformance("layers: memory, sqlite", ["failures", "ledger", "onFault", "reopen"], async () => [
  memory,
  await sqlite("exclusive"),
]);
conformance("layers: sqlite, sqlite", [...onDisk, "onFault"], async () => [
  await sqlite("exclusive"),
  await sqlite("exclusive"),
]);
conformance("memory in front of layers: sqlite, sqlite", [...onDisk, "onFault"], async () => [
  await sqlite("exclusive"),
  await sqlite("exclusive"),
], { front });

// What is missing where there are no range locks, `shared_test.ts` of the SQLite store says.
if (machine.rangeLocks) {
  const shared: readonly StoreFacet[] = [...onDisk, "claims", "another"];
  conformance("memory in front of sqlite, shared", shared, async () => [await sqlite("shared")], { front });
  conformance("layers: sqlite, sqlite, both shared", [...shared, "onFault"], async () => [
    await sqlite("shared"),
    await sqlite("shared"),
  ]);
}

if (hasRedis()) {
  const server = await RedisServer.start();
  // A server answers when it does, whatever time a test says it is.
  const newClock = (): TestClock => new RedisClock(machine.clock);
  const onServer: readonly StoreFacet[] = ["claims", "failures", "ledger", "onFault", "another", "reopen"];
  conformance("memory in front of redis", onServer, () => Promise.resolve([redis(server)]), { front }, newClock);
  conformance(
    "layers: sqlite, redis",
    ["claims", "failures", "ledger", "onFault", "stamp", "reopen"],
    async () => [await sqlite("exclusive"), redis(server)],
    {},
    newClock,
  );
  conformance(
    "memory in front of layers: sqlite, redis",
    ["claims", "failures", "ledger", "onFault", "stamp", "reopen"],
    async () => [await sqlite("exclusive"), redis(server)],
    { front },
    newClock,
  );
} else {
  it("tiers with redis: the store contract", (context) => void requireRedis(context));
}
