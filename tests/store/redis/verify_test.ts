/** `Store.verify` of a real Redis that somebody else has had his hands in. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, it } from "node:test";
import { createClient, RESP_TYPES } from "@redis/client";
import { hexOf } from "../../../src/runtime/hex.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Store } from "../../../src/store/store.ts";
import { RedisServer, requireRedis } from "../../support/redis_server.ts";
import { keyOf, MODEL, modelHash, openStore, put } from "./fixture.ts";

const machine = await loadRuntime();

function nameOf(number: number): string {
  return `wc1:{${modelHash(machine, MODEL)}}:e:${hexOf(keyOf(number))}`;
}

/** What verifying finds in a Redis with two requests, after somebody has been at the first. */
async function afterwards(
  meddle: (redis: (...args: (string | Buffer)[]) => Promise<unknown>) => Promise<void>,
): Promise<Awaited<ReturnType<NonNullable<Store["verify"]>>>> {
  const server = await RedisServer.start();
  const redis = createClient({
    url: server.url,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  await redis.connect();
  const { store } = await openStore({ url: server.url });
  try {
    await put(store, 1, "a");
    await put(store, 1, "b");
    await put(store, 2, "c");
    await meddle((...args) => redis.sendCommand(args));
    return await store.verify!({ deep: true });
  } finally {
    await store.close();
    redis.destroy();
    await server.stop();
  }
}

describe("verifying a Redis", () => {
  it("looks at every request and every answer, and finds nothing in what is sound", async (context) => {
    if (!requireRedis(context)) return;
    const report = await afterwards(() => Promise.resolve());
    assert.deepEqual([report.ok, report.problems], [true, []]);
    const [model] = report.models;
    assert.deepEqual([model?.model, model?.requests, model?.entries], [MODEL, 2, 3]);
  });

  it("names the answer in which a bit is flipped, and no other", async (context) => {
    if (!requireRedis(context)) return;
    const report = await afterwards(async (redis) => {
      const answer = Buffer.from(await redis("LINDEX", nameOf(1), "3") as Buffer);
      answer[answer.length - 1]! ^= 1;
      await redis("LSET", nameOf(1), "3", answer);
    });
    assert.equal(report.ok, false);
    const [problem, ...others] = report.problems;
    assert.deepEqual(others, []);
    assert.deepEqual([problem?.kind, problem?.key, problem?.sample], ["corrupt", hexOf(keyOf(1)), 1]);
  });

  it("finds a request whose answers were cut off, and a key that is no list", async (context) => {
    if (!requireRedis(context)) return;
    const cut = await afterwards(async (redis) => void await redis("RPOP", nameOf(1)));
    assert.ok(cut.problems.some(({ kind, key }) => kind === "index" && key === hexOf(keyOf(1))));
    const other = await afterwards(async (redis) => void await redis("SET", nameOf(1), "something else"));
    assert.deepEqual(other.problems.map(({ kind, key }) => [kind, key]), [["corrupt", hexOf(keyOf(1))]]);
  });
});
