/** The runtimes that a test can start programs on: the one it runs on itself, and what it finds of the others. */

import { execFileSync } from "node:child_process";
import process from "node:process";
import type { TestContext } from "node:test";
import { skipForWant } from "./parts.ts";

/** A runtime's name, which is also its program's; `node22` is the oldest Node that is supported. */
export type RuntimeName = "deno" | "node" | "node22" | "bun";

/** The runtimes that all tests run on. */
export const RUNTIMES: readonly RuntimeName[] = ["deno", "node", "bun"];

/** The runtime that runs this test. */
export const HERE: RuntimeName = "Deno" in globalThis ? "deno" : "Bun" in globalThis ? "bun" : "node";

/** The first Node that runs TypeScript as it is. */
const FIRST_NODE: readonly [number, number] = [22, 18];

/** What runs a TypeScript program on a runtime, program and arguments to follow; `undefined` where it is missing. */
export function commandOf(
  runtime: RuntimeName,
  flags: readonly string[] = runtime === "deno" ? ["-A"] : [],
): [string, ...string[]] | undefined {
  const executable = runtime === HERE ? process.execPath : runtime;
  if (runtime !== HERE && !isUsable(runtime)) return undefined;
  return runtime === "deno" ? [executable, "run", "--no-prompt", ...flags] : [executable, ...flags];
}

/** {@link commandOf}; where the runtime is missing, skips the test, or fails it on CI. */
export function requireRuntime(
  context: TestContext,
  runtime: RuntimeName,
  flags?: readonly string[],
): [string, ...string[]] | undefined {
  const command = commandOf(runtime, flags);
  if (command !== undefined) return command;
  skipForWant(context, `${runtime} is not installed, or is too old`);
  return undefined;
}

function isUsable(runtime: RuntimeName): boolean {
  try {
    const version = execFileSync(runtime, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    if (!runtime.startsWith("node")) return true;
    const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
    return major > FIRST_NODE[0] || (major === FIRST_NODE[0] && minor >= FIRST_NODE[1]);
  } catch {
    return false;
  }
}
