/**
 * Where settings come from: flags win over the environment, that over the settings file, that over the defaults. Keys
 * and upstreams of flags or the environment come to those of the file.
 *
 * @module
 */

import type { Runtime } from "../runtime/runtime.ts";
import type { Settings } from "./settings.ts";
import { readSettingsFile, type SettingsFile } from "./settings_file.ts";
import { type Problem, received, refusalsOf } from "./settings_problem.ts";
import { type Setting, type SettingName, SETTINGS } from "./settings_table.ts";

/** Settings with where each was said. */
export interface SettingsWithSources {
  /** Of what is wrong, the default. */
  readonly settings: Settings;
  readonly sources: ReadonlyMap<SettingName, Source>;
  /** Everything that is wrong. */
  readonly problems: readonly Problem[];
}

/** Where a setting was said. */
export interface Source {
  readonly from: "flag" | "environment" | "file" | "default";
  /** `--port`, `WARMCACHE_PORT`, `warmcache.json:3:11`; absent for defaults. */
  readonly where?: string;
  /** What was said, as the file would say it; absent for defaults. It may be secret. */
  readonly said?: unknown;
}

/** Where settings are looked for if nobody says where. */
const USUAL_FILE = "warmcache.json";

/**
 * Reads settings.
 *
 * @param flags texts of the flags that were given, by setting.
 */
export async function readSettingsFrom(
  runtime: Pick<Runtime, "files" | "environment">,
  flags: ReadonlyMap<SettingName, readonly string[]>,
): Promise<SettingsWithSources> {
  const problems: Problem[] = [];
  const sources = new Map<SettingName, Source>();
  const values: Record<string, unknown> = {};
  const limits: Record<string, unknown> = {};
  const take = (setting: Setting, file: SettingsFile["values"]): void => {
    const told = toldOf(setting, flags, runtime.environment) ?? inFile(setting, file);
    const understood = told && understand(setting, told, problems);
    sources.set(setting.name, understood?.source ?? { from: "default" });
    const outcome = understood?.value ?? setting.fallback;
    if (outcome === undefined) return;
    const [name, inner] = setting.name.split(".") as [string, string?];
    if (inner === undefined) values[name] = outcome;
    else limits[inner] = outcome;
  };
  // Says where the file is.
  const config = SETTINGS.find(({ name }) => name === "config")!;
  take(config, new Map());
  const path = values[config.name] as string | undefined;
  const isThere = path !== undefined || runtime.files.exists(USUAL_FILE);
  const file = isThere ? await readSettingsFile(runtime, path ?? USUAL_FILE) : undefined;
  problems.push(...file?.problems ?? []);
  for (const setting of SETTINGS) if (setting !== config) take(setting, file?.values ?? new Map());
  const settings = { ...values, ...Object.keys(limits).length > 0 && { limits } };
  return { settings: settings as unknown as Settings, sources, problems };
}

/** What somebody said. */
interface Told {
  readonly source: Source;
  /** Makes of it what the file would say. @throws TypeError */
  readonly read: () => unknown;
}

function toldOf(
  { name, variable, flag, isSecret, read }: Setting,
  flags: ReadonlyMap<SettingName, readonly string[]>,
  environment: Runtime["environment"],
): Told | undefined {
  const texts = flags.get(name);
  if (texts !== undefined) {
    return { source: { from: "flag", where: flag!.split(" ")[0]! }, read: () => read(texts) };
  }
  const text = variable === undefined ? undefined : environment(variable);
  if (text === undefined || (text === "" && !isSecret)) return undefined;
  return { source: { from: "environment", where: variable! }, read: () => read([text]) };
}

function inFile({ name }: Setting, values: SettingsFile["values"]): Told | undefined {
  const told = values.get(name);
  return told && { source: { from: "file", where: told.where }, read: () => told.value };
}

/** What is meant; `undefined` where it is wrong, which joins the problems. */
function understand(
  { kind, isSecret }: Setting,
  { source, read }: Told,
  problems: Problem[],
): { readonly source: Source; readonly value: unknown } | undefined {
  const where = source.where!;
  let said: unknown;
  try {
    said = read();
  } catch (error) {
    problems.push({ level: "error", where, message: (error as Error).message });
    return undefined;
  }
  const { success, data, error } = kind.safeParse(said);
  if (success) return { source: { ...source, said }, value: data };
  // What is wrong with the file has been told with its line.
  if (source.from === "file") return undefined;
  for (const { path, message } of refusalsOf(error.issues)) {
    // A list or a table may have a credential in it.
    const isPlain = !isSecret && path.length === 0;
    problems.push({ level: "error", where, message: isPlain ? `${message}: ${received(said)}` : message });
  }
  return undefined;
}
