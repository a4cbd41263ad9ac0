/** A real workerd, started and stopped: the runtime of Cloudflare's Workers, by way of miniflare. */

import type { Miniflare, MiniflareOptions } from "miniflare";
import type { TestContext } from "node:test";
import { type EdgeBundle, modulesOf } from "../../../examples/edge/bundle.ts";
import { skipForWant } from "../../support/parts.ts";

/** What a Worker is started with. */
export interface WorkerdOptions {
  readonly bundle: EdgeBundle;
  /** Classes of Durable Objects with SQL, by the names they are bound under. */
  readonly objects?: Readonly<Record<string, string>>;
  /** The same of those without. */
  readonly withoutSql?: Readonly<Record<string, string>>;
  /** Where Durable Objects stay; in memory by default. */
  readonly directory?: string;
  /** Texts that the Worker finds in its environment. */
  readonly bindings?: Readonly<Record<string, string>>;
  /** Names of R2 buckets, each bound under its own name. */
  readonly buckets?: readonly string[];
}

/** A Worker that runs. */
export interface RunningWorkerd {
  readonly url: string;
  /** Asks it, over HTTP. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Kills it, as a crash of the machine would: nothing in it is told. Killing it twice is no error. */
  kill(): Promise<void>;
}

/** The features of the runtime that Workers see. */
const COMPATIBILITY_DATE = "2026-07-01";

/** Starts a Worker; where workerd cannot be had, the test is skipped. */
export async function startWorkerd(context: TestContext, options: WorkerdOptions): Promise<RunningWorkerd | undefined> {
  let module: typeof import("miniflare");
  try {
    module = await import("miniflare");
  } catch (error) {
    skipForWant(context, `miniflare is not installed: ${error}`);
    return undefined;
  }
  return await start(new module.Miniflare(settings(options)));
}

/** What miniflare is told. */
function settings(
  { bundle, objects = {}, withoutSql = {}, directory, bindings = {}, buckets = [] }: WorkerdOptions,
): MiniflareOptions {
  return {
    modulesRoot: "/",
    modules: modulesOf(bundle),
    compatibilityDate: COMPATIBILITY_DATE,
    durableObjects: { ...classes(objects, true), ...classes(withoutSql, false) },
    bindings: { ...bindings },
    r2Buckets: [...buckets],
    ...directory !== undefined && { durableObjectsPersist: directory },
  };
}

function classes(names: Readonly<Record<string, string>>, useSQLite: boolean) {
  return Object.fromEntries(Object.entries(names).map(([name, className]) => [name, { className, useSQLite }]));
}

async function start(miniflare: Miniflare): Promise<RunningWorkerd> {
  const { origin } = await miniflare.ready;
  let killed: Promise<void> | undefined;
  return {
    url: origin,
    fetch: (path, init) => fetch(origin + path, init),
    // By SIGKILL.
    kill: () => killed ??= miniflare.dispose(),
  };
}
