/** How a server tells which of several it is, and where its answers are. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type RunningServer, type ServerOptions, startServerOn } from "../../src/compose/server.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { getJson, post, testServer } from "../server/support.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** A server that finds variables in its environment. */
async function serverIn(environment: Record<string, string>, options: ServerOptions = {}): Promise<RunningServer> {
  const machine = { ...await loadRuntime(), environment: (name: string) => environment[name] };
  return await startServerOn(machine, { port: 0, models: MODELS, cache: await temporaryFolder(), ...options });
}

describe("serverName", () => {
  it("is told in every answer, refusals and errors included", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), serverName: "s1" });
    const answers = [
      await fetch(`${server.url}/health`),
      await fetch(`${server.url}/nowhere`),
      await fetch(`${server.url}/v1/completions`),
      await post(server, "/v1/completions", "no JSON"),
      await post(server, "/v1/completions", { model: "nobody", prompt: "In" }),
      await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 1 }),
      await post(server, "/v1/completions", { model: "kjv-tiny", prompt: "In", max_tokens: 1, stream: true }),
    ];
    assert.deepEqual(answers.map(({ status }) => status), [200, 404, 405, 400, 404, 200, 200]);
    assert.deepEqual([...new Set(answers.map(({ headers }) => headers.get("X-Served-By")))], ["s1"]);
    for (const answer of answers) await answer.text();
  });

  it("comes with the header by which a proxy may have chosen the server", async () => {
    await using server = await testServer({ cache: await temporaryFolder(), serverName: "s1" });
    const headers = { "X-Warmcache-Model": "kjv-tiny:fp32" };
    const answer = await post(server, "/v1/completions", { model: "nobody", prompt: "In" }, null, headers);
    assert.equal(answer.headers.get("X-Warmcache-Model"), "kjv-tiny:fp32");
    await answer.text();
  });

  it("is told by nobody who has none", async () => {
    await using server = await testServer({ cache: await temporaryFolder() });
    const answer = await fetch(`${server.url}/health`, { headers: { "X-Warmcache-Model": "kjv-tiny" } });
    assert.equal(answer.headers.get("X-Served-By"), null);
    assert.equal(answer.headers.get("X-Warmcache-Model"), null);
    await answer.text();
  });

  for (const serverName of ["", "a b", "s1\r\nX-Evil: 1", "-s1", "é", "s".repeat(65)]) {
    it(`cannot be ${JSON.stringify(serverName)}`, async () => {
      const starting = testServer({ cache: await temporaryFolder(), serverName });
      await assert.rejects(starting, { name: "TypeError", message: /serverName has to be/ });
    });
  }
});

describe("cachePlace", () => {
  it("is the cache's folder, by default", async () => {
    const cache = await temporaryFolder();
    await using server = await serverIn({}, { cache });
    assert.equal(server.cachePlace, cache);
  });

  it("is Redis where answers are kept there, without its password", async () => {
    const urls = "redis://:secret@127.0.0.1:1,redis://127.0.0.1:2";
    await using server = await serverIn({ WARMCACHE_BACKEND: "redis", WARMCACHE_REDIS_URL: urls });
    assert.match(server.cachePlace, /127\.0\.0\.1:1\b.*127\.0\.0\.1:2/);
    assert.doesNotMatch(server.cachePlace, /secret/);
  });

  it("names both where there are two", async () => {
    const cache = await temporaryFolder();
    const environment = { WARMCACHE_BACKEND: "sqlite,redis", WARMCACHE_REDIS_URL: "redis://127.0.0.1:1" };
    await using server = await serverIn(environment, { cache });
    assert.match(server.cachePlace, /^sqlite \(.+\), redis \(redis:\/\/127\.0\.0\.1:1/);
    assert.ok(server.cachePlace.includes(cache));
  });

  it("says that there is none", async () => {
    await using server = await serverIn({ NO_CACHE: "1" });
    assert.match(server.cachePlace, /^off/);
  });

  it("has no problem with a folder that cannot be written to, where answers are kept elsewhere", async () => {
    const cache = join(await temporaryFolder(), "file");
    await writeFile(cache, "");
    await using server = await serverIn({ WARMCACHE_BACKEND: "memory" }, { cache });
    assert.equal(server.cacheProblem, undefined);
    assert.equal((await getJson(server, "/health")).status, "ok");
    await using onDisk = await serverIn({ WARMCACHE_BACKEND: "memory,sqlite" }, { cache });
    assert.match(onDisk.cacheProblem!, /file/);
  });
});
