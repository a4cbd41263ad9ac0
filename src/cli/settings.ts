/**
 * The command line: what to do, and how the server is set up ({@link ./settings_table.ts}). All commands understand the
 * same settings, so that `ps` finds the server that they start.
 *
 * @module
 */

import { Command, CommanderError, Help, Option } from "commander";
import type { LogLevel } from "../compose/log.ts";
import type { UpstreamTable } from "../compose/upstreams.ts";
import { VERSION } from "../compose/version.ts";
import type { ApiKeyOptions } from "../http/auth.ts";
import type { LimitOptions } from "../http/limits/limits.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import type { Dtype } from "../warm/dtype.ts";
import type { KeepAlive } from "../warm/keep_alive.ts";
import { addCommands, CACHE_SETTINGS, type Run } from "./commands.ts";
import { problemText } from "./settings_problem.ts";
import { readSettingsFrom, type SettingsWithSources } from "./settings_sources.ts";
import { GROUPS, type Setting, type SettingName, SETTINGS } from "./settings_table.ts";

/** Exit status for a command line or settings that cannot be followed. */
export const USAGE_ERROR = 2;

/** How the server is set up. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly serverName?: string;
  readonly models: string;
  /** `false` without one. */
  readonly hub?: string | false;
  readonly maxLoadedModels: number;
  /** Bytes. */
  readonly maxMemory?: number;
  /** Bytes. */
  readonly maxGpuMemory?: number;
  readonly keepAlive?: KeepAlive;
  readonly preload?: readonly string[];
  readonly pin?: readonly string[];
  readonly loadTimeout?: Milliseconds;
  readonly cache: string;
  readonly locking?: "shared" | "exclusive";
  readonly sharedCache?: boolean;
  /** Those of flags or the environment, which come to, and before, those of the file. */
  readonly upstream?: UpstreamTable;
  /** Those of the file. */
  readonly upstreams?: UpstreamTable;
  /** Those of flags or the environment, each a key or `id=key`. */
  readonly apiKey?: readonly string[];
  /** The same, for all scopes. */
  readonly adminKey?: readonly string[];
  /** Those of the file. */
  readonly apiKeys?: readonly (string | ApiKeyOptions)[];
  readonly allowedHosts?: readonly string[];
  readonly corsOrigins?: readonly string[];
  readonly limits?: LimitOptions;
  readonly headerTimeout?: Milliseconds;
  readonly drainDelay?: Milliseconds;
  readonly drainTimeout: Milliseconds;
  readonly logLevel: LogLevel;
  readonly logFormat: "text" | "json";
  readonly config?: string;
}

/** What the command line asks for. */
export type Task =
  | { readonly command: "serve" }
  /** Reads settings, checks what can be checked without listening, and says it: to people, or as JSON. */
  | { readonly command: "check"; readonly json: boolean }
  /** Any other command ({@link ./commands.ts}). */
  | { readonly command: string; readonly json: boolean; readonly run: Run };

/** What only `pull` is told. */
export interface PullFlags {
  readonly revision?: string;
  readonly dtype?: "auto" | Dtype;
  readonly endpoint: string;
}

/** A command line, understood. */
export interface CommandLine extends SettingsWithSources {
  readonly task: Task;
}

/** A program that a command line is for. */
export interface Program {
  /** As it is called. */
  readonly name: string;
  readonly description: string;
  /** Whether a command line without a command starts the server. */
  readonly serves: boolean;
}

/** The server's own program. */
export const SERVER_PROGRAM: Program = {
  name: "server.ts",
  description: "Keeps models warm behind a response cache and speaks OpenAI's API.",
  serves: true,
};

/** The program that `./cli` is. */
export const CACHE_PROGRAM: Program = {
  name: "warmcache",
  description: "Looks into a response cache, checks and mends it, moves it elsewhere, and starts the server.",
  serves: false,
};

/**
 * Reads the command line. One that cannot be followed, or only asks for help, ends the process; so do settings that make
 * no sense, unless they are only to be checked. What is to be warned about is printed.
 */
export async function readCommandLine(
  runtime: Runtime,
  args: readonly string[],
  kind: Program = SERVER_PROGRAM,
): Promise<CommandLine> {
  let task: Task = { command: "serve" };
  let run: Run | undefined;
  const program = programOf(kind);
  if (args.includes("--json")) program.configureOutput({ outputError: asJson });
  addCommands(program, (command, chosen) => {
    task = { command, json: false, run: chosen };
    run = chosen;
  });
  program.command("serve", { isDefault: kind.serves }).helpGroup("The server:")
    .description(`Starts the server${kind.serves ? ": what is done where no command is named" : ""}.`)
    .allowExcessArguments(false)
    .action(() => {});
  let given: Flags;
  try {
    program.parse(args, { from: "user" });
    given = program.opts<Flags>();
    const { command } = task as Task;
    if (given.json && !given.check && command === "serve") program.error("error: option '--json' goes with '--check'");
    if (given.check && command !== "serve") program.error(`error: option '--check' does not go with ${command}`);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return runtime.exit(error.exitCode === 0 ? 0 : USAGE_ERROR);
  }
  const { check = false, json = false } = given;
  if (check) task = { command: "check", json };
  else if (run !== undefined) task = { command: (task as Task).command, json, run };
  const read = await readSettingsFrom(runtime, flagsIn(program));
  if (task.command !== "check") {
    const isWrong = read.problems.some(({ level }) => level === "error");
    for (const problem of read.problems) if (isWrong || task.command === "serve") console.error(problemText(problem));
    if (isWrong) return runtime.exit(USAGE_ERROR);
  }
  return { task, ...read };
}

/** Options of the program that are no settings. */
interface Flags {
  readonly check?: boolean;
  readonly json?: boolean;
}

function programOf({ name, description, serves }: Program): Command {
  const program = new Command(name)
    .description(description)
    .version(VERSION)
    .exitOverride()
    .allowExcessArguments(false)
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true, ...!serves && { visibleOptions: optionsOfCaches } })
    .option("--check", "read settings, check all that can be checked without listening, and end")
    .option("--json", "print JSON: what --check finds, and what commands do");
  for (const group of GROUPS) {
    for (const setting of SETTINGS) {
      if (setting.group !== group || setting.flag === undefined) continue;
      program.addOption(new Option(setting.flag, descriptionOf(setting)).argParser(collect).helpGroup(`${group}:`));
      if (setting.name === "hub") {
        program.addOption(new Option("--no-hub", "serve nothing from Hugging Face's cache").helpGroup(`${group}:`));
      }
    }
  }
  return program.addHelpText("after", "\nFlags win over the environment, that over warmcache.json.");
}

function descriptionOf({ help, fallback, otherwise, variable }: Setting): string {
  return `${help} (default: ${otherwise ?? fallback}, env: ${variable})`;
}

/** Keeps the texts of a flag as they are: what they mean is the table's to say. */
function collect(text: string, before: unknown): string[] {
  return [...(Array.isArray(before) ? before : []), text];
}

/** Texts of the flags that were given. */
function flagsIn(program: Command): ReadonlyMap<SettingName, readonly string[]> {
  const flags = new Map<SettingName, readonly string[]>();
  for (const { name, flag } of SETTINGS) {
    const option = program.options.find(({ flags }) => flags === flag);
    if (option === undefined || program.getOptionValueSource(option.attributeName()) !== "cli") continue;
    const value: unknown = program.getOptionValue(option.attributeName());
    flags.set(name, Array.isArray(value) ? value : [String(value)]);
  }
  return flags;
}

/** What a program that is no server's says of itself: the rest is in the help of `serve`. */
function optionsOfCaches(command: Command): Option[] {
  const options = new Help().visibleOptions(command);
  if (command.parent !== null) return options;
  return options.filter((option) => CACHE_SETTINGS.has(option.attributeName()) || option.short !== undefined);
}

/** What is wrong with a command line, for programs. */
function asJson(text: string, write: (text: string) => void): void {
  write(`${JSON.stringify({ error: { message: text.trim().replace(/^error: /, "") } })}\n`);
}
