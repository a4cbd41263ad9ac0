/** What the command line, the environment and `warmcache.json` say about the proxy. */

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readCommandLine, type Settings } from "../../src/cli/settings.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** The settings of a command line and a settings file. */
async function read(args: readonly string[], file: object = {}): Promise<Settings> {
  const path = join(await temporaryFolder(), "warmcache.json");
  await writeFile(path, JSON.stringify(file));
  return (await readCommandLine(await loadRuntime(), ["--config", path, ...args])).settings;
}

describe("the settings of the proxy", () => {
  it("name several keys, one a flag or several with commas between, and leave commands alone", async () => {
    assert.deepEqual((await read(["--api-key", "a=1", "--api-key", "2,b=3", "ps"])).apiKey, ["a=1", "2", "b=3"]);
    assert.deepEqual((await read([], { apiKey: "one" })).apiKey, ["one"]);
    assert.deepEqual((await read([], { apiKey: ["one", "b=two"] })).apiKey, ["one", "b=two"]);
    assert.equal((await read([])).apiKey, undefined);
    assert.deepEqual((await read(["--api-key", ""])).apiKey, [""], "which the server refuses");
  });

  it("name upstreams by flags, and with more than a URL in the file", async () => {
    const groq = "groq=https://api.groq.com/openai";
    assert.deepEqual((await read(["--upstream", groq, "--upstream", "a=http://h"])).upstream, [groq, "a=http://h"]);
    const upstreams = { groq: { url: "https://api.groq.com/openai", apiKeyEnvironment: "GROQ" } };
    assert.deepEqual(JSON.parse((await read([], { upstreams })).upstreams!), upstreams);
  });

  it("say whether the cache is shared", async () => {
    assert.equal((await read([])).sharedCache, undefined);
    assert.equal((await read(["--shared-cache"])).sharedCache, true);
    assert.equal((await read([], { sharedCache: true })).sharedCache, true);
    assert.equal((await read([], { sharedCache: false })).sharedCache, false);
  });
});
