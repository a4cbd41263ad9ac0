/**
 * Which models have a database in a directory: a file's name is too short for a model's, so the database itself is asked.
 *
 * @module
 */

import type { Files, Runtime } from "../../runtime/runtime.ts";
import type { SqlDriver } from "../../sqlite/driver.ts";
import { SqliteError } from "../../sqlite/error.ts";
import { readDatabase } from "../../sqlite/open.ts";
import { prepareToRead } from "../../sqlite/prepare.ts";
import type { CacheError } from "../error.ts";
import type { Databases } from "./databases.ts";
import { toCacheError } from "./failure.ts";
import { databaseName, isDatabaseName } from "./names.ts";
import { inspectFile, isBeingMade } from "./schema.ts";

/** The models in a directory, and what could not be asked. */
export interface ModelList {
  /** By the paths of their databases. */
  readonly models: ReadonlyMap<string, string>;
  /** Why the others cannot be read now, one for each. What is not ours is none of them. */
  readonly failures: readonly CacheError[];
}

/** A directory on a machine. */
export interface Place {
  readonly runtime: Runtime;
  readonly directory: string;
}

/** The paths of what is called like a database. */
export async function listDatabases(files: Files, directory: string): Promise<string[]> {
  const entries = await files.list(directory);
  return entries.filter(({ name, isFile }) => isFile && isDatabaseName(name)).map(({ name }) => `${directory}/${name}`);
}

/**
 * The models in a directory. A database that was given another name is of nobody.
 *
 * @throws CacheError when the directory cannot be read.
 */
export async function modelsIn(databases: Databases, { runtime, directory }: Place): Promise<ModelList> {
  const models = new Map<string, string>();
  const readModel = (path: string, driver: SqlDriver): void => {
    const statement = driver.prepare("SELECT value FROM meta WHERE name = 'model'");
    try {
      const model = statement.get()?.[0];
      const isNamed = typeof model === "string" && path.endsWith(`/${databaseName(model, runtime.sha256)}`);
      if (isNamed) models.set(path, model);
    } finally {
      statement.finalize();
    }
  };
  await databases.readEach((path) => (driver) => {
    readModel(path, driver);
    return false;
  });
  const failures: CacheError[] = [];
  for (const path of await listDatabases(runtime.files, directory)) {
    if (models.has(path)) continue;
    try {
      // What could not be read a moment ago, and can be now, is one of them.
      await prepareToRead(runtime.files, path);
      if (inspectFile(runtime.files, path) === "ours") {
        await readDatabase(runtime, path, (driver) => readModel(path, driver));
      }
    } catch (error) {
      // A journal would have to be rolled back first. Where it is that of its making, nothing was ever put into it.
      const hasJournal = error instanceof SqliteError && error.code === "SQLITE_READONLY";
      if (hasJournal && isBeingMade(runtime.files, path)) continue;
      const failure = toCacheError(error);
      if (failure.code !== "foreign_file") failures.push(failure);
    }
  }
  return { models, failures };
}
