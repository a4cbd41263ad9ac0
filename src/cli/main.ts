/**
 * The program behind `server.ts` and `./cli`: reads the command line and hands over to a command, which is imported when
 * it is known to be wanted.
 *
 * @module
 */

import { loadRuntime } from "../runtime/load.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Program, readCommandLine } from "./settings.ts";

/** Runs a command line; returns when it is done. */
export async function main(program?: Program, machine?: Runtime): Promise<void> {
  const runtime = machine ?? await loadRuntime();
  const commandLine = await readCommandLine(runtime, runtime.args, program);
  const { task, settings } = commandLine;
  if ("run" in task) await task.run(runtime, settings, task);
  else if (task.command === "check") await (await import("./check.ts")).check(runtime, commandLine, task.json);
  else await (await import("./serve.ts")).serve(runtime, settings);
}
