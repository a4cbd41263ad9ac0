/** What openRedisStore is told, before anything is dialled. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { RedisConnection } from "../../../src/store/redis/options.ts";
import { settingsOf } from "../../../src/store/redis/options.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";

const runtime = await loadRuntime();

describe("openRedisStore", () => {
  it("takes a URL apart, and keeps its credentials out of the location", () => {
    const settings = settingsOf({ runtime, url: "rediss://me:p%40ss@cache.example:6400/3" });
    assert.deepEqual(settings.endpoints, [{ host: "cache.example", port: 6400, database: 3 }]);
    assert.equal(settings.username, "me");
    assert.equal(settings.password, "p@ss");
    assert.deepEqual(settings.tls, {});
    assert.equal(settings.location, "rediss://cache.example:6400/3");
  });

  it("takes 127.0.0.1:6379 where nothing is said, and 6379 where no port is", () => {
    assert.equal(settingsOf({ runtime }).location, "redis://127.0.0.1:6379");
    assert.equal(settingsOf({ runtime, url: "redis://cache.example" }).location, "redis://cache.example:6379");
    assert.equal(settingsOf({ runtime, url: "redis://cache.example:80" }).location, "redis://cache.example:80");
    assert.equal(settingsOf({ runtime, url: "redis://[::1]:7000" }).location, "redis://[::1]:7000");
  });

  it("takes the user and the password that are given apart for those in the URL", () => {
    const settings = settingsOf({ runtime, url: "redis://me:old@cache.example", username: "you", password: "new" });
    assert.deepEqual([settings.username, settings.password], ["you", "new"]);
  });

  it("takes the user and the password from whichever URL has them", () => {
    const settings = settingsOf({ runtime, urls: ["redis://a:1", "redis://me:known@b:2"] });
    assert.deepEqual([settings.username, settings.password], ["me", "known"]);
  });

  it("takes several URLs for a Cluster", () => {
    const settings = settingsOf({ runtime, urls: ["redis://a:1", "redis://b:2"] });
    assert.equal(settings.isCluster, true);
    assert.equal(settings.location, "redis://a:1,b:2");
    assert.equal(settingsOf({ runtime, url: "redis://a:1", cluster: true }).isCluster, true);
  });

  const wrong: readonly [RedisConnection & Record<string, unknown>, RegExp][] = [
    [{ uri: "redis://a" }, /unknown option .*: uri$/],
    [{ maxBytes: 1 }, /unknown option .*: maxBytes$/],
    [{ url: "a:1" }, /redis:\/\//],
    [{ url: "http://a:1" }, /redis:\/\//],
    [{ url: "redis://a?db=3" }, /no \? and no # .*: \?db=3$/],
    [{ url: "redis://a/b" }, /database's number .*: b$/],
    [{ url: "redis+unix:///var/run/redis.sock" }, /redis:\/\//],
    [{ url: "redis://me:100%@a" }, /encoded as %25/],
    [{ url: "redis://a", urls: ["redis://b"] }, /exclude each other/],
    [{ urls: [] }, /at least one node/],
    [{ urls: ["redis://a"], cluster: false }, /for a Cluster/],
    [{ url: "redis://a/1", cluster: true }, /no databases/],
    [{ url: "rediss://a", tls: false }, /asks for TLS/],
    [{ password: 1 as unknown as string }, /password has to be a string: number/],
    [{ keyPrefix: "a{b}" }, /keyPrefix/],
    [{ keyPrefix: "a*" }, /keyPrefix/],
    [{ keyPrefix: "" }, /keyPrefix/],
    [{ commandTimeout: 0 }, /commandTimeout must be more than 0 .*: 0$/],
    [{ commandTimeout: Infinity }, /commandTimeout must be .* at most 86400000 ms: Infinity$/],
    [{ queueBytes: NaN }, /queueBytes must be 0 or more: NaN/],
    [{ flushTimeout: -1 }, /flushTimeout must be 0 or more .*: -1$/],
    [{ flushTimeout: Infinity }, /flushTimeout must be .* at most 86400000 ms: Infinity$/],
  ];
  for (const [options, message] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, async () => {
      const isMisuse = (error: unknown): boolean => {
        assert.ok(error instanceof TypeError || error instanceof RangeError);
        assert.match(error.message, message);
        return true;
      };
      await assert.rejects(openRedisStore({ runtime, ...options }), isMisuse);
    });
  }

  it("repeats no password in what it says of a wrong URL", async () => {
    const urls = ["redis://me:secret@", "redis//me:secret@a", "redis://me:secret@a:b", "http://me:secret@a"];
    // As passwords are that nobody has encoded.
    urls.push("redis://me:1/secret@a", "redis://me:1?secret@a", "redis://me:1#secret@a", "redis://me:secret%@a");
    for (const url of urls) {
      await assert.rejects(openRedisStore({ runtime, url }), (error: Error) => {
        assert.doesNotMatch(`${error.message} ${error.stack} ${String(error.cause)}`, /secret/);
        return error instanceof TypeError;
      });
    }
  });
});
