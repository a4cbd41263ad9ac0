/** What the environment says about a cache, and when what is said in code wins. */

import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { describe, it } from "node:test";
import type { ResponseCache } from "../../mod.ts";
import { openCacheOn, type OpenCacheOptions } from "../../src/compose/open_cache.ts";
import { readEnvironment } from "../../src/compose/environment.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { temporaryFolder } from "../support/temporary.ts";

const REQUEST = { model: "m", messages: [{ role: "user", content: "Say hi" }] };
const ANSWER = { choices: [{ message: { content: "hi" }, finish_reason: "stop" }] };

type Variables = Readonly<Record<string, string>>;

const machine = await loadRuntime();

function read(variables: Variables): object {
  return readEnvironment({ environment: (name) => variables[name] });
}

async function open(variables: Variables, options: OpenCacheOptions = {}): Promise<ResponseCache> {
  return await openCacheOn({ ...machine, environment: (name) => variables[name] }, options);
}

/** Asks twice; how often the provider was called. */
async function callsOfTwo(cache: ResponseCache): Promise<number> {
  let calls = 0;
  for (let time = 0; time < 2; time++) {
    await cache.wrap(REQUEST, () => {
      calls++;
      return Promise.resolve(ANSWER);
    });
  }
  return calls;
}

describe("the environment", () => {
  it("that says nothing, or may not be read, changes nothing", () => {
    assert.deepEqual(read({}), { isOff: false });
    assert.deepEqual(read({ WARMCACHE_BACKEND: "", WARMCACHE_DIR: "", WARMCACHE_TTL: "", NO_CACHE: "" }), {
      isOff: false,
    });
  });

  it("says everything that programs may want to know", () => {
    const variables = {
      WARMCACHE_BACKEND: "memory, SQLite,redis",
      WARMCACHE_DIR: "/somewhere",
      WARMCACHE_REDIS_URL: "rediss://one:6380/2",
      WARMCACHE_REDIS_USERNAME: "me",
      WARMCACHE_REDIS_PASSWORD: "secret",
      WARMCACHE_NAMESPACE: "mine",
      WARMCACHE_MODE: "replay",
      WARMCACHE_MAX_BYTES: "1.5 GiB",
      WARMCACHE_TTL: "7d",
    };
    assert.deepEqual(read(variables), {
      isOff: false,
      backends: ["memory", "sqlite", "redis"],
      directory: "/somewhere",
      redis: { url: "rediss://one:6380/2", username: "me", password: "secret" },
      namespace: "mine",
      mode: "replay",
      maxBytes: 1.5 * 2 ** 30,
      ttl: 7 * 86_400_000,
    });
  });

  it("takes several URLs for nodes of a Cluster", () => {
    assert.deepEqual(read({ WARMCACHE_REDIS_URL: "redis://a:1, redis://b:2" }), {
      isOff: false,
      redis: { urls: ["redis://a:1", "redis://b:2"] },
    });
  });

  it("takes sizes and times as people write them", () => {
    const bytes = { "7": 7, "7b": 7, "500MB": 5e8, "2GiB": 2 ** 31, "1 kib": 1024, "1.5kB": 1500, "1TB": 1e12 };
    for (const [text, maxBytes] of Object.entries(bytes)) {
      assert.deepEqual(read({ WARMCACHE_MAX_BYTES: text }), { isOff: false, maxBytes });
    }
    const times = {
      "7": 7,
      "7ms": 7,
      "45s": 45e3,
      "30m": 18e5,
      "12H": 432e5,
      "1h30m": 54e5,
      "2w": 12096e5,
      "0.5d": 432e5,
    };
    for (const [text, ttl] of Object.entries(times)) {
      assert.deepEqual(read({ WARMCACHE_TTL: text }), { isOff: false, ttl });
    }
  });

  it("that makes no sense is refused: which variable, what it said, what it could say", () => {
    const wrong: [string, string, RegExp][] = [
      ["WARMCACHE_BACKEND", "papyrus", /it can be file, sqlite, redis, remote, memory, or several .*\): papyrus$/],
      ["WARMCACHE_BACKEND", "sqlite,,redis", /: sqlite,,redis$/],
      ["WARMCACHE_MODE", "on", /read-write, read-only, .*\): on$/],
      ["WARMCACHE_MAX_BYTES", "lots", /such as 500000000, 500MB or 2GiB\): lots$/],
      ["WARMCACHE_MAX_BYTES", "0", /: 0$/],
      ["WARMCACHE_MAX_BYTES", "-5", /: -5$/],
      ["WARMCACHE_MAX_BYTES", "1e9", /: 1e9$/],
      ["WARMCACHE_MAX_BYTES", "5 toString", /: 5 toString$/],
      ["WARMCACHE_TTL", "soon", /such as 7d, 12h, .*\): soon$/],
      ["WARMCACHE_TTL", "0", /: 0$/],
      ["WARMCACHE_TTL", "7 days", /: 7 days$/],
    ];
    for (const [name, value, message] of wrong) {
      assert.throws(() => read({ [name]: value }), (error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, message);
        return error.message.startsWith(`Cannot use the environment variable ${name}`);
      });
    }
  });

  it("refuses a URL of Redis by the variable's name, without repeating what may be in it", async () => {
    const variables = { WARMCACHE_BACKEND: "redis", WARMCACHE_REDIS_URL: "http://user:secret@host" };
    await assert.rejects(open(variables), (error) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /WARMCACHE_REDIS_URL/);
      return !error.message.includes("secret");
    });
  });
});

describe("openCache in an environment", () => {
  it("keeps its files where that says, unless the code says where", async () => {
    const [said, own] = [await temporaryFolder(), await temporaryFolder()];
    for (const options of [{}, { directory: own }]) {
      await using cache = await open({ WARMCACHE_DIR: said }, options);
      await cache.put(REQUEST, ANSWER);
    }
    for (const directory of [said, own]) {
      assert.equal((await readdir(directory)).filter((name) => name.endsWith(".sqlite")).length, 1);
    }
  });

  it("uses the backend, or the tiers, that it names, unless the code names one", async () => {
    const variables = { WARMCACHE_DIR: await temporaryFolder(), WARMCACHE_BACKEND: "memory,file" };
    await using tiers = await open(variables);
    assert.equal((await tiers.stats()).store?.name, "file");
    assert.equal(await callsOfTwo(tiers), 1);
    await using other = await open(variables, { backend: "memory" });
    assert.equal((await other.stats()).store?.name, "memory");
    await using others = await open(variables, { tiers: ["sqlite"] });
    assert.equal((await others.stats()).store?.name, "sqlite");
  });

  it("keeps namespaces apart", async () => {
    const WARMCACHE_DIR = await temporaryFolder();
    await using mine = await open({ WARMCACHE_DIR, WARMCACHE_NAMESPACE: "mine" });
    assert.equal(await callsOfTwo(mine), 1);
    await mine.close();
    await using plain = await open({ WARMCACHE_DIR });
    assert.equal(await plain.get(REQUEST), undefined);
    await using coded = await open({ WARMCACHE_DIR }, { namespace: "mine" });
    assert.notEqual(await coded.get(REQUEST), undefined);
  });

  it("goes by the mode it names, unless the code names one", async () => {
    const variables = { WARMCACHE_DIR: await temporaryFolder(), WARMCACHE_MODE: "replay" };
    await using cache = await open(variables);
    await assert.rejects(callsOfTwo(cache), { code: "replay_miss" });
    await using own = await open({ ...variables, WARMCACHE_DIR: await temporaryFolder() }, { mode: "refresh" });
    assert.equal(await callsOfTwo(own), 2);
  });

  it("keeps answers for as long as that says, unless the code says how long", async () => {
    let now = Date.now();
    const clock = { ...machine.clock, now: () => now };
    for (const [options, calls] of [[{}, 1], [{ ttl: 3_600_000 }, 0]] as const) {
      const runtime = { ...machine, clock, environment: (name: string) => name === "WARMCACHE_TTL" ? "1m" : undefined };
      await using cache = await openCacheOn(runtime, { backend: "memory", ...options });
      await cache.put(REQUEST, ANSWER);
      now += 60_000;
      let bought = 0;
      await cache.wrap(REQUEST, () => {
        bought++;
        return Promise.resolve(ANSWER);
      });
      assert.equal(bought, calls);
    }
  });

  it("refuses a limit where it could not be kept", async () => {
    const directory = await temporaryFolder();
    for (const backend of ["file", "redis"] as const) {
      await assert.rejects(open({ WARMCACHE_MAX_BYTES: "1MB" }, { backend, directory }), RangeError);
    }
  });

  for (const value of ["1", "true", "yes", "no"]) {
    it(`is off where NO_CACHE is ${value}, whatever else is said, and makes nothing`, async () => {
      const directory = await temporaryFolder();
      const variables = { NO_CACHE: value, WARMCACHE_MODE: "replay", WARMCACHE_TTL: "nonsense" };
      await using cache = await open(variables, {
        directory,
        mode: "read-write",
        tiers: ["memory", "sqlite", "redis"],
      });
      assert.equal(await callsOfTwo(cache), 2);
      assert.equal(await cache.get(REQUEST), undefined);
      assert.deepEqual(await readdir(directory), []);
      // A call that would only replay, or only refresh, goes to the provider, too, and leaves nothing.
      for (const mode of ["replay", "refresh", "read-write"] as const) {
        assert.equal((await cache.wrap(REQUEST, () => Promise.resolve({ ...ANSWER, id: mode }), { mode })).id, mode);
      }
    });
  }

  for (const value of ["", "0", "false", "FALSE"]) {
    it(`is on where NO_CACHE is "${value}"`, async () => {
      await using cache = await open({ NO_CACHE: value }, { backend: "memory" });
      assert.equal(await callsOfTwo(cache), 1);
    });
  }

  it("still refuses what makes no sense where it is off: the mistake would be found later", async () => {
    await assert.rejects(open({ NO_CACHE: "1" }, { backend: "papyrus" as "file" }), TypeError);
  });
});
