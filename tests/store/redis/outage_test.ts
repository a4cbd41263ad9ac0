/** Redis away, or silent: lookups fail at once, answers wait, and nothing that was acknowledged is lost or doubled. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import { describe, it } from "node:test";
import { CacheError } from "../../../src/store/error.ts";
import { freePort, RedisServer, requireRedis, until } from "../../support/redis_server.ts";
import { keyOf, MODEL, openStore, put, requestOf, texts } from "./fixture.ts";

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

/** Text that does not compress well. */
function noise(length: number): string {
  let state = length;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return String.fromCharCode(33 + (state >>> 24) % 90);
  }).join("");
}

/** A way to a port on which so many bytes pass in a second, there and back. */
async function slowLine(port: number, bytesPerSecond: number): Promise<{ port: number; close(): void }> {
  const piece = Math.round(bytesPerSecond / 50);
  const sockets: Socket[] = [];
  const pass = (from: Socket, to: Socket): void => {
    let waiting = Buffer.alloc(0);
    from.on("data", (bytes) => waiting = Buffer.concat([waiting, Buffer.from(bytes)]));
    const timer = setInterval(() => {
      if (waiting.length > 0) to.write(waiting.subarray(0, piece));
      waiting = waiting.subarray(piece);
    }, 20);
    from.on("close", () => {
      clearInterval(timer);
      to.destroy();
    });
    from.on("error", () => {});
    sockets.push(from);
  };
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    pass(near, far);
    pass(far, near);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as { port: number }).port,
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
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
      await put(store, number % 50, `${number}`);
    }
    await server.restart();
    await until("the answers to arrive", async () => {
      try {
        return (await store.size()).entries === 200;
      } catch {
        return false;
      }
    });
    for (let number = 0; number < 50; number++) {
      assert.deepEqual(await texts(store, number), [0, 50, 100, 150].map((more) => `${number + more}`));
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
    const line = await slowLine(server.port, 500_000);
    const { store, faults } = await openStore({ url: `redis://127.0.0.1:${line.port}`, commandTimeout: 300 });
    const wants = Array.from({ length: 100 }, (_, number) => ({ key: keyOf(number), samples: 1 }));
    const time = await taken(async () => {
      assert.equal((await store.lookup(MODEL, wants)).filter(({ entries }) => entries.length === 1).length, 100);
    });
    assert.ok(time > 600, `${time}`);
    // More than comes through while it may be silent, and nobody has to send it twice.
    await put(store, 200, noise(400_000));
    await store.close();
    assert.deepEqual(faults, []);
    line.close();
    const { store: again } = await openStore({ url: server.url });
    assert.equal((await texts(again, 200)).length, 1);
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
    const found: string[] = [];
    for (let number = 0; number < 100; number++) found.push(...await texts(again, number));
    assert.deepEqual(found.toSorted(), acknowledged.map((number) => `answer ${number}`).toSorted());
    assert.ok(acknowledged.length > 500, `${acknowledged.length}`);
    await again.close();
    await server.stop();
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
});
