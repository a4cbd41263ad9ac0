/** Whatever a cache keeps its answers in, it keeps what callers are promised. Stores by themselves: `tests/store/`. */

import { describe, it } from "node:test";
import { openCacheOn, type OpenCacheOptions, type RedisConnection } from "../../src/compose/open_cache.ts";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { cacheConformance, type CacheFacet, ManualClock } from "../../src/testing/testing.ts";
import { hasRedis } from "../store/redis/fixture.ts";
import { RedisServer, requireRedis, startCluster } from "../support/redis_server.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();
/** Longer than a machine with much else to do keeps a lock or a server waiting. */
const PATIENCE = 60_000;

/** Tests caches that are opened like this, each in a folder of its own. */
function conformance(
  name: string,
  facets: readonly CacheFacet[],
  optionsOf: () => OpenCacheOptions,
): void {
  cacheConformance({ describe, it }, name, async () => {
    const time = new ManualClock();
    const runtime = { ...machine, clock: waitingIsReal(time), environment: () => undefined };
    const directory = await temporaryFolder();
    const options = { directory, keepExpired: 1000, lockTimeout: PATIENCE, ...optionsOf() };
    const open = (): Promise<ResponseCache> => openCacheOn(runtime, options);
    return {
      cache: await open(),
      clock: time,
      ...facets.includes("another") && { another: open },
      ...facets.includes("reopen") && { reopen: open },
      cleanup: () => {},
    };
  }, ["clock", ...facets]);
}

/** What goes by the time of day goes by the test's, but a server or another's lock takes the time that it takes. */
function waitingIsReal(time: ManualClock): Clock {
  return { ...machine.clock, now: () => time.now(), monotonic: () => time.monotonic() };
}

conformance("memory", [], () => ({ backend: "memory" }));
conformance("sqlite, exclusive", ["reopen"], () => ({ backend: "sqlite", locking: "exclusive" }));
conformance("file", ["another", "reopen"], () => ({ backend: "file" }));
conformance("memory, file", ["another", "reopen"], () => ({ tiers: ["memory", "file"] }));

const shared: readonly CacheFacet[] = ["another", "reopen", "claims"];

// What is missing where there are no range locks, `shared_test.ts` in `tests/store/sqlite/` says.
if (machine.rangeLocks) {
  conformance("sqlite, shared", shared, () => ({ backend: "sqlite", locking: "shared" }));
  conformance("memory, sqlite", shared, () => ({ tiers: ["memory", "sqlite"], locking: "shared" }));
}

if (hasRedis()) {
  const { url } = await RedisServer.start();
  const urls = (await startCluster()).map(({ url }) => url);
  let prefixes = 0;
  const at = (connection: RedisConnection): Pick<OpenCacheOptions, "redis"> => ({
    redis: { ...connection, keyPrefix: `caches${prefixes++}`, commandTimeout: PATIENCE },
  });
  conformance("redis", shared, () => ({ backend: "redis", ...at({ url }) }));
  conformance("redis, a Cluster", shared, () => ({ backend: "redis", ...at({ urls }) }));
  const last = { backend: "redis", deadline: PATIENCE } as const;
  conformance("memory, redis", shared, () => ({ tiers: ["memory", last], ...at({ url }) }));
  if (machine.rangeLocks) {
    conformance("memory, sqlite, redis", shared, () => ({
      tiers: ["memory", "sqlite", last],
      locking: "shared",
      ...at({ url }),
    }));
  }
} else {
  it("a cache on redis", (context) => void requireRedis(context));
}
