/** Databases that were broken for real: what is left of them is there after a repair, and nothing else is. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import { openCache } from "../../../mod.ts";
import { repairCache, repairCacheOn } from "../../../src/compose/repair.ts";
import type { FileRepair, RepairReport } from "../../../src/store/repair.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import { makeReadOnly, onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { RandomNumbers } from "../../torture/random.ts";
import type { Sound } from "./damage.ts";
import { makeDatabase, namesIn, replace, request, restore, shellCheck, survivors } from "./damage.ts";
import { databaseIn, entryOf, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

/** Each of many repairs takes a moment. */
const LONG = { timeout: 120_000 };

/** What every repair has to keep: nothing wrong, nothing that was not there, and all that is left. */
async function checkRepair(sound: Sound, damaged: Uint8Array, what: string): Promise<FileRepair> {
  await replace(sound, damaged);
  const report = await repairCache({ directory: sound.directory });
  const file = report.files[0]!;
  if (file.kept !== null) assert.deepEqual(await readFile(file.kept), Buffer.from(damaged), `${what}: kept`);
  if (!report.ok) {
    assert.deepEqual(await readFile(sound.path), Buffer.from(damaged), `${what}: as it was`);
    return file;
  }
  const names = new Set(namesIn(sound.path));
  const all = new Set(sound.rows.map(({ key, sample }) => `${key}:${sample}`));
  assert.deepEqual([...names].filter((name) => !all.has(name)), [], `${what}: nothing else`);
  if (file.outcome === "repaired" && file.salvaged!.dictionaries === 0) return file;
  const missing = survivors(sound, damaged).filter(({ key, sample }) => !names.has(`${key}:${sample}`));
  assert.deepEqual(missing, [], `${what}: all that is left`);
  const check = shellCheck(sound.path);
  if (check !== undefined) assert.equal(check, "ok", what);
  await checkAnswers(sound, what);
  if (file.kept !== null) await rm(file.kept);
  return file;
}

/** Each answer is right, or not there. */
async function checkAnswers({ directory, answers }: Sound, what: string): Promise<number> {
  await using cache = await openCache({ directory, priceOf: null, locking: "exclusive" });
  let there = 0;
  for (const { request, text } of answers) {
    const found = (await cache.get(request))?.text();
    if (found === undefined) continue;
    there++;
    // Of several samples some may be left; those are not answers to a request for all of them.
    assert.equal(found, text, what);
  }
  for (let index = answers.length; index < answers.length + 20; index++) {
    assert.equal(await cache.get(request(index)), undefined, `${what}: what was removed does not come back`);
  }
  return there;
}

function only(report: RepairReport): FileRepair {
  assert.equal(report.files.length, 1);
  return report.files[0]!;
}

describe("repairCache on a broken database", () => {
  let sound: Sound;
  before(async () => {
    sound = await makeDatabase(120, { compressed: false });
    assert.ok(sound.rows.filter(({ place }) => place !== undefined).length > sound.rows.length / 2);
  });
  const pageOf = (bytes: Buffer, page: number): Buffer =>
    bytes.subarray(page * sound.pageSize, (page + 1) * sound.pageSize);

  it("whatever page was zeroed: all other rows are there", LONG, async () => {
    for (let page = 0; page < sound.bytes.byteLength / sound.pageSize; page++) {
      const damaged = Buffer.from(sound.bytes);
      pageOf(damaged, page).fill(0);
      const file = await checkRepair(sound, damaged, `page ${page + 1} zeroed`);
      assert.ok(file.outcome === "repaired" || file.outcome === "sound", `page ${page + 1}: ${file.reason}`);
    }
  });

  it("whatever bits were flipped: all other rows are there", LONG, async () => {
    const random = new RandomNumbers(1);
    for (let round = 0; round < 24; round++) {
      const damaged = Buffer.from(sound.bytes);
      for (let flip = 0; flip < [1, 3, 20, 60][round % 4]!; flip++) {
        // Not in the version in the header: a newer program may have written what says so.
        const at = random.between(100, damaged.byteLength - 1);
        damaged[at]! ^= 1 << random.between(0, 7);
      }
      const file = await checkRepair(sound, damaged, `round ${round}`);
      assert.ok(file.outcome === "repaired" || file.outcome === "sound", `round ${round}: ${file.reason}`);
    }
  });

  it("whatever pages changed places: all rows but those of free pages are there", LONG, async () => {
    const random = new RandomNumbers(2);
    const pages = sound.bytes.byteLength / sound.pageSize;
    for (let round = 0; round < 16; round++) {
      const damaged = Buffer.from(sound.bytes);
      const [one, other] = [random.between(0, pages - 1), random.between(0, pages - 1)];
      pageOf(damaged, one).set(pageOf(sound.bytes, other));
      pageOf(damaged, other).set(pageOf(sound.bytes, one));
      await checkRepair(sound, damaged, `pages ${one + 1} and ${other + 1}`);
    }
  });

  it("wherever it was cut, between pages and within: all rows before that are there", LONG, async () => {
    const pages = Math.floor(sound.bytes.byteLength / sound.pageSize);
    for (let part = 2; part < 8; part++) {
      for (const more of [0, 1777]) {
        const cut = Math.floor(pages * part / 8) * sound.pageSize + more;
        const file = await checkRepair(sound, sound.bytes.subarray(0, cut), `cut at ${cut}`);
        if (survivors(sound, sound.bytes.subarray(0, cut)).length > 0) {
          assert.equal(file.outcome, "repaired", file.reason ?? "");
        } else assert.match(file.reason ?? "nothing in it", /nothing in it/);
      }
    }
  });

  it("with nothing left to be read: says so, and leaves it", async () => {
    const file = await checkRepair(sound, new Uint8Array(100_000).fill(7), "nothing");
    assert.deepEqual([file.outcome, file.code], ["refused", "foreign_file"]);
    const cut = await checkRepair(sound, sound.bytes.subarray(0, 4000), "a half page");
    assert.match(cut.reason ?? "", /nothing in it can be read any more; move it away/);
  });

  it("its header overwritten: it is known by its rows", async () => {
    const damaged = Buffer.from(sound.bytes);
    damaged.fill("no database ", 0, 100);
    const file = await checkRepair(sound, damaged, "header");
    assert.equal(file.outcome, "repaired");
    assert.equal(file.salvaged!.entries, sound.rows.length);
    assert.equal(file.salvaged!.requests, sound.answers.length);
  });

  it("with dictionaries: answers need them, and have them again", LONG, async () => {
    const compressed = await makeDatabase(240);
    const damaged = Buffer.from(compressed.bytes);
    // The root of the answers' table.
    damaged.fill(0, 2 * compressed.pageSize, 3 * compressed.pageSize);
    const file = await checkRepair(compressed, damaged, "root");
    assert.equal(file.outcome, "repaired");
    assert.equal(file.salvaged!.dictionaries, 1);
    assert.equal(file.salvaged!.entries, compressed.rows.length);
  });

  it("keeps tags, so that what is invalidated is gone", async () => {
    const damaged = Buffer.from(sound.bytes);
    pageOf(damaged, 2).fill(0);
    const file = await checkRepair(sound, damaged, "tags");
    assert.equal(file.salvaged!.tags, 60);
    await using cache = await openCache({ directory: sound.directory, priceOf: null });
    assert.ok((await cache.invalidateTag("fourth")).entries > 0);
    assert.equal(await cache.get(request(4)), undefined);
    assert.notEqual(await cache.get(request(5)), undefined);
  });
});

describe("repairCache on a sound database", () => {
  it("leaves it as it is, byte for byte", async () => {
    const sound = await makeDatabase(30, { compressed: false });
    const { outcome, kept, model } = only(await repairCache({ directory: sound.directory }));
    assert.deepEqual({ outcome, kept, model }, { outcome: "sound", kept: null, model: "m" });
    assert.deepEqual(await readFile(sound.path), sound.bytes);
  });

  it("made anew, it gives the same answers", LONG, async () => {
    const sound = await makeDatabase(240);
    const { outcome, salvaged } = only(await repairCache({ directory: sound.directory, rebuild: true }));
    assert.equal(outcome, "repaired");
    assert.deepEqual(salvaged, {
      entries: sound.rows.length,
      lost: 0,
      doubtful: 0,
      withoutDictionary: 0,
      broken: 0,
      requests: 240,
      withoutRequest: 0,
      dictionaries: 1,
      tags: 120,
    });
    assert.equal(await checkAnswers(sound, "rebuilt"), 240);
  });

  it("an empty file has nothing to be repaired", async () => {
    const sound = await makeDatabase(1, { compressed: false });
    await replace(sound, new Uint8Array(0));
    assert.equal(only(await repairCache({ directory: sound.directory })).outcome, "sound");
    assert.equal((await stat(sound.path)).size, 0);
  });
});

describe("repairCache and the log", () => {
  /** A database with a log of its last answers, copied while it was open: as after a kill. */
  async function killed(): Promise<{ directory: string; path: string; log: Buffer }> {
    const [from, directory] = [await temporaryFolder(), await temporaryFolder()];
    const store = await openStore(from);
    for (const word of ["a", "b", "c", "d", "e"]) {
      await store.put(MODEL, requestOf(word), [entryOf(word.repeat(5000))], "append");
    }
    const path = await databaseIn(from);
    const copy = join(directory, basename(path));
    for (const part of ["", "-wal"]) await copyFile(path + part, copy + part);
    await store.close();
    return { directory, path: copy, log: await readFile(`${copy}-wal`) };
  }
  const answers = async (directory: string): Promise<string[]> => {
    const store = await openStore(directory);
    const found = await Promise.all(["a", "b", "c", "d", "e"].map((word) => texts(store, word)));
    await store.close();
    return found.flat().map((text) => text[0]!);
  };

  it("takes what is in it", async () => {
    const { directory } = await killed();
    const { outcome, salvaged } = only(await repairCache({ directory, rebuild: true }));
    assert.equal(outcome, "repaired");
    assert.equal(salvaged!.entries, 5);
    assert.deepEqual(await answers(directory), ["a", "b", "c", "d", "e"]);
  });

  it("cut off anywhere, gives what was whole before", async () => {
    const { directory, path, log } = await killed();
    const database = await readFile(path);
    for (const part of [0.3, 0.5, 0.7, 0.9]) {
      await writeFile(path, database);
      await writeFile(`${path}-wal`, log.subarray(0, Math.floor(log.byteLength * part)));
      const { outcome } = only(await repairCache({ directory, rebuild: true }));
      assert.equal(outcome, "repaired");
      const found = await answers(directory);
      assert.deepEqual(found, ["a", "b", "c", "d", "e"].slice(0, found.length));
      assert.ok(found.length < 5);
    }
  });

  it("broken in the middle, gives what lies behind that too, where SQLite stops", async () => {
    const { directory, path, log } = await killed();
    const broken = Buffer.from(log);
    broken[Math.floor(log.byteLength * 0.45)]! ^= 1;
    await writeFile(`${path}-wal`, broken);
    const { outcome, notes, kept } = only(await repairCache({ directory }));
    assert.equal(outcome, "repaired");
    assert.match(notes[0]!, /^the -wal file is broken in the middle/);
    assert.deepEqual(await readFile(`${kept}-wal`), broken);
    assert.ok((await answers(directory)).includes("e"));
  });

  it("with a wal-index of somebody else's: that is made anew", async () => {
    const { directory, path } = await killed();
    await writeFile(`${path}-shm`, new Uint8Array(32768).fill(0xff));
    assert.equal(only(await repairCache({ directory, rebuild: true })).outcome, "repaired");
    assert.deepEqual(await answers(directory), ["a", "b", "c", "d", "e"]);
  });
});

describe("repairCache refuses", () => {
  it("while somebody uses the cache, and says who; nothing is changed", async () => {
    const directory = await temporaryFolder();
    const store = await openStore(directory);
    await store.put(MODEL, requestOf("a"), [entryOf("a")], "append");
    const path = await databaseIn(directory);
    const names = await readdir(directory);
    await assert.rejects(
      repairCache({ directory, lockTimeout: 0 }),
      (error: Error & { code: string }) =>
        error.code === "locked" && error.message.startsWith(`Cannot repair ${path}: `) &&
        error.message.includes("process") && error.message.endsWith("repair again; nothing was changed"),
    );
    assert.deepEqual((await readdir(directory)).filter((name) => !names.includes(name)), []);
    await store.close();
    assert.equal((await repairCache({ directory })).ok, true);
  });

  it("another program's database, and leaves no trace", async () => {
    const directory = await temporaryFolder();
    const path = join(directory, "theirs-01234567.sqlite");
    const native = new DatabaseSync(path);
    native.exec("CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)");
    native.close();
    const bytes = await readFile(path);
    const { outcome, code } = only(await repairCache({ directory }));
    assert.deepEqual({ outcome, code }, { outcome: "refused", code: "foreign_file" });
    assert.deepEqual(await readFile(path), bytes);
    assert.deepEqual(await readdir(directory), [basename(path)]);
  });

  it("a database of a newer version", async () => {
    const sound = await makeDatabase(1, { compressed: false });
    const native = new DatabaseSync(sound.path);
    native.exec("PRAGMA user_version = 99");
    native.close();
    const { outcome, code } = only(await repairCache({ directory: sound.directory }));
    assert.deepEqual({ outcome, code }, { outcome: "refused", code: "newer_schema" });
  });

  it("what makes no sense", async () => {
    await assert.rejects(repairCache({ directory: "" }), TypeError);
    await assert.rejects(repairCache({ backend: "redis" as "sqlite" }), /backend: redis/);
    await assert.rejects(repairCache({ models: "m" as unknown as string[] }), TypeError);
    await assert.rejects(repairCache({ lockTimeout: -1 }), RangeError);
    await assert.rejects(repairCache({ directory: join(await temporaryFolder(), "nowhere") }), { code: "unavailable" });
  });
});

describe("repairCache where something is in its way", () => {
  const broken = async (directory: string): Promise<{ path: string; bytes: Buffer }> => {
    const store = await openStore(directory);
    for (let index = 0; index < 12; index++) {
      const noise = crypto.getRandomValues(new Uint8Array(15_000));
      await store.put(MODEL, requestOf(`${index}`), [entryOf(noise)], "append");
    }
    await store.close();
    const path = await databaseIn(directory);
    const bytes = await readFile(path);
    bytes.fill(0, 16384, 24576);
    await writeFile(path, bytes);
    return { path, bytes };
  };

  it("a disk that fills up: the database is as it was, and nothing is left of the attempt", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "full"), async (directory) => {
      const { path, bytes } = await broken(directory);
      await writeFile(join(directory, "ballast"), new Uint8Array(1_950_000 - bytes.byteLength));
      const { outcome, code, reason } = only(await repairCache({ directory }));
      assert.deepEqual({ outcome, code }, { outcome: "failed", code: "unavailable" });
      assert.match(reason!, /is as it was$/);
      assert.deepEqual(await readFile(path), bytes);
      assert.deepEqual((await readdir(directory)).filter((name) => /repair|broken/.test(name)), []);
      execFileSync("mount", ["-o", "remount,size=4m", directory]);
      assert.equal((await repairCache({ directory })).ok, true);
    }, "2m");
  });

  it("a directory that may only be read", async (context) => {
    await onSmallDisk(context, join(await temporaryFolder(), "read_only"), async (directory) => {
      const { path, bytes } = await broken(directory);
      makeReadOnly(directory);
      await assert.rejects(repairCache({ directory }), { name: "CacheError", code: "unavailable" });
      assert.deepEqual(await readFile(path), bytes);
    }, "2m");
  });

  it("a rename that fails half way: the database is back where it was", async () => {
    const directory = await temporaryFolder();
    const { path, bytes } = await broken(directory);
    const rename = (from: string, to: string): Promise<void> =>
      to === path && from.includes(".repair-")
        ? Promise.reject(new FileError("Cannot rename", "EIO"))
        : machine.files.rename(from, to);
    const report = await repairCacheOn({ ...machine, files: { ...machine.files, rename } }, { directory });
    assert.equal(only(report).outcome, "failed");
    assert.deepEqual(await readFile(path), bytes);
    assert.deepEqual((await readdir(directory)).filter((name) => /repair|broken/.test(name)), []);
  });

  it("its own end half way: the next one takes the database back", async () => {
    const sound = await makeDatabase(10, { compressed: false });
    const kept = `${sound.path}.broken-20261122T120000Z`;
    await copyFile(sound.path, kept);
    await rm(sound.path);
    assert.equal(only(await repairCache({ directory: sound.directory })).outcome, "sound");
    assert.deepEqual(await readFile(sound.path), sound.bytes);
    await assert.rejects(stat(kept));
  });

  it("a signal: it ends with its reason, and the database is as it was", async () => {
    const directory = await temporaryFolder();
    const { path, bytes } = await broken(directory);
    const reason = new Error("enough");
    const controller = new AbortController();
    let calls = 0;
    const onProgress = (): void => {
      if (++calls === 3) controller.abort(reason);
    };
    await assert.rejects(repairCache({ directory, onProgress, signal: controller.signal }), reason);
    assert.deepEqual(await readFile(path), bytes);
    assert.equal((await repairCache({ directory })).ok, true);
    await restore({ path, bytes } as Sound);
  });
});
