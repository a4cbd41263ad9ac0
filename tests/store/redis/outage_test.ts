/** Redis away, or silent: lookups fail at once, answers wait, and nothing that was acknowledged is lost or doubled. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CacheError } from "../../../src/store/error.ts";
import { FalseRedis, freePort, Line, RedisServer, requireRedis, until } from "../../support/redis_server.ts";
import type { NewEntry, Store } from "../../../src/store/store.ts";
import { entryOf, found, keyOf, MODEL, openStore, put, requestOf, texts } from "./fixture.ts";

/** Servers have to be started, and waited for. */
const PATIENT = { timeout: 60_000 };

function isUnavailable(error: unknown): boolean {
  assert.ok(error instanceof CacheError);
  assert.equal(error.code, "unavailable");
  return true;
}

/** How long something takes, in milliseconds; what it rejects with is not of interest. */
async function taken(work: () => unknown): Promise<number> {
  const start = performance.now();
  await Promise.resolve().then(work).catch(() => {});
  return performance.now() - start;
}

function entryAt(created: number, body: string): NewEntry {
  return { ...entryOf(body), created };
}

/** Text that does not compress well. */
function noise(length: number): string {
  let state = length;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + (state >>> 24) % 90);
  }).join("");
}

describe("a Redis that is away", () => {
  it("is no error when the store is opened; lookups fail at once and say what to do", PATIENT, async () => {
    const { store, faults } = await openStore({ url: `redis://127.0.0.1:${await freePort()}`, flushTimeout: 0 });
    await assert.rejects(async () => await texts(store, 1), (error: Error) => {
      assert.match(error.message, /ECONNREFUSED.*check that it runs/);
      return isUnavailable(error);
    });
    assert.ok(await taken(() => texts(store, 1)) < 100);
    for (
      const attempt of [
        () => store.remove({}),
        () => store.size(),
        () => store.nearest(new Uint8Array(16), 1),
        () => Array.fromAsync(store.list()),
        () => store.claims!.claim(MODEL, keyOf(1), "one", 1000),
        () => store.failures!.last(MODEL, keyOf(1)),
        () => store.ledger!.read(),
      ]
    ) await assert.rejects(async () => await attempt(), isUnavailable);
    await store.claims!.release(MODEL, keyOf(1), "one");
    await store.close();
    assert.deepEqual(faults, []);
  });

  it("gets what was put meanwhile once it is there, in order", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    await server.kill();
    const { store, faults } = await openStore({ url: server.url });
    for (let number = 0; number < 200; number++) {
      await put(store, number % 3, `${number}`);
    }
    await server.restart();
    await until("the answers to arrive", async () => {
      try {
        return (await store.size()).entries === 200;
      } catch {
        return false;
      }
    });
    for (const rest of [0, 1, 2]) {
      const numbers = Array.from({ length: 200 }, (_, number) => number).filter((number) => number % 3 === rest);
      assert.deepEqual(await texts(store, rest), numbers.map(String));
    }
    await store.close();
    assert.deepEqual(faults, []);
    await server.stop();
  });

  it("at closing time is waited for a little", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    await server.kill();
    const { store, faults } = await openStore({ url: server.url, flushTimeout: 30_000 });
    for (let number = 0; number < 100; number++) await put(store, number, `${number}`);
    const closing = store.close();
    await server.restart();
    await closing;
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ url: server.url });
    assert.equal((await again.size()).entries, 100);
    await again.close();
    await server.stop();
  });

  it("for good costs what waited for it, and each is reported when the store is closed", PATIENT, async () => {
    const { store, faults } = await openStore({ url: `redis://127.0.0.1:${await freePort()}`, flushTimeout: 50 });
    for (const number of [1, 2, 3]) await put(store, number, "a", `model ${number}`);
    await store.close();
    assert.deepEqual(
      faults.map(({ type, model }) => [type, model]),
      [1, 2, 3].map((n) => ["write_failed", `model ${n}`]),
    );
    for (const { error } of faults) assert.match(error.message, /before closing/);
  });

  it("is waited for with so many bytes at most; what is too much is refused", PATIENT, async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const { store, faults } = await openStore({ url, queueBytes: 5000, flushTimeout: 0 });
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, number) => put(store, number, "a")));
    const refused = outcomes.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.ok(refused.length > 3 && refused.length < 10, `${refused.length}`);
    for (const { reason } of refused) {
      assert.match(reason.message, /bytes of answers wait already \(queueBytes: 5000\)/);
      isUnavailable(reason);
    }
    await store.close();
    assert.equal(faults.length, 10 - refused.length);
  });
});

describe("a Redis that stops answering", () => {
  it("costs one lookup its timeout, and others nothing", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store } = await openStore({ url: server.url, commandTimeout: 300 });
    await put(store, 1, "a");
    server.freeze();
    const first = await taken(() => texts(store, 1));
    assert.ok(first >= 250 && first < 2000, `${first}`);
    for (let time = 0; time < 20; time++) {
      assert.ok(await taken(() => texts(store, 1)) < 100);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    server.thaw();
    await until("it to be used again", () => texts(store, 1).then((found) => found.length === 1, () => false));
    await store.close();
    await server.stop();
  });

  it("stores what it was sent before once, though it is sent again", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store, faults } = await openStore({ url: server.url, commandTimeout: 200, flushTimeout: 20_000 });
    await put(store, 0, "first");
    server.freeze();
    // They are in its socket, and it will read them when it wakes up.
    const bodies = Array.from({ length: 30 }, (_, number) => `answer ${number}`);
    await Promise.all(bodies.map((body, number) => put(store, number % 3, body)));
    await new Promise((resolve) => setTimeout(resolve, 300));
    server.thaw();
    await store.close();
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ url: server.url });
    const found = (await Promise.all([0, 1, 2].map((number) => texts(again, number)))).flat();
    assert.deepEqual(found.toSorted(), [...bodies, "first"].toSorted());
    await again.close();
    await server.stop();
  });

  it("is another thing than a program that is busy itself", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store } = await openStore({ url: server.url, commandTimeout: 400 });
    for (let number = 0; number < 100; number++) await put(store, number, noise(20_000));
    const wants = Array.from({ length: 100 }, (_, number) => ({ key: keyOf(number), samples: 1 }));
    const looking = store.lookup(MODEL, wants);
    await new Promise((resolve) => setTimeout(resolve, 1));
    for (const until = performance.now() + 1000; performance.now() < until;);
    assert.equal((await looking).filter(({ entries }) => entries.length === 1).length, 100);
    await store.close();
    await server.stop();
  });

  it("is another thing than a slow line", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store: near } = await openStore({ url: server.url });
    for (let number = 0; number < 100; number++) await put(near, number, noise(10_000));
    await near.close();
    const line = await Line.to(server.port, 500_000);
    const { store, faults } = await openStore({ url: line.url, commandTimeout: 300 });
    const wants = Array.from({ length: 100 }, (_, number) => ({ key: keyOf(number), samples: 1 }));
    const time = await taken(async () => {
      assert.equal((await store.lookup(MODEL, wants)).filter(({ entries }) => entries.length === 1).length, 100);
    });
    assert.ok(time > 600, `${time}`);
    // More than comes through while it may be silent, and nobody has to send it twice.
    await put(store, 200, noise(400_000));
    await store.close();
    assert.deepEqual(faults, []);
    await line.close();
    const { store: again } = await openStore({ url: server.url });
    assert.equal((await texts(again, 200)).length, 1);
    await again.close();
    await server.stop();
  });

  it("is another thing than one with a backlog", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store: near } = await openStore({ url: server.url });
    for (let number = 0; number < 60; number++) await put(near, number, noise(10_000));
    const line = await Line.to(server.port, 500_000);
    const { store, faults } = await openStore({ url: line.url, commandTimeout: 300 });
    const looked = await Promise.all(Array.from({ length: 60 }, (_, number) => texts(store, number)));
    assert.ok(looked.every((found) => found.length === 1));
    await Promise.all(Array.from({ length: 60 }, (_, number) => put(store, 60 + number, noise(10_000))));
    await store.close();
    assert.deepEqual([faults, line.connections], [[], 1]);
    await line.close();
    assert.equal((await near.size()).entries, 120);
    await near.close();
    await server.stop();
  });

  it("is another thing than one to which a long answer is on its way", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const line = await Line.to(server.port, 1_000_000);
    const { store, faults } = await openStore({ url: line.url, commandTimeout: 200 });
    await put(store, 1, "short");
    const long = noise(2_000_000);
    const putting = put(store, 2, long);
    let misses = 0;
    let longest = 0;
    let isDone = false;
    putting.then(() => isDone = true);
    while (!isDone) {
      longest = Math.max(longest, await taken(() => texts(store, 1).catch(() => misses++)));
      await put(store, 3, "behind it");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(misses > 5, "nobody waits for the line");
    assert.ok(longest < 2000, `${longest}`);
    assert.deepEqual(await texts(store, 1), ["short"]);
    await store.close();
    assert.deepEqual([faults, line.connections], [[], 1], "it was sent once");
    await line.close();
    const { store: again } = await openStore({ url: server.url });
    assert.deepEqual(await texts(again, 2), [long]);
    assert.ok((await texts(again, 3)).length > 5);
    await again.close();
    await server.stop();
  });

  it("takes no claim with it, and no failure", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store } = await openStore({ url: server.url, commandTimeout: 200 });
    server.freeze();
    await assert.rejects(async () => await store.claims!.claim(MODEL, keyOf(1), "one", 1000), isUnavailable);
    server.thaw();
    await until("it to be used again", () => texts(store, 1).then(() => true, () => false));
    assert.equal((await store.claims!.claim(MODEL, keyOf(1), "one", 1000)).granted, true);
    await store.close();
    await server.stop();
  });
});

describe("a Redis that is killed and comes back", () => {
  it("keeps all that was acknowledged, and what was put meanwhile", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const { store, faults } = await openStore({ url: server.url, flushTimeout: 30_000 });
    const acknowledged: number[] = [];
    let next = 0;
    let going = true;
    const writers = Array.from({ length: 8 }, async () => {
      while (going) {
        const number = next++;
        await put(store, number % 100, `answer ${number}`);
        acknowledged.push(number);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    for (let time = 0; time < 5; time++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await server.kill();
      await new Promise((resolve) => setTimeout(resolve, 50));
      await server.restart();
    }
    going = false;
    await Promise.all(writers);
    await store.close();
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ url: server.url });
    const found = new Map<string, number>();
    for (let number = 0; number < 100; number++) {
      for (const text of await texts(again, number)) found.set(text, (found.get(text) ?? 0) + 1);
    }
    const wanted = acknowledged.map((number) => `answer ${number}`);
    assert.deepEqual(wanted.filter((text) => !found.has(text)), [], "is missing");
    assert.deepEqual([...found].filter(([, times]) => times > 1), [], "is there more than once");
    assert.equal(found.size, wanted.length, "what nobody was told is kept");
    assert.ok(wanted.length > 100, `${wanted.length}`);
    await again.close();
    await server.stop();
  });

  it("shows an answer once that was half written to its log, and sent again", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    // A list with no answers yet, with few, with many, each torn after each command of the last put.
    for (const [before, commands] of [[0, 2], [0, 1], [1, 3], [1, 2], [1, 1], [40, 2], [40, 1]] as const) {
      const server = await RedisServer.start({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
      const line = await Line.to(server.port);
      const { store, faults } = await openStore({ url: line.url, commandTimeout: 100, flushTimeout: 20_000 });
      const bodies = Array.from({ length: before }, (_, number) => `old ${number}`);
      // So that the server knows the script, and needs to be sent it once only.
      await put(store, 2, "another");
      for (const body of bodies) await put(store, 1, body);
      line.isMute = true;
      await put(store, 1, "torn");
      await server.kill();
      server.tear(commands);
      await server.restart();
      line.isMute = false;
      line.hangUp();
      await store.close();
      assert.deepEqual(faults, []);
      // Only now does the server carry out what it has by half.
      await server.kill();
      await server.restart();
      const { store: again } = await openStore({ url: server.url });
      const torn = `${commands} commands behind ${before} answers`;
      assert.deepEqual(await texts(again, 1), [...bodies, "torn"], torn);
      await put(again, 1, "new");
      const { entries, corrupt } = await found(again, 1);
      assert.deepEqual([entries.length, corrupt, (await again.size()).entries], [before + 2, false, before + 3], torn);
      await again.close();
      await line.close();
      await server.stop();
    }
  });

  it("gets its amounts once, however often they are sent", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const { store } = await openStore({ url: server.url, commandTimeout: 200 });
    const add = (): void => store.ledger!.add({ model: MODEL, day: "2026-11-22", amounts: { hits: 1, dollars: 0.5 } });
    add();
    await store.ledger!.read();
    server.freeze();
    add();
    await assert.rejects(async () => await store.ledger!.read(), isUnavailable);
    server.thaw();
    await until("it to be used again", () => texts(store, 1).then(() => true, () => false));
    assert.deepEqual([...await store.ledger!.read()], [
      { model: MODEL, day: "2026-11-22", amounts: { hits: 2, dollars: 1 } },
    ]);
    await store.close();
    await server.stop();
  });
});

describe("an answer that was sent, and of which nobody knows whether it arrived", () => {
  /** One store behind a line whose replies get lost, another beside it, and what is stored meanwhile. */
  async function lost(
    during: (store: Store) => Promise<unknown>,
    meanwhile: (other: Store) => Promise<unknown>,
  ): Promise<string[]> {
    const server = await RedisServer.start();
    const line = await Line.to(server.port);
    const { store, faults } = await openStore({ url: line.url, commandTimeout: 200, flushTimeout: 20_000 });
    const { store: other } = await openStore({ url: server.url });
    await other.put(MODEL, requestOf(1), [entryAt(1, "old"), entryAt(2, "older")], "append");
    line.isMute = true;
    await during(store);
    await meanwhile(other);
    line.isMute = false;
    line.hangUp();
    await store.close();
    assert.deepEqual(faults, []);
    const found = await texts(other, 1);
    await other.close();
    await line.close();
    await server.stop();
    return found;
  }

  it("takes no other's place who came after it", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    for (const placement of ["replace", "replace_all"] as const) {
      const found = await lost(
        (store) => Promise.resolve(store.put(MODEL, requestOf(1), [entryAt(3, "mine")], placement)),
        (other) => Promise.resolve(other.put(MODEL, requestOf(1), [entryAt(4, "his")], "replace_all")),
      );
      assert.equal(found[0], "his", placement);
    }
  });

  it("or was not even sent takes no other's place either", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const found = await lost(
      async (store) => {
        await assert.rejects(texts(store, 1));
        await store.put(MODEL, requestOf(1), [entryAt(3, "mine")], "replace_all");
      },
      (other) => Promise.resolve(other.put(MODEL, requestOf(1), [entryAt(4, "his")], "replace_all")),
    );
    assert.deepEqual(found, ["his", "mine"]);
  });

  it("is not stored twice, though the first of several has been replaced since", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const found = await lost(
      (store) => Promise.resolve(store.put(MODEL, requestOf(1), [entryAt(3, "a"), entryAt(3, "b")], "replace_all")),
      (other) => Promise.resolve(other.put(MODEL, requestOf(1), [entryAt(4, "his")], "replace")),
    );
    assert.deepEqual(found, ["his", "b"]);
  });

  it("is not stored twice among very many", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const many = (time: number): NewEntry[] => Array.from({ length: 200 }, (_, index) => entryAt(time, `${index}`));
    const found = await lost(
      async (store) => {
        await store.put(MODEL, requestOf(1), [entryAt(3, "mine")], "append");
      },
      async (other) => {
        await other.put(MODEL, requestOf(1), many(4), "append");
      },
    );
    assert.equal(found.length, 203);
    assert.equal(found.filter((text) => text === "mine").length, 1);
  });

  it("is sent a few times only, when it is long and breaks the line each time", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const line = await Line.to(server.port);
    line.longest = 500_000;
    const { store, faults } = await openStore({ url: line.url });
    await put(store, 1, "short");
    await put(store, 2, noise(3_000_000));
    await put(store, 1, "behind it");
    await until("the report", () => faults.length === 1);
    assert.equal(faults[0]!.type, "write_failed");
    await until("the others", () => texts(store, 1).then((found) => found.length === 2, () => false));
    const { connections } = line;
    for (let time = 0; time < 10; time++) {
      assert.equal((await texts(store, 1)).length, 2);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(line.connections, connections);
    await store.close();
    assert.equal(faults.length, 1);
    await line.close();
    await server.stop();
  });
});

describe("a removal", () => {
  it("takes what was put before it, though it had to wait", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    await server.kill();
    const { store } = await openStore({ url: server.url });
    await store.put(MODEL, requestOf(1, "a"), [], "append");
    for (const number of [1, 2, 3]) await put(store, number, "x");
    await server.restart();
    await until("the server", () => texts(store, 9).then(() => true, () => false));
    await store.remove({});
    assert.equal((await store.size()).entries, 0);
    await store.close();
    await server.stop();
  });

  it("waits for all of it, as long as something moves", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const line = await Line.to(server.port, 1_000_000);
    await server.kill();
    const { store } = await openStore({ url: line.url, commandTimeout: 200 });
    for (let number = 0; number < 150; number++) await put(store, number, noise(10_000));
    await server.restart();
    await until("the server", () => texts(store, 999).then(() => true, () => false));
    await store.remove({});
    await store.close();
    const { store: again } = await openStore({ url: server.url });
    assert.equal((await again.size()).entries, 0);
    await again.close();
    await line.close();
    await server.stop();
  });

  it("of what cannot be stored just now is refused; of anything else it is not", PATIENT, async () => {
    const server = await FalseRedis.start(([command, , keys]) => {
      if (command === "EVALSHA") return keys === "1" ? "-TRYAGAIN slots are moving\r\n" : "*2\r\n:0\r\n:0\r\n";
      return command === "SCAN" ? "*2\r\n$1\r\n0\r\n*0\r\n" : "*0\r\n";
    });
    const { store } = await openStore({ url: server.url, commandTimeout: 100, flushTimeout: 0 });
    await put(store, 1, "a");
    for (const selection of [{}, { model: MODEL, keys: [keyOf(1)] }]) {
      await assert.rejects(async () => await store.remove(selection), (error: Error) => {
        assert.match(error.message, /1 answers that were put before wait to be stored: .*TRYAGAIN/);
        return isUnavailable(error);
      });
    }
    await store.remove({ model: "another" });
    await store.remove({ model: MODEL, keys: [keyOf(2)] });
    await store.close();
    await server.stop();
  });
});
