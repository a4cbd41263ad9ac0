/** A Cluster whose nodes die and whose slots move, under a store that goes on. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { hexOf } from "../../../src/runtime/hex.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Store } from "../../../src/store/store.ts";
import { freePort, type RedisServer, requireRedis, startCluster, until } from "../../support/redis_server.ts";
import { keyOf, modelHash, openStore, put, texts } from "./fixture.ts";

const PATIENT = { timeout: 60_000 };
const machine = await loadRuntime();
const MODELS = Array.from({ length: 30 }, (_, number) => `model ${number}`);

function slotOf(server: RedisServer, model: string): number {
  return Number(server.command("CLUSTER", "KEYSLOT", `{${modelHash(machine, model)}}`));
}

/** The node that has a slot. */
function ownerOf(cluster: readonly RedisServer[], slot: number): RedisServer {
  return cluster.find((server) => {
    const mine = server.command("CLUSTER", "NODES").split("\n").find((line) => line.includes("myself"))!;
    return mine.split(" ").slice(8).some((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return slot >= first! && slot <= last!;
    });
  })!;
}

/** The node that a store sees first of all, and must do without if need be. */
function greeterOf(cluster: readonly RedisServer[]): RedisServer {
  return ownerOf(cluster, Number(cluster[0]!.command("CLUSTER", "KEYSLOT", `{${"0".repeat(16)}}`)));
}

async function canRead(store: Store, model: string): Promise<boolean> {
  return await texts(store, 1, model).then(() => true, () => false);
}

describe("a node that dies", () => {
  it("takes only its own models with it, and gets what waited for it when it is back", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    const { store, faults } = await openStore({ urls: cluster.map(({ url }) => url), commandTimeout: 500 });
    for (const model of MODELS) await put(store, 1, "before", model);
    const dead = greeterOf(cluster);
    const gone = new Set(MODELS.filter((model) => ownerOf(cluster, slotOf(dead, model)) === dead));
    await dead.kill();
    for (const model of MODELS) await put(store, 2, "meanwhile", model);
    const others = MODELS.filter((model) => !gone.has(model));
    assert.ok(gone.size > 0 && others.length > 0);
    await until("the others to be read", async () => {
      return (await Promise.all(others.map((model) => canRead(store, model)))).every((can) => can);
    });
    for (const model of others) assert.deepEqual(await texts(store, 2, model), ["meanwhile"]);
    for (const model of gone) assert.equal(await canRead(store, model), false);
    const { store: newcomer } = await openStore({ urls: cluster.map(({ url }) => url), commandTimeout: 500 });
    for (const model of others) assert.deepEqual(await texts(newcomer, 2, model), ["meanwhile"]);
    await newcomer.close();
    await dead.restart();
    await until("the dead to be read", async () => {
      return (await Promise.all([...gone].map((model) => canRead(store, model)))).every((can) => can);
    });
    await store.close();
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ urls: [dead.url] });
    for (const model of MODELS) assert.deepEqual(await texts(again, 2, model), ["meanwhile"], model);
    await again.close();
    for (const server of cluster) await server.stop();
  });

  it("among those that were named is no hindrance", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    const urls = [`redis://127.0.0.1:${await freePort()}`, cluster[2]!.url];
    for (let time = 0; time < 4; time++) {
      const { store } = await openStore({ urls });
      await put(store, time, "a");
      assert.deepEqual(await texts(store, time), ["a"]);
      await store.close();
    }
    for (const server of cluster) await server.stop();
  });

  it(
    "without an answer costs one timeout, and its models are misses at once from then on",
    PATIENT,
    async (context) => {
      if (!requireRedis(context)) return;
      const cluster = await startCluster();
      const { store, faults } = await openStore({ urls: cluster.map(({ url }) => url), commandTimeout: 300 });
      for (const model of MODELS) await put(store, 1, "before", model);
      const frozen = cluster[0]!;
      const model = MODELS.find((model) => ownerOf(cluster, slotOf(cluster[1]!, model)) === frozen)!;
      const other = MODELS.find((model) => ownerOf(cluster, slotOf(cluster[1]!, model)) !== frozen)!;
      frozen.freeze();
      await assert.rejects(texts(store, 1, model));
      await put(store, 2, "meanwhile", model);
      await until("the others to be read", () => canRead(store, other));
      assert.deepEqual(await texts(store, 1, other), ["before"]);
      frozen.thaw();
      await until("it to be read", () => canRead(store, model));
      await store.close();
      assert.deepEqual(faults, []);
      for (const server of cluster) await server.stop();
    },
  );
});

describe("a node that stays silent", () => {
  it("is found out once for each model, and nobody waits for it again", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    const { store, faults } = await openStore({ urls: cluster.map(({ url }) => url), commandTimeout: 400 });
    for (const model of MODELS) await put(store, 1, "before", model);
    const frozen = cluster.find((server) => server !== greeterOf(cluster))!;
    const silent = MODELS.filter((model) => ownerOf(cluster, slotOf(frozen, model)) === frozen);
    frozen.freeze();
    for (const model of silent) assert.equal(await canRead(store, model), false);
    let slow = 0;
    for (const end = performance.now() + 5000; performance.now() < end;) {
      for (const model of silent) {
        const begun = performance.now();
        assert.equal(await canRead(store, model), false);
        if (performance.now() - begun > 300) slow++;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal(slow, 0);
    for (const model of silent) await put(store, 2, "meanwhile", model);
    frozen.thaw();
    for (const model of silent) await until("it to be read", () => canRead(store, model));
    await store.close();
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ urls: cluster.map(({ url }) => url) });
    for (const model of silent) assert.deepEqual(await texts(again, 2, model), ["meanwhile"]);
    await again.close();
    for (const server of cluster) await server.stop();
  });
});

describe("a slot that moves", () => {
  it("is followed: what was there is found, what is put meanwhile too", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    const { store, faults } = await openStore({ urls: cluster.map(({ url }) => url) });
    const model = MODELS[0]!;
    const slot = slotOf(cluster[0]!, model);
    const source = ownerOf(cluster, slot);
    const target = cluster.find((server) => server !== source)!;
    const [from, to] = [source, target].map((server) => server.command("CLUSTER", "MYID"));
    for (const number of [1, 2, 3]) await put(store, number, "before", model);

    target.command("CLUSTER", "SETSLOT", `${slot}`, "IMPORTING", from!);
    source.command("CLUSTER", "SETSLOT", `${slot}`, "MIGRATING", to!);
    const name = (number: number): string => `wc1:{${modelHash(machine, model)}}:e:${hexOf(keyOf(number))}`;
    source.command("MIGRATE", "127.0.0.1", `${target.port}`, name(1), "0", "5000");
    // One has moved, two have not, a fourth is new.
    for (const number of [1, 2, 3, 4]) await put(store, number, "meanwhile", model);
    for (const number of [1, 2, 3]) assert.deepEqual(await texts(store, number, model), ["before", "meanwhile"]);
    assert.deepEqual(await texts(store, 4, model), ["meanwhile"]);
    assert.equal((await store.claims!.claim(model, keyOf(9), "one", 60_000)).granted, true);

    for (const key of source.command("CLUSTER", "GETKEYSINSLOT", `${slot}`, "100").split("\n").filter(Boolean)) {
      source.command("MIGRATE", "127.0.0.1", `${target.port}`, key, "0", "5000");
    }
    for (const server of [target, source, ...cluster]) server.command("CLUSTER", "SETSLOT", `${slot}`, "NODE", to!);
    for (const number of [1, 2, 3]) {
      await put(store, number, "after", model);
      assert.deepEqual(await texts(store, number, model), ["before", "meanwhile", "after"]);
    }
    assert.equal((await store.size()).entries, 10);
    assert.equal((await store.remove({ model })).entries, 10);
    await store.close();
    assert.deepEqual(faults, []);
    for (const server of cluster) await server.stop();
  });
});
