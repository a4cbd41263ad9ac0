/** The remote store and real processes: clients that share a call, a server that is killed. */

import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { commandOf, HERE, requireRuntime, RUNTIMES } from "../../support/runtimes.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { put, texts } from "../redis/fixture.ts";
import { machine, openStore, PATIENCE, storeServer } from "./fixture.ts";

const ASKING = fileURLToPath(new URL("asking_process.ts", import.meta.url));
const SERVER = fileURLToPath(new URL("../../../server.ts", import.meta.url));

describe("two clients in processes of their own", () => {
  for (const runtime of RUNTIMES) {
    it(`make one call (${runtime})`, async (context) => {
      const command = requireRuntime(context, runtime);
      if (command === undefined) return;
      await using server = await storeServer({ locking: "exclusive" });
      const ask = async (): Promise<{ calls: number; answer: unknown }> => {
        const [program, ...flags] = command;
        const { stdout } = await promisify(execFile)(program, [...flags, ASKING, server.url, runtime]);
        return JSON.parse(stdout);
      };
      const [one, other] = await Promise.all([ask(), ask()]);
      assert.equal(one.calls + other.calls, 1);
      assert.deepEqual(one.answer, other.answer);
    });
  }
});

describe("a server that is killed", () => {
  const started: ChildProcess[] = [];
  after(() => started.forEach((child) => child.kill("SIGKILL")));

  async function start(port: number, folder: string): Promise<ChildProcess> {
    const [program, ...flags] = commandOf(HERE)!;
    const options = ["--port", String(port), "--cache", join(folder, "cache"), "--models", folder, "--no-hub"];
    const child = spawn(program, [...flags, SERVER, ...options], { stdio: ["ignore", "pipe", "inherit"] });
    started.push(child);
    let output = "";
    child.stdout!.setEncoding("utf8").on("data", (text: string) => output += text);
    while (!output.includes("listens on")) await once(child.stdout!, "data");
    return child;
  }

  async function kill(child: ChildProcess): Promise<void> {
    const ended = once(child, "exit");
    process.kill(child.pid!, "SIGKILL");
    await ended;
  }

  it("loses no answer that a client was told is kept, and has none twice", async () => {
    const folder = await temporaryFolder();
    const probe = await machine.serveHttp({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
    const { port } = probe;
    await probe.shutdown();
    let server = await start(port, folder);
    const { store, faults } = await openStore({ url: `http://127.0.0.1:${port}`, flushTimeout: PATIENCE });
    const [requests, samples] = [25, 8];
    let written = 0;
    const writing = Promise.all(Array.from({ length: requests }, async (_, number) => {
      for (let sample = 0; sample < samples; sample++) {
        await put(store, number, `${number}: ${sample}`);
        written++;
        await machine.clock.sleep(1 + number % 7);
      }
    }));
    for (const share of [0.2, 0.5, 0.8]) {
      while (written < share * requests * samples) await machine.clock.sleep(1);
      await kill(server);
      server = await start(port, folder);
    }
    await writing;
    await store.close();
    assert.deepEqual(faults, []);
    const { store: again } = await openStore({ url: `http://127.0.0.1:${port}` });
    for (let number = 0; number < requests; number++) {
      const expected = Array.from({ length: samples }, (_, sample) => `${number}: ${sample}`);
      assert.deepEqual(await texts(again, number), expected, `request ${number}`);
    }
    await again.close();
    await kill(server);
  });
});
