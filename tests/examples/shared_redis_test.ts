/** `examples/shared_redis.ts`, run as a program beside a real server: three processes, and each answer bought once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requirePart } from "../support/parts.ts";
import { RedisServer } from "../support/redis_server.ts";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { runExample, startKnowingProvider } from "./provider.ts";

/** Closing tries for five seconds to write what waits: longer than Bun gives a test. */
const PATIENT = { timeout: 60_000 };

describe("examples/shared_redis.ts", () => {
  it("pays once for what three processes ask", async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command || !requirePart(context, "redis-server")) return;
    const server = await RedisServer.start();
    const upstream = await startKnowingProvider();
    try {
      const env = { WARMCACHE_REDIS_URL: server.url };
      const directory = await temporaryFolder();
      const { code, output, errors } = await runExample(command, "shared_redis.ts", { directory, upstream, env });
      assert.equal(code, 0, errors);
      assert.deepEqual(
        output.trimEnd().split("\n").map((line) => line.replace(/;.*/, "")).sort(),
        ["one    7 of 7 right", "three  7 of 7 right", "two    7 of 7 right"],
      );
      assert.equal(upstream.asked.length, 12);
    } finally {
      await server.stop();
      await upstream.close();
    }
  });

  it("says why each paid for itself where there is no server", PATIENT, async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command) return;
    const upstream = await startKnowingProvider();
    try {
      const env = { WARMCACHE_REDIS_URL: "redis://127.0.0.1:1" };
      const directory = await temporaryFolder();
      const { code, output, errors } = await runExample(command, "shared_redis.ts", { directory, upstream, env });
      assert.equal(code, 0, errors);
      assert.equal(output.match(/7 of 7 right/g)?.length, 3);
      assert.equal(errors.match(/^(one|two|three) +did not share: .*127\.0\.0\.1:1/gm)?.length, 3, errors);
      assert.equal(upstream.asked.length, 36);
    } finally {
      await upstream.close();
    }
  });
});
