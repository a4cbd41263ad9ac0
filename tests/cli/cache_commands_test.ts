/**
 * The commands on a cache as people see them: exact text at 80 and 200 columns, in `golden/`, of a cache that has seen a
 * month of work. `WRITE_GOLDEN=1` writes the files anew, to be read before they are kept.
 */

import assert from "node:assert/strict";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import process from "node:process";
import { before, describe, it } from "node:test";
import { widthOf } from "../../src/cli/text_width.ts";
import { openCacheOn } from "../../src/compose/open_cache.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { fillCache, machineAt, NOW, question } from "./busy_cache.ts";
import { type Around, type Ran, run } from "./cache_support.ts";

let folder: string;

before(async () => {
  folder = join(await temporaryFolder(), "cache");
  await fillCache(folder);
});

/** Runs a command on the busy cache. */
async function onCache(args: readonly string[], around?: Around): Promise<Ran> {
  return await run([...args, "--cache", folder], around);
}

/** Asserts that a text is the golden file's, but for where the cache is and how many bytes its files take. */
async function isGolden(name: string, text: string): Promise<void> {
  const path = new URL(`golden/${name}.txt`, import.meta.url);
  const seen = text.replaceAll(folder, "CACHE").replace(/[\d.]+ [kM]?B in all/, "N kB in all");
  if (process.env.WRITE_GOLDEN) {
    await mkdir(new URL("golden/", import.meta.url), { recursive: true });
    await writeFile(path, seen);
  }
  assert.equal(seen, await readFile(path, "utf8"));
}

/** The key of some stored request. */
async function someKey(): Promise<string> {
  const { output } = await onCache(["ls", "--limit", "1", "--json", "--model", "gpt-4o-mini"]);
  return JSON.parse(output).key;
}

describe("the commands on a cache", () => {
  for (const columns of [80, 200]) {
    const examples: Record<string, readonly string[]> = {
      stats: ["stats"],
      ls: ["ls", "--limit", "24"],
      verify: ["verify"],
    };
    for (const [name, args] of Object.entries(examples)) {
      it(`print ${name} within ${columns} columns`, async () => {
        const { status, output, errors } = await onCache(args, { columns });
        assert.deepEqual([status, errors], [0, ""]);
        const widest = Math.max(...output.replaceAll(folder, "").split("\n").map(widthOf));
        assert.ok(widest <= columns, `${widest} columns`);
        await isGolden(`${name}-${columns}`, output);
      });
    }

    it(`print explain within ${columns} columns`, async () => {
      const asked = JSON.stringify(question("gpt-4o-mini", 4)).replace("careful", "careless");
      const { status, output } = await onCache(["explain", "--nearest", "2"], { columns, input: asked });
      assert.equal(status, 0);
      await isGolden(`explain-${columns}`, output);
    });
  }
});

describe("ls", () => {
  it("takes what fits all that is said", async () => {
    const listed = async (...flags: string[]): Promise<Record<string, unknown>[]> => {
      const { output } = await onCache(["ls", "--json", ...flags]);
      return output.trim().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
    };
    const all = await listed();
    assert.deepEqual(new Set(all.map(({ namespace }) => namespace)), new Set(["", "nightly"]), "of all namespaces");
    const nightly = await listed("--namespace", "nightly");
    assert.ok(nightly.length > 0 && nightly.every(({ model }) => model === "claude-sonnet-4-5-20250929"));
    const cut = await listed("--outcome", "length", "--model", "gpt-4o-mini");
    assert.ok(cut.length > 0 && cut.every(({ outcome, model }) => outcome === "length" && model === "gpt-4o-mini"));
    const recent = await listed("--since", "2d");
    assert.ok(recent.length > 0 && recent.every(({ created }) => Number(created) >= NOW - 2 * 86_400_000));
    const french = await listed("--text", "フランス");
    assert.ok(french.length > 0 && french.every(({ body }) => JSON.stringify(body).includes("フランス")));
    assert.equal((await listed("--limit", "7")).length, 7);
  });

  it("says that nothing fits, on the other stream", async () => {
    const { status, output, errors } = await onCache(["ls", "--model", "another"]);
    assert.deepEqual([status, output, errors], [0, "", "No stored request fits.\n"]);
  });

  it("lets nothing through that a terminal would obey", async () => {
    const { output } = await onCache(["ls", "--text", "flaky"], { columns: 200 });
    // deno-lint-ignore no-control-regex -- these must not be there
    assert.doesNotMatch(output, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    assert.match(output, /␛\[31mred/);
  });

  it("paints what it says itself, and escapes what others said", async () => {
    const asked = JSON.stringify(question("gpt-4o-mini", 4)).replace("careful", "careless");
    const around = { columns: 80, variables: { TERM: "xterm" }, input: asked };
    for (const args of [["stats"], ["explain"], ["verify"], ["repair"], ["ls", "--limit", "3"]]) {
      const { output } = await onCache(args, around);
      assert.ok(output.includes("\x1b["), args.join(" "));
      assert.ok(!output.replaceAll("␛[31mred␛[0m", "").includes("␛"), output);
    }
  });

  it("paints on a terminal only, unless the environment says otherwise", async () => {
    const isPainted = async (columns: number | undefined, variables: Record<string, string>): Promise<boolean> => {
      const { output } = await onCache(["ls", "--limit", "1"], { ...columns !== undefined && { columns }, variables });
      return output.includes("\x1b[");
    };
    assert.equal(await isPainted(80, { TERM: "xterm" }), true);
    assert.equal(await isPainted(80, { TERM: "xterm", NO_COLOR: "1" }), false);
    assert.equal(await isPainted(80, { TERM: "dumb" }), false);
    assert.equal(await isPainted(undefined, {}), false);
    assert.equal(await isPainted(undefined, { FORCE_COLOR: "1" }), true);
    assert.equal(await isPainted(undefined, { FORCE_COLOR: "1", NO_COLOR: "1" }), false);
  });

  it("is silent when its reader has gone, as behind head", async () => {
    const { status, output, errors } = await onCache(["ls", "--json"], { reads: 3 });
    assert.deepEqual([status, output.trim().split("\n").length, errors], [0, 3, ""]);
  });

  it("ends at SIGINT with status 130", async () => {
    const { status, output, errors } = await onCache(["ls", "--json"], { signal: "SIGINT" });
    assert.deepEqual([status, errors], [130, ""]);
    assert.ok(output.trim().split("\n").length <= 64, "no more than was looked up");
  });

  it("says that there is no cache, to people and to programs", async () => {
    const nowhere = ["--cache", join(folder, "nowhere")];
    const people = await run(["ls", ...nowhere]);
    assert.equal(people.status, 1);
    assert.match(
      people.errors,
      /^warmcache: Cannot find a cache: no such folder: .*nowhere; say where it is with --cache/,
    );
    const programs = await run(["ls", "--json", ...nowhere]);
    assert.match(JSON.parse(programs.errors).error.message, /^Cannot find a cache/);
  });

  it("says that the cache is off", async () => {
    const { status, errors } = await onCache(["ls"], { variables: { NO_CACHE: "1" } });
    assert.equal(status, 1);
    assert.match(errors, /NO_CACHE/);
  });
});

describe("get", () => {
  it("finds an answer by its key, and by what the key begins with", async () => {
    const key = await someKey();
    const answers = await Promise.all(
      [key, key.slice(0, 12), key.slice(0, 12).toUpperCase()].map((each) => onCache(["get", each])),
    );
    for (const { status, output } of answers) {
      assert.equal(status, 0);
      assert.match(output, /^Yes\. It restates the first \(case \d+\) and adds no new claim\.\n$/);
    }
  });

  it("finds an answer by its request, and counts no lookup", async () => {
    const lookups = async (): Promise<number> =>
      JSON.parse((await onCache(["stats", "--json"])).output).total.counts.lookups;
    const count = await lookups();
    const key = await someKey();
    const { output } = await onCache(["get", key, "--json"]);
    const { body, answers } = JSON.parse(output);
    const found = await onCache(["get", "--request", "-", "--json"], { input: JSON.stringify(body) });
    assert.deepEqual(JSON.parse(found.output), { ...JSON.parse(output), body });
    assert.deepEqual([answers.length, answers[0].sample], [1, 0]);
    assert.equal(await lookups(), count);
  });

  it("says what comes nearest to a request that is not stored", async () => {
    const input = JSON.stringify(question("gpt-4o-mini", 4)).replace("careful", "careless");
    const { status, errors } = await onCache(["get", "--request", "-"], { input });
    assert.equal(status, 1);
    assert.match(errors, /not stored\. Stored request [0-9a-f]{12} is \d+\.\d % the same/);
  });

  it("prints all samples, or one, and what is no text for programs only", async () => {
    const own = join(await temporaryFolder(), "cache");
    const cache = await openCacheOn(await machineAt(() => NOW), { directory: own });
    const body = { model: "m", messages: [{ role: "user", content: "Say\x1b[2J" }] };
    const answer = (content: string) => ({ model: "m", choices: [{ message: { content }, finish_reason: "stop" }] });
    await cache.wrapSamples(body, 2, () => Promise.resolve([answer("one\x1b[2J"), answer("two")]));
    const vectors = { data: [{ index: 0, embedding: [0.5, 1] }], model: "e", usage: { prompt_tokens: 1 } };
    await cache.wrapEmbeddings({ model: "e", input: "a" }, () => Promise.resolve(vectors));
    await cache.close();
    const input = JSON.stringify(body);
    const get = async (args: readonly string[], around: Around): Promise<Ran> =>
      await run(["get", "--request", "-", ...args, "--cache", own], around);
    assert.equal((await get([], { input })).output, "one\x1b[2J\ntwo\n", "another program gets it as it is");
    assert.equal((await get([], { input, columns: 80 })).output, "sample 0\none␛[2J\nsample 1\ntwo\n");
    assert.equal((await get(["--sample", "1"], { input, columns: 80 })).output, "two\n");
    const embeddings = ["--endpoint", "/v1/embeddings", "--provider", "openai"];
    const asked = { input: JSON.stringify({ model: "e", input: "a" }) };
    const { answers } = JSON.parse((await get([...embeddings, "--json"], asked)).output);
    assert.equal(answers[0].base64, "AAAAPwAAgD8=", "0.5 and 1 as little-endian floats of 32 bits");
    const { status, errors } = await get(embeddings, asked);
    assert.equal(status, 1);
    assert.match(errors, /--json has it in base64/);
  });

  for (
    const [title, args, status, message] of [
      ["no key", ["zz"], 2, /expected 1 to 64 hexadecimal digits\): zz/],
      ["a key that is not there", ["0".repeat(64)], 1, /Cannot find a stored request whose key begins so: 0{64}/],
      ["neither key nor request", [], 2, /give a key, or a request by --request/],
      ["both", ["aa", "--request", "-"], 2, /give a key, or a request by --request/],
      ["a request that is no JSON", ["--request", "-"], 2, /Cannot use the request in standard input/],
    ] as const
  ) {
    it(`refuses ${title}`, async () => {
      const ran = await onCache(["get", ...args], { input: "{" });
      assert.equal(ran.status, status);
      assert.match(ran.errors, message);
    });
  }

  it("says which keys begin alike", async () => {
    const { status, errors } = await onCache(["get", (await someKey())[0]!]);
    assert.equal(status, 1);
    assert.match(errors, /say more of its key: [0-9a-f]{7}, [0-9a-f]{7}/);
  });

  it("refuses a sample that is not there", async () => {
    const { status, errors } = await onCache(["get", await someKey(), "--sample", "1"]);
    assert.equal(status, 2);
    assert.match(errors, /there are 1, from 0\): 1/);
  });
});

describe("prune", () => {
  /** A cache of one's own. */
  async function filled(): Promise<(args: readonly string[], around?: Around) => Promise<Ran>> {
    const own = join(await temporaryFolder(), "cache");
    await fillCache(own);
    return async (args, around) => await run([...args, "--cache", own], around);
  }

  it("says beforehand how much it would be, and removes as much", async () => {
    const cache = await filled();
    const which = ["--outcome", "length", "--model", "gpt-4o-mini", "--older-than", "3d"];
    const would = JSON.parse((await cache(["prune", ...which, "--dry-run", "--json"])).output);
    assert.ok(would.dryRun && would.entries > 0);
    const { entries, storedBytes } = JSON.parse((await cache(["prune", ...which, "--yes", "--json"])).output);
    assert.deepEqual({ entries, storedBytes }, { entries: would.entries, storedBytes: would.storedBytes });
    assert.equal(JSON.parse((await cache(["prune", ...which, "--dry-run", "--json"])).output).entries, 0);
  });

  it("asks who types whether it is meant", async () => {
    const cache = await filled();
    const no = await cache(["prune", "--namespace", "nightly"], { columns: 80, typed: "no" });
    assert.equal(no.status, 1);
    assert.match(no.errors, /^Remove all entries in the namespace nightly from .*\? \[y\/N\] Nothing was removed\.\n$/);
    const yes = await cache(["prune", "--namespace", "nightly"], { columns: 80, typed: "y" });
    assert.equal(yes.status, 0);
    assert.match(yes.output, /^removed \d+ entries, [\d.]+ kB\n$/);
    assert.equal((await cache(["ls", "--namespace", "nightly"])).output, "");
  });

  for (
    const [title, args, message] of [
      ["to remove all without a word", ["--yes"], /for everything there is, say --all/],
      ["to remove all and some", ["--all", "--model", "m"], /leave out --all/],
      ["to do so unasked where nobody types", ["--all"], /say --yes if it is meant/],
      ["to count what has a tag", ["--tag", "t", "--dry-run"], /leave out --dry-run or --tag/],
    ] as const
  ) {
    it(`refuses ${title}`, async () => {
      const { status, errors } = await onCache(["prune", ...args]);
      assert.equal(status, 2);
      assert.match(errors, message);
    });
  }
});

describe("export, import, merge and verify", () => {
  it("carry a cache by way of a pack: exported again it is the same bytes", async () => {
    const work = await temporaryFolder();
    const [pack, again, other] = [join(work, "pack"), join(work, "again"), join(work, "other")];
    const exported = JSON.parse((await onCache(["export", pack, "--json"])).output);
    const imported = await run(["import", pack, "--cache", other]);
    assert.equal(imported.output, `imported ${exported.samples} of ${exported.samples} entries from ${pack}\n`);
    const back = JSON.parse((await run(["export", again, "--json", "--cache", other])).output);
    assert.equal(back.sha256, exported.sha256);
    assert.match((await run(["import", pack, "--cache", other])).output, /^imported 0 of .* were there\)\n$/);
    assert.match((await run(["merge", join(work, "both"), pack, again])).output, /^merged \d+ entries/);
    assert.equal((await run(["verify", pack])).status, 0);
    const listed = await run(["ls", "--pack", pack, "--json"]);
    assert.equal(listed.output.trim().split("\n").length, exported.requests);
  });

  it("end with status 3 where something is broken, and say what", async () => {
    const work = await temporaryFolder();
    const pack = join(work, "pack");
    await onCache(["export", pack, "--plain"]);
    assert.equal(JSON.parse((await run(["verify", pack, "--json"])).output).isSound, true);
    const files = await readdir(pack, { recursive: true });
    const shard = join(pack, files.find((name) => name.endsWith(".jsonl"))!);
    await writeFile(shard, (await readFile(shard, "utf8")).replace("restates", "repeats!"));
    const { status, output } = await run(["verify", pack]);
    assert.equal(status, 3);
    assert.match(output, / broken\n/);
  });
});

describe("migrate", () => {
  it("carries from one backend to another, once", async () => {
    const target = join(await temporaryFolder(), "files");
    const migrate = async (...flags: string[]): Promise<Record<string, number>> => {
      const args = ["migrate", folder, "--from", "sqlite", "--to", "file", "--json", ...flags, "--cache", target];
      return JSON.parse((await run(args)).output);
    };
    const dry = await migrate("--dry-run");
    assert.ok(dry.carried! > 0);
    assert.equal((await migrate()).carried, dry.carried);
    assert.deepEqual([(await migrate()).carried, (await migrate()).present], [0, dry.carried]);
  });

  it("files another program's answers where the cache's own requests are", async () => {
    const foreign = fileURLToPath(new URL("../migration/fixtures/promptfoo", import.meta.url));
    const cache = await temporaryFolder();
    const variables = { WARMCACHE_NAMESPACE: "nightly" };
    const { carried } = JSON.parse((await run(["migrate", foreign, "--json", "--cache", cache], { variables })).output);
    assert.ok(carried > 0);
    const listed = (await run(["ls", "--json", "--namespace", "nightly", "--cache", cache])).output;
    assert.ok(listed.trim().split("\n").every((line) => JSON.parse(line).namespace === "nightly"));
    assert.equal((await run(["ls", "--json", "--namespace", "", "--cache", cache])).output, "");
  });

  it("says that nothing is there", async () => {
    const { status, errors } = await run(["migrate", "/nowhere/prompts", "--cache", folder]);
    assert.equal(status, 1);
    assert.match(errors, /Cannot migrate from \/nowhere\/prompts: nothing is there/);
  });
});

describe("repair", () => {
  it("leaves what is sound as it is", async () => {
    const { status, output } = await onCache(["repair"]);
    assert.equal(status, 0);
    assert.ok(output.trim().split("\n").every((line) => line.startsWith("sound ")), output);
  });
});
