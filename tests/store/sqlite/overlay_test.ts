/**
 * A cache that came with a container's image lies in an overlay's lower layer. Opening it for writing copies it up: from
 * then on there are two files, and whoever has it open already must see the new one's bytes and locks, and does, since
 * Linux 4.19.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { requirePart, requireRangeLocks } from "../../support/parts.ts";
import { onOverlay } from "../../support/overlay.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, entryOf, machine, MODEL, openStore, requestOf, texts } from "./fixture.ts";

const { files } = machine;
type Store = Awaited<ReturnType<typeof openStore>>;

const put = async (store: Store, word: string): Promise<void> =>
  await store.put(MODEL, requestOf(word), [entryOf(word)], "append");

async function fill(directory: string): Promise<void> {
  const store = await openStore(directory);
  await put(store, "image");
  await store.close();
}

describe("a file in the lower layer of an overlay", () => {
  it("shows what is written to whoever had it open, and to whom it is locked", async (context) => {
    const locks = requireRangeLocks(context, machine);
    if (!locks) return;
    const create = (lower: string): Promise<void> => {
      const file = files.open(join(lower, "file"), "create");
      file.write(new Uint8Array([1, 2, 3]), 0);
      file.close();
      return Promise.resolve();
    };
    await onOverlay(context, join(await temporaryFolder(), "file"), create, (merged) => {
      assert.equal(files.fileSystem(merged), "local");
      const path = join(merged, "file");
      const early = files.open(path, "read");
      assert.equal(locks.tryLock(early.descriptor, 0, 1, "shared"), true);
      const late = files.open(path, "write");
      assert.equal(locks.isLocked(late.descriptor, 0, 1), true);
      assert.equal(locks.tryLock(late.descriptor, 0, 1, "exclusive"), false);
      assert.equal(locks.tryLock(late.descriptor, 1, 1, "exclusive"), true);
      assert.equal(locks.isLocked(early.descriptor, 1, 1), true);
      late.write(new Uint8Array([9]), 1);
      const seen = new Uint8Array(3);
      early.read(seen, 0);
      assert.deepEqual(seen, new Uint8Array([1, 9, 3]));
      assert.equal(early.isInPlace(), true);
      assert.equal(late.isInPlace(), true);
      early.close();
      late.close();
      return Promise.resolve();
    });
  });
});

describe("a cache in the lower layer of an overlay", () => {
  it("is shared: each sees what the other puts", async (context) => {
    if (!requireRangeLocks(context, machine)) return;
    await onOverlay(context, join(await temporaryFolder(), "shared"), fill, async (merged) => {
      const first = await openStore(merged, { locking: "shared" });
      assert.deepEqual(await texts(first, "image"), ["image"]);
      const second = await openStore(merged, { locking: "shared" });
      assert.deepEqual(await texts(second, "image"), ["image"]);
      for (const [writer, reader, word] of [[first, second, "a"], [second, first, "b"]] as const) {
        await put(writer, word);
        assert.deepEqual(await texts(reader, word), [word]);
      }
      await first.close();
      await second.close();
      assert.equal(integrity(await databaseIn(merged)), "ok");
    });
  });

  it("is shared with a native reader that had it open before it was copied up", async (context) => {
    if (!requireRangeLocks(context, machine) || !requirePart(context, "sqlite3")) return;
    await onOverlay(context, join(await temporaryFolder(), "native"), fill, async (merged) => {
      const path = await databaseIn(merged);
      const shell = spawn("sqlite3", ["-readonly", path], { stdio: ["pipe", "pipe", "inherit"] });
      const ended = once(shell, "exit");
      assert.equal(await ask(shell, "SELECT count(*) FROM entry;"), "1");
      const store = await openStore(merged, { locking: "shared" });
      await put(store, "a");
      assert.equal(await ask(shell, "SELECT count(*) FROM entry;"), "2");
      shell.stdin!.end();
      await ended;
      await store.close();
      assert.equal(integrity(path), "ok");
    });
  });

  it("is kept for one: a second owner is refused", async (context) => {
    await onOverlay(context, join(await temporaryFolder(), "exclusive"), fill, async (merged) => {
      const owner = await openStore(merged, { locking: "exclusive" });
      await put(owner, "a");
      const second = await openStore(merged, { locking: "exclusive" });
      await assert.rejects(texts(second, "a"), { name: "CacheError", code: "locked" });
      await owner.close();
      assert.deepEqual(await texts(second, "a"), ["a"]);
      await second.close();
      assert.equal(integrity(await databaseIn(merged)), "ok");
    });
  });
});

async function ask(shell: ChildProcess, sql: string): Promise<string> {
  shell.stdin!.write(`${sql}\n`);
  const [answer] = await once(shell.stdout!, "data");
  return String(answer).trim();
}

function integrity(path: string): unknown {
  const native = new DatabaseSync(path);
  try {
    return native.prepare("PRAGMA integrity_check").get()!.integrity_check;
  } finally {
    native.close();
  }
}
