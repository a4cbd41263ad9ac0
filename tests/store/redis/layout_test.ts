/** What lies in Redis, and what becomes of it when somebody else has had his hands in it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createClient, RESP_TYPES } from "@redis/client";
import { Buffer } from "node:buffer";
import { hexOf } from "../../../src/runtime/hex.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";
import { RedisServer, requireRedis } from "../../support/redis_server.ts";
import type { NewEntry, Store } from "../../../src/store/store.ts";
import { entryOf, found, keyOf, MODEL, modelHash, openStore, put, RedisClock, requestOf, texts } from "./fixture.ts";

const machine = await loadRuntime();

/** A store on a new server, and a connection of somebody else's. */
async function on(use: (store: Store, redis: Foreign, server: RedisServer) => Promise<void>): Promise<void> {
  const server = await RedisServer.start();
  const redis = createClient({
    url: server.url,
    commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
  });
  await redis.connect();
  const { store } = await openStore({ url: server.url });
  try {
    await use(store, (...args) => redis.sendCommand(args), server);
  } finally {
    await store.close();
    redis.destroy();
    await server.stop();
  }
}

type Foreign = (...args: (string | Buffer)[]) => Promise<unknown>;

function nameOf(number: number, model: string = MODEL): string {
  return `wc1:{${modelHash(machine, model)}}:e:${hexOf(keyOf(number))}`;
}

function names(reply: unknown): string[] {
  return (reply as unknown[]).map(String).toSorted();
}

describe("the layout in Redis", () => {
  it("is one list per request, in the slot of its model", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      await put(store, 1, "a");
      await put(store, 1, "b");
      await put(store, 1, "c", "another");
      assert.deepEqual(names(await redis("KEYS", "*")), [nameOf(1), nameOf(1, "another")].toSorted());
      assert.equal(await redis("LLEN", nameOf(1)), 4);
    });
  });

  it("expires a minute after the last answer, or never", async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const clock = new RedisClock(machine.clock);
    const store = await openRedisStore({ runtime: { ...machine, clock }, url: server.url, keepExpired: 5000 });
    const ttl = (): number => Number(server.command("PTTL", nameOf(1)));
    const stored = async (lifetime: number | null, placement: "append" | "replace_all" = "append"): Promise<void> => {
      const now = clock.now();
      const entry = { ...entryOf("a"), created: now, expires: lifetime === null ? null : now + lifetime };
      await store.put(MODEL, requestOf(1), [entry], placement);
    };
    await stored(10_000);
    assert.ok(ttl() > 70_000 && ttl() <= 75_000, `${ttl()}`);
    await stored(1000);
    assert.ok(ttl() > 70_000 && ttl() <= 75_000, "a shorter one beside it changes nothing");
    await stored(null);
    assert.equal(ttl(), -1);
    await stored(1000, "replace_all");
    assert.ok(ttl() > 60_000 && ttl() <= 66_000, `${ttl()}`);
    await store.close();
    await server.stop();
  });

  it("survives the eviction of any of its keys: a request goes with its answers", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      for (const number of [1, 2, 3]) await put(store, number, `answer ${number}`);
      await redis("DEL", nameOf(2));
      assert.deepEqual(await texts(store, 2), []);
      assert.equal((await Array.fromAsync(store.list())).length, 2);
      assert.equal((await store.size()).entries, 2);
      assert.equal((await store.nearest(new Uint8Array(16), 9)).length, 2);
      assert.equal((await store.remove({})).entries, 2);
    });
  });
});

describe("a request with very many answers", () => {
  const LONG = "some answer ".repeat(500);
  const many = (count: number, expires: number | null): NewEntry[] =>
    Array.from({ length: count }, (_, index) => ({ ...entryOf(`${LONG}${index}`), expires }));

  it("loses what has expired, from the front, as others are added", { timeout: 60_000 }, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const clock = new RedisClock(machine.clock);
    const store = await openRedisStore({ runtime: { ...machine, clock }, url: server.url });
    const later = clock.now() + 1000;
    await store.put(MODEL, requestOf(1), many(40, later), "append");
    await store.put(MODEL, requestOf(1), many(400, null), "append");
    clock.advance(2000);
    const length = (): number => Number(server.command("LLEN", nameOf(1))) - 2;
    await store.put(MODEL, requestOf(1), many(1, null), "append");
    assert.equal(length(), 440 + 1 - 32, "a few at a time");
    await store.put(MODEL, requestOf(1), many(1, null), "append");
    assert.equal(length(), 402);
    assert.equal((await store.size()).entries, 402);
    assert.equal((await texts(store, 1)).length, 402);
    assert.equal((await store.remove({})).entries, 402);
    assert.equal((await store.size()).storedBytes, 0);
    await store.close();
    await server.stop();
  });

  it("has some of them replaced or removed like any other", { timeout: 60_000 }, async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      const dated = (created: number, body: string): NewEntry => ({ ...entryOf(body), created });
      const bodies = Array.from({ length: 150 }, (_, index) => `${index}`);
      await store.put(MODEL, requestOf(1), bodies.map((body, index) => dated(index, body)), "append", { tags: ["t"] });
      await store.put(MODEL, requestOf(1), ["A", "B"].map((body) => dated(1000, body)), "replace");
      assert.deepEqual(await texts(store, 1), ["A", "B", ...bodies.slice(2)]);
      const removed = await store.remove({ createdBefore: 100 });
      assert.equal(removed.entries, 98);
      assert.deepEqual(await texts(store, 1), ["A", "B", ...bodies.slice(100)]);
      const { entries, bodyBytes, storedBytes } = await store.size();
      assert.deepEqual([entries, bodyBytes, storedBytes], [52, 152, 152]);
      const all = Array.from({ length: 60 }, (_, index) => dated(2000, `new ${index}`));
      await store.put(MODEL, requestOf(1), all, "replace");
      assert.deepEqual(await texts(store, 1), all.map((_, index) => `new ${index}`));
      assert.equal((await store.size()).entries, 60);
      assert.equal((await store.remove({ outcome: "length" })).entries, 0);
      assert.equal((await store.remove({ tag: "t", createdBefore: 3000 })).entries, 60);
      assert.equal(await redis("DBSIZE"), 0);
    });
  });

  it("is not read as a whole for one behind those that are none", { timeout: 60_000 }, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const clock = new RedisClock(machine.clock);
    const store = await openRedisStore({ runtime: { ...machine, clock }, url: server.url });
    await store.put(MODEL, requestOf(1), many(10, clock.now() + 1000), "append");
    await store.put(MODEL, requestOf(1), many(2000, null), "append");
    clock.advance(2000);
    const sent = (): number => Number(/total_net_output_bytes:(\d+)/.exec(server.command("INFO", "stats"))![1]);
    const before = sent();
    const [one] = await store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]);
    assert.deepEqual([one!.entries.length, one!.expired], [1, true]);
    assert.ok(sent() - before < 50_000, `${sent() - before}`);
    const [all] = await store.lookup(MODEL, [{ key: keyOf(1), samples: 3000 }]);
    assert.equal(all!.entries.length, 2000);
    await store.close();
    await server.stop();
  });
});

describe("a Redis that evicts", () => {
  it("takes new answers for old ones, and what is left is whole", { timeout: 60_000 }, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"] });
    const { store, faults } = await openStore({ url: server.url });
    const textOf = (number: number): string => Array.from({ length: 2000 }, (_, at) => number * at % 997).join();
    for (let number = 1; number <= 1500; number++) await put(store, number, textOf(number));
    let hits = 0;
    for (let number = 1; number <= 1500; number++) {
      const bodies = await texts(store, number);
      if (bodies.length === 0) continue;
      assert.deepEqual(bodies, [textOf(number)]);
      hits++;
    }
    assert.ok(hits > 10 && hits < 1400, `${hits}`);
    // What is asked takes room, too.
    server.command("CONFIG", "SET", "maxmemory", "0");
    const left = Number(server.command("DBSIZE"));
    assert.equal((await store.size()).entries, left);
    assert.equal((await Array.fromAsync(store.list())).length, left);
    await store.close();
    assert.deepEqual(faults, []);
    await server.stop();
  });
});

describe("a flipped bit in Redis", () => {
  it("anywhere in an answer is a miss, and reported", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      await put(store, 1, "the answer ".repeat(20));
      const row = await redis("LINDEX", nameOf(1), "2") as Buffer;
      for (let bit = 0; bit < row.length * 8; bit += 3) {
        const broken = Buffer.from(row);
        broken[bit >> 3]! ^= 1 << (bit & 7);
        await redis("LSET", nameOf(1), "2", broken);
        const { entries, corrupt, stale } = await found(store, 1);
        assert.equal(entries.length, 0, `bit ${bit}`);
        assert.ok(corrupt || stale, `bit ${bit}`);
      }
    });
  });

  it("hides no other answer, and gives way to the next one", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      for (const body of ["a", "b", "c"]) await put(store, 1, body);
      const row = await redis("LINDEX", nameOf(1), "2") as Buffer;
      row[row.length - 20]! ^= 1;
      await redis("LSET", nameOf(1), "2", row);
      assert.deepEqual(await texts(store, 1), ["b", "c"]);
      const [one] = await store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]);
      assert.equal(one!.entries.length, 1);
      await put(store, 1, "d");
      const after = await found(store, 1);
      assert.equal(after.corrupt, false);
      assert.deepEqual(await texts(store, 1), ["b", "c", "d"]);
    });
  });

  it("in what is known of the request is no error, and the next answer mends it", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      for (const element of ["0", "1"]) {
        await put(store, 1, "a");
        const value = await redis("LINDEX", nameOf(1), element) as Buffer;
        value[value.length - 1]! ^= 0xff;
        await redis("LSET", nameOf(1), element, element === "0" ? "half" : value);
        await Array.fromAsync(store.list());
        await store.size();
        await store.nearest(new Uint8Array(16), 3);
        assert.ok((await texts(store, 1)).includes("a"));
        await store.put(MODEL, requestOf(1), [entryOf("b")], "replace_all");
        assert.equal((await Array.fromAsync(store.list())).length, 1);
        assert.deepEqual(await texts(store, 1), ["b"]);
        await store.remove({});
      }
    });
  });
});

describe("what somebody else put there", () => {
  it("in the place of another request, or model, is no answer", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      await put(store, 1, "a");
      await redis("COPY", nameOf(1), nameOf(2));
      await redis("COPY", nameOf(1), nameOf(1, "another"));
      assert.deepEqual(await found(store, 2), { entries: [], stale: false, expired: false, corrupt: true });
      assert.deepEqual(await found(store, 1, "another"), { entries: [], stale: false, expired: false, corrupt: true });
      assert.deepEqual(await texts(store, 1), ["a"]);
    });
  });

  it("of another type is a miss, and gives way", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      const commands = [["SET", "x"], ["HSET", "a", "b"], ["SADD", "x"], ["ZADD", "1", "x"], ["XADD", "*", "a", "b"]];
      for (const [index, [command, ...words]] of commands.entries()) {
        const name = nameOf(index);
        await redis(command!, name, ...words);
        assert.deepEqual(await found(store, index), { entries: [], stale: false, expired: false, corrupt: true });
        await store.size();
        await store.nearest(new Uint8Array(16), 1);
        assert.equal((await Array.fromAsync(store.list())).length, index);
        await put(store, index, "a");
        assert.deepEqual(await texts(store, index), ["a"]);
      }
    });
  });

  it("by a newer version is passed over, and not overwritten by append", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      await put(store, 1, "a");
      const row = await redis("LINDEX", nameOf(1), "2") as Buffer;
      row[0] = 2;
      await redis("LSET", nameOf(1), "2", row);
      assert.deepEqual(await found(store, 1), { entries: [], stale: true, expired: false, corrupt: false });
      await put(store, 1, "b");
      assert.deepEqual(await texts(store, 1), ["b"]);
      assert.deepEqual(await redis("LINDEX", nameOf(1), "2"), row);
    });
  });

  it("in half a list is no answer, and what is whole in it is kept", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      for (const body of ["a", "b", "c"]) await put(store, 1, body);
      await redis("LPOP", nameOf(1));
      assert.deepEqual(await texts(store, 1), ["b", "c"]);
      await put(store, 1, "d");
      assert.deepEqual(await texts(store, 1), ["a", "b", "c", "d"]);
      await redis("RPUSH", nameOf(1), "", "x", Buffer.from([1]), Buffer.alloc(70, 1));
      assert.deepEqual(await texts(store, 1), ["a", "b", "c", "d"]);
      await put(store, 1, "e");
      assert.equal((await found(store, 1)).corrupt, false);
      assert.deepEqual(await texts(store, 1), ["a", "b", "c", "d", "e"]);
    });
  });

  it("as a failure, a claim or an amount is no error", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis) => {
      const name = (kind: string): string => nameOf(1).replace(":e:", `:${kind}:`);
      await redis("SET", name("f"), "x");
      assert.equal(await store.failures!.last(MODEL, keyOf(1)), undefined);
      await store.failures!.record(MODEL, keyOf(1), { last: 1, expires: null, error: new Uint8Array([1]) });
      assert.equal((await store.failures!.last(MODEL, keyOf(1)))!.count, 1);
      for (const command of [["SET", name("c"), "x"], ["LPUSH", name("c"), "x"]]) {
        await redis("DEL", name("c"));
        await redis(...command);
        assert.equal((await store.claims!.claim(MODEL, keyOf(1), "one", 1000)).granted, true);
        assert.equal((await store.claims!.claim(MODEL, keyOf(1), "two", 1000)).granted, false);
      }
      await redis("HSET", "wc1:{ledger}:amounts", "x", "1", '["m"]', "2", '["m","d","n"]', "3");
      assert.deepEqual([...await store.ledger!.read()], [{ model: "m", day: "d", amounts: { n: 3 } }]);
      for (
        const command of [["SET", "wc1:{ledger}:amounts", "x"], ["HSET", "wc1:{ledger}:amounts", '["m","d","n"]', "x"]]
      ) {
        await redis("DEL", "wc1:{ledger}:amounts");
        await redis(...command);
        store.ledger!.add({ model: "m", day: "d", amounts: { n: 1, o: 2 } });
        assert.deepEqual([...await store.ledger!.read()], [{ model: "m", day: "d", amounts: { n: 1, o: 2 } }]);
      }
    });
  });

  it("beside ours is never touched", async (context) => {
    if (!requireRedis(context)) return;
    await on(async (store, redis, server) => {
      const neighbour = (await openStore({ url: server.url, keyPrefix: "wc1x" })).store;
      await put(neighbour, 1, "his");
      const foreign = [
        "wc1",
        "wc1:",
        `wc1:{${"0".repeat(16)}}:e:short`,
        `wc1:{${"0".repeat(16)}}:e:${"Z".repeat(64)}`,
        `wc1:{other}:e:${"0".repeat(64)}`,
        `my:wc1:{${"0".repeat(16)}}:e:${"0".repeat(64)}`,
        `wc1:{${"0".repeat(16)}}:e:${"0".repeat(64)}:more`,
      ];
      for (const name of foreign) await redis("SET", name, "theirs");
      await put(store, 1, "mine");
      assert.equal((await store.remove({})).entries, 1);
      assert.equal((await store.size()).totalBytes, 0);
      for (const name of foreign) assert.equal(String(await redis("GET", name)), "theirs");
      assert.deepEqual(await texts(neighbour, 1), ["his"]);
      await neighbour.close();
    });
  });
});
