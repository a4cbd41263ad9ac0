/**
 * What all commands on a cache have in common: how they are begun, how a signal ends them, and what status the process
 * ends with.
 *
 * @module
 */

import type { CacheBackend } from "../compose/backend.ts";
import type { OpenedCache } from "../compose/open_cache.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Console, ReaderGone } from "./console.ts";
import { type Settings, USAGE_ERROR } from "./settings.ts";

/** What a command works with. */
export interface CommandParts {
  readonly runtime: Runtime;
  readonly settings: Settings;
  readonly console: Console;
  /** Aborted by SIGINT and SIGTERM. What was begun is brought to a sound end, and nothing else is begun. */
  readonly signal: AbortSignal;
}

/** Exit status of a command that did not do what it was asked for. */
export const FAILED = 1;
/** Exit status of a command that was to find what is wrong, and did. */
export const FOUND_PROBLEMS = 3;

/** What a shell makes of a signal: 128 and its number. POSIX.1-2024, XCU 2.8.2. */
const SIGNAL_STATUS: Readonly<Record<string, number>> = { SIGINT: 130, SIGTERM: 143, SIGBREAK: 149 };

/** Runs a command to its end; a status that is not 0 ends the process. */
export async function runCommand(
  runtime: Runtime,
  settings: Settings,
  { json }: { readonly json: boolean },
  work: (parts: CommandParts) => Promise<number | void>,
): Promise<void> {
  const console = new Console(runtime, { json });
  const stop = new AbortController();
  let stopped: number | undefined;
  const forget = runtime.onTerminationSignal((signal) => {
    // Whoever asks twice does not want to wait.
    if (stopped !== undefined) runtime.exit(stopped);
    stopped = SIGNAL_STATUS[signal] ?? FAILED;
    stop.abort(new Error(`stopped by ${signal}`));
  });
  let status: number;
  try {
    status = await work({ runtime, settings, console, signal: stop.signal }) ?? 0;
  } catch (error) {
    status = await statusOf(error, console, stop.signal);
  }
  forget();
  status = stopped ?? status;
  if (status !== 0) runtime.exit(status);
}

async function statusOf(error: unknown, console: Console, signal: AbortSignal): Promise<number> {
  if (error instanceof ReaderGone) return 0;
  // Whoever stopped it knows.
  if (signal.aborted) return FAILED;
  await console.fail(error);
  return error instanceof TypeError || error instanceof RangeError ? USAGE_ERROR : FAILED;
}

/** Which cache. */
export interface WhichCache {
  /** A pack in place of the cache. */
  readonly pack?: string | undefined;
  /** A backend, if not the one of the environment. */
  readonly backend?: CacheBackend | undefined;
  /** Whether the cache may be one that is not there yet. */
  readonly create?: boolean;
}

/**
 * Opens the cache that the server of these settings has, or a pack in its place, and closes it afterwards, whatever
 * becomes of `use`.
 *
 * @throws CacheError; Error when there is no such cache.
 */
export async function withCache<T>(
  { runtime, settings }: CommandParts,
  use: (opened: OpenedCache) => Promise<T>,
  { create = false, pack, backend }: WhichCache = {},
): Promise<T> {
  const { openCacheAndStoreOn } = await import("../compose/open_cache.ts");
  const { readEnvironment } = await import("../compose/environment.ts");
  if (readEnvironment(runtime).isOff) {
    throw new Error("Cannot look into a cache that is off: unset the environment variable NO_CACHE");
  }
  const { cache: directory, locking } = settings;
  const opened = await openCacheAndStoreOn(
    runtime,
    pack === undefined
      ? { directory, ...locking !== undefined && { locking }, ...backend !== undefined && { backend } }
      : { backend: await (await import("../compose/packs.ts")).openPack(pack) },
  );
  try {
    if (!create && opened.isOnDisk && !runtime.files.exists(directory)) {
      throw new Error(`Cannot find a cache: no such folder: ${directory}; say where it is with --cache`);
    }
    return await use(opened);
  } finally {
    await opened.cache.close();
  }
}
