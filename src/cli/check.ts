/**
 * `--check`: what the server would run with, where each setting comes from, and everything that can be found wrong with
 * it without listening. Service managers run it before they replace a server that works by one that does not start.
 *
 * @module
 */

import { warmModels } from "../compose/backends.ts";
import { readEnvironment } from "../compose/environment.ts";
import { checkServerOptions, whyNotWritable } from "../compose/server.ts";
import { planUpstreams } from "../compose/upstreams.ts";
import { VERSION } from "../compose/version.ts";
import { ApiKeys } from "../http/auth.ts";
import { messageOf } from "../runtime/message.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { Listing } from "../warm/catalogue.ts";
import { parseModelName } from "../warm/spec.ts";
import { serverOptions } from "./server_options.ts";
import { type CommandLine, type Settings, USAGE_ERROR } from "./settings.ts";
import { masked } from "./settings_masked.ts";
import { type Problem, problemText } from "./settings_problem.ts";
import { type SettingName, SETTINGS } from "./settings_table.ts";
import type { Source } from "./settings_sources.ts";

/** What was found, as `--json` prints it. */
export interface Checked {
  /** Whether the server can start: nothing but warnings was found. */
  readonly ok: boolean;
  readonly version: string;
  readonly settings: readonly CheckedSetting[];
  readonly models: readonly Listing[];
  readonly problems: readonly Problem[];
}

/** One setting. */
export interface CheckedSetting {
  readonly name: SettingName;
  /** As it would stand in the file, without what is secret; the default in words where nobody said anything. */
  readonly value: unknown;
  readonly from: Source["from"];
  /** `--port`, `WARMCACHE_PORT`, `warmcache.json:3:11`. */
  readonly where?: string;
}

/** Runs the command; a server that could not start ends the process with status 2. */
export async function check(runtime: Runtime, commandLine: CommandLine, json: boolean): Promise<void> {
  const checked = await checkSettings(runtime, commandLine);
  if (json) console.log(JSON.stringify(checked, null, 2));
  else {
    console.log(table(checked));
    for (const problem of checked.problems) console.error(problemText(problem));
    console.log(summary(checked));
  }
  if (!checked.ok) runtime.exit(USAGE_ERROR);
}

/** Checks settings that have been read. */
export async function checkSettings(
  runtime: Runtime,
  { settings, sources, problems }: Pick<CommandLine, "settings" | "sources" | "problems">,
): Promise<Checked> {
  const found = [...problems];
  const add = (level: Problem["level"], message: string): void => {
    // One mistake is found by several.
    if (!found.some((problem) => problem.message === message)) found.push({ level, message });
  };
  // What stands in for a wrong setting would be found wrong in ways that nobody meant.
  if (!problems.some(({ level }) => level === "error")) checkOptions(runtime, settings, (text) => add("error", text));
  const models = await checkModels(runtime, settings, add);
  await checkCache(runtime, settings, add);
  return {
    ok: !found.some(({ level }) => level === "error"),
    version: VERSION,
    settings: SETTINGS.map((setting) => {
      const { from, where, said } = sources.get(setting.name)!;
      const value = from === "default" ? setting.otherwise ?? setting.fallback : masked(setting, said);
      return { name: setting.name, value, from, ...(where !== undefined && { where }) };
    }),
    models,
    problems: found,
  };
}

type Add = (level: Problem["level"], message: string) => void;

function checkOptions(runtime: Runtime, settings: Settings, fail: (message: string) => void): void {
  const options = serverOptions(settings);
  const attempt = (run: () => unknown): void => {
    try {
      run();
    } catch (error) {
      fail(messageOf(error));
    }
  };
  // Each alone, since the whole stops at the first that is wrong.
  for (const key of options.apiKey ?? []) attempt(() => new ApiKeys([key], runtime));
  for (const [name, upstream] of Object.entries(options.upstreams ?? {})) {
    attempt(() => planUpstreams({ [name]: upstream }, runtime));
  }
  for (const host of options.allowedHosts ?? []) attempt(() => checkServerOptions(runtime, { allowedHosts: [host] }));
  for (const page of options.corsOrigins ?? []) attempt(() => checkServerOptions(runtime, { corsOrigins: [page] }));
  attempt(() => checkServerOptions(runtime, options));
  attempt(() => warmModels(runtime, options));
}

async function checkModels(runtime: Runtime, settings: Settings, add: Add): Promise<readonly Listing[]> {
  const { models, hub, pin = [], preload = [] } = settings;
  try {
    const { catalogue } = warmModels(runtime, { models, ...(hub !== undefined && { hub }), cache: settings.cache });
    if (!runtime.files.exists(models)) add("warning", `the models folder is not there: ${models}`);
    const listings = await catalogue.list();
    for (const { id, problem } of listings) {
      if (problem !== undefined) add("warning", `${id} cannot be used: ${problem}`);
    }
    for (const name of [...pin, ...preload]) {
      const locate = async (): Promise<unknown> => await catalogue.locate(parseModelName(name));
      // The server logs it, and tries again when the model is asked for.
      await locate().catch((error) => add("warning", messageOf(error)));
    }
    return listings;
  } catch (error) {
    add("error", messageOf(error));
    return [];
  }
}

async function checkCache(runtime: Runtime, { cache }: Settings, add: Add): Promise<void> {
  try {
    const { isOff, backends = ["sqlite"] } = readEnvironment(runtime);
    const isOnDisk = !isOff && backends.some((backend) => backend === "sqlite" || backend === "file");
    const problem = await withoutTraces(runtime, cache, () => whyNotWritable(runtime, cache));
    // Digests of models are kept there, too; without them each start computes them anew.
    if (problem !== undefined) add(isOnDisk ? "error" : "warning", `nothing can be kept in ${cache}: ${problem}`);
  } catch (error) {
    add("error", messageOf(error));
  }
}

/** Runs what makes a folder, and removes it again: made by whoever checks, it would be his, not the server's. */
async function withoutTraces<T>({ files }: Runtime, folder: string, run: () => Promise<T>): Promise<T> {
  const missing: string[] = [];
  for (let path = folder; path !== "" && !files.exists(path); path = path.replace(/\/*[^/]*$/, "")) missing.push(path);
  try {
    return await run();
  } finally {
    for (const path of missing) files.removeEmptyDirectory(path);
  }
}

/** What may be long comes last, and lists of objects are a line for each: nothing is so wide that it wraps for all. */
function table({ settings }: Checked): string {
  const rows = settings.flatMap(({ name, value, from, where }) =>
    shown(value).map((line, at) => at === 0 ? [name, where ?? from, line] : ["", "", line])
  );
  const titled = [["SETTING", "FROM", "VALUE"], ...rows];
  const widths = [0, 1].map((column) => Math.max(...titled.map((row) => row[column]!.length)));
  return titled.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join(
    "\n",
  );
}

function shown(value: unknown): readonly string[] {
  if (typeof value !== "object" || value === null) return [String(value)];
  const lines = Array.isArray(value)
    ? value.map((each) => typeof each === "string" ? each : JSON.stringify(each))
    : Object.entries(value).map(([name, each]) => `${name}: ${JSON.stringify(each)}`);
  return lines.length === 0 ? ["none"] : lines;
}

function summary({ models, problems }: Checked): string {
  const usable = models.filter(({ problem }) => problem === undefined).map(({ id }) => id);
  const count = (level: Problem["level"]): string => {
    const { length } = problems.filter((problem) => problem.level === level);
    return `${length} ${level}${length === 1 ? "" : "s"}`;
  };
  return `\nmodels: ${usable.join(", ") || "none"}\n${count("error")}, ${count("warning")}`;
}
