/** What flags, variables and `warmcache.json` say, and which of them wins. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serverOptions } from "../../src/cli/server_options.ts";
import { SETTINGS } from "../../src/cli/settings_table.ts";
import { KEY_SCOPES } from "../../src/http/auth.ts";
import { readSaid, type Said } from "./support.ts";

/** The settings of what is said, in which there is nothing wrong. */
async function settings(said: Said) {
  const { settings, problems } = await readSaid(said);
  assert.deepEqual(problems, []);
  return settings;
}

describe("settings", () => {
  it("have defaults", async () => {
    const { host, port, models, cache, maxLoadedModels, drainTimeout, logLevel, limits } = await settings({});
    assert.deepEqual([host, port, models, cache], ["127.0.0.1", 8787, "models", ".warmcache"]);
    assert.deepEqual([maxLoadedModels, drainTimeout, logLevel, limits], [2, 30_000, "info", undefined]);
  });

  it("come from flags before variables before the file", async () => {
    const file = { port: 1, host: "a", models: "m" };
    const variables = { WARMCACHE_PORT: "2", WARMCACHE_HOST: "b" };
    const { settings, sources } = await readSaid({ file, variables, flags: ["--port", "3"] });
    assert.deepEqual([settings.port, settings.host, settings.models, settings.cache], [3, "b", "m", ".warmcache"]);
    const from = (["port", "host", "models", "cache"] as const).map((name) => sources.get(name)!.from);
    assert.deepEqual(from, ["flag", "environment", "file", "default"]);
    assert.deepEqual([sources.get("port")!.where, sources.get("host")!.where], ["--port", "WARMCACHE_HOST"]);
    assert.match(sources.get("models")!.where!, /warmcache\.json:1:31$/);
  });

  it("mean the same wherever they are said", async () => {
    const said: readonly Said[] = [
      {
        file: {
          port: 80,
          maxMemory: "2GiB",
          keepAlive: "10m",
          pin: ["a", "b"],
          loadTimeout: 5,
          sharedCache: true,
          hub: false,
          corsOrigins: ["https://a.example"],
          limits: { maxBodyBytes: 1e6, maxQueue: 3, requestsPerMinute: 0.5 },
          drainTimeout: "1.5s",
          logFormat: "json",
        },
      },
      {
        variables: {
          WARMCACHE_PORT: "80",
          WARMCACHE_MAX_MEMORY: "2147483648",
          WARMCACHE_KEEP_ALIVE: "10m",
          WARMCACHE_PIN: "a, b",
          WARMCACHE_LOAD_TIMEOUT: "5000ms",
          WARMCACHE_SHARED_CACHE: "1",
          WARMCACHE_HUB: "false",
          WARMCACHE_CORS_ORIGIN: "https://a.example",
          WARMCACHE_MAX_BODY: "1MB",
          WARMCACHE_MAX_QUEUE: "3",
          WARMCACHE_REQUESTS_PER_MINUTE: "0.5",
          WARMCACHE_DRAIN_TIMEOUT: "1.5",
          WARMCACHE_LOG_FORMAT: "json",
        },
      },
      {
        flags: ["--port=80", "--max-memory", "2GiB", "--keep-alive", "10m", "--pin", "a", "b", "--load-timeout", "5s"]
          .concat(["--shared-cache", "--no-hub", "--cors-origin", "https://a.example", "--max-body", "1000000"])
          .concat(["--max-queue", "3", "--requests-per-minute", "0.5", "--drain-timeout", "1500ms"])
          .concat(["--log-format", "json"]),
      },
    ];
    const [first, ...others] = (await Promise.all(said.map(settings))).map(({ config: _, ...rest }) => rest);
    for (const other of others) assert.deepEqual(other, first);
    assert.deepEqual([first!.maxMemory, first!.loadTimeout, first!.hub], [2 ** 31, 5000, false]);
  });

  it("of the file keep their types", async () => {
    const file = { keepAlive: -1, preload: [], upstreams: {}, apiKeys: ["1"], limits: {} };
    const read = await settings({ file });
    assert.deepEqual([read.keepAlive, read.preload, read.upstreams, read.apiKeys], [-1, [], {}, ["1"]]);
  });

  it("are not said by a variable that is empty, but for one that looks like protection", async () => {
    assert.equal((await settings({ variables: { WARMCACHE_PORT: "", WARMCACHE_PRELOAD: "" } })).port, 8787);
    assert.deepEqual((await settings({ variables: { WARMCACHE_API_KEY: "" } })).apiKey, [""], "the server refuses it");
  });

  it("name several keys, one a flag or several with commas between, and leave commands alone", async () => {
    const flags = ["--api-key", "a=1", "--api-key", "2,b=3"];
    assert.deepEqual((await settings({ flags })).apiKey, ["a=1", "2", "b=3"]);
    assert.deepEqual((await settings({ flags: ["--api-key", ""] })).apiKey, [""], "which the server refuses");
  });

  it("name upstreams by flags, and with more than a URL in the file", async () => {
    const groq = { url: "https://api.groq.com/openai", apiKeyEnvironment: "GROQ" };
    const file = { upstreams: { groq, a: { url: "http://file" } } };
    const read = await settings({
      file,
      flags: ["--upstream", "a=http://flag", "--upstream", "b=http://b"],
    });
    const together = { groq, a: { url: "http://flag" }, b: { url: "http://b" } };
    assert.deepEqual(serverOptions(read).upstreams, together);
  });

  it("add up to the keys of all sources, those of --admin-key for everything", async () => {
    const file = { apiKeys: [{ id: "ci", keyEnvironment: "CI" }, "plain"] };
    const read = await settings({ file, variables: { WARMCACHE_ADMIN_KEY: "root=x=" }, flags: ["--api-key", "k"] });
    const admin = { id: "root", key: "x=", scopes: KEY_SCOPES };
    assert.deepEqual(serverOptions(read).apiKey, [{ id: "ci", keyEnvironment: "CI" }, "plain", "k", admin]);
  });

  it("have one name each, whichever way they are said", () => {
    const all = (of: (setting: typeof SETTINGS[number]) => string | undefined) =>
      SETTINGS.map(of).filter((name) => name !== undefined);
    for (const names of [all(({ name }) => name), all(({ flag }) => flag), all(({ variable }) => variable)]) {
      assert.equal(new Set(names).size, names.length);
    }
    assert.deepEqual(SETTINGS.filter(({ inFile, flag }) => !inFile && flag === undefined), [], "nobody could say it");
  });
});

describe("settings that make no sense", () => {
  for (
    const [flags, where, message] of [
      [["--port", "70000"], "--port", /^expected a whole number from 0 to 65535: 70000$/],
      [["--port", ""], "--port", /whole number/],
      [["--max-loaded-models", "1.5"], "--max-loaded-models", /from 1 to 1000: 1\.5$/],
      [["--max-memory", "4XB"], "--max-memory", /number of bytes, such as .*: "4XB"$/],
      [["--max-body", "0"], "--max-body", /: 0$/],
      [["--keep-alive", "soon"], "--keep-alive", /"10m", 0 or -1: "soon"$/],
      [["--load-timeout", "0"], "--load-timeout", /time above 0.*: 0$/],
      [["--drain-timeout", "8d"], "--drain-timeout", /a week at most/],
      [["--locking", "none"], "--locking", /^expected shared or exclusive: "none"$/],
      [["--shared-cache", "maybe"], "--shared-cache", /true or false: "maybe"$/],
      [["--server-name", "a b"], "--server-name", /64 letters/],
      [["--cors-origin", "https://a/b"], "--cors-origin", /without a path/],
      [["--upstream", "sk-secret"], "--upstream", /^expected name=url$/],
      [["--upstream", "a=http://user:secret@h"], "--upstream", /^expected an http: or https: URL[^@]*$/],
      [["--upstream", "health=http://h"], "--upstream", /begins no path/],
    ] as const
  ) {
    it(`are refused: ${flags.join(" ")}`, async () => {
      const { problems } = await readSaid({ flags });
      assert.deepEqual(problems.map((problem) => [problem.level, problem.where]), [["error", where]]);
      assert.match(problems[0]!.message, message);
    });
  }

  it("are told all at once, each with who said it", async () => {
    const said = {
      flags: ["--port", "x"],
      variables: { WARMCACHE_HUB: " ", WARMCACHE_LOG_LEVEL: "loud" },
      file: { hots: 1 },
    };
    const { problems } = await readSaid(said);
    assert.deepEqual(problems.map(({ where }) => where).sort(), [
      "--port",
      "F:1:2",
      "WARMCACHE_HUB",
      "WARMCACHE_LOG_LEVEL",
    ]);
  });
});
