/**
 * `serve`: starts the server, says where it is and what it found, and stops it in good order on SIGINT or SIGTERM.
 *
 * @module
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { lineLog, LOG_LEVELS, type LogLevel } from "../compose/log.ts";
import { type RunningServer, startServerOn } from "../compose/server.ts";
import { VERSION } from "../compose/version.ts";
import { loadRuntime } from "../runtime/load.ts";
import type { Runtime } from "../runtime/runtime.ts";

/** Exit status for a command line that cannot be followed. */
const USAGE_ERROR = 2;

/** What the command line says, once flags, environment and `warmcache.json` are put together. */
interface Settings {
  readonly host: string;
  readonly port: number;
  readonly models: string;
  readonly cache: string;
  readonly locking?: "shared" | "exclusive";
  readonly maxLoadedModels: number;
  readonly apiKey?: string;
  /** Seconds. */
  readonly drainTimeout: number;
  readonly config?: string;
  readonly logLevel: LogLevel;
}

/** Runs the command; returns when the server has been stopped. */
export async function serve(args: readonly string[]): Promise<void> {
  const runtime = await loadRuntime();
  const settings = await readSettings(runtime, args);
  const { config: _, logLevel, drainTimeout, ...options } = settings;
  // Listened to before anybody can know that the server is there: a signal that comes first would just kill it.
  const termination = awaitTermination(runtime);
  let server: RunningServer;
  try {
    const log = lineLog(logLevel, runtime.clock, (line) => console.error(line));
    server = await startServerOn(runtime, { ...options, log });
  } catch (error) {
    console.error(`warmcache: ${(error as Error).message}`);
    return runtime.exit(error instanceof TypeError || error instanceof RangeError ? USAGE_ERROR : 1);
  }
  greet(server, settings);
  console.log(`${await termination.asked}: finishing running requests; once more to stop at once`);
  // A client that neither reads nor leaves would keep the process for ever.
  runtime.clock.sleep(drainTimeout * 1000, { background: true }).then(() => {
    console.error(`warmcache: requests still run after ${drainTimeout} s: stopping at once`);
    runtime.exit(1);
  });
  await server.stop();
  termination.forget();
  console.log("stopped");
}

function greet({ url, models, cacheProblem }: RunningServer, settings: Settings): void {
  const usable = models.filter(({ problem }) => problem === undefined).map(({ id }) => id);
  console.log(`warmcache ${VERSION} listens on ${url}`);
  console.log(`  models  ${usable.join(", ") || "none"}  (in ${settings.models})`);
  if (models.length === 0) {
    console.log(`          put one in ${settings.models}/NAME: config.json, tokenizer.json, onnx/model.onnx`);
  }
  for (const { id, problem } of models) {
    if (problem !== undefined) console.log(`          ${id} cannot be used: ${problem}`);
  }
  console.log(`  cache   ${settings.cache}`);
  if (cacheProblem !== undefined) console.log(`          no answer can be kept there: ${cacheProblem}`);
}

/** Waits for the signal to stop; a second one ends the process. */
function awaitTermination(runtime: Runtime): { readonly asked: Promise<string>; readonly forget: () => void } {
  const { promise: asked, resolve } = Promise.withResolvers<string>();
  let signals = 0;
  const forget = runtime.onTerminationSignal((signal) => {
    // Whoever asks twice does not want to wait for running requests.
    if (++signals > 1) runtime.exit(1);
    resolve(signal);
  });
  return { asked, forget };
}

/** Flags over environment over `warmcache.json`. A command line that cannot be followed ends the process. */
async function readSettings(runtime: Runtime, args: readonly string[]): Promise<Settings> {
  const command = serveCommand();
  try {
    command.parse(args, { from: "user" });
    await addFile(runtime, command);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode !== 0 && error.code === SETTINGS_FILE_ERROR) console.error(`error: ${error.message}`);
    return runtime.exit(error.exitCode === 0 ? 0 : USAGE_ERROR);
  }
  return command.opts<{ [K in keyof Settings]: Settings[K] }>();
}

function serveCommand(): Command {
  const option = (flags: string, description: string, variable: string) => new Option(flags, description).env(variable);
  return new Command("server.ts")
    .description("Keeps models warm behind a response cache and speaks OpenAI's API.")
    .version(VERSION)
    .exitOverride()
    .allowExcessArguments(false)
    .addOption(option("--host <address>", "address to listen on", "WARMCACHE_HOST").default("127.0.0.1"))
    .addOption(
      option("--port <number>", "port to listen on, 0 for any", "WARMCACHE_PORT").default(8787)
        .argParser(integerBetween(0, 65535)),
    )
    .addOption(
      option("--models <folder>", "folder with models in Hugging Face layout", "WARMCACHE_MODELS").default("models"),
    )
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
    .addOption(option("--api-key <key>", "bearer token that requests have to carry", "WARMCACHE_API_KEY"))
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
      command.setOptionValueWithSource(name, parse ? parse(String(value), undefined) : String(value), "config");
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
