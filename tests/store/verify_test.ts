/** What every store says of its own soundness, of a sound one and of one that was broken. */

import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { openCache } from "../../mod.ts";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { wrongKey } from "../../src/cache/verification.ts";
import type { ProblemKind, VerifyReport } from "../../src/store/verify.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { makeDatabase } from "./sqlite/damage.ts";
import { databaseIn, entryOf, machine, openStore, requestOf } from "./sqlite/fixture.ts";

const request = (index: number): object => ({ model: "m", messages: [{ role: "user", content: `q${index}` }] });
const answer = (text: string): object => ({
  object: "chat.completion",
  model: "m-1",
  choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
});

async function fill(cache: ResponseCache, count = 10): Promise<void> {
  for (let index = 0; index < count; index++) {
    await cache.put(request(index), answer(`answer ${index} `.repeat(20)), index % 2 === 0 ? { tags: ["even"] } : {});
  }
}

function counts({ models }: VerifyReport): Partial<Record<ProblemKind, number>> {
  assert.equal(models.length, 1);
  return models[0]!.problems;
}

/** A SQLite cache of ten answers to which something was done by SQL. */
async function changed(sql: string): Promise<VerifyReport> {
  const directory = await temporaryFolder();
  let cache = await openCache({ directory, priceOf: null });
  await fill(cache);
  await cache.close();
  const native = new DatabaseSync(await databaseIn(directory));
  // With no index to keep in step, and no schema to be protected.
  native.exec("PRAGMA writable_schema = ON");
  native.exec(sql);
  native.close();
  cache = await openCache({ directory, priceOf: null });
  const report = await cache.verify({ deep: true });
  await cache.close();
  return report;
}

describe("cache.verify", () => {
  for (const locking of ["shared", "exclusive"] as const) {
    it(`a sound SQLite cache is sound (${locking})`, async (context) => {
      if (locking === "shared" && machine.rangeLocks === undefined) return context.skip("no locks can be shared here");
      await using cache = await openCache({ directory: await temporaryFolder(), priceOf: null, locking });
      await fill(cache, 300);
      const seen: number[] = [];
      const report = await cache.verify({ deep: true, onProgress: ({ done }) => seen.push(done) });
      assert.deepEqual(report, {
        ok: true,
        store: "sqlite",
        location: report.location,
        models: [{ model: "m", entries: 300, requests: 300, dictionaries: 0, problems: {} }],
        problems: [],
        moreProblems: 0,
      });
      assert.equal(seen.at(-1), 600);
      assert.deepEqual(seen, seen.toSorted((left, right) => left - right));
    });
  }

  it("beside somebody who puts and removes all the time, finds nothing wrong", async () => {
    await using cache = await openCache({ directory: await temporaryFolder(), priceOf: null });
    await fill(cache, 200);
    let isDone = false;
    const busy = (async () => {
      for (let index = 200; !isDone; index++) {
        await cache.put(request(index), answer(`answer ${index}`));
        await cache.delete(request(index - 150));
      }
    })();
    const report = await cache.verify({ deep: true });
    isDone = true;
    await busy;
    assert.deepEqual(report.problems.filter(({ kind }) => kind !== "skipped"), []);
    assert.equal(report.ok, true);
  });

  const cases: Record<string, readonly [sql: string, expected: Partial<Record<ProblemKind, number>>, ok: boolean]> = {
    "a changed answer": ["UPDATE entry SET outcome = 'length' WHERE rowid = 3", { corrupt: 1 }, false],
    "a changed request": ["UPDATE request SET namespace = 'other' WHERE rowid = 3", { corrupt: 1 }, false],
    "an answer that names another dictionary": [
      "UPDATE entry SET dictionary = 5 WHERE rowid = 3",
      { corrupt: 1 },
      false,
    ],
    "a wrong dictionary": [
      "INSERT INTO dictionary VALUES (7, zeroblob(32), zeroblob(300), 0)",
      { dictionary: 1 },
      false,
    ],
    "rows of an older version": ["UPDATE entry SET schema_version = 0", { stale: 10 }, true],
    "an answer without its request": [
      "DELETE FROM tag; DELETE FROM access; DELETE FROM request WHERE rowid = 3",
      { orphan: 1 },
      true,
    ],
    "a request without an answer": ["DELETE FROM entry WHERE rowid = 3", { orphan: 1 }, true],
    "tags and counts of nothing": [
      "INSERT INTO tag VALUES ('t', zeroblob(32)); INSERT INTO access VALUES (zeroblob(32), 1, 1)",
      { orphan: 2 },
      true,
    ],
    "a block of sketches beyond the last request": [
      "INSERT INTO sketch VALUES (1000, zeroblob(20))",
      { orphan: 1 },
      true,
    ],
    "a claim nobody gave up": ["INSERT INTO claim VALUES (zeroblob(32), 'somebody', 1)", { leftover: 1 }, true],
  };
  for (const [what, [sql, expected, ok]] of Object.entries(cases)) {
    it(`finds ${what}`, async () => {
      const report = await changed(sql);
      assert.deepEqual(counts(report), expected, JSON.stringify(report.problems));
      assert.equal(report.ok, ok);
    });
  }

  it("finds a dictionary that answers need and that is gone", async () => {
    const { directory, path, rows } = await makeDatabase(240);
    const native = new DatabaseSync(path);
    native.exec("DELETE FROM dictionary");
    native.close();
    await using cache = await openCache({ directory, priceOf: null });
    const needing = rows.filter(({ dictionary }) => dictionary !== null).length;
    const report = await cache.verify({ mostProblems: 3 });
    assert.deepEqual([report.ok, counts(report)], [false, { dictionary: needing }]);
    assert.deepEqual([report.problems.length, report.moreProblems], [3, needing - 3]);
  });

  it("finds an index that misses a row, and one that leads to another's", async () => {
    const directory = await temporaryFolder();
    let cache = await openCache({ directory, priceOf: null });
    await fill(cache, 10);
    await cache.close();
    const path = await databaseIn(directory);
    const native = new DatabaseSync(path);
    const key = native.prepare("SELECT key FROM entry WHERE rowid = 4").get()!.key as Uint8Array;
    native.close();
    const bytes = await readFile(path);
    // The first byte of the key in the index, which comes without the row's other columns behind it.
    for (let at = bytes.indexOf(key); at !== -1; at = bytes.indexOf(key, at + 1)) {
      if (bytes[at - 4] === 4 && bytes[at - 3] === 76 && at > 4) bytes[at + 31]! ^= 1;
    }
    await writeFile(path, bytes);
    cache = await openCache({ directory, priceOf: null });
    const report = await cache.verify();
    await cache.close();
    assert.equal(report.ok, false);
    assert.ok(report.problems.some(({ kind, key: hex }) => kind === "index" && hex !== null), JSON.stringify(report));
  });

  it("finds broken pages, and says what else it could see", async () => {
    const directory = await temporaryFolder();
    let cache = await openCache({ directory, priceOf: null });
    await fill(cache, 300);
    await cache.close();
    const path = await databaseIn(directory);
    const bytes = await readFile(path);
    const pages = bytes.byteLength / 8192;
    bytes.fill(0, (pages - 3) * 8192, (pages - 2) * 8192);
    await writeFile(path, bytes);
    cache = await openCache({ directory, priceOf: null });
    const report = await cache.verify();
    await cache.close();
    assert.equal(report.ok, false);
    assert.ok(report.problems.some(({ kind }) => kind === "structure"));
    assert.ok(report.models[0]!.entries > 0);
  });

  it("caps what it lists, and counts the rest", async () => {
    await using cache = await openCache({ directory: await temporaryFolder(), priceOf: null });
    await cache.put(request(1), answer("a"), { ttl: 1 });
    await cache.put(request(2), answer("b"), { ttl: 1 });
    await new Promise((resolve) => setTimeout(resolve, 5));
    const report = await cache.verify({ mostProblems: 1 });
    assert.deepEqual([report.ok, report.problems.length, report.moreProblems], [true, 1, 1]);
    assert.equal(report.problems[0]!.kind, "expired");
  });

  it("names what a repair has kept", async () => {
    const directory = await temporaryFolder();
    await using cache = await openCache({ directory, priceOf: null });
    await fill(cache, 1);
    await writeFile(join(directory, "m-62c66a7a.sqlite.broken-20261122T120000Z"), "");
    const { ok, problems } = await cache.verify();
    assert.equal(ok, true);
    assert.match(problems[0]!.what, /kept by a repair/);
  });

  it("knows the key of every request, and notes one that is another's", async () => {
    const record = requestOf("a");
    assert.match(wrongKey(record, machine.sha256)!, /is not that of the request stored with it/);
    assert.match(
      wrongKey({ ...record, body: new TextEncoder().encode("{") }, machine.sha256)!,
      /no JSON/,
    );
    const directory = await temporaryFolder();
    const store = await openStore(directory);
    await store.put("m", record, [entryOf("a")], "append");
    await store.close();
    await using cache = await openCache({ directory, priceOf: null });
    const report = await cache.verify();
    assert.deepEqual([report.ok, counts(report)], [true, { key: 1 }]);
  });

  it("a signal ends it with its reason; what makes no sense is refused", async () => {
    await using cache = await openCache({ directory: await temporaryFolder(), priceOf: null });
    await fill(cache, 3);
    const reason = new Error("enough");
    await assert.rejects(cache.verify({ signal: AbortSignal.abort(reason) }), reason);
    await assert.rejects(cache.verify({ dep: true } as object), TypeError);
    await assert.rejects(cache.verify({ mostProblems: -1 }), RangeError);
    await assert.rejects(cache.verify({ deep: 1 as unknown as boolean }), TypeError);
  });

  it("a file store: broken bins and what lies about", async () => {
    const directory = await temporaryFolder();
    await using cache = await openCache({ directory, backend: "file", priceOf: null });
    await fill(cache, 5);
    const sound = await cache.verify();
    assert.deepEqual(sound.models, [{ model: "m", entries: 5, requests: 5, dictionaries: 0, problems: {} }]);
    assert.equal(sound.ok, true);
    const names = await readdir(directory, { recursive: true });
    const [one, other] = names.map(String).filter((name) => /[0-9a-f]{64}\.json$/.test(name));
    await writeFile(join(directory, one!), (await readFile(join(directory, one!), "utf8")).slice(0, -40));
    const text = await readFile(join(directory, other!), "utf8");
    await writeFile(join(directory, other!), text.replace("answer", "amswer"));
    const broken = await cache.verify();
    assert.equal(broken.ok, false);
    assert.deepEqual(counts(broken), { corrupt: 2 });
    assert.ok(broken.problems.every(({ key }) => key?.length === 64));
  });

  it("memory, and memory in front of SQLite", async () => {
    await using memory = await openCache({ backend: "memory", priceOf: null });
    await fill(memory, 3);
    const alone = await memory.verify({ deep: true });
    assert.deepEqual([alone.ok, alone.models[0]!.entries, alone.models[0]!.requests], [true, 3, 3]);
    await using both = await openCache({
      directory: await temporaryFolder(),
      tiers: ["memory", "sqlite"],
      priceOf: null,
    });
    await fill(both, 3);
    const report = await both.verify();
    assert.deepEqual([report.ok, report.store, report.models[0]!.entries], [true, "sqlite", 3]);
  });
});
