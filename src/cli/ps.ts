/**
 * `ps`: asks a running server what it has in memory, and prints it.
 *
 * @module
 */

import { KEY_HEADER, namedKey } from "../http/auth.ts";
import type { Health } from "../http/health.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { CommandParts } from "./command.ts";
import { healthTable } from "./ps_table.ts";
import type { Settings } from "./settings.ts";

/** `/health` waits for nothing, so a server that takes longer does not answer at all. */
const PATIENCE: Milliseconds = 10_000;

/** Addresses that stand for all of a machine's, and where the machine itself is reached. */
const REACHED_AT: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "::1" };

/** Runs the command. @throws Error when the server is not there. */
export async function ps({ console, runtime, settings }: CommandParts, url: string = urlOf(settings)): Promise<void> {
  const health = await ask(url, keyOf(settings));
  if (console.isJson) return await console.printJson(health);
  const { width, paint } = console;
  await console.print(healthTable(health, { now: runtime.clock.now(), width, paint }));
}

/** Where the server of these settings listens. */
function urlOf({ host, port }: Settings): string {
  const address = REACHED_AT[host] ?? host;
  return `http://${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** A key that opens the server of these settings, if it has any that is said outright. */
function keyOf({ adminKey = [], apiKey = [] }: Settings): string | undefined {
  const [first] = [...apiKey, ...adminKey];
  return first === undefined ? undefined : namedKey(first).key;
}

async function ask(url: string, key: string | undefined): Promise<Health> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new Error(`Cannot ask what is loaded, ${reason}: ${url}`, { cause });
  };
  const path = `${url.replace(/\/+$/, "")}/health`;
  if (!URL.canParse(path)) fail("that is no URL");
  const headers = key === undefined ? {} : { [KEY_HEADER]: key };
  const response = await fetch(path, { headers, redirect: "error", signal: AbortSignal.timeout(PATIENCE) }).catch((
    cause,
  ) => fail("no server answers there; start one, or say where it is with --host and --port, or by its URL", cause));
  const health: Partial<Health> | undefined = await response.json().catch(() => undefined);
  if (health?.status === "ok" && health.loaded_models === undefined) {
    fail(key === undefined ? "which needs a key: give one as --api-key" : "which the key that was given does not open");
  }
  if (!Array.isArray(health?.loaded_models)) fail("what answers there is no warmcache server");
  return health as Health;
}
