/** The Redis store keeps the contract of every store, on a server of its own and on a Cluster. */

import { describe, it } from "node:test";
import { hexOf } from "../../../src/runtime/hex.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { RedisConnection } from "../../../src/store/redis/options.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";
import { storeConformance, type StoreFacet, type StoreUnderTest } from "../../../src/testing/testing.ts";
import { RedisServer, requireRedis, startCluster } from "../../support/redis_server.ts";
import { hasRedis, modelHash, RedisClock } from "./fixture.ts";

const machine = await loadRuntime();
const FACETS: readonly StoreFacet[] = ["claims", "failures", "ledger", "onFault", "another", "reopen", "damage"];

let opened = 0;

async function open(servers: readonly RedisServer[], connection: RedisConnection): Promise<StoreUnderTest> {
  const clock = new RedisClock(machine.clock);
  const keyPrefix = `test${opened++}`;
  const reopen = () => openRedisStore({ runtime: { ...machine, clock }, ...connection, keyPrefix });
  return {
    store: await reopen(),
    clock,
    reopen,
    another: reopen,
    damage: (model, key) => {
      const name = `${keyPrefix}:{${modelHash(machine, model)}}:e:${hexOf(key)}`;
      // Half of the first answer.
      const script = "local row = redis.call('LINDEX', KEYS[1], 2); " +
        "return redis.call('LSET', KEYS[1], 2, string.sub(row, 1, #row / 2))";
      for (const server of servers) server.command("-c", "EVAL", script, "1", name);
      return Promise.resolve();
    },
    cleanup: () => {},
  };
}

if (hasRedis()) {
  const server = await RedisServer.start();
  storeConformance({ describe, it }, "redis", () => open([server], { url: server.url }), FACETS);
  const cluster = await startCluster();
  const urls = cluster.map(({ url }) => url);
  storeConformance({ describe, it }, "redis, a Cluster", () => open([cluster[0]!], { urls }), FACETS);
} else {
  it("redis: the store contract", (context) => void requireRedis(context));
}
