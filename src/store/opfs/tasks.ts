/**
 * What a leader does as a whole for a client, besides calls: what looks at all of the store, and what takes a database's
 * file out of it or into it.
 *
 * @module
 */

import { blobOf, writeBlob } from "../../runtime/blob_files.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { FileError } from "../../runtime/runtime.ts";
import { readDatabase } from "../../sqlite/open.ts";
import { CacheError } from "../error.ts";
import { databaseName } from "../sqlite/names.ts";
import { inspectFile, modelOf, oddInSchema } from "../sqlite/schema.ts";
import type { Store } from "../store.ts";
import type { Gate } from "./gate.ts";
import type { Task } from "./messages.ts";

/** Where an import lies before anybody knows what it is. */
const IMPORTED = "import";

/** What tasks are done on. */
export interface Workplace {
  readonly runtime: Runtime;
  readonly directory: string;
  readonly gate: Gate;
  readonly store: Store;
  /** Closes the store for as long as `work` takes, with nobody in it. */
  withoutStore<T>(work: () => Promise<T>): Promise<T>;
}

/** How a task is done. */
export interface TaskOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (value: unknown) => void;
}

/**
 * Does a task.
 *
 * @throws CacheError, FileError, and what SQLite fails with.
 */
export async function doTask(workplace: Workplace, task: Task, { signal, onProgress }: TaskOptions): Promise<unknown> {
  const { gate } = workplace;
  switch (task.name) {
    case "modelSizes":
      return await gate.pass(() => workplace.store.modelSizes!());
    case "verify":
      return await gate.pass(() => workplace.store.verify!({ ...task.options, signal, onProgress }));
    case "export":
      return await workplace.withoutStore(() => exportFile(workplace, task.model));
    case "import":
      return await workplace.withoutStore(() => importFile(workplace, task.file, task.replace));
    default:
      throw unknownHere("do", (task as { name: unknown } | undefined)?.name);
  }
}

/** What a page of another version asks for. */
export function unknownHere(tried: string, what: unknown): TypeError {
  const why = "the tab that keeps the cache is of another version: load all pages anew";
  return new TypeError(`Cannot ${tried} what is not known here (${what}); ${why}`);
}

async function exportFile({ runtime, directory }: Workplace, model: string): Promise<Blob> {
  const path = `${directory}/${databaseName(model, runtime.sha256)}`;
  const { files } = runtime;
  if (!files.exists(path)) {
    throw new CacheError("unavailable", `Cannot export the database of a model: nothing is stored of it: ${model}`);
  }
  return await blobOf(runtime, path, "application/vnd.sqlite3");
}

/** Takes a database in, whoever made it, once it is known to be one of ours; says whose it is. */
async function importFile(
  { runtime, directory }: Workplace,
  file: Blob,
  replace: boolean,
): Promise<string> {
  const { files } = runtime;
  files.makeDirectory(directory);
  const imported = `${directory}/${IMPORTED}`;
  try {
    await writeBlob(runtime, imported, file);
    if (inspectFile(files, imported) !== "ours") {
      throw new CacheError("foreign_file", "Cannot import a file that is no database of warmcache");
    }
    const model = await readDatabase(runtime, imported, (driver) => {
      const statement = driver.prepare("PRAGMA quick_check(1)");
      try {
        const wrong = statement.get()?.[0];
        if (wrong !== "ok") throw new CacheError("corrupt", `Cannot import a database that is broken: ${wrong}`);
      } finally {
        statement.finalize();
      }
      const odd = oddInSchema(driver);
      if (odd === undefined) return modelOf(driver);
      const message = "Cannot import a database that is not as warmcache makes them";
      throw new CacheError("foreign_file", `${message}: it has ${odd}`);
    });
    const path = `${directory}/${databaseName(model, runtime.sha256)}`;
    if (files.exists(path) && !replace) {
      const message = "Cannot import a database: there is one of its model, and it is to stay (replace: false)";
      throw new CacheError("unavailable", `${message}: ${model}`);
    }
    for (const ending of ["-journal", "-wal", "-shm"]) files.remove(`${path}${ending}`);
    await files.rename(imported, path);
    await files.sync(directory);
    return model;
  } catch (error) {
    files.remove(imported);
    if (error instanceof FileError && error.code === "ENOSPC") {
      throw new CacheError("unavailable", `Cannot import a database: ${error.message}`, { cause: error });
    }
    throw error;
  }
}
