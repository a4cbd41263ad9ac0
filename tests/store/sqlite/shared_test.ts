/** Stores that share a directory, with each other and with the sqlite3 shell: all see all, and nobody waits on a thread. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { describe, it, type TestContext } from "node:test";
import type { Clock, Runtime } from "../../../src/runtime/runtime.ts";
import { FileError } from "../../../src/runtime/runtime.ts";
import type { SqliteStoreOptions } from "../../../src/store/sqlite/sqlite_store.ts";
import type { Found, Store } from "../../../src/store/store.ts";
import { requirePart, requireRangeLocks } from "../../support/parts.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { at, databaseIn, entryOf, find, keyOf, machine, MODEL, NOW, openStore, requestOf, texts } from "./fixture.ts";

const share = (directory: string, options: Partial<SqliteStoreOptions> = {}): Promise<Store> =>
  openStore(directory, { locking: "shared", lockTimeout: 10_000, ...options });

const put = async (store: Store, word: string, body: string | Uint8Array = word): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(body)], "append");

/** What a lookup finds at once. */
function textsNow(store: Store, word: string): string[] {
  const found = store.lookup(MODEL, [{ key: keyOf(word), samples: 9 }]);
  assert.ok(Array.isArray(found));
  return (found as Found[])[0]!.entries.map((entry) => new TextDecoder().decode(entry.bytes()));
}

/** A sqlite3 shell that stays inside a database. */
class Shell {
  readonly #child;
  readonly #lines;

  constructor(path: string) {
    this.#child = spawn("sqlite3", ["-batch", path], { stdio: ["pipe", "pipe", "inherit"] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Runs SQL; resolves once it has. */
  async run(sql: string): Promise<void> {
    this.#child.stdin.write(`${sql}; SELECT 'done';\n`);
    assert.equal((await this.#lines.next()).value, "done");
  }

  async end(): Promise<void> {
    const exit = once(this.#child, "exit");
    this.#child.stdin.end();
    await exit;
  }
}

/** Whether stores can be shared here, and a shell is there to do it with. */
function canShareWithShell(context: TestContext): boolean {
  return requireRangeLocks(context, machine) !== undefined && requirePart(context, "sqlite3");
}

/** The machine, on which waits are heard of, and end at once. */
function impatient(slept: number[]): Runtime {
  const sleep: Clock["sleep"] = async (duration, { background } = {}) => {
    if (background) return await machine.clock.sleep(1e9, { background });
    slept.push(duration);
    await machine.clock.sleep(0);
  };
  return { ...machine, clock: { ...machine.clock, sleep } };
}

describe("two stores that share a directory", () => {
  it("see what the other has put, in the same turn of the event loop too", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const [one, two] = [await share(directory), await share(directory)];
    await put(one, "a");
    assert.deepEqual(await texts(two, "a"), ["a"]);
    const put_ = put(one, "b");
    assert.deepEqual(textsNow(two, "b"), []);
    // Whatever runs until the put is acknowledged, the lookup after it sees what was put.
    await put_;
    assert.deepEqual(textsNow(two, "b"), ["b"]);
    await put(two, "b", "b2");
    assert.deepEqual(textsNow(one, "b"), ["b", "b2"]);
    await Promise.all([one.close(), two.close()]);
  });

  it("see what the shell has changed between two lookups of one turn", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    // A clock that stands still: no read transaction ends because of its age.
    const store = await share(directory, { runtime: at(() => NOW) });
    for (const word of ["a", "b"]) await put(store, word);
    const path = await databaseIn(directory);
    assert.deepEqual([textsNow(store, "a"), textsNow(store, "b")], [["a"], ["b"]]);
    execFileSync("sqlite3", [path, `DELETE FROM entry WHERE key = x'${Buffer.from(keyOf("a")).toString("hex")}'`]);
    assert.deepEqual([textsNow(store, "a"), textsNow(store, "b")], [[], ["b"]]);
    await store.close();
  });

  it("lose nothing when both append to the same request", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const stores = [await share(directory), await share(directory)];
    const words = Array.from({ length: 100 }, (_, index) => `${index}`);
    await Promise.all(
      words.map((word, index) => stores[index % 2]!.put(MODEL, requestOf("a"), [entryOf(word)], "append")),
    );
    for (const store of stores) {
      assert.deepEqual((await texts(store, "a", 999)).toSorted(), words.toSorted());
      assert.equal((await store.size()).entries, words.length);
    }
    await Promise.all(stores.map((store) => store.close()));
  });

  it("leave one file behind, and what both have counted", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const [one, two] = [await share(directory), await share(directory)];
    await put(one, "a");
    for (const store of [one, two, two]) await find(store, "a");
    await one.close();
    await two.close();
    const path = await databaseIn(directory);
    assert.equal(machine.files.exists(`${path}-wal`), false);
    const native = new DatabaseSync(path);
    assert.equal(native.prepare("SELECT count FROM access").get()!.count, 3);
    native.close();
  });

  it("keep out who wants it alone, and are kept out by them", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const [shared, alone] = [
      await share(directory, { lockTimeout: 0 }),
      await openStore(directory, { locking: "exclusive" }),
    ];
    await put(shared, "a");
    await assert.rejects(put(alone, "b"), { code: "locked", message: /share/ });
    await shared.close();
    await put(alone, "b");
    const again = await share(directory, { lockTimeout: 0 });
    await assert.rejects(put(again, "c"), { code: "locked", message: /has it open already/ });
    await alone.close();
    await put(again, "c");
    assert.deepEqual(await texts(again, "b"), ["b"]);
    await again.close();
  });
});

describe("a store that cannot be shared", () => {
  it("says so when it is opened, where others' locks cannot be seen", async () => {
    const runtime = { ...machine, rangeLocks: undefined };
    const opened = share(await temporaryFolder(), { runtime });
    await assert.rejects(opened, {
      name: "CacheError",
      code: "unavailable",
      message: /share.*use locking "exclusive"/,
    });
  });

  it("says so when it is opened, where its directory is on another machine, or will be made there", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const folder = await temporaryFolder();
    const fileSystem = (path: string): string => path === folder ? "nfs" : "local";
    const runtime = { ...machine, files: { ...machine.files, fileSystem } };
    for (const directory of [folder, join(folder, "a", "b")]) {
      await assert.rejects(share(directory, { runtime }), { code: "unavailable", message: /\(nfs\); use locking/ });
    }
    for (const directory of ["not-there", join(folder, "..", "not-there", "either")]) {
      await (await share(directory, { runtime })).close();
    }
  });

  it("says so when it is used, where its directory has come to lie on another machine", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    let kind = "local";
    const files = { ...machine.files, fileSystem: () => kind };
    const store = await share(await temporaryFolder(), { runtime: { ...machine, files } });
    kind = "nfs";
    await assert.rejects(put(store, "a"), {
      name: "CacheError",
      code: "unavailable",
      message: /use locking "exclusive"/,
    });
    await store.close();
  });

  it("is given up for exclusive, where nobody asked for it by name", async () => {
    const remote = { ...machine, files: { ...machine.files, fileSystem: () => "nfs" } };
    for (const runtime of [remote, { ...machine, rangeLocks: undefined }]) {
      const directory = await temporaryFolder();
      const store = await openStore(directory, { runtime });
      await put(store, "a");
      const second = await openStore(directory, { runtime });
      await assert.rejects(put(second, "b"), { code: "locked", message: /this process has it open already/ });
      await second.close();
      await store.close();
    }
  });

  it("is the default, where it can be had", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const [one, two] = [await openStore(directory), await openStore(directory)];
    await put(one, "a");
    await put(two, "b");
    for (const store of [one, two]) assert.deepEqual(await texts(store, "a"), ["a"]);
    await one.close();
    await two.close();
  });
});

describe("while the sqlite3 shell writes", () => {
  it("a put waits, lookups answer and everything else goes on; then it is stored", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    const shell = new Shell(await databaseIn(directory));
    await shell.run("BEGIN IMMEDIATE");
    const events: string[] = [];
    const stored = Promise.all([put(store, "b"), put(store, "c")]).then(() => events.push("stored"));
    for (let turn = 0; turn < 5; turn++) {
      await machine.clock.sleep(1);
      assert.deepEqual(textsNow(store, "a"), ["a"]);
      assert.deepEqual(textsNow(store, "b"), []);
      events.push("answered");
    }
    events.push("commits");
    await shell.run("UPDATE entry SET latency = 1; COMMIT");
    await stored;
    assert.deepEqual(events, [...Array(5).fill("answered"), "commits", "stored"]);
    assert.deepEqual(await texts(store, "b"), ["b"]);
    assert.equal((await find(store, "a")).corrupt, true, "what the shell has written is seen");
    await shell.end();
    await store.close();
  });

  it("a put whose time is up says what it tried, how long, and what to do", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    const slept: number[] = [];
    const store = await share(directory, { runtime: impatient(slept), lockTimeout: 300 });
    await put(store, "a");
    const path = await databaseIn(directory);
    const shell = new Shell(path);
    await shell.run("BEGIN IMMEDIATE");
    slept.length = 0;
    await assert.rejects(put(store, "b"), {
      name: "CacheError",
      code: "locked",
      message: `Cannot store an answer in ${path}: somebody else kept it locked for 300 ms; ` +
        "wait for them, or raise lockTimeout",
    });
    assert.equal(slept.reduce((sum, each) => sum + each), 300);
    assert.ok(slept.every((each, index) => index === 0 || index === slept.length - 1 || each >= slept[index - 1]!));
    await shell.run("COMMIT");
    await put(store, "c");
    assert.deepEqual([await texts(store, "b"), await texts(store, "c")], [[], ["c"]]);
    await shell.end();
    await store.close();
  });

  it("closing the store waits for what is queued", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    const shell = new Shell(await databaseIn(directory));
    await shell.run("BEGIN IMMEDIATE");
    const events: string[] = [];
    const stored = put(store, "b").then(() => events.push("stored"));
    const closed = Promise.resolve(store.close()).then(() => events.push("closed"));
    await machine.clock.sleep(1);
    events.push("commits");
    await shell.run("COMMIT");
    await Promise.all([stored, closed]);
    assert.deepEqual(events, ["commits", "stored", "closed"]);
    await shell.end();
    const again = await share(directory);
    assert.deepEqual(await texts(again, "b"), ["b"]);
    await again.close();
  });
});

describe("while nobody may read, as when another process recovers the log", () => {
  /** Locks that no reader can do without (https://sqlite.org/walformat.html#wal_locks), until it is called. */
  function keepReadersOut(context: TestContext, path: string): () => void {
    const file = machine.files.open(`${path}-shm`, "write");
    assert.ok(requireRangeLocks(context, machine)!.tryLock(file.descriptor, 120, 8, "exclusive"));
    return () => file.close();
  }

  it("a lookup, a put and the size wait without keeping anything else from running", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const [store, late] = [await share(directory), await share(directory)];
    await put(store, "a");
    const readAgain = keepReadersOut(context, await databaseIn(directory));
    const events: string[] = [];
    const waiting = Promise.all([
      texts(store, "a").then((found) => events.push(`found ${found}`)),
      texts(late, "a").then((found) => events.push(`found ${found}`)),
      put(store, "b").then(() => events.push("stored")),
      store.size() as Promise<unknown>,
    ]);
    for (let turn = 0; turn < 5; turn++) {
      await machine.clock.sleep(1);
      events.push("goes on");
    }
    readAgain();
    await waiting;
    assert.deepEqual(events.slice(0, 5), Array(5).fill("goes on"));
    assert.deepEqual(events.slice(5).toSorted(), ["found a", "found a", "stored"]);
    await Promise.all([store.close(), late.close()]);
  });

  it("a lookup whose time is up says so", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const slept: number[] = [];
    const store = await share(directory, { runtime: impatient(slept), lockTimeout: 200 });
    await put(store, "a");
    const path = await databaseIn(directory);
    const readAgain = keepReadersOut(context, path);
    slept.length = 0;
    await assert.rejects(find(store, "a"), {
      name: "CacheError",
      code: "locked",
      message: `Cannot look into ${path}: somebody else kept it locked for 200 ms; wait for them, or raise lockTimeout`,
    });
    assert.equal(slept.reduce((sum, each) => sum + each), 200);
    readAgain();
    assert.deepEqual(await texts(store, "a"), ["a"]);
    await store.close();
  });

  it("a lookup that waits hears that the store was closed", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    const readAgain = keepReadersOut(context, await databaseIn(directory));
    const lookup = assert.rejects(find(store, "a"), { code: "closed" });
    await store.close();
    readAgain();
    await lookup;
  });
});

describe("a log that somebody has removed", () => {
  it("takes no answer with it that was acknowledged after that", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    const path = await databaseIn(directory);
    const shell = new Shell(path);
    await shell.run("BEGIN; SELECT count(*) FROM entry WHERE sample > 99 HAVING count(*) > 0");
    machine.files.remove(`${path}-wal`);
    // What the shell reads may not be overwritten yet, so this cannot be moved out of the log that is gone.
    await assert.rejects(put(store, "b"), { code: "unavailable", message: /removed its -wal file/ });
    await shell.run("COMMIT");
    await shell.end();
    await store.close();
  });

  it("is replaced by a new one where nobody needs it any more", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    machine.files.remove(`${await databaseIn(directory)}-wal`);
    for (const word of ["b", "c"]) await put(store, word);
    for (const word of ["a", "b", "c"]) assert.deepEqual(await texts(store, word), [word]);
    await store.close();
    const again = await share(directory);
    for (const word of ["a", "b", "c"]) assert.deepEqual(await texts(again, word), [word]);
    await again.close();
  });
});

describe("a disk on which others cannot be told what was read or written", () => {
  it("is an error, and forgotten once there is room", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    let full = false;
    const open: Runtime["files"]["open"] = (path, mode) => {
      const file = machine.files.open(path, mode);
      const write = file.write.bind(file);
      return Object.assign(file, {
        write(source: Uint8Array, position: number) {
          // As where files are copied when they are written: even what is overwritten takes room.
          if (full && path.endsWith("-shm")) throw new FileError("Cannot write: no space left", "ENOSPC");
          write(source, position);
        },
      });
    };
    const directory = await temporaryFolder();
    const runtime = { ...machine, files: { ...machine.files, open } };
    const [store, other] = [await share(directory, { runtime }), await share(directory)];
    await put(store, "a");
    await put(other, "b");
    full = true;
    // Its read mark cannot be moved.
    await find(store, "b").catch(() => {});
    await assert.rejects(put(store, "c"), { code: "unavailable" });
    full = false;
    for (const word of ["d", "e"]) await put(store, word);
    for (const word of ["a", "b", "d", "e"]) assert.deepEqual(await texts(store, word), [word]);
    await Promise.all([store.close(), other.close()]);
  });
});

describe("the read transaction of a shared store", () => {
  it("is over with the turn, and keeps nobody from shortening the log", async (context) => {
    if (!canShareWithShell(context)) return;
    const directory = await temporaryFolder();
    const store = await share(directory);
    await put(store, "a");
    const path = await databaseIn(directory);
    const checkpoint = (): string =>
      execFileSync("sqlite3", [path, "PRAGMA wal_checkpoint(TRUNCATE)"], { encoding: "utf8" }).trim();
    assert.deepEqual(textsNow(store, "a"), ["a"]);
    assert.match(checkpoint(), /^1\|/, "the shell is kept waiting by a lookup of this very turn");
    await machine.clock.sleep(0);
    await new Promise<void>((resolve) => machine.clock.afterTurn(resolve));
    assert.equal(checkpoint(), "0|0|0");
    assert.deepEqual(textsNow(store, "a"), ["a"]);
    await store.close();
  });
});

describe("the log of a shared store", () => {
  const noise = crypto.getRandomValues(new Uint8Array(60_000));
  const large = new Uint8Array(5_000_000).map((_, index) => noise[index % 60_000]! ^ (index >> 16));

  it("is moved into the database by a Worker, in a quiet moment", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const replied = Promise.withResolvers<unknown>();
    const runtime: Runtime = {
      ...machine,
      clock: { ...machine.clock, sleep: () => machine.clock.sleep(0) },
      spawnWorker(url, name) {
        const worker = machine.spawnWorker(url, name);
        return {
          ...worker,
          onMessage: (handler) =>
            worker.onMessage((message) => {
              handler(message);
              replied.resolve(message);
            }),
        };
      },
    };
    const store = await share(directory, { runtime });
    await put(store, "a");
    const path = await databaseIn(directory);
    const { size } = await stat(path);
    await put(store, "b", large);
    assert.equal((await stat(path)).size, size);
    assert.deepEqual(await replied.promise, { error: undefined });
    assert.ok((await stat(path)).size > 4_000_000);
    assert.equal((await find(store, "b")).entries.length, 1);
    await store.close();
  });

  it("is moved on this thread, once it is very long, where no Worker can be started", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    const directory = await temporaryFolder();
    const spawnWorker = (): never => {
      throw new Error("no Workers here");
    };
    const store = await share(directory, { runtime: { ...machine, spawnWorker } });
    await put(store, "a");
    const path = await databaseIn(directory);
    const { size } = await stat(path);
    let written = 0;
    while ((await stat(path)).size === size) {
      await put(store, `${written}`, large);
      written += large.byteLength;
      assert.ok(written < 200_000_000);
    }
    assert.ok(written > 60_000_000, `${written}`);
    await store.close();
  });
});
