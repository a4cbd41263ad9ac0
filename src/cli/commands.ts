/**
 * The commands besides the server's own: how each is called, and what it is handed to. What a command needs is imported
 * when it is run, so that help is there at once and a list of entries waits for no model runtime.
 *
 * @module
 */

import { type Command, Help, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../runtime/duration.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";
import { OUTCOMES } from "../store/outcomes.ts";
import { DTYPES } from "../warm/dtype.ts";
import { type CommandParts, runCommand } from "./command.ts";
import type { ExplainFlags } from "./explain.ts";
import type { GetFlags } from "./get.ts";
import type { LsFlags } from "./ls.ts";
import type { MigrateFlags } from "./migrate.ts";
import type { ExportFlags, ReadFlags, WriteFlags } from "./packs.ts";
import type { PruneFlags } from "./prune.ts";
import type { PullFlags, Settings } from "./settings.ts";
import type { RepairFlags } from "./repair.ts";
import type { VerifyFlags } from "./verify.ts";

/** A command that was asked for, with what was said to it. */
export type Run = (runtime: Runtime, settings: Settings, options: { readonly json: boolean }) => Promise<void>;

/** What `migrate` reads: what other programs write ({@link ../compose/migrate.ts}), and stores of ours. */
const FORMATS = ["safety-tooling", "langchain", "promptfoo", "litellm", "sqlite", "file", "redis", "remote", "pack"];

/** The settings that a command on a cache minds. */
export const CACHE_SETTINGS: ReadonlySet<string> = new Set(["cache", "locking", "config", "json"]);

const STATUSES = `
Exit status: 0 done, 1 failed, 2 a command line or settings that cannot be
followed, 3 problems were found (verify), 130 stopped by Ctrl-C.`;

/** Hears which command was asked for. */
type Chosen = (name: string, work: (parts: CommandParts) => Promise<number | void>) => void;

/** Adds a command on a cache, with what help says of all of them. */
type OnCache = (usage: string, description: string, ...examples: readonly string[]) => Command;

/** Adds the commands; `choose` hears which one was asked for. */
export function addCommands(program: Command, choose: (name: string, run: Run) => void): void {
  const chosen: Chosen = (name, work) =>
    choose(name, (runtime, settings, options) => runCommand(runtime, settings, options, work));
  program.addHelpText("after", STATUSES);
  const onCache: OnCache = (usage, description, ...examples) => {
    const lines = examples.map((each) =>
      each.startsWith("… | ") ? `  … | ${program.name()} ${each.slice(4)}` : `  ${program.name()} ${each}`
    );
    return program.command(usage).description(description).helpGroup("The response cache:")
      .configureHelp({ showGlobalOptions: true, visibleGlobalOptions: cacheSettings })
      .addHelpText("after", `\nExamples:\n${lines.join("\n")}\n${STATUSES}`);
  };
  addCacheCommands(onCache, chosen);
  addUpkeepCommands(onCache, chosen);
  addServerCommands(program, chosen);
}

function addCacheCommands(onCache: OnCache, chosen: Chosen): void {
  onCache(
    "stats",
    "Prints what the cache holds and has saved, a model a line.",
    "stats",
    "stats --cache ~/experiments/.warmcache",
    "stats --json | jq .total.counts.saved",
  )
    .addOption(pack())
    .action((flags: { pack?: string }) =>
      chosen("stats", async (parts) => await (await import("./stats.ts")).stats(parts, flags))
    );

  onCache(
    "ls",
    "Lists the stored requests, a line each; with --json an object a line.",
    "ls --model gpt-4o-mini --since 7d",
    "ls --text 'French Revolution' --limit 20",
    "ls --outcome length --json | jq -r .key",
    "ls | less -R",
  )
    .option("--model <name>", "requests to this model")
    .option("--namespace <name>", "requests in this namespace, '' for none (default: all)")
    .option("--text <text>", "requests with this text in them, in whatever case")
    .addOption(new Option("--since <duration>", "stored within it, such as 7d or 12h").argParser(duration))
    .addOption(new Option("--outcome <outcome>", "answers that ended so").choices(OUTCOMES))
    .addOption(new Option("--limit <number>", "list so many at most").argParser(wholeNumber(1)))
    .addOption(pack())
    .action((flags: LsFlags) => chosen("ls", async (parts) => await (await import("./ls.ts")).ls(parts, flags)));

  withScope(onCache(
    "get [key]",
    "Prints a stored answer: the one of a key, or of what a key begins with, or of a request.",
    "get 3f9a1c",
    "get 3f9a1c --sample 2 --json",
    "get --request request.json",
    "… | get --request - --provider anthropic --endpoint /v1/messages",
  ))
    .option("--request <file>", "the request in place of its key, - for standard input")
    .option("--model <name>", "look for the key among requests to this model only, which is quicker")
    .addOption(new Option("--sample <number>", "one of several samples, from 0").argParser(wholeNumber(0)))
    .addOption(pack())
    .action((key: string | undefined, flags: GetFlags) =>
      chosen("get", async (parts) => await (await import("./get.ts")).get(parts, key, flags))
    );

  withScope(onCache(
    "explain [file]",
    "Prints why a request is a hit or a miss, and how it differs from the stored requests that come nearest.",
    "explain request.json",
    "… | explain --nearest 1",
    "explain request.json --json | jq '.nearest[0].differences'",
  ))
    .addOption(
      new Option("--nearest <number>", "compare with so many at most").argParser(wholeNumber(0)).default(3),
    )
    .addOption(pack())
    .action((file: string | undefined, flags: ExplainFlags) =>
      chosen("explain", async (parts) => await (await import("./explain.ts")).explain(parts, file ?? "-", flags))
    );

  onCache(
    "prune",
    "Removes the entries that fit all that is said, and asks before it does.",
    "prune --older-than 90d --dry-run",
    "prune --model gpt-4o --outcome length --yes",
    "prune --tag nightly",
    "prune --all",
  )
    .addOption(new Option("--older-than <duration>", "stored longer ago, such as 90d or 12h").argParser(duration))
    .option("--model <name>", "answers to requests to this model")
    .option("--namespace <name>", "answers to requests in this namespace, '' for none")
    .addOption(new Option("--outcome <outcome>", "answers that ended so").choices(OUTCOMES))
    .option("--tag <tag>", "answers to requests with this tag")
    .option("--all", "everything there is")
    .option("--dry-run", "remove nothing, and say how much it would be")
    .option("-y, --yes", "do not ask")
    .action((flags: PruneFlags) =>
      chosen("prune", async (parts) => await (await import("./prune.ts")).prune(parts, flags))
    );
}

function addUpkeepCommands(onCache: OnCache, chosen: Chosen): void {
  onCache(
    "verify [pack]",
    "Looks at all that is stored, or at a pack, and says what is wrong; status 3 where something is.",
    "verify",
    "verify --deep --model gpt-4o-mini",
    "verify tests/recorded",
  )
    .option("--model <name>", "only what is stored of this model")
    .option("--deep", "decompress every answer, too")
    .option("--foreign-keys", "of a pack: take requests under keys of another kind")
    .action((folder: string | undefined, flags: VerifyFlags) =>
      chosen("verify", async (parts) => await (await import("./verify.ts")).verify(parts, folder, flags))
    );

  onCache(
    "repair",
    "Makes broken files anew, of all that can still be read, while nobody uses them. The old ones are kept.",
    "repair",
    "repair --model gpt-4o-mini",
  )
    .option("--model <name>", "only what is stored of this model")
    .option("--rebuild", "make anew also what nothing is wrong with")
    .action((flags: RepairFlags) =>
      chosen("repair", async (parts) => await (await import("./repair.ts")).repair(parts, flags))
    );

  onCache(
    "export <pack>",
    "Writes what the cache holds into a pack: a folder of sorted, checksummed files. Repeated, it writes what is new.",
    "export ../answers",
    "export tests/recorded --model gpt-4o-mini --plain",
  )
    .option("--model <name>", "requests to this model")
    .option("--namespace <name>", "requests in this namespace, '' for none")
    .option("--plain", "text that git compares line by line, not compressed")
    .action((folder: string, flags: ExportFlags) =>
      chosen("export", async (parts) => await (await import("./packs.ts")).exportCommand(parts, folder, flags))
    );

  onCache(
    "import <packs...>",
    "Puts what packs hold into the cache, behind what that has. Repeated, it changes nothing.",
    "import ../answers",
    "import monday tuesday --cache all",
  )
    .option("--foreign-keys", "take requests under keys of another kind: from a source that you trust")
    .action((folders: string[], flags: ReadFlags) =>
      chosen("import", async (parts) => await (await import("./packs.ts")).importCommand(parts, folders, flags))
    );

  onCache(
    "merge <target> <packs...>",
    "Merges packs into one, in whatever order. The target may be one of them.",
    "merge all monday tuesday",
    "merge all all wednesday",
  )
    .option("--plain", "text that git compares line by line, not compressed")
    .option("--foreign-keys", "take requests under keys of another kind: from sources that you trust")
    .action((target: string, folders: string[], flags: WriteFlags & ReadFlags) =>
      chosen("merge", async (parts) => await (await import("./packs.ts")).mergeCommand(parts, target, folders, flags))
    );

  onCache(
    "migrate <source>",
    "Carries answers into the cache: from another backend of ours, or from what another program has cached.",
    "migrate ~/.promptfoo/cache --dry-run",
    "migrate prompt_cache --provider openai",
    "migrate .litellm_cache --requests asked.jsonl",
    "migrate .warmcache --from sqlite --to redis",
  )
    .addOption(
      new Option("--from <format>", "what is there (default: it is looked at)").choices(FORMATS),
    )
    .addOption(
      new Option("--to <backend>", "into which backend (default: sqlite, env: WARMCACHE_BACKEND)").choices([
        "sqlite",
        "file",
        "redis",
        "remote",
      ]),
    )
    .option("--dry-run", "write nothing, and say what would come over")
    .option("--expired", "take answers whose time has passed, too")
    .option("--namespace <name>", "the namespace of what another program has cached")
    .option("--provider <name>", "who was asked, where the other program does not say")
    .option("--requests <file>", "requests that were made, one a line, where the other program keeps digests only")
    .action((source: string, flags: MigrateFlags) =>
      chosen("migrate", async (parts) => await (await import("./migrate.ts")).migrate(parts, source, flags))
    );
}

function addServerCommands(program: Command, chosen: Chosen): void {
  program.command("ps [url]").helpGroup("The server:")
    .description("Prints what a running server has in memory.")
    .action((url?: string) => chosen("ps", async (parts) => await (await import("./ps.ts")).ps(parts, url)));

  program.command("pull <model>").helpGroup("The server:")
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
    .action((model: string, flags: PullFlags) =>
      chosen("pull", async (parts) => await (await import("./pull.ts")).pull(parts, model, flags))
    );
}

function pack(): Option {
  return new Option("--pack <folder>", "look into this pack, not into the cache");
}

/** Who was asked: what a request does not say of itself. */
function withScope(command: Command): Command {
  return command
    .option("--provider <name>", "who was asked (default: openai)")
    .option("--endpoint <path>", "the path at the provider (default: /v1/chat/completions)")
    .option("--namespace <name>", "the namespace of the request (env: WARMCACHE_NAMESPACE)")
    .option("--identity <digest>", "content identity of a local model");
}

/** What of the program's own options a command on a cache minds. */
function cacheSettings(command: Command): Option[] {
  const help = new Help();
  help.showGlobalOptions = true;
  return help.visibleGlobalOptions(command).filter((option) => CACHE_SETTINGS.has(option.attributeName()));
}

function duration(text: string): Milliseconds {
  const parsed = parseDuration(text);
  if (parsed !== undefined && parsed > 0) return parsed;
  throw new InvalidArgumentError("Expected a duration, such as 90d, 12h or 30m.");
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`Expected a whole number, ${least} or more.`);
  };
}
