/**
 * Chooses the machine's implementation of {@link Runtime}, once, among those that have files and processes. The only
 * place that asks which runtime this is.
 *
 * @module
 */

import { provideRuntime } from "./current.ts";
import type { Runtime } from "./runtime.ts";

let loaded: Promise<Runtime> | undefined;

/**
 * The runtime this program runs on.
 *
 * @throws TypeError on a runtime that has no file in this room yet.
 */
export function loadRuntime(): Promise<Runtime> {
  return loaded ??= detect();
}

async function detect(): Promise<Runtime> {
  if ("Deno" in globalThis) return (await import("./deno.ts")).denoRuntime();
  if ("Bun" in globalThis) return await (await import("./bun.ts")).bunRuntime();
  if ("process" in globalThis) return await (await import("./node.ts")).nodeRuntime();
  throw new TypeError("Cannot choose a runtime: no global named Deno, Bun or process found");
}

provideRuntime(loadRuntime);
