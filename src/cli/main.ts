/**
 * The program behind `server.ts`: reads the command line and hands over to a command.
 *
 * @module
 */

import { loadRuntime } from "../runtime/load.ts";
import { check } from "./check.ts";
import { ps } from "./ps.ts";
import { pull } from "./pull.ts";
import { serve } from "./serve.ts";
import { readCommandLine } from "./settings.ts";

/** Runs a command line; returns when it is done. */
export async function main(): Promise<void> {
  const runtime = await loadRuntime();
  const commandLine = await readCommandLine(runtime, runtime.args);
  const { task, settings } = commandLine;
  if (task.command === "ps") await ps(runtime, settings, task.url);
  else if (task.command === "pull") await pull(runtime, settings, task.model, task.options);
  else if (task.command === "check") await check(runtime, commandLine, task.json);
  else await serve(runtime, settings);
}
