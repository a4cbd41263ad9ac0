/** Redis answering with errors, with nonsense, with half of it: what was paid for is kept, and messages say what to do. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Clock } from "../../../src/runtime/runtime.ts";
import { CacheError } from "../../../src/store/error.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";
import { Refusal } from "../../../src/store/redis/refusal.ts";
import type { StoreFault } from "../../../src/store/store.ts";
import { FalseRedis, freePort, RedisServer, requireRedis, startCluster, until } from "../../support/redis_server.ts";
import { entryOf, found, keyOf, MODEL, openStore, put, requestOf, texts } from "./fixture.ts";

const PATIENT = { timeout: 60_000 };

function unavailable(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CacheError);
    assert.equal(error.code, "unavailable");
    assert.match(error.message, message);
    return true;
  };
}

/** What every server says to a client that introduces itself; `undefined` to all else. */
function greeting([command]: readonly string[]): string | undefined {
  if (command === "HELLO") return "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";
  if (command === "CLIENT") return "+OK\r\n";
  if (command === "TIME") return "*2\r\n$10\r\n1790000000\r\n$1\r\n0\r\n";
  return undefined;
}

describe("a full Redis", () => {
  it("refuses a put, loses nothing it has, and takes more once there is room", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store, faults } = await openStore({ url: server.url });
    for (const body of ["a", "b"]) await put(store, 1, body);
    server.command("CONFIG", "SET", "maxmemory", "1");
    const full = unavailable(/OOM.*maxmemory-policy allkeys-lru/);
    await assert.rejects(put(store, 1, "c"), full);
    for (const placement of ["replace", "replace_all"] as const) {
      const replacing = async (): Promise<void> => await store.put(MODEL, requestOf(1), [entryOf("C")], placement);
      await assert.rejects(replacing, full);
    }
    assert.deepEqual(await texts(store, 1), ["a", "b"]);
    await assert.rejects(async () => await store.claims!.claim(MODEL, keyOf(1), "one", 1000), full);
    await store.remove({ outcome: "stop", createdBefore: 1 });
    assert.equal((await store.remove({ keys: [keyOf(1)] })).entries, 2);
    server.command("CONFIG", "SET", "maxmemory", "0");
    await put(store, 1, "d");
    assert.deepEqual(await texts(store, 1), ["d"]);
    await store.close();
    assert.deepEqual(faults, []);
    await server.stop();
  });
});

describe("a Redis that takes no long values", () => {
  it("refuses a put, says what to change, and goes on", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--proto-max-bulk-len", "1mb"] });
    const { store, faults } = await openStore({ url: server.url });
    await put(store, 1, "a");
    const long = { ...entryOf(""), body: new Uint8Array(3_000_000) };
    for (let at = 0; at < long.body.length; at += 60_000) crypto.getRandomValues(long.body.subarray(at, at + 60_000));
    const putting = async (): Promise<void> => await store.put(MODEL, requestOf(2), [long], "append");
    // Its refusal may get lost, since it hangs up.
    const refusal = await putting().then(() => undefined, (error: Error) => error);
    if (refusal) unavailable(/invalid bulk length.*raise proto-max-bulk-len/)(refusal);
    await until("it to be used again", () => texts(store, 1).then((found) => found.length === 1, () => false));
    await put(store, 1, "b");
    await until("it to have been given up", () => refusal !== undefined || faults.length === 1);
    assert.deepEqual(await texts(store, 1), ["a", "b"]);
    await store.close();
    await server.stop();
  });
});

describe("a replica", () => {
  it("answers lookups; what is put waits until it is a master", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store, faults } = await openStore({ url: server.url });
    await put(store, 1, "a");
    server.command("REPLICAOF", "127.0.0.1", `${await freePort()}`);
    await put(store, 1, "b");
    await put(store, 2, "c");
    assert.deepEqual(await texts(store, 1), ["a"]);
    await assert.rejects(
      async () => await store.claims!.claim(MODEL, keyOf(1), "one", 1000),
      unavailable(/READONLY.*connect to the master/),
    );
    server.command("REPLICAOF", "NO", "ONE");
    await until("the answers to arrive", () => texts(store, 2).then((found) => found.length === 1, () => false));
    assert.deepEqual(await texts(store, 1), ["a", "b"]);
    await store.close();
    assert.deepEqual(faults, []);
    await server.stop();
  });

  it("without its master's data answers nothing, and what is put waits", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--replica-serve-stale-data", "no"] });
    const { store } = await openStore({ url: server.url });
    await put(store, 1, "a");
    server.command("REPLICAOF", "127.0.0.1", `${await freePort()}`);
    await assert.rejects(texts(store, 1), unavailable(/MASTERDOWN.*connect to the master/));
    await put(store, 1, "b");
    server.command("REPLICAOF", "NO", "ONE");
    await store.close();
    const { store: again } = await openStore({ url: server.url });
    assert.deepEqual(await texts(again, 1), ["a", "b"]);
    await again.close();
    await server.stop();
  });

  it("that stays one is named when the store is closed", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--replicaof", "127.0.0.1", `${await freePort()}`] });
    const { store, faults } = await openStore({ url: server.url, flushTimeout: 200 });
    await put(store, 1, "a");
    await store.close();
    assert.match(faults[0]!.error.message, /it is a replica: connect to the master/);
    assert.equal(faults.length, 1);
    await server.stop();
  });
});

describe("a Redis that is busy with somebody's script", () => {
  it("is a miss; what is put waits until the script has ended", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--busy-reply-threshold", "50"] });
    const { store, faults } = await openStore({ url: server.url });
    const script = spawn("redis-cli", ["-p", `${server.port}`, "EVAL", "while true do end", "0"], { stdio: "ignore" });
    await until("the script to run", () => server.command("PING").includes("BUSY"));
    await assert.rejects(texts(store, 1), unavailable(/BUSY.*SCRIPT KILL/));
    await put(store, 1, "a");
    server.command("SCRIPT", "KILL");
    await until("the answer to arrive", () => texts(store, 1).then((found) => found.length === 1, () => false));
    await store.close();
    assert.deepEqual(faults, []);
    script.kill("SIGKILL");
    await server.stop();
  });
});

describe("a Redis that has forgotten its scripts", () => {
  it("is told them again", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store } = await openStore({ url: server.url });
    for (const body of ["a", "b", "c"]) {
      server.command("SCRIPT", "FLUSH");
      await Promise.all([put(store, 1, body), store.claims!.claim(MODEL, keyOf(1), "one", 1000)]);
    }
    assert.deepEqual(await texts(store, 1), ["a", "b", "c"]);
    await store.close();
    await server.stop();
  });
});

describe("a Redis that is loading its data", () => {
  it("is a miss; what is put waits until it is there", PATIENT, async () => {
    let loading = true;
    let stored = 0;
    const server = await FalseRedis.start((words) => {
      if (greeting(words)) return greeting(words);
      if (loading) return "-LOADING Redis is loading the dataset in memory\r\n";
      return words[0] === "EVALSHA" ? (stored++, ":1\r\n") : "*0\r\n";
    });
    const { store, faults } = await openStore({ url: server.url });
    await assert.rejects(texts(store, 1), unavailable(/LOADING.*will be there soon/));
    await put(store, 1, "a");
    await put(store, 1, "b");
    assert.equal(stored, 0);
    loading = false;
    await until("the answers to arrive", () => stored === 2);
    await store.close();
    assert.deepEqual(faults, []);
    await server.stop();
  });
});

describe("what had to wait, and is refused after all", () => {
  /** Loading at first, and then refusing with something. */
  async function refusingAfterwards(refusal: string): Promise<{ server: FalseRedis; proceed(): void }> {
    let loading = true;
    const server = await FalseRedis.start((words) => {
      if (words[0] !== "EVALSHA") return greeting(words) ?? "*0\r\n";
      return loading ? "-LOADING Redis is loading the dataset in memory\r\n" : `-${refusal}\r\n`;
    });
    return { server, proceed: () => loading = false };
  }

  it("is reported, each", PATIENT, async () => {
    const { server, proceed } = await refusingAfterwards("OOM command not allowed when used memory > 'maxmemory'.");
    const { store, faults } = await openStore({ url: server.url });
    for (const number of [1, 2, 3]) await put(store, number, "a", `model ${number}`);
    proceed();
    await until("the reports", () => faults.length === 3);
    assert.deepEqual(faults.map(({ type, model }) => `${type} ${model}`).toSorted(), [
      "write_failed model 1",
      "write_failed model 2",
      "write_failed model 3",
    ]);
    for (const { error } of faults) unavailable(/OOM.*raise maxmemory/)(error);
    await store.close();
    assert.equal(faults.length, 3);
    await server.stop();
  });

  it("by a replica that stays one is given up after a minute", PATIENT, async () => {
    const { server, proceed } = await refusingAfterwards("READONLY You can't write against a read only replica.");
    const machine = await loadRuntime();
    let passed = 0;
    const clock: Clock = {
      now: () => machine.clock.now(),
      monotonic: () => machine.clock.monotonic() + passed,
      sleep: (duration, options) => machine.clock.sleep(duration, options),
      afterTurn: (run) => machine.clock.afterTurn(run),
    };
    const store = await openRedisStore({ runtime: { ...machine, clock }, url: server.url });
    const faults: StoreFault[] = [];
    store.onFault!((fault) => faults.push(fault));
    await put(store, 1, "a");
    proceed();
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(faults.length, 0);
    passed = 61_000;
    await until("the report", () => faults.length === 1);
    unavailable(/READONLY.*connect to the master/)(faults[0]!.error);
    await store.close();
    await server.stop();
  });
});

describe("a Redis that refuses to write", () => {
  const refusals = {
    "MISCONF Redis is configured to save RDB snapshots, but it is currently unable to": /free some space/,
    "NOPERM this user has no permissions to run the 'evalsha' command": /docs\/redis\.md/,
    "MOVED 3999 127.0.0.1:6381": /cluster: true/,
    "CROSSSLOT Keys in request don't hash to the same slot": /cluster: true/,
    "ERR unknown command 'EVALSHA'": /the server's log/,
  };
  for (const [refusal, advice] of Object.entries(refusals)) {
    it(`for good fails the put, and says what to do: ${refusal}`, PATIENT, async () => {
      const server = await FalseRedis.start((words) =>
        greeting(words) ?? (words[0] === "EVALSHA" ? `-${refusal}\r\n` : "*0\r\n")
      );
      const { store, faults } = await openStore({ url: server.url });
      await assert.rejects(put(store, 1, "a"), unavailable(advice));
      assert.deepEqual(await texts(store, 1), []);
      await store.close();
      assert.deepEqual(faults, []);
      await server.stop();
    });
  }

  for (
    const refusal of ["CLUSTERDOWN The cluster is down", "TRYAGAIN Multiple keys request during rehashing of slot"]
  ) {
    it(`for now has the put wait: ${refusal}`, PATIENT, async () => {
      let refusing = true;
      const server = await FalseRedis.start((words) => {
        if (words[0] !== "EVALSHA") return greeting(words) ?? "*0\r\n";
        return refusing ? `-${refusal}\r\n` : ":1\r\n";
      });
      const { store, faults } = await openStore({ url: server.url });
      await put(store, 1, "a");
      refusing = false;
      await store.close();
      assert.deepEqual(faults, []);
      await server.stop();
    });
  }

  it("has its reason found in the messages of older servers, too", () => {
    const codes = {
      "OOM command not allowed when used memory > 'maxmemory'. script: 1f": "OOM",
      "ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed": "OOM",
      "READONLY You can't write against a read only replica.": "READONLY",
      "ERR max number of clients reached": "ERR",
      "": "ERR",
    };
    for (const [message, code] of Object.entries(codes)) assert.equal(new Refusal(message).code, code);
  });
});

describe("something that is no Redis", () => {
  /** What it says to whatever it is asked, once it has been greeted. */
  const replies: Record<string, string> = {
    "an integer": ":5\r\n",
    "a word": "+OK\r\n",
    "nothing at all": "_\r\n",
    "no list": "*-1\r\n",
    "a list of lists": "*2\r\n*1\r\n:1\r\n*0\r\n",
    "numbers for answers": "*2\r\n:1\r\n:2\r\n",
    "empty answers": "*2\r\n$0\r\n\r\n$0\r\n\r\n",
    "half an answer": "*1\r\n$100\r\nabc",
    "a web page": "HTTP/1.1 400 Bad Request\r\n\r\n<html>",
    "a length without end": "*1\r\n$99999999999\r\n",
    "silence": "",
  };
  for (const [what, reply] of Object.entries(replies)) {
    it(`and answers with ${what} is a miss or an error of ours, never an answer`, PATIENT, async () => {
      const server = await FalseRedis.start((words) => greeting(words) ?? (words[2] ? reply : "*0\r\n"));
      const { store } = await openStore({ url: server.url, commandTimeout: 100, flushTimeout: 0 });
      const calls: Record<string, () => unknown> = {
        lookup: () => found(store, 1),
        put: () => put(store, 1, "a"),
        remove: () => store.remove({}),
        size: () => store.size(),
        nearest: () => store.nearest(new Uint8Array(16), 1),
        list: () => Array.fromAsync(store.list()),
        claim: () => store.claims!.claim(MODEL, keyOf(1), "one", 1000),
        failure: () => store.failures!.last(MODEL, keyOf(1)),
        ledger: () => store.ledger!.read(),
      };
      for (const [name, call] of Object.entries(calls)) {
        try {
          const got = await call();
          if (name === "lookup") assert.deepEqual((got as { entries: unknown }).entries, []);
        } catch (error) {
          assert.ok(error instanceof CacheError, `${name}: ${(error as Error).stack}`);
        }
      }
      await store.close();
      await server.stop();
    });
  }

  it("and closes each connection is an outage", PATIENT, async () => {
    const server = await FalseRedis.start(() => undefined);
    const { store, faults } = await openStore({ url: server.url, commandTimeout: 100, flushTimeout: 0 });
    await assert.rejects(texts(store, 1), unavailable(/no answer within \d+ ms/));
    await put(store, 1, "a");
    await store.close();
    assert.equal(faults.length, 1);
    await server.stop();
  });
});

describe("a node of a Cluster, taken for a server of its own", () => {
  it("is a miss and a refusal that say so", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const cluster = await startCluster();
    const { store } = await openStore({ url: cluster[0]!.url });
    const models = Array.from({ length: 20 }, (_, number) => `model ${number}`);
    const outcomes = await Promise.allSettled(models.map((model) => put(store, 1, "a", model)));
    const refused = outcomes.filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
    assert.ok(refused.length > 0 && refused.length < 20);
    for (const { reason } of refused) unavailable(/MOVED.*cluster: true/)(reason);
    await store.close();
    for (const server of cluster) await server.stop();
  });
});
