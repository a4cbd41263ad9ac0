/**
 * Where the successor of a broken database is made, and how it takes that one's place: the old one is renamed, never
 * overwritten, and what was begun and not finished leaves nothing behind.
 *
 * @module
 */

import type { Files, Runtime } from "../../runtime/runtime.ts";
import type { OpenDatabase } from "../../sqlite/open.ts";
import { openDatabase } from "../../sqlite/open.ts";
import { repairPaths } from "./repair_names.ts";
import { applySchema } from "./schema.ts";

const NAME = "database";
/** What lies beside a database: what belongs to it, and what can be made anew. */
const LOGS = ["-wal", "-journal"];
const MAKESHIFT = ["-shm"];
const ALL = ["", ...LOGS, ...MAKESHIFT, "-owner", "-owner.json"];

/** A folder beside a database in which its successor is made. */
export class Workshop {
  readonly #runtime: Runtime;
  readonly #path: string;
  readonly #original: string;
  readonly #folder: string;

  /** `path` is the broken database's. */
  constructor(runtime: Runtime, path: string) {
    this.#runtime = runtime;
    this.#path = path;
    const { original, workshop } = repairPaths(runtime.files, path, runtime.clock.now());
    this.#original = original;
    this.#folder = workshop;
  }

  /**
   * Makes a new, empty database.
   *
   * @throws FileError, SqliteError
   */
  async open(model: string): Promise<OpenDatabase> {
    const path = this.#successor;
    this.#runtime.files.makeDirectory(this.#folder);
    return await openDatabase({
      runtime: this.#runtime,
      path,
      create: true,
      locking: "exclusive",
      synchronous: "normal",
      lockTimeout: 0,
      schema: (driver) => applySchema(driver, path, model),
    });
  }

  /**
   * Puts the new database, which has to be closed, in place of the old one, of which it returns the new name. Where that
   * fails the old one is where it was.
   *
   * @throws FileError
   */
  async swap(): Promise<string> {
    const { files } = this.#runtime;
    await files.sync(this.#successor);
    const moves: [from: string, to: string][] = [];
    const move = async (from: string, to: string): Promise<void> => {
      await files.rename(from, to);
      moves.push([from, to]);
    };
    try {
      // The log first: beside the new database it would be taken for its own.
      for (const log of LOGS) {
        if (files.exists(this.#path + log)) await move(this.#path + log, this.#original + log);
      }
      await move(this.#path, this.#original);
      await move(this.#successor, this.#path);
    } catch (error) {
      for (const [from, to] of moves.reverse()) await files.rename(to, from).catch(() => {});
      throw error;
    }
    for (const part of MAKESHIFT) files.remove(this.#path + part);
    await files.sync(directoryOf(this.#path));
    return this.#original;
  }

  /** Removes what is left of it. Never throws: what it cannot remove is found by whoever verifies. */
  clear(): void {
    const { files } = this.#runtime;
    try {
      for (const part of ALL) files.remove(this.#successor + part);
      files.removeEmptyDirectory(this.#folder);
    } catch {
      // A disk that may only be read, or a folder that somebody uses.
    }
  }

  get #successor(): string {
    return `${this.#folder}/${NAME}`;
  }
}

/** Puts a database back that a repair had renamed when it was killed, before another had taken its place. */
export async function takeBack(files: Files, directory: string): Promise<void> {
  const names = (await files.list(directory)).filter(({ isFile }) => isFile).map(({ name }) => name);
  for (const name of names.toReversed()) {
    const [, database] = /^(.*\.sqlite)\.broken-\d{8}T\d{6}Z(?:-\d+)?$/.exec(name) ?? [];
    if (database === undefined || files.exists(`${directory}/${database}`)) continue;
    for (const log of LOGS) {
      if (names.includes(name + log)) {
        await files.rename(`${directory}/${name}${log}`, `${directory}/${database}${log}`);
      }
    }
    await files.rename(`${directory}/${name}`, `${directory}/${database}`);
  }
}

function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
