/** Opening databases: what lies beside them, who is kept out, what is left behind. With and without the C library. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Files, OpenFile, Runtime } from "../../src/runtime/runtime.ts";
import { FileError } from "../../src/runtime/runtime.ts";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import type { OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase, readDatabase } from "../../src/sqlite/open.ts";
import { inheriting } from "../support/inherited.ts";
import { requirePart, requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();
const runtimes: [string, Runtime][] = [["without the C library", { ...machine, rangeLocks: undefined }]];
if (machine.rangeLocks) runtimes.unshift(["with range locks", machine]);

function create(driver: SqlDriver): void {
  driver.exec("CREATE TABLE IF NOT EXISTS t (a)");
}

function count(driver: SqlDriver): unknown {
  return driver.prepare("SELECT count(*) FROM t").get()?.[0];
}

for (const [name, runtime] of runtimes) {
  describe(`openDatabase ${name}`, () => {
    let folder: string;
    before(async () => {
      folder = await temporaryFolder();
    });
    const open = (path: string, lockTimeout = 0): Promise<OpenDatabase> =>
      openDatabase({
        runtime,
        path,
        create: true,
        locking: "exclusive",
        synchronous: "normal",
        lockTimeout,
        schema: create,
      });

    it("writes ahead, alone, without blocking and without checkpoints of its own accord", async () => {
      const owned = await open(join(folder, "pragmas.sqlite"));
      const pragma = (name: string): unknown => owned.driver.prepare(`PRAGMA ${name}`).get()?.[0];
      assert.equal(pragma("journal_mode"), "wal");
      assert.equal(pragma("locking_mode"), "exclusive");
      assert.equal(pragma("synchronous"), 1);
      assert.equal(pragma("wal_autocheckpoint"), 0);
      assert.equal(pragma("busy_timeout"), 0);
      assert.equal(pragma("auto_vacuum"), 2);
      owned.close();
    });

    it("takes any path: Unicode, spaces, quotes, 250 characters", async () => {
      const long = join(folder, "ä 'n\" 漢字?%20#");
      await mkdir(long);
      const path = join(long, `${"z".repeat(243 - long.length)}.sqlite`);
      assert.equal(path.length, 251);
      (await open(path)).close();
      const owned = await open(path);
      assert.equal(count(owned.driver), 0);
      owned.close();
    });

    it("leaves one plain file, and the empty file that was locked, with mode 0600", async () => {
      const own = join(folder, "plain");
      await mkdir(own);
      const path = join(own, "d.sqlite");
      const owned = await open(path);
      owned.driver.exec("INSERT INTO t VALUES (1)");
      const note = JSON.parse(await readFile(`${path}-owner.json`, "utf8"));
      assert.equal(note.pid, machine.processId);
      assert.equal(note.mode, "exclusive");
      assert.equal(new Date(note.since).toISOString(), note.since);
      owned.close();
      owned.close();
      assert.deepEqual((await readdir(own)).sort(), ["d.sqlite", "d.sqlite-owner"]);
      assert.equal((await stat(`${path}-owner`)).size, 0);
      for (const file of [path, `${path}-owner`]) assert.equal((await stat(file)).mode & 0o777, 0o600);
    });

    it("refuses a second owner, and says who the first one is", async () => {
      const path = join(folder, "second.sqlite");
      const owned = await open(path);
      await assert.rejects(open(path), {
        name: "SqliteError",
        code: "SQLITE_BUSY",
        message:
          `Cannot open ${path}: this process has it open already; use the one that is open, or use another directory`,
      });
      await writeFile(`${path}-owner.json`, JSON.stringify({ pid: 1, runtime: "deno 2", since: "noon" }));
      await assert.rejects(open(path), { message: /process 1 \(deno 2\) has held it since noon; end that process/ });
      await writeFile(`${path}-owner.json`, "{ not JSON");
      await assert.rejects(open(path), { message: /another program has it open/ });
      await assert.rejects(readDatabase(runtime, path, count), { code: "SQLITE_BUSY" });
      owned.close();
      (await open(path)).close();
    });

    it("waits for the owner without blocking the thread", async () => {
      const path = join(folder, "wait.sqlite");
      const owned = await open(path);
      const second = open(path, 10_000);
      setTimeout(() => owned.close(), 20);
      (await second).close();
    });

    it("follows a symbolic link, so that both names are one database", async () => {
      const path = join(folder, "real.sqlite");
      const link = join(folder, "link.sqlite");
      (await open(path)).close();
      await symlink(path, link);
      const owned = await open(link);
      owned.driver.exec("INSERT INTO t VALUES (1)");
      await assert.rejects(open(path), { code: "SQLITE_BUSY" });
      assert.ok((await readdir(folder)).includes("real.sqlite-wal"));
      owned.close();
      const again = await open(path);
      assert.equal(count(again.driver), 1);
      again.close();
    });

    it("recovers what a killed owner had committed", async () => {
      const path = join(folder, "killed.sqlite");
      const owned = await open(path);
      owned.driver.exec("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
      const copy = join(folder, "copy.sqlite");
      await copyFile(path, copy);
      await copyFile(`${path}-wal`, `${copy}-wal`);
      owned.close();
      assert.equal(await readDatabase(runtime, copy, count), 2);
      const recovered = await open(copy);
      assert.equal(count(recovered.driver), 2);
      recovered.close();
    });

    it("checkpoint moves the log into the database, and the log is used again", async () => {
      const path = join(folder, "checkpoint.sqlite");
      const owned = await open(path);
      for (let row = 0; row < 50; row++) owned.driver.exec(`INSERT INTO t VALUES (${row})`);
      const { size } = await stat(`${path}-wal`);
      assert.ok(owned.logged > 50 * 4096);
      owned.checkpoint();
      assert.equal(owned.logged, 0);
      owned.driver.exec("INSERT INTO t VALUES (50)");
      assert.equal((await stat(`${path}-wal`)).size, size);
      owned.close();
    });

    it("refuses a missing file it is not to create, a directory, and a folder that is none", async () => {
      const options = {
        runtime,
        create: false,
        locking: "exclusive",
        synchronous: "normal",
        lockTimeout: 0,
        schema: create,
      } as const;
      const missing = join(folder, "missing.sqlite");
      await assert.rejects(openDatabase({ ...options, path: missing }), { name: "FileError", code: "ENOENT" });
      const directory = join(folder, "directory.sqlite");
      await mkdir(directory);
      await assert.rejects(open(directory), { name: "FileError", code: "EISDIR" });
      await writeFile(join(folder, "file"), "");
      await assert.rejects(open(join(folder, "file", "d.sqlite")), { name: "FileError", code: "ENOTDIR" });
      const names = await readdir(folder);
      assert.deepEqual(names.filter((name) => /^(missing|directory)\.sqlite-/.test(name)), []);
    });

    it("lets go of the lock when the schema is refused", async () => {
      const path = join(folder, "refused.sqlite");
      const schema = (): void => {
        throw new Error("no");
      };
      const options = {
        runtime,
        path,
        create: true,
        locking: "exclusive",
        synchronous: "normal",
        lockTimeout: 0,
      } as const;
      await assert.rejects(openDatabase({ ...options, schema }), { message: "no" });
      (await open(path)).close();
    });

    it("readDatabase changes and creates nothing", async () => {
      const own = join(folder, "read");
      await mkdir(own);
      const path = join(own, "d.sqlite");
      const owned = await open(path);
      owned.driver.exec("INSERT INTO t VALUES (1)");
      await copyFile(path, join(own, "c.sqlite"));
      await copyFile(`${path}-wal`, join(own, "c.sqlite-wal"));
      owned.close();
      const snapshot = async (): Promise<Record<string, string>> => {
        const names = await readdir(own);
        const files = await Promise.all(names.map((name) => readFile(join(own, name), "base64")));
        return Object.fromEntries(names.map((name, index) => [name, files[index]!]));
      };
      const before = await snapshot();
      assert.equal(await readDatabase(runtime, path, count), 1);
      assert.equal(await readDatabase(runtime, join(own, "c.sqlite"), count), 1);
      await assert.rejects(readDatabase(runtime, path, (driver) => driver.exec("DELETE FROM t")), {
        code: "SQLITE_READONLY",
      });
      assert.deepEqual(await snapshot(), before);
    });
  });
}

describe("a foreign SQLite", () => {
  it("keeps us out while it has the database open, and we say so", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    if (!requirePart(context, "sqlite3")) return;
    const path = join(await temporaryFolder(), "native.sqlite");
    const options = {
      runtime: machine,
      path,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      schema: create,
    } as const;
    (await openDatabase({ ...options, lockTimeout: 0 })).close();
    const shell = spawn("sqlite3", [path], { stdio: ["pipe", "pipe", "inherit"] });
    shell.stdin.write("SELECT count(*) FROM t;\n");
    await once(shell.stdout, "data");
    await assert.rejects(openDatabase({ ...options, lockTimeout: 0 }), {
      code: "SQLITE_BUSY",
      message: `Cannot open ${path}: another program has it open; close it there, or use another directory`,
    });
    const owned = openDatabase({ ...options, lockTimeout: 10_000 });
    shell.stdin.end();
    (await owned).close();
  });

  it("whose locks cannot be asked for is an error, and no file stays open", async (context) => {
    const locks = requireRangeLocks(context, machine);
    if (!locks) return;
    const path = join(await temporaryFolder(), "unlockable.sqlite");
    const options = {
      path,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      lockTimeout: 0,
      schema: create,
    } as const;
    (await openDatabase({ ...options, runtime: machine })).close();
    const tryLock = (): never => {
      throw new FileError("Cannot lock: no locks available", "ENOLCK");
    };
    const open = new Set<OpenFile>();
    const files: Files = {
      ...machine.files,
      open(path, mode) {
        const file = machine.files.open(path, mode);
        open.add(file);
        const close = (): void => {
          open.delete(file);
          Object.getPrototypeOf(file).close.call(file);
        };
        return Object.assign(file, { close });
      },
    };
    const runtime = { ...machine, files, rangeLocks: { ...locks, tryLock } };
    await assert.rejects(openDatabase({ ...options, runtime }), { name: "FileError", code: "ENOLCK" });
    await assert.rejects(readDatabase(runtime, path, count), { name: "FileError", code: "ENOLCK" });
    assert.equal(open.size, 0);
    (await openDatabase({ ...options, runtime: machine })).close();
  });

  it("is kept out while we own the database, where range locks are to be had", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    if (!requirePart(context, "sqlite3")) return;
    const path = join(await temporaryFolder(), "shell.sqlite");
    const shell = (sql: string): string => execFileSync("sqlite3", [path, sql], { encoding: "utf8", stdio: "pipe" });
    const options = {
      runtime: machine,
      path,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      schema: create,
    } as const;
    const owned = await openDatabase({ ...options, lockTimeout: 0 });
    owned.driver.exec("INSERT INTO t VALUES (1)");
    assert.throws(() => shell("SELECT count(*) FROM t"), /database is locked/);
    owned.close();
    assert.equal(shell("PRAGMA integrity_check; SELECT count(*) FROM t").trim(), "ok\n1");
    const again = await openDatabase({ ...options, lockTimeout: 0 });
    assert.equal(count(again.driver), 1);
    again.close();
  });
});

describe("a database that is closed", () => {
  it("is free at once, though a process that is just being started has its descriptors still", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const path = join(await temporaryFolder(), "inherited.sqlite");
    const options = { path, create: true, synchronous: "normal", lockTimeout: 0, schema: create } as const;
    for (const locking of ["exclusive", "shared"] as const) {
      const { runtime, inherit } = inheriting(machine);
      const first = await openDatabase({ ...options, runtime, locking });
      first.driver.exec("INSERT INTO t VALUES (1)");
      const end = await inherit();
      try {
        first.close();
        const next = await openDatabase({ ...options, runtime: machine, locking: "exclusive" });
        assert.equal(count(next.driver), locking === "exclusive" ? 1 : 2);
        next.close();
      } finally {
        await end();
      }
    }
  });
});
