/** `--check`: what the server would run with, and what is wrong with it, without listening. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Checked, checkSettings } from "../../src/cli/check.ts";
import { copyModel, MODELS } from "../support/models.ts";
import { commandOf, HERE } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { machineWith, readSaid, type Said } from "./support.ts";

/** What is found about what is said, on a machine with these models and an empty folder for the cache. */
async function checked(said: Said): Promise<Checked> {
  const flags = [
    "--models",
    MODELS,
    "--no-hub",
    "--cache",
    join(await temporaryFolder(), "a", "b"),
    ...said.flags ?? [],
  ];
  return await checkSettings(await machineWith(said.variables ?? {}), await readSaid({ ...said, flags }));
}

/** Messages of a level. */
function messages({ problems }: Checked, level: "error" | "warning"): string[] {
  return problems.filter((problem) => problem.level === level).map(({ message }) => message);
}

describe("checkSettings", () => {
  it("finds nothing wrong with the defaults, and the models", async () => {
    const found = await checked({});
    assert.deepEqual([found.ok, found.problems], [true, []]);
    assert.deepEqual(found.models.map(({ id }) => id), ["kjv-tiny", "kjv-tiny+fortunes"]);
  });

  it("says of each setting what holds, and who said it", async () => {
    const { settings } = await checked({
      flags: ["--port", "80"],
      variables: { WARMCACHE_MAX_MEMORY: "2GiB" },
      file: { loadTimeout: "5s" },
    });
    const of = (name: string) => settings.find((setting) => setting.name === name);
    assert.deepEqual(of("port"), { name: "port", value: 80, from: "flag", where: "--port" });
    assert.deepEqual(of("maxMemory"), {
      name: "maxMemory",
      value: "2GiB",
      from: "environment",
      where: "WARMCACHE_MAX_MEMORY",
    });
    assert.deepEqual(of("host"), { name: "host", value: "127.0.0.1", from: "default" });
    const { value, from, where } = of("loadTimeout")!;
    assert.deepEqual([value, from], ["5s", "file"]);
    assert.match(where!, /warmcache\.json:1:16$/);
  });

  it("shows no secret", async () => {
    const found = await checked({
      flags: ["--api-key", "alice=hush1,hush2"],
      variables: { WARMCACHE_ADMIN_KEY: "root=hush3" },
      file: {
        apiKeys: ["bob=hush4", "hush5", { id: "carol", key: "hush6", scopes: ["models"] }],
        upstreams: { a: { url: "http://h", apiKey: "hush7" } },
      },
    });
    const of = (name: string) => found.settings.find((setting) => setting.name === name)!.value;
    assert.equal(found.ok, true);
    assert.doesNotMatch(JSON.stringify(found), /hush/);
    assert.deepEqual(of("apiKey"), ["alice=…", "…"]);
    assert.deepEqual(of("adminKey"), ["root=…"]);
    assert.deepEqual(of("apiKeys"), ["bob=…", "…", { id: "carol", key: "…", scopes: ["models"] }]);
    assert.deepEqual(of("upstreams"), { a: { url: "http://h", apiKey: "…" } });
  });

  it("finds everything that keeps a server from starting, at once", async () => {
    const found = await checked({
      flags: ["--host", "0.0.0.0", "--upstream", "b=http://h"],
      file: {
        apiKeys: [{ id: "ci", keyEnvironment: "CI_KEY" }, { id: "cd", keyEnvironment: "CD_KEY" }],
        upstreams: { a: { url: "http://h", apiKeyEnvironment: "A_KEY" } },
      },
    });
    assert.equal(found.ok, false);
    const errors = messages(found, "error");
    assert.deepEqual(errors.map((message) => /C[ID]_KEY|A_KEY/.exec(message)?.[0]), ["CI_KEY", "CD_KEY", "A_KEY"]);
  });

  it("finds an address off this machine without a key", async () => {
    assert.match(messages(await checked({ flags: ["--host", "0.0.0.0"] }), "error").join(), /without an API key/);
    assert.equal((await checked({ flags: ["--host", "0.0.0.0", "--api-key", "k"] })).ok, true);
  });

  it("finds two keys that are not told apart, and an empty one", async () => {
    assert.match(messages(await checked({ flags: ["--api-key", "a=1,a=2"] }), "error").join(), /not told apart: a/);
    assert.match(messages(await checked({ variables: { WARMCACHE_API_KEY: "" } }), "error").join(), /empty API key/);
  });

  it("tells what is wrong with the settings, and looks at the folders nevertheless", async () => {
    const found = await checked({ flags: ["--port", "x", "--host", "0.0.0.0", "--models", "/nowhere"] });
    assert.deepEqual(messages(found, "error"), ['expected a whole number from 0 to 65535: "x"']);
    assert.deepEqual(messages(found, "warning"), ["the models folder is not there: /nowhere"]);
  });

  it("warns of models that cannot be used, and of those to load that are not there", async () => {
    const models = join(await temporaryFolder(), "models");
    await copyModel(models, "one");
    await mkdir(join(models, "two", "onnx"), { recursive: true });
    await writeFile(join(models, "two", "config.json"), "{}");
    const found = await checked({ flags: ["--models", models, "--pin", "three", "--preload", "one", "a+b+c"] });
    assert.equal(found.ok, true, "the server would start");
    const [two, three, abc, ...more] = messages(found, "warning");
    assert.match(two!, /^two cannot be used: it lacks /);
    assert.match(three!, /three/);
    assert.match(abc!, /a\+b\+c/);
    assert.deepEqual(more, []);
  });

  it("finds a cache that nothing can be kept in", async () => {
    const file = join(await temporaryFolder(), "file");
    await writeFile(file, "");
    const flags = ["--cache", join(file, "cache")];
    assert.match(messages(await checked({ flags }), "error").join(), /^nothing can be kept in .*file.cache: /);
    const elsewhere = await checked({ flags, variables: { WARMCACHE_BACKEND: "redis" } });
    assert.deepEqual([elsewhere.ok, messages(elsewhere, "warning").length], [true, 1], "answers are kept elsewhere");
  });

  it("finds what the environment says of the cache and cannot be", async () => {
    assert.match(
      messages(await checked({ variables: { WARMCACHE_BACKEND: "tape" } }), "error").join(),
      /WARMCACHE_BACKEND/,
    );
  });

  it("leaves no folder behind", async () => {
    const folder = await temporaryFolder();
    await checked({ flags: ["--cache", join(folder, "deep", "cache")] });
    assert.deepEqual(await readdir(folder), []);
    await mkdir(join(folder, "cache"));
    await checked({ flags: ["--cache", join(folder, "cache")] });
    assert.deepEqual(await readdir(folder, { recursive: true }), ["cache"]);
  });
});

describe("server.ts --check", () => {
  const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

  async function run(...flags: string[]): Promise<{ status: number; output: string; errors: string }> {
    const [program, ...before] = commandOf(HERE)!;
    return await new Promise((resolve) => {
      execFile(program, [...before, SERVER, ...flags], (error, output, errors) => {
        resolve({ status: error === null ? 0 : Number(error.code), output, errors });
      });
    });
  }

  it("prints a table and ends with 0", async () => {
    const { status, output, errors } = await run("--check", "--models", MODELS, "--cache", await temporaryFolder());
    assert.deepEqual([status, errors], [0, ""]);
    assert.match(output, /^SETTING +FROM +VALUE\nhost +default +127\.0\.0\.1\n/);
    assert.match(output, /models: kjv-tiny, kjv-tiny\+fortunes.*\n0 errors, 0 warnings\n$/);
  });

  it("gives each entry of a list a line, so that what is long makes nothing else wide", async () => {
    const config = join(await temporaryFolder(), "warmcache.json");
    const sha256 = "a".repeat(64);
    await writeFile(
      config,
      JSON.stringify({ pin: [], apiKeys: [{ id: "a", sha256 }, { id: "b", key: "s".repeat(32) }] }),
    );
    await chmod(config, 0o600);
    const { output } = await run("--check", "--config", config, "--models", MODELS, "--cache", await temporaryFolder());
    assert.match(output, /\npin +\S+:1:8 +none\n/);
    assert.match(output, /\napiKeys +\S+:1:21 +\{"id":"a","sha256":"a{64}"\}\n +\{"id":"b","key":"…"\}\n/);
    for (const line of output.split("\n").filter((each) => !each.includes(sha256))) assert.ok(line.length < 160, line);
  });

  it("prints JSON, and ends with 2 where the server could not start", async () => {
    const config = join(await temporaryFolder(), "warmcache.json");
    await writeFile(config, '{ "port": "80" }');
    const { status, output } = await run("--check", "--json", "--config", config);
    const { ok, problems } = JSON.parse(output);
    assert.deepEqual([status, ok, problems[0].where], [2, false, `${config}:1:11`]);
    assert.match(problems[0].excerpt, /\^\^\^\^$/);
  });

  it("goes with no command, and --json with nothing else", async () => {
    for (const flags of [["--check", "ps"], ["--json"]]) {
      const { status, errors } = await run(...flags);
      assert.equal(status, 2);
      assert.match(errors, /--check/);
    }
  });

  it("is not needed to be told what is wrong: no server starts with settings that cannot be", async () => {
    const { status, errors } = await run("--port", "x", "--max-queue", "0");
    assert.equal(status, 2);
    assert.match(errors, /^error: --port: .*: "x"\nerror: --max-queue: .*: 0\n$/);
  });
});
