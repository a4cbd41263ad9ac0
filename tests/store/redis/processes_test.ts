/** Several processes and one Redis: none loses another's answers, whoever is killed. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort, RedisServer, requireRedis, until } from "../../support/redis_server.ts";
import { requireRuntime, RUNTIMES } from "../../support/runtimes.ts";
import { openStore, put, texts } from "./fixture.ts";

const PATIENT = { timeout: 120_000 };
const WORKER = fileURLToPath(new URL("worker.ts", import.meta.url));

/** A started worker, and the lines it has said. */
interface Worker {
  readonly child: ChildProcess;
  readonly lines: string[];
  /** With its exit code. */
  readonly end: Promise<number | null>;
}

function start(command: readonly [string, ...string[]], words: readonly string[]): Worker {
  const [program, ...flags] = command;
  const child = spawn(program, [...flags, WORKER, ...words], { stdio: ["ignore", "pipe", "inherit"] });
  const lines: string[] = [];
  let rest = "";
  child.stdout!.on("data", (bytes) => {
    const parts = (rest + String(bytes)).split("\n");
    rest = parts.pop()!;
    lines.push(...parts);
  });
  return { child, lines, end: new Promise((resolve) => child.once("close", resolve)) };
}

describe("processes that share a Redis", () => {
  it("on every runtime: none loses another's answers, and a claim is one's", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const commands = RUNTIMES.flatMap((runtime) => {
      const command = requireRuntime(context, runtime);
      return command ? [command] : [];
    });
    const workers = commands.flatMap((command, index) => [
      start(command, ["write", server.url, `writer${index}`, "60"]),
      start(command, ["claim", server.url, `claimer${index}`, "100"]),
    ]);
    for (const worker of workers) assert.equal(await worker.end, 0);
    const { store } = await openStore({ url: server.url });
    const found = (await Promise.all([0, 1, 2, 3, 4].map((number) => texts(store, number)))).flat();
    const said = workers.flatMap(({ lines }) => lines.filter((line) => line.startsWith("stored ")));
    assert.equal(said.length, 60 * commands.length);
    assert.deepEqual(
      found.map((text) => `stored ${text.split(" ").slice(0, 2).join(" ")}`).toSorted(),
      said.toSorted(),
    );
    const granted = workers.flatMap(({ lines }) => lines.filter((line) => line.startsWith("granted ")));
    assert.equal(granted.length, 100);
    assert.equal(new Set(granted).size, 100);
    await store.close();
    await server.stop();
  });

  it(
    "and are killed while they write lose nothing that was acknowledged, and leave no half",
    PATIENT,
    async (context) => {
      if (!requireRedis(context)) return;
      const server = await RedisServer.start();
      const command = requireRuntime(context, "node");
      if (!command) return;
      const workers = [0, 1, 2, 3].map((index) => start(command, ["write", server.url, `writer${index}`, "100000"]));
      await until("all of them to write", () => workers.every(({ lines }) => lines.length > 50));
      for (const { child } of workers) child.kill("SIGKILL");
      for (const { end } of workers) await end;
      const { store } = await openStore({ url: server.url });
      const found = (await Promise.all([0, 1, 2, 3, 4].map((number) => texts(store, number)))).flat();
      const places = new Set(found.map((text) => text.split(" ").slice(0, 2).join(" ")));
      assert.equal(places.size, found.length, "none is there twice");
      for (const { lines } of workers) {
        for (const line of lines) assert.ok(places.has(line.slice("stored ".length)), line);
      }
      assert.equal((await store.size()).entries, found.length);
      await store.close();
      await server.stop();
    },
  );

  it("under a Redis that is killed too lose nothing that was acknowledged", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const command = requireRuntime(context, "node");
    if (!command) return;
    const workers = [0, 1, 2].map((index) => start(command, ["write", server.url, `writer${index}`, "1500"]));
    await until("all of them to write", () => workers.every(({ lines }) => lines.length > 50));
    for (let time = 0; time < 4; time++) {
      await server.kill();
      await new Promise((resolve) => setTimeout(resolve, 100));
      await server.restart();
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    for (const { end } of workers) assert.equal(await end, 0);
    const { store } = await openStore({ url: server.url });
    const found = (await Promise.all([0, 1, 2, 3, 4].map((number) => texts(store, number)))).flat();
    const said = workers.flatMap(({ lines }) => lines.filter((line) => line.startsWith("stored ")));
    assert.equal(said.length, 4500);
    assert.deepEqual(
      found.map((text) => `stored ${text.split(" ").slice(0, 2).join(" ")}`).toSorted(),
      said.toSorted(),
    );
    await store.close();
    await server.stop();
  });
});

describe("a process that closes its store", () => {
  for (const runtime of RUNTIMES) {
    it(`ends on ${runtime}, whether Redis is there or not`, PATIENT, async (context) => {
      if (!requireRedis(context)) return;
      const command = requireRuntime(context, runtime);
      if (!command) return;
      const server = await RedisServer.start();
      for (const url of [server.url, `redis://127.0.0.1:${await freePort()}`]) {
        const begun = performance.now();
        const worker = start(command, ["end", url]);
        assert.equal(await worker.end, 0);
        assert.deepEqual(worker.lines, ["closed"]);
        assert.ok(performance.now() - begun < 30_000);
      }
      await server.stop();
    });
  }

  it("while Redis says nothing ends, too", PATIENT, async (context) => {
    if (!requireRedis(context)) return;
    const server = await RedisServer.start();
    const { store } = await openStore({ url: server.url, commandTimeout: 200, flushTimeout: 300 });
    server.freeze();
    await put(store, 1, "a");
    await store.close();
    await server.kill();
  });
});
