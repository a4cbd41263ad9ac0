/** `warmcache.json`: what is wrong with it is told with its place, all at once, and without a secret. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readSettings, readSettingsFile } from "../../src/cli/settings_file.ts";
import { problemText } from "../../src/cli/settings_problem.ts";
import { pathOf } from "../house/module_graph.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { machineWith, readSaid } from "./support.ts";

/** Everything that is said of a text. */
function told(text: string): string {
  return readSettings(text, "F").problems.map(problemText).join("\n");
}

describe("the settings file", () => {
  it("may have comments, and commas at the end", () => {
    const { values, problems } = readSettings('// why\n{ "port": 1, /* so */ "pin": ["a",], }\n', "F");
    assert.deepEqual(problems, []);
    assert.deepEqual([values.get("port"), values.get("pin")!.value], [{ value: 1, where: "F:2:11" }, ["a"]]);
  });

  it("points at a wrong value with file, line, column, the line itself and carets", () => {
    assert.equal(
      told('{\n  "host": "h",\n  "port": "eighty"\n}'),
      'error: F:3:11: port: expected a whole number from 0 to 65535: "eighty"\n' +
        '  3 |   "port": "eighty"\n    |           ^^^^^^^^',
    );
  });

  it("suggests the known name nearest to one that it does not know, at each level", () => {
    assert.equal(
      told('{ "prot": 80, "limits": { "maxQueu": 3 } }'),
      [
        'error: F:1:3: unknown setting "prot"; did you mean "port"?',
        '  1 | { "prot": …, "limits": { "maxQueu": … } }',
        "    |   ^^^^^^",
        'error: F:1:27: unknown setting "limits.maxQueu"; did you mean "maxQueue"?',
        '  1 | { "prot": …, "limits": { "maxQueu": … } }',
        "    |                          ^^^^^^^^^",
      ].join("\n"),
    );
    assert.match(
      told('{ "limits": { "speed": 3 } }'),
      /unknown setting "limits\.speed"; known: maxBodyBytes, maxQueue/,
    );
  });

  it("tells everything at once, in the order of the file", () => {
    const text = '{\n"port": -1,\n"hub": true,\n"apiKeys": [{ "id": "a" }, { "key": "k", "scopes": ["all"] }],\n' +
      '"upstreams": { "A": { "url": "http://a" }, "b": { "url": "ftp://b" }, "c": {} },\n' +
      '"maxQueue": 1,\n"limits": 3,\n"port": 2 }';
    const places = [...told(text).matchAll(/^error: F:(\d+):\d+: (.*)$/gm)].map(([, line, message]) =>
      `${line} ${message}`
    );
    const expected = [
      /^2 port: expected a whole number from 0 to 65535: -1$/,
      /^3 hub: expected a folder, or false for none: true$/,
      /^4 apiKeys\.0: expected one of key, keyEnvironment, sha256$/,
      /^4 apiKeys\.1\.scopes\.0: expected one of models, proxy, cache, status, admin: "all"$/,
      /^5 upstreams\.A: expected a name of lower-case letters/,
      /^5 upstreams\.b\.url: expected an http: or https: URL .*: "ftp:\/\/b"$/,
      /^5 upstreams\.c\.url: it is missing: expected an http: or https: URL/,
      /^6 unknown setting "maxQueue"/,
      /^7 limits: expected an object$/,
      /^8 port: it is set twice$/,
    ];
    assert.equal(places.length, expected.length, places.join("\n"));
    for (const [index, pattern] of expected.entries()) assert.match(places[index]!, pattern);
  });

  it("points at what is no JSON", () => {
    for (
      const [text, place, message] of [
        ["", "F", "the file is empty; {} says nothing"],
        ["  \n", "F", "the file is empty; {} says nothing"],
        ['{ "port": 1 "host": "h" }', "F:1:13", "expected a comma"],
        ['{\n  "port" 1\n}', "F:2:10", "expected a colon"],
        ['{\n  "port": 1', "F:2:12", "expected }"],
        ['{ "pin": ["a" }', "F:1:15", "expected a comma"],
        ["{ port: 1 }", "F:1:3", "this is no JSON; text needs double quotes"],
        ["{ 'port': 1 }", "F:1:3", "this is no JSON; text needs double quotes"],
        ['{ "host": "h\n}', "F:1:11", "the text does not end"],
        ['{ "port": 1 } {}', "F:1:15", "expected nothing more"],
        ["[]", "F:1:1", 'expected an object such as { "port": 8787 }'],
        ["3", "F:1:1", 'expected an object such as { "port": 8787 }'],
      ] as const
    ) {
      const [first] = readSettings(text, "F").problems;
      assert.deepEqual([first!.where, first!.message], [place, message], JSON.stringify(text));
    }
  });

  it("refuses a name that would hide from it", () => {
    assert.match(told('{ "__proto__": { "port": 1 } }'), /unknown setting "__proto__"/);
    assert.match(
      told('{ "upstreams": { "__proto__": { "url": "http://h" } } }'),
      /unknown setting "upstreams\.__proto__"/,
    );
  });

  it("names itself where it cannot be read", async () => {
    const runtime = await machineWith({});
    const path = join(await temporaryFolder(), "warmcache.json");
    const problemsOf = async () => (await readSettingsFile(runtime, path)).problems;
    assert.match((await problemsOf())[0]!.message, /no such file/i);
    await writeFile(path, Uint8Array.of(0x7b, 0xff, 0x7d));
    assert.deepEqual(await problemsOf(), [{ level: "error", where: path, message: "it is not UTF-8" }]);
  });

  it("is understood as the manual has it", async () => {
    const [, example] = /```json\n(.*?)```/s.exec(await readFile(pathOf("docs/settings.md"), "utf8"))!;
    assert.equal(told(example!), "");
  });
});

describe("secrets in the settings file", () => {
  const SECRET = /hush/;

  for (
    const text of [
      '{ "apiKeys": ["hush", "id=hush", 3e3], "prot": "hush" }',
      '{ "apiKeys": "hush", "limits": "hush", "upstreams": "hush" }',
      '{ "apiKeys": { "hush": "hush" }, "port": "x" }',
      '{ "apiKeys": [["hush"], { "key": 3, "keyy": "hush", "sha256": 3 }, { "key": "hush", "id": 3 }] }',
      '{ "upstreams": { "a": { "url": "http://u:hush@h" }, "b": { "url": "http://h?key=hush" } } }',
      '{ "upstreams": { "a": { "url": "http://h", "apiKey": "hush hush" }, "b": "hush", "c": ["hush"] } }',
      '{ "upstreams": { "a": { "url": "http://h", "token": "hush" } }, "apiKey": "hush" }',
      '{ "port": "x" } // hush',
      '{ /* hush */ "port": "x" }',
      '{ "apiKeys": ["hush" "hush": "hush" ] "port" 3 }',
      '{ "apiKeys": ["hush, "port": 3 }',
      '{ "apiKeys": hush }',
      '{ "apiKey": "hush" : 3 }',
      "{ 'apiKey': 'hush' }",
      '{ "apiKeys": ["hush\\q"] }',
      '"hush"',
      '["hush"]',
      "hush",
    ]
  ) {
    it(`are in no message: ${text}`, () => {
      const said = told(text);
      assert.match(said, /error: F:1:/);
      assert.doesNotMatch(said, SECRET);
    });
  }

  it("are kept apart from what stands around them", () => {
    assert.match(
      told('{ "apiKeys": ["hush", { "id": 3, "key": "hush" }], "host": "h" }'),
      /\["…", { "id": 3, "key": "…" }\], "host": "h"/,
    );
  });

  it("are warned about if others may read them", async () => {
    const file = { host: "h", upstreams: { a: { url: "http://h", apiKey: "hush" } } };
    for (const mode of [0o644, 0o640, 0o604, 0o660]) {
      const { problems } = await readSaid({ file, mode });
      const message = "there is a secret in it, and others than its owner may read it: chmod 600 F";
      assert.deepEqual(problems, [{ level: "warning", where: "F:1:57", message }]);
    }
    assert.deepEqual((await readSaid({ file, mode: 0o600 })).problems, []);
    const noSecret = { apiKeys: [{ sha256: "0".repeat(64) }, { id: "a", keyEnvironment: "K" }] };
    assert.deepEqual((await readSaid({ file: noSecret, mode: 0o644 })).problems, []);
  });

  it("may be in a file that the service manager hands over", async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, "warmcache.json"), '{ "apiKeys": ["hush"] }', { mode: 0o640 });
    const path = join(folder, "warmcache.json");
    assert.deepEqual((await readSettingsFile(await machineWith({ CREDENTIALS_DIRECTORY: folder }), path)).problems, []);
    assert.equal((await readSettingsFile(await machineWith({}), path)).problems.length, 1);
  });
});
