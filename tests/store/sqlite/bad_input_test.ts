/**
 * Whatever lies where a database should be: an error with a code or a clean recovery, never a wrong answer, and nothing
 * of the user's is overwritten. In both locking modes, since each opens files in its own way. See `files_test.ts` for
 * folders and disks, `corruption_test.ts` for single bits.
 */

import assert from "node:assert/strict";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, describe, it, type TestContext } from "node:test";
import type { CacheErrorCode } from "../../../src/store/error.ts";
import { requireRangeLocks } from "../../support/parts.ts";
import { makeReadOnly, onSmallDisk } from "../../support/small_disk.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, find, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

type Store = Awaited<ReturnType<typeof openStore>>;
type Locking = "exclusive" | "shared";

const WORDS = Array.from({ length: 60 }, (_, index) => `w${index}`);
const decoder = new TextDecoder();

/** An answer that does not compress to nothing; one of them spills over several pages. */
function answerTo(word: string): string {
  const number = Number(word.slice(1));
  const length = number === 7 ? 12_000 : 250;
  let state = number + 1;
  const random = () => (state = (state * 48271) % 0x7fffffff).toString(36);
  return `${word}: ${Array.from({ length }, random).join(" ")}`;
}

async function put(store: Store, word: string): Promise<void> {
  await store.put(MODEL, requestOf(word), [entryOf(answerTo(word))], "append");
}

/** Puts answers into a folder; what `whileOpen` copies of it is what a crash would leave. */
async function fill(directory: string, words: readonly string[], whileOpen?: () => Promise<void>): Promise<void> {
  const store = await openStore(directory);
  for (const word of words) await put(store, word);
  await whileOpen?.();
  await store.close();
}

/** Looks for all the words; any answer is the right one, any error has one of the codes. Returns how many were found. */
async function count(
  store: Store,
  codes: readonly CacheErrorCode[],
  words: readonly string[] = WORDS,
): Promise<number> {
  let found = 0;
  for (const word of words) {
    try {
      const { entries } = await find(store, word);
      for (const entry of entries) assert.equal(decoder.decode(entry.bytes()), answerTo(word));
      found += entries.length;
    } catch (error) {
      const { name, code } = error as { name: string; code: CacheErrorCode };
      assert.equal(name, "CacheError", String(error));
      assert.ok(codes.includes(code), `${code} is none of ${codes}: ${error}`);
    }
  }
  return found;
}

/** All files in a folder but our own notes of who owns a database. */
async function contentOf(directory: string): Promise<Map<string, string>> {
  const content = new Map<string, string>();
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (!entry.isFile() || /-owner|-shm$/.test(entry.name)) continue;
    content.set(entry.name, (await readFile(join(directory, entry.name))).toString("base64"));
  }
  return content;
}

for (const locking of ["exclusive", "shared"] satisfies Locking[]) {
  describe(`bad input, ${locking}`, () => {
    let folder: string;
    let good: Buffer;
    let name: string;
    /** The size of a page. */
    let page: number;
    before(async () => {
      folder = await temporaryFolder();
      await fill(join(folder, "good"), WORDS);
      const path = await databaseIn(join(folder, "good"));
      name = path.slice(path.lastIndexOf("/") + 1);
      good = await readFile(path);
      page = good.readUInt16BE(16);
    });

    /** A folder with a database in it; skips the test where databases cannot be opened in this mode. */
    async function place(
      context: TestContext,
      bytes: Uint8Array | undefined = good,
    ): Promise<{ directory: string; path: string } | undefined> {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return undefined;
      const directory = await temporaryFolder();
      const path = join(directory, name);
      if (bytes.byteLength > 0) await writeFile(path, bytes);
      return { directory, path };
    }

    const open = (directory: string): Promise<Store> => openStore(directory, { locking });

    describe("what is not ours is refused and left as it is:", () => {
      const cases: Record<string, [CacheErrorCode, () => Uint8Array]> = {
        "zeros": ["foreign_file", () => new Uint8Array(2 * page)],
        "a database cut off within its header": ["foreign_file", () => good.subarray(0, 60)],
        "a database cut off one byte before its header's end": ["foreign_file", () => good.subarray(0, 99)],
        "our tables under a foreign application_id": ["foreign_file", () => withHeader(68, 0x12345678)],
        "our tables under no application_id": ["foreign_file", () => withHeader(68, 0)],
        "a newer user_version": ["newer_schema", () => withHeader(60, 3)],
        "the newest user_version there can be": ["newer_schema", () => withHeader(60, 0xffffffff)],
      };
      const withHeader = (at: number, value: number): Buffer => {
        const bytes = Buffer.from(good);
        bytes.writeUInt32BE(value, at);
        return bytes;
      };
      for (const [what, [code, bytes]] of Object.entries(cases)) {
        it(what, async (context) => {
          const placed = await place(context, bytes());
          if (!placed) return;
          const content = await contentOf(placed.directory);
          const store = await open(placed.directory);
          await assert.rejects(async () => await find(store, "w0"), { name: "CacheError", code });
          await assert.rejects(put(store, "new"), { name: "CacheError", code });
          assert.equal((await store.size()).entries, 0);
          await store.close();
          assert.deepEqual(await contentOf(placed.directory), content);
        });
      }

      const marks: Record<string, [CacheErrorCode, string]> = {
        "a newer user_version that is still in the log": ["newer_schema", "PRAGMA user_version = 3"],
        "a foreign application_id that is still in the log": ["foreign_file", "PRAGMA application_id = 77"],
      };
      for (const [what, [code, sql]] of Object.entries(marks)) {
        it(what, async (context) => {
          const placed = await place(context);
          if (!placed) return;
          const { directory, path } = placed;
          await afterCrash(path, `${sql}; CREATE TABLE theirs (a); INSERT INTO theirs VALUES ('precious')`);
          const content = await contentOf(directory);
          const store = await open(directory);
          await assert.rejects(async () => await find(store, "w0"), { name: "CacheError", code });
          await assert.rejects(put(store, "new"), { name: "CacheError", code });
          await store.close();
          assert.deepEqual(await contentOf(directory), content);
          const native = new DatabaseSync(path);
          assert.equal(native.prepare("SELECT a FROM theirs").get()!.a, "precious");
          assert.equal(native.prepare("SELECT count(*) AS n FROM entry").get()!.n, WORDS.length);
          native.close();
        });
      }
    });

    describe("a database that is cut off or overwritten is an error with a code:", () => {
      const middle = (): number => Math.floor(good.byteLength / page / 2) * page;
      const cases: Record<string, () => Buffer> = {
        "cut off after its header": () => good.subarray(0, 100),
        "cut off within its first page": () => good.subarray(0, page - 1),
        "cut off after its first page": () => good.subarray(0, page),
        "cut off after two pages": () => good.subarray(0, 2 * page),
        "cut off between pages": () => good.subarray(0, middle()),
        "cut off in the middle of a page": () => good.subarray(0, middle() + 1000),
        "with an absurd page size": () => Buffer.from(good).fill(0x03, 16, 18),
        "with nothing but its first page": () => Buffer.from(good).fill(0, page),
        "with noise behind its header": () => Buffer.from(good).fill(0xa5, 100, page),
      };
      for (const [what, bytes] of Object.entries(cases)) {
        it(what, async (context) => {
          const placed = await place(context, bytes());
          if (!placed) return;
          const content = await contentOf(placed.directory);
          const store = await open(placed.directory);
          assert.equal(await count(store, ["corrupt"]), 0);
          await assert.rejects(put(store, "w1000"), { name: "CacheError", code: "corrupt" });
          await store.close();
          assert.deepEqual(await contentOf(placed.directory), content);
          await writeFile(placed.path, good);
          const healed = await open(placed.directory);
          assert.equal(await count(healed, []), WORDS.length);
          await healed.close();
        });
      }
    });

    describe("a page of garbage, whichever page, costs the answers on it:", () => {
      const garbage: Record<string, (bytes: Buffer) => void> = {
        "zeros": (bytes) => bytes.fill(0),
        "ones": (bytes) => bytes.fill(0xff),
        "noise": (bytes) => bytes.forEach((_, index) => bytes[index] = (index * 2_654_435_761) >>> 7),
        "another page": (bytes) => good.copy(bytes, 0, good.byteLength - page),
      };
      for (const [what, overwrite] of Object.entries(garbage)) {
        it(what, async (context) => {
          const placed = await place(context);
          if (!placed) return;
          let [lost, failed] = [0, 0];
          for (let at = page; at < good.byteLength; at += page) {
            const bytes = Buffer.from(good);
            overwrite(bytes.subarray(at, at + page));
            await writeFile(placed.path, bytes);
            const store = await open(placed.directory);
            lost += WORDS.length - await count(store, ["corrupt"]);
            await put(store, "w1000").catch((error) => {
              failed++;
              assert.equal(error.code, "corrupt", error);
            });
            await count(store, ["corrupt"], [...WORDS, "w1000"]);
            await store.close();
          }
          assert.ok(lost > WORDS.length, "the pages that hold the way to all of them");
          assert.ok(failed > 0);
        });
      }
    });

    describe("what was left beside a database from another time does no harm:", () => {
      let newer: Buffer;
      let newerLog: Buffer;
      before(async () => {
        // Half the answers in the database, half in its log.
        const directory = join(folder, "logged");
        const copy = join(folder, "copy");
        await fill(directory, WORDS.slice(0, 30));
        await fill(directory, WORDS.slice(30), () => cp(directory, copy, { recursive: true }));
        newer = await readFile(join(copy, name));
        newerLog = await readFile(join(copy, `${name}-wal`));
      });

      const cases: Record<string, (path: string) => Promise<number | void>> = {
        "an empty log": (path) => writeFile(`${path}-wal`, ""),
        "a log of noise": (path) => writeFile(`${path}-wal`, Buffer.alloc(50_000, 0xa5)),
        "half the header of a log": (path) => writeFile(`${path}-wal`, newerLog.subarray(0, 16)),
        "a log with nothing behind its header": (path) => writeFile(`${path}-wal`, newerLog.subarray(0, 32)),
        "the log of an older copy": (path) => writeFile(`${path}-wal`, newerLog),
        "its own log, whose end is missing": async (path) => {
          await writeFile(path, newer);
          await writeFile(`${path}-wal`, newerLog.subarray(0, newerLog.byteLength - page - 30));
          return 59;
        },
        "its own log, and a wal-index of noise": async (path) => {
          await writeFile(path, newer);
          await writeFile(`${path}-wal`, newerLog);
          await writeFile(`${path}-shm`, Buffer.alloc(32_768, 0xa5));
        },
        "an empty wal-index": (path) => writeFile(`${path}-shm`, ""),
        "a wal-index of noise": (path) => writeFile(`${path}-shm`, Buffer.alloc(32_768, 0xa5)),
        "part of a wal-index": (path) => writeFile(`${path}-shm`, Buffer.alloc(100, 0xa5)),
        "an empty journal": (path) => writeFile(`${path}-journal`, ""),
        "a journal of noise": (path) => writeFile(`${path}-journal`, Buffer.alloc(50_000, 0xa5)),
        "a journal that was not finished": (path) => writeFile(`${path}-journal`, Buffer.alloc(50_000)),
        "a note of an owner long gone": (path) =>
          writeFile(`${path}-owner.json`, JSON.stringify({ pid: 1, runtime: "deno", mode: "exclusive", since: "?" })),
        "a note of an owner that is no note": (path) => writeFile(`${path}-owner.json`, "null"),
      };
      for (const [what, leave] of Object.entries(cases)) {
        it(what, async (context) => {
          const placed = await place(context);
          if (!placed) return;
          const expected = await leave(placed.path) ?? WORDS.length;
          for (const words of [WORDS, [...WORDS, "w1000"]]) {
            const store = await open(placed.directory);
            assert.equal(await count(store, [], words), expected + words.length - WORDS.length);
            await put(store, "w1000");
            assert.deepEqual(await texts(store, "w1000"), [answerTo("w1000")]);
            await store.close();
          }
          const native = new DatabaseSync(placed.path);
          assert.equal(native.prepare("PRAGMA integrity_check").get()!.integrity_check, "ok");
          native.close();
        });
      }

      // No SQLite can tell such a log from the database's own (https://sqlite.org/howtocorrupt.html, 1.4).
      it("the log of another cache is taken for its own, and no answer is given to the wrong question", async (context) => {
        const placed = await place(context);
        if (!placed) return;
        const other = Array.from({ length: 30 }, (_, index) => `w${500 + index}`);
        const directory = await temporaryFolder();
        await fill(directory, other, async () => {
          await cp(join(directory, `${name}-wal`), `${placed.path}-wal`);
        });
        const store = await open(placed.directory);
        await count(store, ["corrupt"], [...WORDS, ...other]);
        await store.close();
      });
    });

    describe("what is no file at all is an error with a code:", () => {
      const cases: Record<string, (path: string, directory: string) => Promise<unknown>> = {
        "a directory": (path) => mkdir(path),
        "a symbolic link to a directory": async (path, directory) => {
          await mkdir(join(directory, "elsewhere"));
          await symlink(join(directory, "elsewhere"), path);
        },
        "a symbolic link to itself": (path) => symlink(path, path),
        "a symbolic link into a missing folder": (path, directory) => symlink(join(directory, "no", "where"), path),
        "a directory in the place of its log": async (path) => {
          await writeFile(path, good);
          await mkdir(`${path}-wal`);
        },
        "a directory in the place of its owner's lock": async (path) => {
          await writeFile(path, good);
          await mkdir(`${path}-owner`);
        },
      };
      for (const [what, make] of Object.entries(cases)) {
        it(what, async (context) => {
          const placed = await place(context, new Uint8Array());
          if (!placed) return;
          await make(placed.path, placed.directory);
          const content = await contentOf(placed.directory);
          const store = await open(placed.directory);
          assert.equal(await count(store, ["unavailable"]), 0);
          await assert.rejects(put(store, "new"), { name: "CacheError", code: "unavailable" });
          await store.close();
          assert.deepEqual(await contentOf(placed.directory), content);
        });
      }

      it("a symbolic link to somebody's notes: refused, and they are left as they are", async (context) => {
        const placed = await place(context, new Uint8Array());
        if (!placed) return;
        const notes = join(placed.directory, "notes.txt");
        await writeFile(notes, "not a database, but dear to somebody\n".repeat(10));
        await symlink(notes, placed.path);
        const content = await contentOf(placed.directory);
        const store = await open(placed.directory);
        await assert.rejects(put(store, "new"), { name: "CacheError", code: "foreign_file" });
        await store.close();
        assert.deepEqual(await contentOf(placed.directory), content);
      });

      it("but a symbolic link to a file yet to be made makes it", async (context) => {
        const placed = await place(context, new Uint8Array());
        if (!placed) return;
        const target = join(placed.directory, "target.sqlite");
        await symlink(target, placed.path);
        const store = await open(placed.directory);
        assert.deepEqual((await find(store, "w0")).entries, []);
        await put(store, "w0");
        await store.close();
        const native = new DatabaseSync(target);
        assert.equal(native.prepare("SELECT count(*) AS n FROM entry").get()!.n, 1);
        native.close();
      });
    });

    describe("a folder may be called", () => {
      const names: Record<string, string> = {
        "with spaces": " with some spaces ",
        "in UTF-8": "Füße 日本語 🧊",
        "what means something to a shell, a URL, or SQL": `a?b#c%20d'e"f\\g;h:i&j=k\nl`,
        "by 250 characters": "x".repeat(250),
        "by 1600 characters in eight parts": Array(8).fill("d".repeat(199)).join("/"),
      };
      for (const [what, part] of Object.entries(names)) {
        it(what, async (context) => {
          const placed = await place(context, new Uint8Array());
          if (!placed) return;
          const directory = join(placed.directory, part);
          for (const expected of [0, 1]) {
            const store = await open(directory);
            assert.equal((await find(store, "w0")).entries.length, expected);
            await put(store, "w0");
            assert.deepEqual(await texts(store, "w0"), [answerTo("w0")]);
            await store.close();
          }
        });
      }

      it("but not by more characters than the system knows", async (context) => {
        const placed = await place(context, new Uint8Array());
        if (!placed) return;
        const store = await open(join(placed.directory, "x".repeat(256)));
        assert.deepEqual((await find(store, "w0")).entries, []);
        await assert.rejects(put(store, "w0"), { name: "CacheError", code: "unavailable", message: /ENAMETOOLONG/ });
        await store.close();
      });
    });

    it("a disk that may only be read is an error with a code, and left as it is", async (context) => {
      if (locking === "shared" && !requireRangeLocks(context, machine)) return;
      const mounted = join(await temporaryFolder(), "read_only");
      await onSmallDisk(context, mounted, async (directory) => {
        await writeFile(join(directory, name), good);
        makeReadOnly(directory);
        const content = await contentOf(directory);
        const store = await open(directory);
        assert.equal(await count(store, ["unavailable"]), 0);
        await assert.rejects(put(store, "new"), { name: "CacheError", code: "unavailable" });
        await store.close();
        assert.deepEqual(await contentOf(directory), content);
      }, "4m");
    });
  });
}

/** Changes a database as a native SQLite that dies before it has moved its log. */
async function afterCrash(path: string, sql: string): Promise<void> {
  const work = join(await temporaryFolder(), "work.sqlite");
  await cp(path, work);
  const native = new DatabaseSync(work);
  native.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; ${sql}`);
  for (const part of ["", "-wal"]) await cp(work + part, path + part);
  native.close();
}
