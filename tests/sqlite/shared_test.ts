/** A database that several share: connections of ours, and native SQLites, at the same time. */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { FileError } from "../../src/runtime/runtime.ts";
import type { SqlDriver } from "../../src/sqlite/driver.ts";
import type { Locking, OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase, readDatabase } from "../../src/sqlite/open.ts";
import { requirePart, requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();

function schema(driver: SqlDriver): void {
  driver.exec("CREATE TABLE IF NOT EXISTS t (a)");
}

function open(path: string, locking: Locking = "shared", runtime: Runtime = machine): Promise<OpenDatabase> {
  return openDatabase({ runtime, path, create: true, locking, synchronous: "normal", lockTimeout: 0, schema });
}

function value({ driver }: { driver: SqlDriver }, sql: string): unknown {
  const statement = driver.prepare(sql);
  const row = statement.get();
  statement.finalize();
  return row?.[0];
}

function count(database: { driver: SqlDriver }): unknown {
  return value(database, "SELECT count(*) FROM t");
}

function shell(path: string, sql: string): string {
  return execFileSync("sqlite3", [path, sql], { encoding: "utf8", stdio: "pipe" }).trim();
}

async function newPath(context: TestContext): Promise<string | undefined> {
  if (!requireRangeLocks(context, machine)) return undefined;
  return join(await temporaryFolder(), "d.sqlite");
}

/** A `sqlite3` shell that stays open; `ask` resolves with what it prints next. */
function startShell(path: string): { ask(sql: string): Promise<string>; end(): Promise<void>; kill(): Promise<void> } {
  const child = spawn("sqlite3", [path], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdout.setEncoding("utf8");
  const exited = once(child, "exit");
  return {
    async ask(sql) {
      const said = once(child.stdout, "data");
      child.stdin.write(`${sql}; SELECT 'done';\n`);
      let text = `${(await said)[0]}`;
      while (!text.endsWith("done\n")) text += `${(await once(child.stdout, "data"))[0]}`;
      return text.slice(0, -"done\n".length).trim();
    },
    async end() {
      child.stdin.end();
      await exited;
    },
    async kill() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}

describe("openDatabase, shared", () => {
  it("writes ahead, without blocking and without checkpoints of its own accord", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    const pragmas = [
      "journal_mode",
      "locking_mode",
      "synchronous",
      "wal_autocheckpoint",
      "busy_timeout",
      "auto_vacuum",
    ];
    assert.deepEqual(pragmas.map((name) => value(database, `PRAGMA ${name}`)), ["wal", "normal", 1, 0, 0, 2]);
    assert.equal(database.locking, "shared");
    assert.ok(database.isInPlace && database.hasLog);
    database.close();
  });

  it("shows each connection what the others have committed, and nothing half done", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [one, other] = [await open(path), await open(path)];
    one.driver.exec("INSERT INTO t VALUES (1)");
    assert.equal(count(other), 1);
    other.driver.exec("BEGIN");
    assert.equal(count(other), 1);
    assert.equal(other.hasNews, false);
    one.driver.exec("BEGIN; INSERT INTO t VALUES (2)");
    assert.equal(other.hasNews, false);
    one.driver.exec("COMMIT");
    assert.equal(other.hasNews, true);
    assert.equal(count(other), 1, "one snapshot as long as the transaction lasts");
    other.driver.exec("COMMIT");
    assert.equal(count(other), 2);
    one.close();
    other.close();
  });

  it("refuses a second writer at once, and lets readers read meanwhile", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [one, other] = [await open(path), await open(path)];
    one.driver.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    assert.throws(() => other.driver.exec("BEGIN IMMEDIATE"), { code: "SQLITE_BUSY" });
    assert.equal(count(other), 0);
    one.driver.exec("COMMIT");
    other.driver.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (2); COMMIT");
    assert.equal(count(one), 2);
    one.close();
    other.close();
  });

  it("refuses a writer whose snapshot is old, as SQLite does everywhere", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [one, other] = [await open(path), await open(path)];
    other.driver.exec("BEGIN");
    count(other);
    one.driver.exec("INSERT INTO t VALUES (1)");
    assert.throws(() => other.driver.exec("INSERT INTO t VALUES (2)"), { code: "SQLITE_BUSY" });
    assert.equal(count(other), 0);
    other.driver.exec("COMMIT");
    other.driver.exec("INSERT INTO t VALUES (2)");
    assert.equal(count(one), 2);
    one.close();
    other.close();
  });

  it("is made by several at once, by each of them or by none", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const options = { runtime: machine, path, create: true, locking: "shared", synchronous: "normal", schema } as const;
    const databases = await Promise.all(
      Array.from({ length: 8 }, () => openDatabase({ ...options, lockTimeout: 10_000 })),
    );
    for (const { driver } of databases) driver.exec("INSERT INTO t VALUES (1)");
    for (const database of databases) assert.equal(count(database), 8);
    for (const database of databases) database.close();
  });

  it("a checkpoint moves the log as far as its readers allow", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [one, reader] = [await open(path), await open(path)];
    one.driver.exec("INSERT INTO t VALUES (zeroblob(100000))");
    reader.driver.exec("BEGIN");
    count(reader);
    one.driver.exec("INSERT INTO t VALUES (zeroblob(100000))");
    one.checkpoint();
    assert.ok(one.logged > 100_000);
    assert.equal(count(reader), 1);
    reader.driver.exec("COMMIT");
    one.checkpoint();
    assert.equal(one.logged, 0);
    const { size } = await stat(`${path}-wal`);
    one.driver.exec("INSERT INTO t VALUES (1)");
    assert.equal((await stat(`${path}-wal`)).size, size, "the log is written from its beginning again");
    assert.equal(count(reader), 3);
    one.close();
    reader.close();
  });

  it("leaves one plain file once everybody has closed it", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const names = async (): Promise<string[]> => (await readdir(join(path, ".."))).sort();
    const [one, other] = [await open(path), await open(path)];
    one.driver.exec("INSERT INTO t VALUES (1)");
    for (const name of await names()) assert.equal((await stat(join(path, "..", name))).mode & 0o777, 0o600, name);
    one.close();
    assert.deepEqual(await names(), [
      "d.sqlite",
      "d.sqlite-owner",
      "d.sqlite-owner.json",
      "d.sqlite-shm",
      "d.sqlite-wal",
    ]);
    assert.equal(count(other), 1);
    other.close();
    other.close();
    assert.deepEqual(await names(), ["d.sqlite", "d.sqlite-owner"]);
  });

  it("and exclusive keep each other out, and say so", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const shared = await open(path);
    await assert.rejects(open(path, "exclusive"), {
      code: "SQLITE_BUSY",
      message: new RegExp(
        `^Cannot open .*: process ${machine.processId} \\(.*\\), and maybe others, have shared it since 2.*; share it, too`,
      ),
    });
    shared.close();
    const exclusive = await open(path, "exclusive");
    await assert.rejects(open(path), { code: "SQLITE_BUSY", message: /this process has it open already/ });
    exclusive.close();
    (await open(path)).close();
  });

  it("is refused where locks cannot be seen by others", async () => {
    const path = join(await temporaryFolder(), "d.sqlite");
    await assert.rejects(open(path, "shared", { ...machine, rangeLocks: undefined }), {
      name: "FileError",
      code: "ENOTSUP",
      message: /^Cannot share .*d\.sqlite with other processes: .*use locking "exclusive"$/,
    });
  });

  it("is refused on another machine's file system", async () => {
    const path = join(await temporaryFolder(), "d.sqlite");
    const files = { ...machine.files, fileSystem: () => "nfs" as const };
    await assert.rejects(open(path, "shared", { ...machine, files }), {
      name: "FileError",
      code: "ENOTSUP",
      message: /^Cannot share .*\(nfs\); use locking "exclusive" or a local directory$/,
    });
    (await open(path, "exclusive", { ...machine, files })).close();
  });

  it("is not in place once its wal-index was removed, and loses nothing when it is opened anew", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const one = await open(path);
    one.driver.exec("INSERT INTO t VALUES (1)");
    assert.ok(one.isInPlace);
    await rm(`${path}-shm`);
    // Who comes now makes another wal-index: neither sees the other's locks, and both would write on at the log's end.
    const other = await open(path);
    assert.equal(one.isInPlace, false);
    one.close();
    other.driver.exec("INSERT INTO t VALUES (2)");
    const again = await open(path);
    assert.deepEqual([count(other), count(again), again.isInPlace], [2, 2, true]);
    again.driver.exec("INSERT INTO t VALUES (3)");
    assert.equal(count(other), 3);
    again.close();
    other.close();
    assert.equal(await readDatabase(machine, path, (driver) => value({ driver }, "PRAGMA integrity_check")), "ok");
  });

  it("explains an error by what failed for it, not by what failed before and did no harm", async (context) => {
    const locks = requireRangeLocks(context, machine);
    if (!locks) return;
    const path = join(await temporaryFolder(), "d.sqlite");
    let failing = false;
    const unlock: typeof locks.unlock = (...range) => {
      if (failing) throw new FileError("Cannot unlock: no locks available", "ENOLCK");
      locks.unlock(...range);
    };
    const database = await open(path, "shared", { ...machine, rangeLocks: { ...locks, unlock } });
    assert.equal(count(database), 0);
    failing = true;
    assert.equal(count(database), 0);
    failing = false;
    assert.throws(() => database.driver.exec("SELECT * FROM nowhere"), {
      message: /no such table: nowhere$/,
      cause: undefined,
    });
    database.close();
  });

  it("recovers what killed processes had committed", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    database.driver.exec("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)");
    const copy = join(await temporaryFolder(), "d.sqlite");
    for (const part of ["", "-wal", "-shm"]) await copyFile(path + part, copy + part);
    database.close();
    assert.equal(await readDatabase(machine, copy, (driver) => count({ driver })), 2);
    const recovered = await open(copy);
    assert.equal(count(recovered), 2);
    recovered.close();
  });

  it("reads beside those who share it, with readDatabase too", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    database.driver.exec("INSERT INTO t VALUES (1)");
    assert.equal(await readDatabase(machine, path, (driver) => count({ driver })), 1);
    const refused = readDatabase(machine, path, (driver) => driver.exec("DELETE FROM t"));
    await assert.rejects(refused, { code: "SQLITE_READONLY" });
    assert.equal(count(database), 1);
    database.close();
  });
});

describe("the sqlite3 shell", () => {
  it("reads and writes beside us", async (context) => {
    const path = await newPath(context);
    if (!path || !requirePart(context, "sqlite3")) return;
    const database = await open(path);
    database.driver.exec("INSERT INTO t VALUES (1)");
    const native = startShell(path);
    assert.equal(await native.ask("INSERT INTO t VALUES (2); SELECT count(*) FROM t"), "2");
    assert.equal(count(database), 2);
    for (let row = 3; row <= 50; row++) {
      database.driver.exec(`INSERT INTO t VALUES (${row})`);
      assert.equal(await native.ask("SELECT count(*) FROM t"), `${row}`);
    }
    await native.ask("DELETE FROM t WHERE a > 10; PRAGMA wal_checkpoint(TRUNCATE)");
    assert.equal(count(database), 10);
    database.driver.exec("INSERT INTO t VALUES (11)");
    assert.equal(await native.ask("SELECT count(*) FROM t; PRAGMA integrity_check"), "11\nok");
    await native.end();
    database.close();
    assert.equal(shell(path, "SELECT count(*) FROM t; PRAGMA integrity_check; PRAGMA journal_mode"), "11\nok\nwal");
  });

  it("keeps other writers out while it writes, ours too, and is kept out by ours", async (context) => {
    const path = await newPath(context);
    if (!path || !requirePart(context, "sqlite3")) return;
    const database = await open(path);
    const native = startShell(path);
    await native.ask("BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    assert.throws(() => database.driver.exec("BEGIN IMMEDIATE"), { code: "SQLITE_BUSY" });
    assert.equal(count(database), 0);
    await native.ask("COMMIT");
    database.driver.exec("BEGIN IMMEDIATE; INSERT INTO t VALUES (2)");
    assert.throws(() => shell(path, "INSERT INTO t VALUES (3)"), /database is locked/);
    database.driver.exec("COMMIT");
    assert.equal(await native.ask("SELECT count(*) FROM t"), "2");
    await native.end();
    database.close();
  });

  it("killed while it writes leaves nothing but what it had committed", async (context) => {
    const path = await newPath(context);
    if (!path || !requirePart(context, "sqlite3")) return;
    const database = await open(path);
    const native = startShell(path);
    await native.ask("INSERT INTO t VALUES (1); BEGIN IMMEDIATE; INSERT INTO t VALUES (2)");
    await native.kill();
    database.driver.exec("INSERT INTO t VALUES (3)");
    assert.equal(value(database, "SELECT group_concat(a) FROM t"), "1,3");
    database.close();
  });

  it("may have left a journal that has to be rolled back first", async (context) => {
    const path = await newPath(context);
    if (!path || !requirePart(context, "sqlite3")) return;
    const native = startShell(path);
    await native.ask("CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    // With next to no cache, changed pages are written to the file before the transaction ends.
    await native.ask("PRAGMA cache_size = 1; BEGIN; DELETE FROM t; INSERT INTO t SELECT zeroblob(50000)");
    await native.ask("INSERT INTO t SELECT zeroblob(50000) FROM t, t, t");
    const size = (await stat(path)).size;
    await native.kill();
    assert.ok(size > 8192 && (await stat(`${path}-journal`)).size > 0);
    const database = await open(path);
    assert.equal(value(database, "SELECT group_concat(a) FROM t"), "1");
    database.close();
    assert.equal(shell(path, "PRAGMA integrity_check"), "ok");
  });
});
