/**
 * `deno run -A server.ts` as its users meet it: what it prints, how it stops, what it leaves behind. Signals go by
 * `process.kill`, since a child that `ChildProcess.kill` signalled has no exit status on Deno.
 */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { copyModel, copyModelWithOtherWeights, MODELS } from "../support/models.ts";
import { requirePart } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { getJson, post } from "./support.ts";

/** What runs a program on the runtime that runs this test. */
const RUN = "Deno" in globalThis ? ["run", "-A"] : [];

const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

interface ServerProcess extends Disposable {
  readonly child: ChildProcess;
  /** Resolves to its exit status, `null` if a signal ended it. */
  readonly ended: Promise<number | null>;
  readonly output: () => string;
}

function start(...flags: string[]): ServerProcess {
  const child = spawn(process.execPath, [...RUN, SERVER, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "exit").then(([status]) => status as number | null);
  let output = "";
  for (const stream of [child.stdout!, child.stderr!]) stream.setEncoding("utf8").on("data", (text) => output += text);
  return { child, ended, output: () => output, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}

async function listening({ child, ended, output }: ServerProcess): Promise<{ url: string }> {
  for (;;) {
    const url = /listens on (\S+)/.exec(output())?.[1];
    if (url !== undefined && output().includes("pages  ")) return { url };
    const failed = ended.then(() => Promise.reject(new Error(`the server ended: ${output()}`)));
    await Promise.race([once(child.stdout!, "data"), failed]);
  }
}

/** A request that is being read and never comes to its end. */
async function halfARequest({ url }: { url: string }): Promise<Disposable> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  await once(socket, "connect");
  socket.write("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{");
  while ((await getJson({ url }, "/stats")).request_count === 0);
  return { [Symbol.dispose]: () => socket.destroy() };
}

function isPinned({ pinned }: { readonly pinned: boolean }): boolean {
  return pinned;
}

describe("the server's process", () => {
  it("says where it listens, which models it found and where the cache is", async () => {
    const cache = await temporaryFolder();
    using server = start("--port", "0", "--models", MODELS, "--cache", cache);
    await listening(server);
    assert.match(server.output(), /listens on http:\/\/127\.0\.0\.1:\d+/);
    assert.match(server.output(), /models {2}kjv-tiny, kjv-tiny\+fortunes/);
    assert.ok(server.output().includes(cache));
    assert.match(server.output(), /pages {3}http:\S+\/ \(dashboard\), http:\S+\/docs \(API\)/);
    process.kill(server.child.pid!, "SIGTERM");
    assert.equal(await server.ended, 0);
  });

  it("takes limits, and what to load at once, from flags and from its settings file", async () => {
    const folder = await temporaryFolder();
    const models = join(folder, "models");
    await copyModel(models, "one");
    await copyModelWithOtherWeights(models, "two");
    const config = join(folder, "settings.json");
    const settings = { keepAlive: -1, maxMemory: "2GB", maxGpuMemory: 1e9, preload: ["one", "two"], models };
    await writeFile(config, JSON.stringify(settings));
    const flags = ["--keep-alive", "-1m", "--max-memory", "1.5GiB", "--pin", "two", "one", "--config", config];
    using server = start("--port", "0", "--cache", join(folder, "cache"), ...flags);
    const at = await listening(server);
    let health;
    do health = await getJson(at, "/health"); while (health.loaded_models.filter(isPinned).length < 2);
    assert.deepEqual([health.max_bytes, health.max_gpu_bytes], [1.5 * 2 ** 30, 1e9]);
    assert.deepEqual(health.loaded_models.map(({ base }: { base: string }) => base).sort(), ["one", "two"]);
  });

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`finishes a running request on ${signal}, closes its database and exits 0`, async () => {
      const cache = await temporaryFolder();
      using server = start("--port", "0", "--models", MODELS, "--cache", cache);
      const { url } = await listening(server);
      const request = { model: "kjv-tiny", prompt: "And", max_tokens: 120, temperature: 1, seed: 3, stream: true };
      const response = await post({ url }, "/v1/completions", request);
      const reader = response.body!.getReader();
      await reader.read();
      // The request is in the middle of its answer now: the model waits for the reader.
      process.kill(server.child.pid!, signal);
      await once(server.child.stdout!, "data");
      let text = "";
      for (let part; !(part = await reader.read()).done;) text += new TextDecoder().decode(part.value);
      assert.match(text, /data: \[DONE\]/);
      assert.equal(await server.ended, 0, server.output());
      const files = await readdir(cache);
      assert.equal(files.filter((name) => name.endsWith(".sqlite")).length, 1, "the answer was stored");
      assert.deepEqual(files.filter((name) => /-(wal|journal|shm)$/.test(name)), [], "the database was closed");
    });
  }

  it("does not wait for ever for a client that neither sends nor leaves", async () => {
    const server = start("--port", "0", "--models", MODELS, "--cache", await temporaryFolder(), "--drain-timeout", "1");
    using _half = await halfARequest(await listening(server));
    process.kill(server.child.pid!, "SIGTERM");
    assert.equal(await server.ended, 1);
    assert.match(server.output(), /requests still run after 1 s/);
  });

  it("stops at once when it is asked twice", async () => {
    const server = start("--port", "0", "--models", MODELS, "--cache", await temporaryFolder());
    using _half = await halfARequest(await listening(server));
    process.kill(server.child.pid!, "SIGTERM");
    while (!server.output().includes("once more to stop at once")) await once(server.child.stdout!, "data");
    process.kill(server.child.pid!, "SIGTERM");
    assert.equal(await server.ended, 1);
  });

  it("leaves databases that the sqlite3 shell opens and finds sound", async (context) => {
    if (!requirePart(context, "sqlite3")) return;
    const cache = await temporaryFolder();
    using server = start("--port", "0", "--models", MODELS, "--cache", cache);
    const { url } = await listening(server);
    for (const model of ["kjv-tiny", "kjv-tiny+fortunes"]) {
      await (await post({ url }, "/v1/completions", { model, prompt: "In", max_tokens: 2 })).text();
    }
    assert.equal((await getJson({ url }, "/stats")).cache.writes, 2);
    process.kill(server.child.pid!, "SIGTERM");
    await server.ended;
    const databases = (await readdir(cache)).filter((name) => name.endsWith(".sqlite"));
    assert.equal(databases.length, 2, "one database per model");
    for (const name of databases) {
      const sql = "PRAGMA integrity_check; SELECT model_asked, outcome, codec FROM entry";
      assert.match(execFileSync("sqlite3", [join(cache, name), sql], { encoding: "utf8" }), /^ok\nkjv-tiny/);
    }
  });

  for (
    const [title, flags, message] of [
      ["an unknown flag", ["--prot", "1"], /--prot/],
      ["a port that is none", ["--port", "70000"], /70000/],
      ["room for no model", ["--max-loaded-models", "0"], /max-loaded-models/],
      ["a size that is none", ["--max-memory", "4XB"], /max-memory.*number of bytes, such as.*4XB/],
      ["no memory on the GPU", ["--max-gpu-memory", "0"], /max-gpu-memory.*: 0/],
      ["a duration that is none", ["--keep-alive", "soon"], /keep-alive.*"10m", 0 or -1: "soon"/],
      ["a word that is no command", ["sp"], /too many arguments.*sp/],
      ["a public address without a key", ["--host", "0.0.0.0"], /API key/],
      ["a settings file that is missing", ["--config", "/nowhere/warmcache.json"], /nowhere/],
    ] as const
  ) {
    it(`refuses ${title} with exit status 2`, async () => {
      using server = start(...flags);
      assert.equal(await server.ended, 2);
      assert.match(server.output(), message);
    });
  }
});
