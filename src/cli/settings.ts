/**
 * The command line: what to do, and how the server is set up. Flags win over the environment, that over
 * `warmcache.json`; all commands understand the same settings, so that `ps` finds the server that they start.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { LOG_LEVELS, type LogLevel } from "../compose/log.ts";
import { VERSION } from "../compose/version.ts";
import { parseByteSize } from "../runtime/byte_size.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Dtype, DTYPES } from "../warm/dtype.ts";
import { parseKeepAlive } from "../warm/keep_alive.ts";

/** Exit status for a command line that cannot be followed. */
export const USAGE_ERROR = 2;

/** How the server is set up. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  readonly models: string;
  /** `false` without one. */
  readonly hub?: string | false;
  readonly cache: string;
  readonly locking?: "shared" | "exclusive";
  readonly maxLoadedModels: number;
  /** Bytes. */
  readonly maxMemory?: number;
  /** Bytes. */
  readonly maxGpuMemory?: number;
  readonly keepAlive?: string;
  readonly preload?: readonly string[];
  readonly pin?: readonly string[];
  readonly apiKey?: readonly string[];
  readonly sharedCache?: boolean;
  /** `name=url`. */
  readonly upstream?: readonly string[];
  /** What the settings file says of them, by name: JSON, read where no message would show the credentials in it. */
  readonly upstreams?: string;
  /** Seconds. */
  readonly drainTimeout: number;
  readonly config?: string;
  readonly logLevel: LogLevel;
}

/** What the command line asks for. */
export type Task =
  | { readonly command: "serve" }
  /** Prints what a running server has in memory: the one at `url`, else the one of these settings. */
  | { readonly command: "ps"; readonly url: string | undefined }
  /** Fetches a model into the hub's cache. */
  | { readonly command: "pull"; readonly model: string; readonly options: PullFlags };

/** What only `pull` is told. */
export interface PullFlags {
  readonly revision?: string;
  readonly dtype?: "auto" | Dtype;
  readonly endpoint: string;
}

/** Reads the command line. One that cannot be followed, or only asks for help, ends the process. */
export async function readCommandLine(
  runtime: Runtime,
  args: readonly string[],
): Promise<{ readonly task: Task; readonly settings: Settings }> {
  let task: Task = { command: "serve" };
  const program = serverProgram().action(() => {});
  program.command("ps [url]").description("Prints what a running server has in memory.").action((url?: string) => {
    task = { command: "ps", url };
  });
  program.command("pull <model>")
    .description("Fetches a model, or an adapter, from Hugging Face into its cache on this machine.")
    .addOption(new Option("--revision <name>", "branch, tag or commit (default: main)"))
    .addOption(
      new Option("--dtype <name>", "which export (default: what serves this machine best)").choices([
        "auto",
        ...DTYPES,
      ]),
    )
    .addOption(
      new Option("--endpoint <url>", "a mirror of the hub").env("HF_ENDPOINT").default("https://huggingface.co"),
    )
    .addHelpText("after", "\nHF_TOKEN, if set, is sent to the endpoint.")
    .action((model: string, options: PullFlags) => {
      task = { command: "pull", model, options };
    });
  try {
    program.parse(args, { from: "user" });
    await addFile(runtime, program);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0 && error.code === SETTINGS_FILE_ERROR) console.error(`error: ${error.message}`);
    return runtime.exit(error.exitCode === 0 ? 0 : USAGE_ERROR);
  }
  return { task, settings: program.opts<{ [K in keyof Settings]: Settings[K] }>() };
}

function serverProgram(): Command {
  const option = (flags: string, description: string, variable: string) => new Option(flags, description).env(variable);
  return new Command("server.ts")
    .description("Keeps models warm behind a response cache and speaks OpenAI's API.")
    .version(VERSION)
    .exitOverride()
    .allowExcessArguments(false)
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .addOption(option("--host <address>", "address to listen on", "WARMCACHE_HOST").default("127.0.0.1"))
    .addOption(
      option("--port <number>", "port to listen on, 0 for any", "WARMCACHE_PORT").default(8787)
        .argParser(integerBetween(0, 65535)),
    )
    .addOption(
      option("--models <folder>", "folder with models in Hugging Face layout", "WARMCACHE_MODELS").default("models"),
    )
    .addOption(
      option(
        "--hub <folder>",
        "Hugging Face's cache (default: by HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME)",
        "WARMCACHE_HUB",
      ).argParser(hubFolder),
    )
    .addOption(new Option("--no-hub", "serve nothing from Hugging Face's cache"))
    .addOption(option("--cache <folder>", "folder of the response cache", "WARMCACHE_DIR").default(".warmcache"))
    .addOption(
      option(
        "--locking <mode>",
        "who may use the cache's files: shared, with other processes (default where possible), or exclusive",
        "WARMCACHE_LOCKING",
      )
        .choices(["shared", "exclusive"]),
    )
    .addOption(
      option("--max-loaded-models <number>", "how many base models stay loaded", "WARMCACHE_MAX_LOADED_MODELS").default(
        2,
      )
        .argParser(integerBetween(1, 1000)),
    )
    .addOption(
      option(
        "--max-memory <size>",
        "how much memory models may take, such as 4GB (default: any)",
        "WARMCACHE_MAX_MEMORY",
      )
        .argParser(byteSize),
    )
    .addOption(
      option("--max-gpu-memory <size>", "how much memory on the GPU (default: any)", "WARMCACHE_MAX_GPU_MEMORY")
        .argParser(byteSize),
    )
    .addOption(
      option(
        "--keep-alive <duration>",
        "how long a model stays that nobody uses: 10m, seconds, 0, or -1 for until its room is needed (default)",
        "WARMCACHE_KEEP_ALIVE",
      )
        .argParser(keepAlive),
    )
    .addOption(option("--preload <names...>", "models to load at once", "WARMCACHE_PRELOAD").argParser(names))
    .addOption(
      option("--pin <names...>", "models to load at once and never to evict", "WARMCACHE_PIN").argParser(names),
    )
    .addOption(
      option(
        "--api-key <key>",
        "bearer token that requests have to carry; one of several, each a key or id=key",
        "WARMCACHE_API_KEY",
      ).argParser(apiKeys),
    )
    .addOption(
      option(
        "--shared-cache [boolean]",
        "whether callers with different keys share the proxy's entries",
        "WARMCACHE_SHARED_CACHE",
      ).argParser(yesOrNo),
    )
    .addOption(
      option("--upstream <name=url>", "a provider that the proxy reaches; one of several", "WARMCACHE_UPSTREAM")
        .argParser(names),
    )
    .addOption(
      option("--upstreams <json>", "the same as in the settings file, with credentials", "WARMCACHE_UPSTREAMS")
        .hideHelp(),
    )
    .addOption(
      option("--drain-timeout <seconds>", "how long running requests may take to end", "WARMCACHE_DRAIN_TIMEOUT")
        .default(30).argParser(integerBetween(0, 86400)),
    )
    .addOption(
      option("--config <file>", "settings file (default: warmcache.json, if it is there)", "WARMCACHE_CONFIG"),
    )
    .addOption(
      option("--log-level <level>", "how much to log", "WARMCACHE_LOG_LEVEL").default("info").choices([...LOG_LEVELS]),
    );
}

const SETTINGS_FILE_ERROR = "warmcache.settingsFile";

/** Takes settings from the file that neither a flag nor the environment gave. */
async function addFile(runtime: Runtime, command: Command): Promise<void> {
  const named = command.opts<Partial<Settings>>().config;
  const path = named ?? "warmcache.json";
  if (named === undefined && !runtime.files.exists(path)) return;
  const fail = (reason: string): never => {
    throw new CommanderError(USAGE_ERROR, SETTINGS_FILE_ERROR, `cannot read settings from ${path}: ${reason}`);
  };
  let settings: unknown;
  try {
    settings = JSON.parse(new TextDecoder().decode(await runtime.files.read(path)));
  } catch (error) {
    return fail((error as Error).message);
  }
  if (typeof settings !== "object" || settings === null || Array.isArray(settings)) return fail("not a JSON object");
  for (const [name, value] of Object.entries(settings)) {
    const option = command.options.find((option) => option.attributeName() === name && name !== "config");
    if (option === undefined) return fail(`unknown setting: ${name}`);
    if (!["default", undefined].includes(command.getOptionValueSource(name))) continue;
    const parse = option.parseArg as ((value: string, previous: unknown) => unknown) | undefined;
    try {
      const text = isTable(value) ? JSON.stringify(value) : String(value);
      command.setOptionValueWithSource(name, parse ? parse(text, undefined) : text, "config");
    } catch (error) {
      return fail(`${name}: ${(error as Error).message}`);
    }
  }
}

function integerBetween(least: number, most: number): (value: string) => number {
  return (value) => {
    const number = Number(value);
    if (Number.isInteger(number) && number >= least && number <= most) return number;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}: ${value}`);
  };
}

/** In the environment and in the settings file, `false` is what `--no-hub` is on the command line. */
function hubFolder(value: string): string | false {
  return value === "false" ? false : value;
}

function byteSize(value: string): number {
  const bytes = parseByteSize(value);
  if (bytes !== undefined) return bytes;
  throw new InvalidArgumentError(`expected a number of bytes, such as 500000000, 500MB or 2GiB: ${value}`);
}

function keepAlive(value: string): string {
  try {
    parseKeepAlive(value);
    return value;
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}

function isTable(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function yesOrNo(value: string): boolean {
  if (["", "1", "true"].includes(value)) return true;
  if (["0", "false"].includes(value)) return false;
  throw new InvalidArgumentError(`expected true or false: ${value}`);
}

/** One more key, or several. An empty one stays, to be refused: it looks like protection, and would be none. */
function apiKeys(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(",").map((key) => key.trim())];
}

/** One more name, or several with commas between, as in the environment and in lists of the settings file. */
function names(value: string, before: readonly string[] = []): string[] {
  return [...before, ...value.split(",").map((name) => name.trim()).filter((name) => name !== "")];
}
