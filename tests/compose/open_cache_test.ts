/** The library as its users meet it: open, ask, store, wrap, close, on files of their own. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { CacheError, openCache } from "../../mod.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { requirePart, requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const REQUEST = { model: "gpt-4o-mini", messages: [{ role: "user", content: "Say hi" }], temperature: 0 };

function answer(content: string): { choices: { message: { content: string } }[] } & Record<string, unknown> {
  return {
    id: "chatcmpl-1",
    object: "chat.completion",
    model: "gpt-4o-mini-2024-07-18",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }] as never,
    usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 },
  };
}

describe("openCache", () => {
  it("keeps an answer from one run to the next", async () => {
    const directory = await temporaryFolder();
    {
      await using cache = await openCache({ directory });
      assert.equal(await cache.get(REQUEST), undefined);
      await cache.put(REQUEST, answer("hi"));
    }
    await using cache = await openCache({ directory });
    const entry = await cache.get(REQUEST);
    assert.deepEqual(entry!.json(), answer("hi"));
    assert.equal(entry!.text(), JSON.stringify(answer("hi")));
    assert.equal(entry!.modelAnswered, "gpt-4o-mini-2024-07-18");
  });

  it("calls once for what wrap asks twice", async () => {
    await using cache = await openCache({ directory: await temporaryFolder() });
    let calls = 0;
    const ask = () => cache.wrap(REQUEST, () => Promise.resolve(answer(`call ${++calls}`)));
    assert.deepEqual(await ask(), answer("call 1"));
    assert.deepEqual(await ask(), answer("call 1"));
    const { hits, misses, writes } = await cache.stats();
    assert.deepEqual({ hits, misses, writes }, { hits: 1, misses: 1, writes: 1 });
  });

  it("finds many at once, in the order asked", async () => {
    await using cache = await openCache({ directory: await temporaryFolder() });
    const bodies = Array.from({ length: 20 }, (_, i) => ({ ...REQUEST, model: `model-${i % 3}`, seed: i }));
    for (const body of bodies.filter((_, i) => i % 2 === 0)) await cache.put(body, answer(`answer ${body.seed}`));
    const entries = await cache.getMany(bodies);
    const expected = bodies.map(({ seed }) => seed % 2 === 0 ? answer(`answer ${seed}`) : undefined);
    assert.deepEqual(entries.map((entry) => entry?.json()), expected);
  });

  it("creates nothing before the first answer, then private files, one database per model", async () => {
    const directory = join(await temporaryFolder(), "deep", "cache");
    await using cache = await openCache({ directory });
    await cache.get(REQUEST);
    await assert.rejects(readdir(directory), { code: "ENOENT" });
    await cache.put(REQUEST, answer("hi"));
    await cache.put({ ...REQUEST, model: "other" }, answer("hi"));
    const databases = (await readdir(directory)).filter((name) => name.endsWith(".sqlite"));
    assert.equal(databases.length, 2);
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    for (const name of await readdir(directory)) {
      assert.equal((await stat(join(directory, name))).mode & 0o777, 0o600, name);
    }
  });

  it("leaves files that the sqlite3 shell reads", async (context) => {
    if (!requirePart(context, "sqlite3")) return;
    const directory = await temporaryFolder();
    const cache = await openCache({ directory });
    await cache.put(REQUEST, answer("hi ".repeat(500)));
    await cache.close();
    const [name] = (await readdir(directory)).filter((name) => name.endsWith(".sqlite"));
    const shell = (sql: string) => execFileSync("sqlite3", [join(directory, name!), sql], { encoding: "utf8" }).trim();
    assert.equal(shell("PRAGMA integrity_check"), "ok");
    assert.equal(shell("SELECT outcome, codec, prompt_tokens FROM entry"), "stop|zstd|9");
    assert.equal(shell("PRAGMA auto_vacuum"), "2", "incremental");
    assert.equal(shell("SELECT length(body) < size / 5 FROM entry"), "1", "compressed");
  });

  it("refuses a database that is taken before anything is paid for", async () => {
    const directory = await temporaryFolder();
    await using holder = await openCache({ directory, locking: "exclusive" });
    await holder.put(REQUEST, answer("hi"));
    await using second = await openCache({ directory, lockTimeout: 0 });
    await assert.rejects(
      second.wrap(REQUEST, () => assert.fail("nothing is paid for before the lock is known")),
      (error) => error instanceof CacheError && error.code === "locked" && error.message.includes(directory),
    );
  });

  it("shares its files with others who share them, and answers while one of them writes", async (context) => {
    if (!requireRangeLocks(context, await loadRuntime()) || !requirePart(context, "sqlite3")) return;
    const directory = await temporaryFolder();
    const options = { directory, locking: "shared", lockTimeout: 60_000 } as const;
    await using one = await openCache(options);
    await using two = await openCache(options);
    await one.put(REQUEST, answer("hi"));
    assert.deepEqual(await two.wrap(REQUEST, () => assert.fail("it is there")), answer("hi"));
    const [name] = (await readdir(directory)).filter((name) => name.endsWith(".sqlite"));
    const shell = spawn("sqlite3", [join(directory, name!)], { stdio: ["pipe", "pipe", "inherit"] });
    shell.stdin.write("BEGIN IMMEDIATE; SELECT 'begun';\n");
    await once(shell.stdout, "data");
    const events: string[] = [];
    const wrapped = two.wrap({ ...REQUEST, seed: 1 }, () => Promise.resolve(answer("one"))).then((answered) => {
      events.push("wrapped");
      return answered;
    });
    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
      assert.deepEqual((await two.get(REQUEST))!.json(), answer("hi"));
      events.push("answered");
    }
    events.push("commits");
    shell.stdin.end("COMMIT;\n");
    assert.deepEqual(await wrapped, answer("one"));
    assert.deepEqual(events, [...Array(5).fill("answered"), "commits", "wrapped"]);
    assert.deepEqual((await one.get({ ...REQUEST, seed: 1 }))!.json(), answer("one"));
    const { failedWrites, failedLookups } = await two.stats();
    assert.deepEqual({ failedWrites, failedLookups }, { failedWrites: 0, failedLookups: 0 });
  });

  it("keeps entries in memory when asked to", async () => {
    await using cache = await openCache({ backend: "memory" });
    await cache.put(REQUEST, answer("hi"));
    assert.deepEqual((await cache.get(REQUEST))!.json(), answer("hi"));
  });

  it("refuses a misspelled option and an unknown backend by name", async () => {
    // @ts-expect-error -- as from JavaScript
    await assert.rejects(openCache({ dir: "x" }), { name: "TypeError", message: /unknown option .*: dir$/ });
    // @ts-expect-error -- as from JavaScript
    await assert.rejects(openCache({ backend: "papyrus" }), { name: "TypeError", message: /papyrus/ });
  });

  it("is closed after close", async () => {
    const cache = await openCache({ directory: await temporaryFolder() });
    await cache.close();
    await cache.close();
    await assert.rejects(cache.get(REQUEST), (error) => error instanceof CacheError && error.code === "closed");
  });
});
