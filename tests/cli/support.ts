/** Settings as the server reads them, from flags, variables and the text of a file. */

import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type CommandLine, readCommandLine } from "../../src/cli/settings.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** What somebody says. */
export interface Said {
  readonly flags?: readonly string[];
  readonly variables?: Readonly<Record<string, string>>;
  /** The file's text, or what it says. */
  readonly file?: string | object;
  /** Permission bits of the file. */
  readonly mode?: number;
}

/** A machine with these variables only. */
export async function machineWith(variables: Readonly<Record<string, string>>): Promise<Runtime> {
  return { ...await loadRuntime(), environment: (name) => variables[name] };
}

/** Reads settings without acting on them, as `--check` does. Problems name the file `F`. */
export async function readSaid({ flags = [], variables = {}, file, mode = 0o600 }: Said): Promise<CommandLine> {
  const path = join(await temporaryFolder(), "warmcache.json");
  if (file !== undefined) {
    await writeFile(path, typeof file === "string" ? file : JSON.stringify(file));
    await chmod(path, mode);
  }
  const config = file === undefined ? [] : ["--config", path];
  const read = await readCommandLine(await machineWith(variables), ["--check", ...config, ...flags]);
  const problems = read.problems.map((problem) => ({
    ...problem,
    ...(problem.where !== undefined && { where: problem.where.replace(path, "F") }),
    message: problem.message.replace(path, "F"),
  }));
  return { ...read, problems };
}
