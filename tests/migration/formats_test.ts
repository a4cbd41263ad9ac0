/** Migration from other programs: what comes over is what their records say, and what they do not say stays behind. */

import assert from "node:assert/strict";
import { cp, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { migrateCacheOn, type MigrationReport } from "../../src/compose/migrate.ts";
import { openCache } from "../../mod.ts";
import type { ForeignPlace } from "../../src/compose/migrate.ts";
import type { Store } from "../../src/store/store.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { contentsOf, fixture, machine, memoryStore } from "./support.ts";

async function migrated(from: ForeignPlace, store = memoryStore()): Promise<{ report: MigrationReport; store: Store }> {
  return { report: await migrateCacheOn(machine, { from, to: store }), store };
}

/** What a cache on the store answers. */
async function answerTo(store: Store, body: object, scope: object = {}): Promise<Record<string, unknown> | undefined> {
  const cache = await openCache({ backend: store, mode: "read-only" });
  const status = {};
  const entry = await cache.get(body, { ...scope, status });
  return entry === undefined ? undefined : { ...entry.json() as object, status };
}

function countsOf({ format, read, carried, present, left }: MigrationReport): unknown[] {
  return [format, read, carried, present, left];
}

/** Reasons with how many answers stayed behind for each. */
function reasonsOf({ models }: MigrationReport): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const { reason, answers } of models.flatMap((model) => model.reasons)) {
    reasons[reason] = (reasons[reason] ?? 0) + answers;
  }
  return reasons;
}

const user = (content: string): object => ({ role: "user", content });
const ANTHROPIC = { provider: "anthropic", endpoint: "/v1/messages" };
const HAIKU = "claude-3-5-haiku-20241022";

const PLACES: Record<string, ForeignPlace> = {
  "safety-tooling's bins": { path: fixture("safety-tooling/bins") },
  "safety-tooling's SQLite files": { path: fixture("safety-tooling/sqlite") },
  "LangChain's SQLite cache": { path: fixture("langchain.db") },
  "promptfoo's cache": { path: fixture("promptfoo") },
  "promptfoo's cache of before": { path: fixture("promptfoo/older") },
  "LiteLLM's disk cache": {
    path: fixture("litellm"),
    requests: [{ body: { model: "gpt-4o-mini", messages: [user("Hello")] } }],
  },
};

describe("migrateCache from another program", () => {
  for (const [name, place] of Object.entries(PLACES)) {
    it(`adds nothing the second time, and changes nothing there: ${name}`, async () => {
      const before = await listing(place.path);
      const { report, store } = await migrated(place);
      const { report: again } = await migrated(place, store);
      assert.deepEqual([again.carried, again.present, again.left], [0, report.carried, report.left]);
      assert.ok(report.carried > 0);
      assert.deepEqual(await listing(place.path), before);
    });

    it(`tells nothing of what was asked or answered in its report: ${name}`, async () => {
      const { report } = await migrated(place);
      const text = JSON.stringify(report);
      for (const word of ["Hello", "Hi there", "héllo", "Weather?", "A colour"]) assert.ok(!text.includes(word), word);
    });
  }

  it("counts two records with the same words as two samples, and finds both the next time", async () => {
    const folder = await temporaryFolder();
    await cp(fixture("promptfoo/cache.json"), join(folder, "cache.json"));
    const file = JSON.parse(await readFile(join(folder, "cache.json"), "utf8"));
    const [[key, stored]] = file.cache;
    // Without a date nothing but the words tells them apart.
    const undated = { ...stored, value: stored.value.replace(/Wed, 25 Feb 2026 06:13:20 GMT/, "") };
    file.cache = [[key, undated], [key.replace("keyv:", "keyv:repeat:1:"), undated]];
    await writeFile(join(folder, "cache.json"), JSON.stringify(file));
    const { report, store } = await migrated({ path: folder });
    assert.equal(report.carried, 2);
    assert.deepEqual(countsOf((await migrated({ path: folder }, store)).report), ["promptfoo", 2, 0, 2, 0]);
  });

  it("puts requests into the namespace that is asked for", async () => {
    const store = memoryStore();
    await migrateCacheOn(machine, { from: { path: fixture("promptfoo") }, to: store, namespace: "old" });
    const body = { model: "gpt-4o-mini", messages: [user("Hello")] };
    assert.equal(await answerTo(store, body), undefined);
    assert.ok(await answerTo(store, body, { namespace: "old" }));
  });
});

describe("migrateCache from safety-tooling", () => {
  for (const kind of ["bins", "sqlite"]) {
    it(`carries answers with their costs, usage and times, under the request that was sent: ${kind}`, async () => {
      const { store } = await migrated({ path: fixture(`safety-tooling/${kind}`) });
      const hello = await answerTo(store, { model: "gpt-4o-mini", temperature: 0, messages: [user("Hello")] });
      assert.deepEqual((hello!.choices as { message: { content: string } }[])[0]!.message.content, "Hi there.");
      assert.deepEqual(hello!.usage, { prompt_tokens: 8, completion_tokens: 3, total_tokens: 11 });
      const { costMicrodollars, latency, created } = hello!.status as Record<string, number>;
      assert.deepEqual([costMicrodollars!.toFixed(3), latency], ["4.500", 1250]);
      if (kind === "sqlite") assert.equal(created, 1772000000250);
      const brief = await answerTo(store, {
        model: "gpt-4o-mini",
        temperature: 0,
        max_completion_tokens: 20,
        messages: [{ role: "system", content: "Be brief." }, user("héllo 世界")],
      });
      assert.deepEqual(brief!.choices, [{
        index: 0,
        message: { role: "assistant", content: "Grüße" },
        logprobs: null,
        finish_reason: "length",
      }]);
    });

    it(`carries the samples of one call, and divides its bill: ${kind}`, async () => {
      const { store } = await migrated({ path: fixture(`safety-tooling/${kind}`) });
      const body = { model: "gpt-4o-mini", temperature: 1, n: 3, messages: [user("A colour?")] };
      const answer = await answerTo(store, body);
      const texts = (answer!.choices as { message: { content: string } }[]).map(({ message }) => message.content);
      assert.deepEqual(texts, ["red", "green", "blue"]);
      assert.deepEqual(answer!.usage, { prompt_tokens: 10, completion_tokens: 9, total_tokens: 19 });
      assert.equal((answer!.status as { costMicrodollars: number }).costMicrodollars.toFixed(3), "30.000");
    });

    it(`takes Anthropic's seeds for samples of one request: ${kind}`, async () => {
      const { store } = await migrated({ path: fixture(`safety-tooling/${kind}`) });
      const body = {
        model: HAIKU,
        max_tokens: 100,
        temperature: 0.5,
        system: "In French.",
        messages: [user("Bonjour")],
      };
      const answer = await answerTo(store, body, ANTHROPIC);
      assert.equal(answer!.stop_reason, "end_turn");
      assert.deepEqual(answer!.usage, { input_tokens: 12, output_tokens: 5 });
      const entries = Object.values(await contentsOf(store)) as {
        entries: { text: string; costMicrodollars: null }[];
      }[];
      const samples = entries.find(({ entries }) => entries.some(({ text }) => text.includes("Salut")))!.entries;
      assert.equal(samples.length, 2);
      assert.equal(samples[0]!.costMicrodollars, null);
    });

    it(`carries moderations text by text, with OpenAI's names of categories: ${kind}`, async () => {
      const { store } = await migrated({ path: fixture(`safety-tooling/${kind}`) });
      const cache = await openCache({ backend: store, mode: "replay" });
      const body = { model: "text-moderation-007", input: ["test text", "hello world"] };
      const answer = await cache.wrapModerations(body, () => Promise.reject(new Error("not to be asked")));
      const { results } = answer as { results: { flagged: boolean; categories: object }[] };
      assert.deepEqual(results.map(({ flagged }) => flagged), [true, true]);
      assert.deepEqual(results[0]!.categories, {
        harassment: false,
        "harassment/threatening": false,
        "self-harm": true,
      });
    });
  }

  it("carries log-probabilities where the whole choice was kept", async () => {
    const { store } = await migrated({ path: fixture("safety-tooling/bins") });
    const body = { model: "gpt-4o-mini", logprobs: true, top_logprobs: 2, messages: [user("2 + 2?")] };
    const [{ logprobs }] = (await answerTo(store, body))!.choices as [{ logprobs: { content: { logprob: number }[] } }];
    assert.equal(logprobs.content[0]!.logprob, -0.25);
    assert.equal(await answerTo(store, { ...body, messages: [user("3 + 3?")] }), undefined);
  });

  it("does not carry an answer that its batch gave to another prompt", async () => {
    const { report, store } = await migrated({ path: fixture("safety-tooling/bins") });
    assert.equal(reasonsOf(report).wrong_prompt, 1);
    assert.equal(await answerTo(store, { model: "gpt-4o-mini", messages: [user("First of a batch")] }), undefined);
    const second = { model: "gpt-4o-mini", max_tokens: 5, messages: [user("Second of a batch")] };
    assert.ok(await answerTo(store, second));
  });

  it("reports what it cannot carry", async () => {
    const { report } = await migrated({ path: fixture("safety-tooling/bins") });
    assert.deepEqual(countsOf(report), ["safety-tooling", 22, 12, 0, 10]);
    assert.deepEqual(reasonsOf(report), {
      request_unknown: 1,
      answer_incomplete: 2,
      request_incomplete: 4,
      wrong_prompt: 1,
      outcome: 2,
      other_data: 0,
    });
    const { report: rows } = await migrated({ path: fixture("safety-tooling/sqlite") });
    assert.deepEqual(reasonsOf(rows), { older_schema: 1, broken: 1, answer_incomplete: 1 });
  });

  it("refuses records that are not those under whose digests they are filed", async () => {
    const folder = join(await temporaryFolder(), "cache");
    await cp(fixture("safety-tooling/bins"), folder, { recursive: true });
    const bin = join(folder, "cedb04a1883e486881d9282a2ec941a907f2c692", "bin4.json");
    const text = await readFile(bin, "utf8");
    await writeFile(bin, text.replace("Hello", "Hullo"));
    assert.equal(reasonsOf((await migrated({ path: folder })).report).broken, 1);
    await writeFile(bin, text.replace('temperature\\":0.0', 'temperature\\":0.1'));
    assert.equal(reasonsOf((await migrated({ path: folder })).report).broken, 1);
  });

  it("carries what stands before the place at which a bin is torn", async () => {
    const folder = join(await temporaryFolder(), "cache");
    await cp(fixture("safety-tooling/bins"), folder, { recursive: true });
    const bin = join(folder, "cedb04a1883e486881d9282a2ec941a907f2c692", "bin4.json");
    await truncate(bin, (await stat(bin)).size - 1);
    const { report } = await migrated({ path: folder });
    assert.equal(report.carried, 12);
    assert.equal(reasonsOf(report).broken, 1);
    await truncate(bin, 100);
    assert.equal((await migrated({ path: folder })).report.carried, 11);
  });
});

describe("migrateCache from LangChain", () => {
  it("carries what was asked with settings that are all known", async () => {
    const { report, store } = await migrated({ path: fixture("langchain.db") });
    assert.deepEqual(countsOf(report), ["langchain", 11, 5, 0, 6]);
    const messages = [{ role: "system", content: "Be brief." }, user("Hello")];
    const brief = await answerTo(store, { model: "gpt-4o-mini", temperature: 0, messages });
    assert.deepEqual([brief!.model, brief!.system_fingerprint], ["gpt-4o-mini-2024-07-18", "fp_1"]);
    assert.deepEqual(brief!.usage, { completion_tokens: 2, prompt_tokens: 15, total_tokens: 17 });
    const colours = await answerTo(store, {
      model: "gpt-4o-mini",
      temperature: 1,
      n: 2,
      messages: [user("A colour?")],
    });
    assert.deepEqual(colours!.usage, { completion_tokens: 2, prompt_tokens: 9, total_tokens: 11 });
    const french = {
      model: HAIKU,
      temperature: 0,
      max_tokens: 64,
      system: "In French.",
      messages: [user("Hello")],
    };
    assert.deepEqual((await answerTo(store, french, ANTHROPIC))!.content, [{ type: "text", text: "Bonjour." }]);
  });

  it("reads tools in Python's notation, and their calls", async () => {
    const { store } = await migrated({ path: fixture("langchain.db") });
    const parameters = { type: "object", properties: {} };
    const tools = [{ type: "function", function: { name: "weather", description: "It's the weather", parameters } }];
    const answer = await answerTo(store, { model: "gpt-4o-mini", temperature: 0, tools, messages: [user("Weather?")] });
    const [choice] = answer!.choices as [{ finish_reason: string; message: { tool_calls: unknown[] } }];
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.tool_calls.length, 1);
  });

  it("leaves what was left to defaults, unknown settings, calls in its text, pictures, and other classes", async () => {
    const { report } = await migrated({ path: fixture("langchain.db") });
    assert.deepEqual(reasonsOf(report), { request_incomplete: 5, answer_incomplete: 1 });
  });
});

describe("migrateCache from promptfoo", () => {
  it("carries calls of which the key has all that was sent, with their samples", async () => {
    const { report, store } = await migrated({ path: fixture("promptfoo") });
    assert.deepEqual(countsOf(report), ["promptfoo", 13, 5, 0, 8]);
    const answer = await answerTo(store, { model: "gpt-4o-mini", messages: [user("Hello")], n: 3 });
    const texts = (answer!.choices as { message: { content: string } }[]).map(({ message }) => message.content);
    assert.deepEqual(texts, ["Hi there.", "Hey.", "Hello!"]);
    const one = await answerTo(store, { model: "gpt-4o-mini", messages: [user("Hello")] });
    const { latency, created } = one!.status as { latency: number; created: number };
    assert.deepEqual([latency, created], [640, Date.UTC(2026, 1, 25, 6, 13, 20)]);
    const claude = { model: HAIKU, max_tokens: 64, messages: [user("Bonjour")] };
    assert.ok(await answerTo(store, claude, ANTHROPIC));
    const azure = {
      provider: "https://own.openai.azure.com",
      endpoint: "/openai/deployments/d/chat/completions?api-version=2024-06-01",
    };
    assert.ok(await answerTo(store, { model: "gpt-4o-mini", messages: [user("Azure")] }, azure));
  });

  it("calls providers by the names that the cache knows them by", async () => {
    const upstreams = { "https://own.openai.azure.com": "azure" };
    const { store } = await migrated({ path: fixture("promptfoo"), upstreams });
    const endpoint = "/openai/deployments/d/chat/completions?api-version=2024-06-01";
    const body = { model: "gpt-4o-mini", messages: [user("Azure")] };
    assert.ok(await answerTo(store, body, { provider: "azure", endpoint }));
  });

  it("reports digests, errors, other programs' data, and bodies that programs read differently", async () => {
    const { report } = await migrated({ path: fixture("promptfoo") });
    assert.deepEqual(reasonsOf(report), {
      request_unsafe: 1,
      request_incomplete: 1,
      outcome: 2,
      other_data: 2,
      request_unknown: 1,
      expired: 1,
    });
  });

  it("carries what stands before the place at which the file is torn", async () => {
    const folder = await temporaryFolder();
    const bytes = await readFile(fixture("promptfoo/cache.json"));
    await writeFile(join(folder, "cache.json"), bytes.subarray(0, 3000));
    const { report } = await migrated({ path: folder });
    assert.ok(report.carried > 0 && report.carried < 5);
    assert.equal(reasonsOf(report).broken, 1);
  });
});

describe("migrateCache from LiteLLM", () => {
  const requests = [
    { body: { messages: [user("Hello")], model: "gpt-4o-mini" } },
    { body: { messages: [user('It\'s "héllo 世界"\n\t\\')], model: "gpt-4o-mini", temperature: 0.5 } },
    { body: { model: "gpt-4o-mini", messages: [user("Hello")], max_tokens: 9000 } },
    { body: { model: "gpt-4o-mini", messages: [user("Hello")], user: "expired" } },
    { body: { model: "gpt-4o-mini", messages: [user("never asked")] } },
    { body: { model: "gpt-4o-mini", messages: [user("Hello")], temperature: 0 } },
  ];

  it("carries the answers to requests that are listed and whose digests fit", async () => {
    const { report, store } = await migrated({ path: fixture("litellm"), requests });
    assert.deepEqual(countsOf(report), ["litellm", 11, 4, 0, 7]);
    const hello = await answerTo(store, { model: "gpt-4o-mini", messages: [user("Hello")] });
    assert.equal((hello!.status as { created: number }).created, 1772000000500);
    assert.ok(await answerTo(store, requests[1]!.body));
    assert.ok(await answerTo(store, requests[5]!.body));
    const long = await answerTo(store, requests[2]!.body);
    const [{ message }] = long!.choices as [{ message: { content: string } }];
    assert.equal(message.content.length, 35_000);
    assert.equal(await answerTo(store, requests[4]!.body), undefined);
  });

  it("reads no pickle with more than plain data, and opens no file outside", async () => {
    const { report } = await migrated({ path: fixture("litellm"), requests });
    assert.deepEqual(reasonsOf(report), { broken: 2, request_unknown: 2, other_data: 1, outside: 1, expired: 1 });
  });

  it("does not follow a link out of the folder", async () => {
    const folder = join(await temporaryFolder(), "cache");
    await mkdir(folder);
    await cp(fixture("litellm/cache.db"), join(folder, "cache.db"));
    const [first] = (await readdir(fixture("litellm"))).filter((name) => name.length === 2);
    await symlink(fixture(`litellm/${first}`), join(folder, first!));
    const { report } = await migrated({ path: folder, requests });
    assert.equal(reasonsOf(report).outside, 2);
  });

  it("carries nothing where nothing is listed", async () => {
    const { report } = await migrated({ path: fixture("litellm") });
    assert.equal(report.carried, 0);
    assert.match(report.notes[0]!, /only a digest/);
  });
});

describe("migrateCache from something else", () => {
  const refuse = async (path: string, code: string, message: RegExp, more: object = {}): Promise<void> => {
    const store = memoryStore();
    await assert.rejects(migrated({ path, ...more }, store), { name: "CacheError", code, message });
    assert.deepEqual(await contentsOf(store), {});
  };

  it("is refused when nothing is there", async () => {
    await refuse(join(await temporaryFolder(), "none"), "unavailable", /nothing is there/);
  });

  it("is refused when it is none of the formats, whatever its name", async () => {
    const folder = await temporaryFolder();
    await refuse(folder, "foreign_file", /none of the formats that are read \(safety-tooling, langchain/);
    await writeFile(join(folder, "cache.json"), '{"colour":"red"}');
    await refuse(folder, "foreign_file", /none of the formats/);
    await writeFile(join(folder, "cache.db"), "dear diary");
    await refuse(folder, "foreign_file", /none of the formats/);
    await writeFile(join(folder, "langchain.db"), "");
    await refuse(join(folder, "langchain.db"), "foreign_file", /none of the formats/);
  });

  it("is refused when it is another format than the one that is said", async () => {
    await refuse(fixture("langchain.db"), "foreign_file", /it is no litellm/, { format: "litellm" });
    await refuse(fixture("promptfoo"), "foreign_file", /it is no langchain/, { format: "langchain" });
  });

  it("is refused when it is a database that is broken", async () => {
    const path = join(await temporaryFolder(), "langchain.db");
    const bytes = await readFile(fixture("langchain.db"));
    await writeFile(path, bytes.fill(0xa5, 100, 4096));
    await refuse(path, "corrupt", /recover it with the sqlite3 shell/);
  });

  it("is told apart from a database of ours", async () => {
    const directory = await temporaryFolder();
    const cache = await openCache({ directory, locking: "exclusive" });
    await cache.put({ model: "m" }, { choices: [{ message: { content: "hi" }, finish_reason: "stop" }] });
    await cache.close();
    const file = (await readdir(directory)).find((name) => name.endsWith(".sqlite"))!;
    await refuse(join(directory, file), "foreign_file", /a database of ours, so give the store/);
  });
});

/** Names, sizes and times of all that is in a place. */
async function listing(path: string): Promise<string[]> {
  const facts = await stat(path);
  if (!facts.isDirectory()) return [`${path} ${facts.size} ${facts.mtimeMs}`];
  const names = await readdir(path, { recursive: true });
  return await Promise.all(
    names.sort().map(async (name) => {
      const { size, mtimeMs } = await stat(join(path, name));
      return `${name} ${size} ${mtimeMs}`;
    }),
  );
}
