/**
 * Files that released versions wrote are read for ever: every answer is there byte for byte, the file is brought up to
 * date when it is opened, and everything of today works on it. Newer files are refused before they are touched.
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync } from "node:fs";
import { cp, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it } from "node:test";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import type { Locking } from "../../src/sqlite/open.ts";
import type { Store } from "../../src/store/store.ts";
import { requirePart, requireRangeLocks } from "../support/parts.ts";
import { HERE, requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { at, machine, openStore } from "../store/sqlite/fixture.ts";
import { watched } from "../store/sqlite/watched.ts";
import {
  ALIKE,
  answerOf,
  BRIEF,
  BRIEF_EXPIRES,
  entryOf,
  FAILURE,
  FILE_NAME,
  goldenDirectory,
  keyOf,
  LEDGER,
  MADE,
  MODEL,
  requestOf,
  REQUESTS,
  sketchOf,
} from "./golden.ts";

/** The schema that is written now. */
const CURRENT = 2;
const VERSIONS = Array.from({ length: CURRENT }, (_, index) => index + 1);
const MIGRATOR = fileURLToPath(new URL("./migrator.ts", import.meta.url));
/** Dozens of lives take longer than Bun gives a test on a busy machine. */
const PATIENT = { timeout: 120_000 };

function pragma(directory: string, name: string): unknown {
  const native = new DatabaseSync(join(directory, FILE_NAME));
  try {
    return native.prepare(`PRAGMA ${name}`).get()![name];
  } finally {
    native.close();
  }
}

async function texts(store: Store, word: string): Promise<string[]> {
  const [found] = await store.lookup(MODEL, [{ key: keyOf(word), samples: 99 }]);
  const { stale, expired, corrupt } = found!;
  assert.deepEqual({ stale, expired, corrupt }, { stale: false, expired: false, corrupt: false });
  return found!.entries.map((entry) => new TextDecoder().decode(entry.bytes()));
}

async function assertAnswers(store: Store, version: number): Promise<void> {
  for (const [word, samples] of version > 1 ? [...REQUESTS, ...ALIKE] : REQUESTS) {
    assert.deepEqual(await texts(store, word), Array.from({ length: samples }, (_, sample) => answerOf(word, sample)));
  }
}

/** What a file says about itself is what is in it: the tables of one version, all of them, and every answer. */
async function assertWhole(directory: string, from: number): Promise<number> {
  const native = new DatabaseSync(join(directory, FILE_NAME));
  const version = Number(native.prepare("PRAGMA user_version").get()!.user_version);
  const tables = native.prepare("SELECT name FROM sqlite_schema ORDER BY name").all().map(({ name }) => String(name));
  assert.equal(native.prepare("PRAGMA integrity_check").get()!.integrity_check, "ok");
  native.close();
  assert.ok(version === from || version === CURRENT, `${version}`);
  assert.equal(tables.includes("daily"), version > 1);
  assert.equal(tables.includes("entry_expires"), version > 1);
  const store = await openStore(directory);
  await assertAnswers(store, from);
  await store.close();
  return version;
}

for (const version of VERSIONS) {
  describe(`a file of schema ${version}`, () => {
    let folder: string;
    before(async () => {
      folder = await temporaryFolder();
    });
    async function copy(name: string): Promise<string> {
      const directory = join(folder, name);
      await cp(goldenDirectory(version), directory, { recursive: true });
      return directory;
    }

    it("is what it claims to be", async () => {
      assert.equal(pragma(await copy("itself"), "user_version"), version);
    });

    for (const locking of ["exclusive", "shared"] satisfies Locking[]) {
      it(`opened ${locking}, has every answer byte for byte, and is brought up to date`, async (context) => {
        if (locking === "shared" && !requireRangeLocks(context, machine)) return;
        const directory = await copy(locking);
        const store = await openStore(directory, { locking });
        await assertAnswers(store, version);
        const [found] = await store.lookup(MODEL, [{ key: keyOf("one"), samples: 1 }]);
        const { modelAnswered, fingerprint, promptTokens, completionTokens, outcome, expires } = found!.entries[0]!;
        const fields = { modelAnswered, fingerprint, promptTokens, completionTokens, outcome, expires };
        const expected = entryOf("one", 0);
        for (const [name, value] of Object.entries(fields)) {
          assert.equal(value, expected[name as keyof typeof fields], name);
        }
        await store.close();
        assert.equal(pragma(directory, "user_version"), CURRENT);
        assert.equal(pragma(directory, "integrity_check"), "ok");
      });

      it(`opened ${locking}, takes all that can be put today, and gives it back`, async (context) => {
        if (locking === "shared" && !requireRangeLocks(context, machine)) return;
        const directory = await copy(`${locking} works`);
        let store = await openStore(directory, { locking });
        await store.put(MODEL, requestOf("new"), [entryOf("new", 0)], "append", { tags: ["added"] });
        await store.put(MODEL, requestOf("one"), [entryOf("one", 1)], "append", { tags: ["added"] });
        await store.put(MODEL, requestOf("three"), [entryOf("three", 0)], "replace_all");
        if (store.claims) {
          assert.equal((await store.claims.claim(MODEL, keyOf("new"), "a", 1000)).granted, true);
          assert.equal((await store.claims.claim(MODEL, keyOf("new"), "b", 1000)).granted, false);
        }
        await store.failures!.record(MODEL, keyOf("new"), FAILURE);
        store.ledger!.add({ ...LEDGER, day: "2026-11-23" });
        await store.close();
        store = await openStore(directory, { locking });
        assert.deepEqual(await texts(store, "new"), [answerOf("new", 0)]);
        assert.deepEqual(await texts(store, "one"), [answerOf("one", 0), answerOf("one", 1)]);
        assert.deepEqual(await texts(store, "three"), [answerOf("three", 0)]);
        assert.deepEqual(await store.failures!.last(MODEL, keyOf("new")), { count: 1, ...FAILURE });
        assert.deepEqual((await store.ledger!.read()).at(-1), { ...LEDGER, day: "2026-11-23" });
        assert.deepEqual((await store.nearest(sketchOf("new"), 1)).map(({ key }) => key), [keyOf("new")]);
        assert.equal((await store.remove({ tag: "added" })).entries, 3);
        assert.deepEqual(await texts(store, "one"), []);
        await store.close();
        assert.equal(pragma(directory, "integrity_check"), "ok");
      });
    }

    it("is measured and read without being touched", async () => {
      const directory = await copy("closed");
      const content = await readFile(join(directory, FILE_NAME));
      const store = await openStore(directory);
      const { entries, totalBytes } = await store.size();
      assert.equal(entries, version === 1 ? 5 : 6 + ALIKE.length);
      assert.equal(totalBytes, content.byteLength);
      assert.deepEqual([...await store.ledger!.read()], version === 1 ? [] : [LEDGER]);
      await store.close();
      assert.deepEqual(await readFile(join(directory, FILE_NAME)), content);
    });

    it("is read by the sqlite3 shell before and after", async (context) => {
      const shell = (directory: string): string =>
        execFileSync("sqlite3", ["-readonly", join(directory, FILE_NAME), "PRAGMA integrity_check"], {
          encoding: "utf8",
        });
      const directory = await copy("shell");
      if (!requirePart(context, "sqlite3")) return;
      assert.equal(shell(directory).trim(), "ok");
      const store = await openStore(directory);
      await assertAnswers(store, version);
      await store.close();
      assert.equal(shell(directory).trim(), "ok");
    });

    it("is brought up to date once by processes that open it together", async (context) => {
      const command = requireRuntime(context, HERE);
      if (!command || !requireRangeLocks(context, machine)) return;
      const directory = await copy("together");
      const [executable, ...args] = command;
      const words = ["first", "second", "third"];
      const said = await Promise.all(
        words.map((word) =>
          text(spawn(executable, [...args, MIGRATOR, directory, word], { stdio: ["ignore", "pipe", "inherit"] }).stdout)
        ),
      );
      assert.deepEqual(said.map((each) => each.trim()), words.map(() => "3"));
      const store = await openStore(directory);
      for (const word of words) assert.deepEqual(await texts(store, word), [answerOf(word, 0)]);
      await assertAnswers(store, version);
      await store.close();
      assert.equal(await assertWhole(directory, version), CURRENT);
    });

    for (const locking of ["exclusive", "shared"] satisfies Locking[]) {
      it(`opened ${locking} by a process that ends at any moment, is old or new`, PATIENT, async (context) => {
        if (locking === "shared" && !requireRangeLocks(context, machine)) return;
        const directory = await copy(`${locking} crashes`);
        const crashes: string[] = [];
        const runtime = watched(() => {
          const crash = join(folder, `${locking} crash ${crashes.length}`);
          crashes.push(crash);
          cpSync(directory, crash, { recursive: true });
        });
        const store = await openStore(directory, { runtime, locking, synchronous: "full" });
        await store.lookup(MODEL, [{ key: keyOf("one"), samples: 1 }]);
        await store.close();
        const found = new Set<number>();
        for (const crash of crashes) found.add(await assertWhole(crash, version));
        assert.deepEqual([...found].sort(), version === CURRENT ? [CURRENT] : [version, CURRENT]);
      });
    }
  });
}

describe("a file of schema 2", () => {
  it("has everything else that was put into it", async () => {
    const directory = join(await temporaryFolder(), "copy");
    await cp(goldenDirectory(2), directory, { recursive: true });
    const store = await openStore(directory, { runtime: at(() => MADE) });
    const [brief] = await store.lookup(MODEL, [{ key: keyOf(BRIEF), samples: 1 }]);
    assert.equal(brief!.entries[0]!.expires, BRIEF_EXPIRES);
    assert.deepEqual(await store.failures!.last(MODEL, keyOf("failing")), { count: 2, ...FAILURE });
    assert.deepEqual([...await store.ledger!.read()], [LEDGER]);
    const words = [...REQUESTS.map(([word]) => word), BRIEF];
    for (const word of words) {
      const [near] = await store.nearest(sketchOf(word), 1);
      assert.deepEqual(near, requestOf(word));
    }
    assert.equal((await store.remove({ tag: "three" })).entries, 3);
    assert.equal((await store.remove({ tag: "golden" })).entries, 2 + ALIKE.length);
    await store.close();
  });
});

describe("a file of a newer schema", () => {
  it("is refused before anything is written, also beside it", async () => {
    const directory = join(await temporaryFolder(), "newer");
    await cp(goldenDirectory(CURRENT), directory, { recursive: true });
    const native = new DatabaseSync(join(directory, FILE_NAME));
    native.exec(`PRAGMA user_version = ${CURRENT + 1}`);
    native.close();
    const snapshot = async (): Promise<unknown> =>
      await Promise.all((await readdir(directory)).map(async (name) => [name, await readFile(join(directory, name))]));
    const before = await snapshot();
    const store = await openStore(directory);
    const newer = { name: "CacheError", code: "newer_schema" };
    await assert.rejects(texts(store, "one"), newer);
    await assert.rejects(store.put(MODEL, requestOf("a"), [entryOf("a", 0)], "append") as Promise<void>, newer);
    await assert.rejects(async () => await store.failures!.last(MODEL, keyOf("one")), newer);
    await assert.rejects(async () => await store.failures!.record(MODEL, keyOf("one"), FAILURE), newer);
    if (store.claims) await assert.rejects(async () => await store.claims!.claim(MODEL, keyOf("a"), "a", 1), newer);
    store.ledger!.add(LEDGER);
    assert.deepEqual([...await store.ledger!.read()], [LEDGER]);
    assert.equal((await store.size()).entries, 0);
    await store.close();
    assert.deepEqual(await snapshot(), before);
  });
});
