/** Logs of shared databases are shortened in a Worker, which is there only as long as there is something to shorten. */

import assert from "node:assert/strict";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { Checkpointer } from "../../src/sqlite/checkpointer.ts";
import type { OpenDatabase } from "../../src/sqlite/open.ts";
import { openDatabase } from "../../src/sqlite/open.ts";
import { requireRangeLocks } from "../support/parts.ts";
import { temporaryFolder } from "../support/temporary.ts";

const machine = await loadRuntime();
const MIB = 1024 * 1024;

function open(path: string): Promise<OpenDatabase> {
  return openDatabase({
    runtime: machine,
    path,
    create: true,
    locking: "shared",
    synchronous: "normal",
    lockTimeout: 0,
    schema: (driver) => driver.exec("CREATE TABLE IF NOT EXISTS t (a)"),
  });
}

function fill({ driver }: OpenDatabase, bytes: number): void {
  const insert = driver.prepare("INSERT INTO t VALUES (zeroblob(?))");
  for (let left = bytes; left > 0; left -= MIB) insert.run(MIB);
  insert.finalize();
}

/** The machine, and what its Workers were told and how many of them live. */
function watched(): { runtime: Runtime; posted: unknown[]; alive: () => number } {
  const posted: unknown[] = [];
  let alive = 0;
  const spawnWorker: Runtime["spawnWorker"] = (url, name) => {
    const worker = machine.spawnWorker(url, name);
    alive++;
    return {
      ...worker,
      post(message) {
        posted.push(message);
        worker.post(message);
      },
      terminate() {
        alive--;
        worker.terminate();
      },
    };
  };
  return { runtime: { ...machine, spawnWorker }, posted, alive: () => alive };
}

async function newPath(context: TestContext): Promise<string | undefined> {
  if (!requireRangeLocks(context, machine)) return undefined;
  return join(await temporaryFolder(), "d.sqlite");
}

describe("Checkpointer", () => {
  it("leaves alone what somebody else is just making", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    machine.files.open(path, "create").close();
    const checkpointer = new Checkpointer(machine);
    await assert.rejects(checkpointer.checkpoint(path), /there is nothing in it yet/);
    assert.equal((await stat(path)).size, 0);
    await checkpointer.close();
  });

  it("moves a log into its database, and ends its Worker when nothing is left", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    fill(database, 2 * MIB);
    const { size } = await stat(path);
    assert.ok(size < MIB);
    const { runtime, posted, alive } = watched();
    const checkpointer = new Checkpointer(runtime);
    await Promise.all([checkpointer.checkpoint(path), checkpointer.checkpoint(path)]);
    assert.ok((await stat(path)).size > 2 * MIB);
    assert.deepEqual(posted, [path], "who asks for what is asked for already waits for that");
    assert.equal(alive(), 0);
    // What is written next begins the log anew.
    const log = (await stat(`${path}-wal`)).size;
    fill(database, MIB);
    assert.equal((await stat(`${path}-wal`)).size, log);
    database.close();
  });

  it("cuts off a log that readers kept from being written from its beginning again", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const [writer, reader] = [await open(path), await open(path)];
    const select = reader.driver.prepare("SELECT count(*) FROM t");
    fill(writer, MIB);
    reader.driver.exec("BEGIN");
    select.get();
    fill(writer, 65 * MIB);
    const checkpointer = new Checkpointer(machine);
    await checkpointer.checkpoint(path);
    assert.ok((await stat(`${path}-wal`)).size > 64 * MIB, "the reader still needs it");
    reader.driver.exec("COMMIT");
    await checkpointer.checkpoint(path);
    assert.equal((await stat(`${path}-wal`)).size, 0);
    assert.deepEqual(select.get(), [66]);
    writer.close();
    reader.close();
  });

  it("says why when it could not, and goes on with the next", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    fill(database, MIB);
    const { runtime, alive } = watched();
    const checkpointer = new Checkpointer(runtime);
    const missing = assert.rejects(checkpointer.checkpoint(`${path}2`), /Cannot shorten the log of .*2: /);
    await checkpointer.checkpoint(path);
    await missing;
    assert.ok((await stat(path)).size > MIB);
    assert.equal(checkpointer.works, true);
    assert.equal(alive(), 0);
    database.close();
  });

  it("close waits for what was asked for", async (context) => {
    const path = await newPath(context);
    if (!path) return;
    const database = await open(path);
    fill(database, MIB);
    const { runtime, alive } = watched();
    const checkpointer = new Checkpointer(runtime);
    checkpointer.shorten(path);
    assert.equal(alive(), 1);
    await checkpointer.close();
    assert.equal(alive(), 0);
    assert.ok((await stat(path)).size > MIB);
    database.close();
  });

  it("does without a Worker that cannot be started or that dies", async () => {
    const path = join(await temporaryFolder(), "d.sqlite");
    const spawnWorker = (): never => {
      throw new Error("no Workers here");
    };
    const none = new Checkpointer({ ...machine, spawnWorker });
    assert.equal(none.works, true);
    await assert.rejects(none.checkpoint(path), /no Workers here/);
    assert.equal(none.works, false);
    const broken = new Checkpointer({
      ...machine,
      spawnWorker: (_url, name) => machine.spawnWorker(new URL("./broken_worker.ts", import.meta.url), name),
    });
    await assert.rejects(
      Promise.all([broken.checkpoint(path), broken.checkpoint(`${path}2`)]),
      /Cannot shorten the log/,
    );
    assert.equal(broken.works, false);
    await broken.close();
  });
});
