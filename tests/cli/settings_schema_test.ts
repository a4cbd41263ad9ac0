/** `schema/warmcache.schema.json` and the program are of one opinion, by an independent validator's judgement. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { readSettings } from "../../src/cli/settings_file.ts";
import { SETTINGS } from "../../src/cli/settings_table.ts";
import { generatedFiles } from "../../schema/generate.ts";
import { pathOf } from "../house/module_graph.ts";

const DIGEST = "0123456789abcdef".repeat(4);

/** What a file may say, by setting; and what it may not. */
const CORPUS: Readonly<Record<string, { readonly taken: readonly unknown[]; readonly refused: readonly unknown[] }>> = {
  $schema: { taken: ["./x.json"], refused: [3] },
  host: { taken: ["127.0.0.1", "::1", "h"], refused: ["", " ", 1, null] },
  port: { taken: [0, 8787, 65535, 80.0], refused: [-1, 65536, 1.5, "80", null, true] },
  serverName: { taken: ["a", "node-1:8787", "A.b_c"], refused: ["", "-a", "a b", "a".repeat(65), 1] },
  models: { taken: ["models", "/srv"], refused: ["", false] },
  hub: { taken: ["/hub", false], refused: [true, "", null, 0] },
  maxLoadedModels: { taken: [1, 1000], refused: [0, 1001, 2.5, "2"] },
  maxMemory: {
    taken: [1, 5e8, "1", "500MB", "2GiB", "1.5 GiB", "0.5gb", "4kB", "7b", "8 TB", "0.001KB"],
    refused: [0, -1, 1.5, "", "0", "0.5", "0MB", "0.0001KB", "4XB", "MB", "1e9", "-1GB", "9999TB", "1,5GB", "4K", true],
  },
  maxGpuMemory: { taken: ["8GB"], refused: ["8G"] },
  keepAlive: {
    taken: [0, -1, 1.5, "10m", "-1m", "1h30m", "300", "2w"],
    refused: ["", "soon", "m", "1 m", true, "--1"],
  },
  preload: { taken: [[], ["a"], ["a", "b:q4+c"]], refused: ["a", [""], [1], {}] },
  pin: { taken: [["a"]], refused: [null] },
  loadTimeout: {
    taken: [1, 0.5, 604800, "500ms", "30s", "1.5m", "1h", "99h"],
    refused: [0, -1, 604801, "0s", "30", "1d", "1h30m", "100000s", "s", ""],
  },
  cache: { taken: [".warmcache"], refused: [""] },
  locking: { taken: ["shared", "exclusive"], refused: ["none", ""] },
  sharedCache: { taken: [true, false], refused: ["true", 1] },
  upstreams: {
    taken: [
      {},
      { groq: { url: "https://api.groq.com/openai" } },
      { openai: { url: "http://[::1]:80/", apiKey: "sk-1" }, "a.b_c-1": { url: "HTTP://h", apiKeyEnvironment: "K" } },
      { a: { url: "http://h/a@b", answerTimeout: 0.5, idleTimeout: 1 } },
    ],
    refused: [
      [],
      { A: { url: "http://h" } },
      { health: { url: "http://h" } },
      { "": { url: "http://h" } },
      { a: {} },
      { a: "http://h" },
      { a: { url: "ftp://h" } },
      { a: { url: "http://" } },
      { a: { url: "http://u:p@h" } },
      { a: { url: "http://h?k=1" } },
      { a: { url: "http://h#f" } },
      { a: { url: "http://h", apiKey: "" } },
      { a: { url: "http://h", apiKey: "a b" } },
      { a: { url: "http://h", apiKey: "a", apiKeyEnvironment: "B" } },
      { a: { url: "http://h", apiKeyEnvironment: "a-b" } },
      { a: { url: "http://h", answerTimeout: 0 } },
      { a: { url: "http://h", timeout: 1 } },
    ],
  },
  apiKeys: {
    taken: [
      [],
      ["k", "id=k"],
      [{ key: "k" }, { id: "a", keyEnvironment: "K" }, { sha256: DIGEST }, { sha256: DIGEST.toUpperCase() }],
      [{ key: "k", scopes: ["models", "proxy", "cache", "status", "admin"], requestsPerMinute: 0.5 }],
    ],
    refused: [
      "k",
      [""],
      [" "],
      [1],
      [null],
      [{}],
      [{ id: "a" }],
      [{ key: "k", sha256: DIGEST }],
      [{ key: "" }],
      [{ id: "a b", key: "k" }],
      [{ id: "", key: "k" }],
      [{ sha256: "abc" }],
      [{ keyEnvironment: "" }],
      [{ key: "k", scopes: [] }],
      [{ key: "k", scopes: ["all"] }],
      [{ key: "k", requestsPerMinute: 0 }],
      [{ key: "k", scope: ["models"] }],
    ],
  },
  allowedHosts: {
    taken: [[], ["a.example", "10.0.0.1", "[::1]", "fd00::1"]],
    refused: ["a", [""], ["http://a"], ["a/b"], ["a b"], ["h:80"]],
  },
  corsOrigins: {
    taken: [[], ["https://a.example", "http://localhost:5173"], ["*"], ["chrome-extension://abc"]],
    refused: [["a"], ["https://a/"], ["https://A"], "*"],
  },
  limits: {
    taken: [{}, { maxBodyBytes: 1 }, { maxBodyBytes: "64MiB", maxQueue: 1, maxQueuePerModel: 9, maxStreams: 7 }, {
      requestsPerMinute: 0.1,
    }],
    refused: [3, [], { maxBodyBytes: 0 }, { maxQueue: 0 }, { maxStreams: "7" }, { requestsPerMinute: 0 }, { speed: 1 }],
  },
  headerTimeout: { taken: [30], refused: [0] },
  drainDelay: { taken: [0, "0s", "5s"], refused: [-1, "-1s"] },
  drainTimeout: { taken: [0, 30, "1m"], refused: [-1, "1d"] },
  logLevel: { taken: ["error", "warn", "info", "debug"], refused: ["loud"] },
  logFormat: { taken: ["text", "json"], refused: ["xml"] },
};

describe("the schema of the settings file", () => {
  it("and the tables of the manual are what the settings are now", async () => {
    for (const [file, text] of await generatedFiles()) {
      assert.equal(await readFile(file, "utf8"), text, `${file.pathname} is out of date: run deno task schema`);
    }
  });

  it("is JSON Schema 2020-12, and knows every setting that a file may have", async () => {
    const { schema, validator } = await theSchema();
    assert.equal(validator.validateSchema(schema), true);
    const names = SETTINGS.filter(({ inFile }) => inFile).map(({ name }) => name.split(".")[0]!);
    assert.deepEqual(Object.keys(schema.properties).sort(), [...new Set(["$schema", ...names])].sort());
    assert.deepEqual(Object.keys(CORPUS).sort(), Object.keys(schema.properties).sort(), "the test knows them too");
  });

  for (const [name, { taken, refused }] of Object.entries(CORPUS)) {
    it(`takes and refuses what the program does: ${name}`, async () => {
      const { schema, validator } = await theSchema();
      const validate = validator.compile(schema);
      for (const [values, isFine] of [[taken, true], [refused, false]] as const) {
        for (const value of values) {
          const file = { [name]: value };
          const { problems } = readSettings(JSON.stringify(file), "F");
          const verdicts = { program: problems.length === 0, schema: validate(file) };
          assert.deepEqual(verdicts, { program: isFine, schema: isFine }, JSON.stringify(file));
        }
      }
    });
  }

  it("says of each setting what it is, and of each secret that it is not to be shown", async () => {
    const { schema } = await theSchema();
    const { properties } = schema;
    for (const [name, { description }] of Object.entries<{ description: string }>(properties)) {
      assert.match(description, /^[A-Z]/, name);
    }
    const [text, object] = properties.apiKeys.items.anyOf;
    assert.ok(text.writeOnly && object.properties.key.writeOnly);
    assert.ok(properties.upstreams.additionalProperties.properties.apiKey.writeOnly);
  });
});

async function theSchema() {
  const schema = JSON.parse(await readFile(pathOf("schema/warmcache.schema.json"), "utf8"));
  const validator = new Ajv2020({ strict: true, strictRequired: false, validateFormats: false });
  // Words for editors, which say nothing about what is valid.
  for (const word of ["allowComments", "allowTrailingCommas"]) validator.addKeyword(word);
  return { schema, validator };
}
