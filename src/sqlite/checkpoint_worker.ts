/**
 * Shortens logs away from the caller's thread, on a connection of its own. Receives paths, answers each, in order.
 *
 * @module
 */

import { messageOf } from "../runtime/message.ts";
import { loadRuntime } from "../runtime/load.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { workerPort } from "../runtime/worker_port.ts";
import type { CheckpointReply } from "./checkpointer.ts";
import type { SqlDriver } from "./driver.ts";
import { isBusy } from "./error.ts";
import type { OpenDatabase } from "./open.ts";
import { openDatabase } from "./open.ts";

/** A log longer than this is cut off: among steady writers and readers nobody ever writes it from its beginning again. */
const LONG_LOG = 64 * 1024 * 1024;
/** Cutting it off keeps writers out for a moment, and readers of the log keep it from happening: hence short tries. */
const TRIES = 10;
const BETWEEN_TRIES = 5;

const port = workerPort();
let last = Promise.resolve();
port.onMessage((path) => {
  last = last.then(async () => {
    const reply: CheckpointReply = { error: await shorten(path as string) };
    port.post(reply);
  });
});

async function shorten(path: string): Promise<string | undefined> {
  try {
    const runtime = await loadRuntime();
    const database = await openDatabase({
      runtime,
      path,
      create: false,
      locking: "shared",
      synchronous: "normal",
      lockTimeout: 0,
      schema: refuseNew,
    });
    try {
      if (!moveLog(database)) return undefined;
      const log = await runtime.files.stat(`${path}-wal`);
      if (log !== undefined && log.size > LONG_LOG) await cutLog(runtime, database);
    } finally {
      database.close();
    }
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

/** Somebody may have removed the database, and somebody else be making a new one, which is theirs to set up. */
function refuseNew(driver: SqlDriver): void {
  const statement = driver.prepare("SELECT count(*) FROM sqlite_schema");
  try {
    if (statement.get()?.[0] === 0) throw new Error("there is nothing in it yet");
  } finally {
    statement.finalize();
  }
}

/** Moves what nobody reads from the log, without keeping anybody out; `false` when somebody else is at it. */
function moveLog(database: OpenDatabase): boolean {
  try {
    database.checkpoint();
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

async function cutLog({ clock }: Runtime, { driver }: OpenDatabase): Promise<void> {
  for (let tries = 0; tries < TRIES && !truncate(driver); tries++) await clock.sleep(BETWEEN_TRIES);
}

/** Moves the rest and cuts the log off, unless somebody reads or writes it right now. */
function truncate(driver: SqlDriver): boolean {
  const statement = driver.prepare("PRAGMA wal_checkpoint(TRUNCATE)");
  try {
    return statement.get()?.[0] === 0;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  } finally {
    statement.finalize();
  }
}
