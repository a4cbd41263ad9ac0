/** The copied wal-index: what is published when, and who is kept out. Two copies of one file stand for two processes. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Files, OpenFile } from "../../src/runtime/runtime.ts";
import { FileError } from "../../src/runtime/runtime.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import type { HeapMemory } from "../../src/sqlite/wal_index.ts";
import { WalIndexCopy } from "../../src/sqlite/wal_index.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();

const REGION = 32 * 1024;
const [WRITE, CHECKPOINT, READ_1] = [0, 1, 4];
/** Where the headers, the first read mark and the tables lie. */
const [FIRST_HEADER, SECOND_HEADER, BACKFILLED, MARK_1, TABLES] = [0, 48, 96, 104, 136];
const LAST_FRAME = 16;
const PAGE_SIZE = 14;

/** Memory as SQLite's heap is: one buffer, addresses in it. */
class Heap implements HeapMemory {
  readonly heap = new Uint8Array(8 * REGION);
  readonly freed: number[] = [];
  #next = REGION;
  allocate(size: number): number {
    this.#next += size;
    return this.#next - size;
  }
  free(pointer: number): void {
    this.freed.push(pointer);
  }
}

/** A connection, seen from SQLite: words in memory, locks, fences. */
class Peer {
  readonly memory = new Heap();
  readonly index: WalIndexCopy;
  constructor(path: string, files: Files = machine.files) {
    this.index = WalIndexCopy.open(files, path, machine.rangeLocks!, this.memory)!;
  }
  word(at: number, region = 0): number {
    return this.#view.getUint32(this.index.map(region, false) + at, true);
  }
  set(at: number, value: number, region = 0): void {
    this.#view.setUint32(this.index.map(region, true) + at, value, true);
  }
  get #view(): DataView {
    return new DataView(this.memory.heap.buffer);
  }
  /** Commits up to `frame`, as SQLite does it. */
  commit(frame: number): void {
    assert.ok(this.index.lock(WRITE, 1, "exclusive"));
    this.set(TABLES + 4 * frame, frame);
    this.publish(frame);
    this.index.unlock(WRITE, 1);
  }
  /** Writes the second header, then the first. */
  publish(frame: number): void {
    this.set(SECOND_HEADER + LAST_FRAME, frame);
    this.index.barrier();
    this.set(FIRST_HEADER + LAST_FRAME, frame);
  }
}

/** The machine's files, with every write told before it is made. */
function watched(onWrite: (position: number, bytes: number) => void): Files {
  return {
    ...machine.files,
    open(path, mode) {
      const file = machine.files.open(path, mode);
      const write: OpenFile["write"] = (source, position) => {
        onWrite(position, source.byteLength);
        Object.getPrototypeOf(file).write.call(file, source, position);
      };
      return Object.assign(file, { write });
    },
  };
}

async function newPath(context: TestContext): Promise<string | undefined> {
  if (!requireRangeLocks(context, machine)) return undefined;
  return join(await temporaryFolder(), "d.sqlite-shm");
}

describe("WalIndexCopy", () => {
  it("does not trust what the first one to open the file finds there, and keeps it while somebody uses it", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    await writeFile(path, new Uint8Array(REGION).fill(7));
    const first = new Peer(path);
    assert.equal((await readFile(path)).byteLength, 3);
    first.commit(1);
    const second = new Peer(path);
    assert.equal(second.word(LAST_FRAME), 1);
    first.index.unmap(false);
    assert.equal(new Peer(path).word(LAST_FRAME), 1);
  });

  it("makes a region only when it is told to, all of it at once", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const { index } = new Peer(path);
    assert.equal(index.map(0, false), 0);
    assert.notEqual(index.map(0, true), 0);
    assert.equal((await readFile(path)).byteLength, REGION);
    assert.equal(index.map(0, false), index.map(0, true));
    assert.equal(index.map(1, false), 0);
  });

  it("shows a commit to others at their next fence, with its tables, and tells before that there is news", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [writer, reader] = [new Peer(path), new Peer(path)];
    writer.commit(1);
    assert.equal(reader.word(LAST_FRAME), 1);
    assert.equal(reader.index.hasNews, false);
    writer.commit(2);
    assert.equal(reader.index.hasNews, true);
    assert.equal(reader.word(LAST_FRAME), 1);
    reader.index.barrier();
    assert.equal(reader.index.hasNews, false);
    assert.deepEqual([LAST_FRAME, SECOND_HEADER + LAST_FRAME, TABLES + 8].map((at) => reader.word(at)), [2, 2, 2]);
  });

  it("publishes tables first, then checkpoint information, then both headers in one", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const writes: [number, number][] = [];
    const writer = new Peer(path, watched((position, bytes) => writes.push([position, bytes])));
    writer.commit(1);
    writes.length = 0;
    writer.index.lock(WRITE, 1, "exclusive");
    writer.set(TABLES + 400, 5);
    writer.set(BACKFILLED, 1);
    writer.set(TABLES + 8, 2);
    writer.publish(2);
    assert.deepEqual(writes, [], "between its headers nothing is published");
    writer.index.unlock(WRITE, 1);
    assert.deepEqual(writes, [[TABLES + 8, 8], [TABLES + 400, 8], [BACKFILLED, 4], [0, 96]]);
  });

  it("writes tables in units that a reader cannot find half written", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const writes: [number, number][] = [];
    const writer = new Peer(path, watched((position, bytes) => writes.push([position, bytes])));
    writer.commit(1);
    writer.set(0, 0, 1);
    writes.length = 0;
    writer.index.lock(WRITE, 1, "exclusive");
    for (const at of [TABLES + 4, TABLES + 20, TABLES + 24, TABLES + 28, REGION - 4]) writer.set(at, 9);
    for (const at of [TABLES + 64, TABLES + 72, TABLES + 84]) writer.set(at, 9);
    for (const at of [0, REGION - 4]) writer.set(at, 9, 1);
    writer.index.unlock(WRITE, 1);
    assert.deepEqual(writes, [
      [TABLES, 8],
      [TABLES + 16, 16],
      [TABLES + 64, 24],
      [REGION - 8, 8],
      [REGION, 8],
      [2 * REGION - 8, 8],
    ]);
    const other = new Peer(path);
    const words = [TABLES + 24, TABLES + 64, TABLES + 68, TABLES + 72, TABLES + 84].map((at) => other.word(at));
    assert.deepEqual([...words, other.word(REGION - 4, 1)], [9, 9, 0, 9, 9, 9]);
  });

  it("writes only what its holder changed, so that no mark of others is undone", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [writer, reader] = [new Peer(path), new Peer(path)];
    writer.commit(1);
    reader.word(LAST_FRAME);
    writer.index.lock(WRITE, 1, "exclusive");
    reader.index.lock(READ_1, 1, "exclusive");
    reader.set(MARK_1, 77);
    reader.index.unlock(READ_1, 1);
    writer.set(TABLES + 8, 2);
    writer.publish(2);
    writer.index.unlock(WRITE, 1);
    const third = new Peer(path);
    assert.deepEqual([third.word(MARK_1), third.word(LAST_FRAME)], [77, 2]);
    // Whoever writes sees the marks of others at its own fences.
    writer.index.lock(WRITE, 1, "exclusive");
    reader.index.lock(READ_1, 1, "exclusive");
    reader.set(MARK_1, 78);
    reader.index.unlock(READ_1, 1);
    writer.index.barrier();
    assert.equal(writer.word(MARK_1), 78);
  });

  it("takes over what a killed writer left, so that it can be cleaned up", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [killed, next] = [new Peer(path), new Peer(path)];
    killed.commit(1);
    assert.equal(next.word(TABLES + 40), 0);
    // Tables published, but no header: what lies in the file when a writer dies between the two.
    const file = machine.files.open(path, "write");
    file.write(Uint8Array.of(9, 0, 0, 0), TABLES + 40);
    next.index.barrier();
    assert.equal(next.word(TABLES + 40), 0);
    next.index.lock(WRITE, 1, "exclusive");
    assert.equal(next.word(TABLES + 40), 9);
    next.set(TABLES + 40, 0);
    next.index.unlock(WRITE, 1);
    assert.equal(new Peer(path).word(TABLES + 40), 0);
    file.close();
  });

  it("follows a log that is longer than one region, and one that begins anew", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [writer, reader] = [new Peer(path), new Peer(path)];
    writer.commit(4062);
    assert.equal(reader.word(LAST_FRAME), 4062);
    writer.index.lock(WRITE, 1, "exclusive");
    writer.set(0, 4063, 1);
    writer.publish(4063);
    writer.index.unlock(WRITE, 1);
    reader.index.barrier();
    assert.equal(reader.word(0, 1), 4063);
    // Another salt, back in the first region, then in the second again.
    for (const [region, value] of [[0, 11], [1, 12]] as const) {
      writer.index.lock(WRITE, 1, "exclusive");
      writer.set(TABLES, value, region);
      for (const header of [SECOND_HEADER, FIRST_HEADER]) {
        writer.set(header + 32, 99);
        writer.set(header + LAST_FRAME, region === 0 ? 1 : 5000);
      }
      writer.index.unlock(WRITE, 1);
      reader.index.barrier();
      assert.equal(reader.word(TABLES, region), value);
    }
  });

  it("has the tables of every header that it shows, also of one found in two halves at two fences", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [writer, reader] = [new Peer(path), new Peer(path)];
    writer.commit(1);
    assert.equal(reader.word(LAST_FRAME), 1);
    // What lies in the file while a commit's two headers are being written, first to last, and then the next commit's.
    const file = machine.files.open(path, "write");
    const put = (at: number, value: number): void => file.write(Uint8Array.of(value, 0, 0, 0), at);
    put(TABLES + 8, 2);
    put(FIRST_HEADER + LAST_FRAME, 2);
    reader.index.barrier();
    const first = reader.word(FIRST_HEADER + LAST_FRAME);
    put(SECOND_HEADER + LAST_FRAME, 2);
    put(TABLES + 12, 3);
    put(FIRST_HEADER + LAST_FRAME, 3);
    reader.index.barrier();
    assert.deepEqual([first, reader.word(SECOND_HEADER + LAST_FRAME)], [2, 2], "SQLite takes these for a header");
    assert.equal(reader.word(TABLES + 8), 2);
    file.close();
  });

  it("refuses EXCLUSIVE on a slot that it holds SHARED, and keeps that", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [one, other] = [new Peer(path), new Peer(path)];
    assert.ok(one.index.lock(READ_1, 1, "shared"));
    assert.equal(one.index.lock(READ_1, 1, "exclusive"), false);
    assert.equal(one.index.lock(READ_1 - 1, 4, "exclusive"), false);
    assert.equal(other.index.lock(READ_1, 1, "exclusive"), false);
    one.index.unlock(READ_1, 1);
    assert.ok(other.index.lock(READ_1, 1, "exclusive"));
    assert.equal(one.index.lock(READ_1, 1, "shared"), false);
  });

  it("keeps the lock when it cannot publish, and tries again on leaving", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    let full = false;
    const writer = new Peer(
      path,
      watched(() => {
        if (full) throw new FileError("Cannot write: no space", "ENOSPC");
      }),
    );
    const other = new Peer(path);
    writer.commit(1);
    other.word(LAST_FRAME);
    writer.index.lock(WRITE, 1, "exclusive");
    writer.set(TABLES + 8, 2);
    writer.publish(2);
    full = true;
    assert.ok(writer.index.isPublished);
    assert.throws(() => writer.index.unlock(WRITE, 1), { code: "ENOSPC" });
    assert.equal(writer.index.isPublished, false);
    assert.throws(() => writer.index.lock(READ_1, 1, "shared"), { code: "ENOSPC" });
    assert.equal(other.index.lock(WRITE, 1, "exclusive"), false);
    full = false;
    writer.index.unmap(false);
    assert.ok(other.index.lock(WRITE, 1, "exclusive"));
    assert.deepEqual([other.word(LAST_FRAME), other.word(TABLES + 8)], [2, 2]);
  });

  it("sees what others commit even when it cannot publish, so that leaving last it does not take their log for empty", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    let full = false;
    const one = new Peer(
      path,
      watched(() => {
        if (full) throw new FileError("Cannot write: no space", "ENOSPC");
      }),
    );
    const other = new Peer(path);
    other.commit(1);
    one.word(LAST_FRAME);
    one.index.lock(CHECKPOINT, 1, "exclusive");
    one.set(BACKFILLED, 1);
    full = true;
    assert.throws(() => one.index.unlock(CHECKPOINT, 1), { code: "ENOSPC" });
    other.commit(2);
    assert.throws(() => one.index.barrier(), { code: "ENOSPC" });
    assert.deepEqual([one.word(LAST_FRAME), one.word(TABLES + 8), one.word(BACKFILLED)], [2, 2, 0]);
  });

  it("publishes before the log is cut off, so that nobody who survives looks for frames that are gone", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const events: string[] = [];
    const files: Files = {
      ...machine.files,
      open(path, mode) {
        const file = machine.files.open(path, mode);
        const name = path.slice(path.lastIndexOf("-"));
        const write: OpenFile["write"] = (source, position) => {
          if (name === "-shm" && position === 0) events.push("headers");
          Object.getPrototypeOf(file).write.call(file, source, position);
        };
        const truncate: OpenFile["truncate"] = (size) => {
          if (name === "-wal") events.push("cut");
          Object.getPrototypeOf(file).truncate.call(file, size);
        };
        return Object.assign(file, { write, truncate });
      },
    };
    const database = await openDatabase({
      runtime: { ...machine, files },
      path: path.slice(0, -"-shm".length),
      create: true,
      locking: "shared",
      synchronous: "normal",
      lockTimeout: 0,
      schema: (driver) => driver.exec("CREATE TABLE t (a)"),
    });
    database.driver.exec("INSERT INTO t VALUES (1)");
    events.length = 0;
    database.driver.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    assert.deepEqual(events, ["headers", "cut"]);
    database.close();
  });

  describe("when the file cannot be read", () => {
    /** A copy whose file fails to be read while `broken.now` says so. */
    async function breakable(context: TestContext) {
      const path = await newPath(context);
      if (!path) return undefined;
      const broken = { now: false };
      const files: Files = {
        ...machine.files,
        open(path, mode) {
          const file = machine.files.open(path, mode);
          const read: OpenFile["read"] = (target, position) => {
            if (broken.now) throw new FileError("Cannot read: EIO", "EIO");
            return Object.getPrototypeOf(file).read.call(file, target, position);
          };
          return Object.assign(file, { read });
        },
      };
      const [writer, reader] = [new Peer(path), new Peer(path, files)];
      writer.commit(1);
      assert.equal(reader.word(LAST_FRAME), 1);
      return { broken, writer, reader };
    }

    it("does not let SQLite go on with what was read before: it could take the log for empty, and remove it", async (context) => {
      const peers = await breakable(context);
      if (!peers) return;
      const { broken, writer, reader } = peers;
      writer.commit(2);
      broken.now = true;
      assert.throws(() => reader.index.barrier(), { code: "EIO" });
      assert.notEqual(reader.word(LAST_FRAME), reader.word(SECOND_HEADER + LAST_FRAME));
      broken.now = false;
      reader.index.barrier();
      assert.deepEqual([LAST_FRAME, SECOND_HEADER + LAST_FRAME, TABLES + 8].map((at) => reader.word(at)), [2, 2, 2]);
    });

    it("does not keep a lock that SQLite was refused", async (context) => {
      const peers = await breakable(context);
      if (!peers) return;
      const { broken, writer, reader } = peers;
      broken.now = true;
      assert.throws(() => reader.index.lock(WRITE, 1, "exclusive"), { code: "EIO" });
      assert.ok(writer.index.lock(WRITE, 1, "exclusive"));
    });

    it("does not take a region that it could not read for an empty one", async (context) => {
      const peers = await breakable(context);
      if (!peers) return;
      const { broken, writer, reader } = peers;
      writer.index.lock(WRITE, 1, "exclusive");
      writer.set(0, 4063, 1);
      writer.publish(4063);
      writer.index.unlock(WRITE, 1);
      broken.now = true;
      assert.throws(() => reader.index.map(1, false), { code: "EIO" });
      broken.now = false;
      assert.equal(reader.word(0, 1), 4063);
    });
  });

  it("leaves alone what SQLite writes without a lock, when it recovers on leaving last", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const last = new Peer(path);
    last.commit(1);
    last.set(SECOND_HEADER + LAST_FRAME, 7);
    last.index.barrier();
    assert.equal(last.word(SECOND_HEADER + LAST_FRAME), 7);
  });

  it("says how much of the log waits to be moved", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const peer = new Peer(path);
    assert.equal(peer.index.logged, 0);
    peer.index.lock(WRITE, 1, "exclusive");
    for (const header of [SECOND_HEADER, FIRST_HEADER]) {
      peer.set(header + LAST_FRAME, 10);
      peer.set(header + PAGE_SIZE - 2, 4096 << 16);
    }
    peer.index.unlock(WRITE, 1);
    assert.equal(peer.index.logged, 10 * (4096 + 24));
    peer.index.lock(CHECKPOINT, 1, "exclusive");
    peer.set(BACKFILLED, 4);
    peer.index.unlock(CHECKPOINT, 1);
    assert.equal(new Peer(path).index.hasNews, false);
    assert.equal(peer.index.logged, 6 * (4096 + 24));
  });

  it("gives its memory back on leaving, and removes the file where it is told to", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const peer = new Peer(path);
    const regions = [peer.index.map(0, true), peer.index.map(1, true)];
    peer.index.unmap(true);
    assert.deepEqual(peer.memory.freed, regions);
    assert.equal(machine.files.exists(path), false);
  });
});
