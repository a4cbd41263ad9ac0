/**
 * Every setting of the server, once: flags, environment variables, the settings file, its JSON schema, the help text and
 * `docs/settings.md` are made from this table, so that none of them knows one that the others do not.
 *
 * @module
 */

import { LOG_LEVELS } from "../compose/log.ts";
import { SERVER_DEFAULTS } from "../compose/server_defaults.ts";
import { DEFAULT_LIMITS } from "../http/limits/limits.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import * as kinds from "./settings_kinds.ts";
import type { Kind } from "./settings_kinds.ts";
import type { Settings } from "./settings.ts";

/** Settings by where they stand in the settings file: `port`, `limits.maxQueue`. */
export type SettingValues =
  & Omit<Settings, "limits">
  & { readonly [Name in keyof Limits as `limits.${Name}`]?: Limits[Name] };

type Limits = NonNullable<Settings["limits"]>;

/** A setting's name. */
export type SettingName = keyof SettingValues;

/** One setting. */
export interface Setting<Name extends SettingName = SettingName> {
  readonly name: Name;
  /** Heading under which it is listed. */
  readonly group: Group;
  /** What it is, for people. */
  readonly help: string;
  /** What may be said, and what comes of it. */
  readonly kind: Kind<NonNullable<SettingValues[Name]>>;
  /** What holds where nothing is said. */
  readonly fallback?: SettingValues[Name];
  /** The same for people, where {@link Setting.fallback} does not say it. */
  readonly otherwise?: string;
  /** Its flag, as commander reads it; absent for what only the file can say. */
  readonly flag?: string;
  /** Its environment variable. */
  readonly variable?: string;
  /** Makes of the texts of flags, or the one of a variable, what the file would say. @throws TypeError where it cannot. */
  readonly read: (texts: readonly string[]) => unknown;
  /** Whether the file may say it. */
  readonly inFile: boolean;
  /** Whether it is not shown. An empty variable is then as good as a wrong one: it looks like protection. */
  readonly isSecret: boolean;
}

/** In which order they are listed. */
export const GROUPS = ["Listening", "Models", "Cache and proxy", "Who may use it", "Limits", "Operations"] as const;
type Group = typeof GROUPS[number];

const DRAIN_TIMEOUT: Milliseconds = 30_000;

/** All settings. */
export const SETTINGS: readonly Setting[] = [
  setting("host", "Listening", kinds.text, "address to listen on", {
    flag: "--host <address>",
    fallback: SERVER_DEFAULTS.host,
  }),
  setting("port", "Listening", kinds.wholeNumber(0, 65535), "port to listen on, 0 for any", {
    flag: "--port <number>",
    fallback: SERVER_DEFAULTS.port,
  }),
  setting("serverName", "Listening", kinds.serverName, "which of several servers this is, told in X-Served-By", {
    flag: "--server-name <name>",
    otherwise: "none is told",
  }),
  setting("models", "Models", kinds.text, "folder with models in Hugging Face layout", {
    flag: "--models <folder>",
    fallback: "models",
  }),
  setting("hub", "Models", kinds.folderOrNone, "Hugging Face's cache; false for none", {
    flag: "--hub <folder>",
    otherwise: "by HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME",
    read: (texts) => last(texts) === "false" ? false : last(texts),
  }),
  setting("maxLoadedModels", "Models", kinds.wholeNumber(1, 1000), "how many base models stay loaded", {
    flag: "--max-loaded-models <number>",
    fallback: 2,
  }),
  setting("maxMemory", "Models", kinds.byteSize, "how much memory models may take, such as 4GB", {
    flag: "--max-memory <size>",
    otherwise: "any",
  }),
  setting("maxGpuMemory", "Models", kinds.byteSize, "how much memory on the GPU", {
    flag: "--max-gpu-memory <size>",
    otherwise: "any",
  }),
  setting(
    "keepAlive",
    "Models",
    kinds.keepAlive,
    "how long a model stays that nobody uses: 10m, seconds, 0, or -1 for until its room is needed",
    { flag: "--keep-alive <duration>", otherwise: "-1" },
  ),
  setting("preload", "Models", kinds.listOf(kinds.text, "names of models"), "models to load at once", {
    flag: "--preload <names...>",
    otherwise: "none",
  }),
  setting("pin", "Models", kinds.listOf(kinds.text, "names of models"), "models to load at once and never to evict", {
    flag: "--pin <names...>",
    otherwise: "none",
  }),
  setting(
    "loadTimeout",
    "Models",
    kinds.time({ mayBeZero: false }),
    "how long a request waits for its model to load, before it is told when to ask again",
    { flag: "--load-timeout <time>", otherwise: seconds(SERVER_DEFAULTS.loadTimeout) },
  ),
  setting("cache", "Cache and proxy", kinds.text, "folder of the response cache", {
    flag: "--cache <folder>",
    variable: "WARMCACHE_DIR",
    fallback: SERVER_DEFAULTS.cache,
  }),
  setting(
    "locking",
    "Cache and proxy",
    kinds.oneOf(["shared", "exclusive"]),
    "who may use the cache's files: shared, with other processes, or exclusive",
    { flag: "--locking <mode>", otherwise: "shared where possible" },
  ),
  setting(
    "sharedCache",
    "Cache and proxy",
    kinds.yesOrNo,
    "whether callers with different keys share the proxy's entries",
    { flag: "--shared-cache [boolean]", otherwise: "false", read: yesOrNo },
  ),
  setting("upstream", "Cache and proxy", kinds.upstreams, "a provider that the proxy reaches; one of several", {
    flag: "--upstream <name=url>",
    otherwise: "openai, anthropic, google",
    read: namedUpstreams,
    inFile: false,
  }),
  setting("upstreams", "Cache and proxy", kinds.upstreams, "the same with credentials and timeouts, by name", {
    otherwise: "openai, anthropic, google",
  }),
  setting(
    "apiKey",
    "Who may use it",
    kinds.listOf(kinds.anyText, "keys"),
    "key that requests have to carry; one of several, each a key or id=key",
    { flag: "--api-key <key>", otherwise: "none", isSecret: true, read: words, inFile: false },
  ),
  setting(
    "adminKey",
    "Who may use it",
    kinds.listOf(kinds.anyText, "keys"),
    "the same, for a key that opens /admin as well",
    { flag: "--admin-key <key>", otherwise: "none", isSecret: true, read: words, inFile: false },
  ),
  setting(
    "apiKeys",
    "Who may use it",
    kinds.listOf(kinds.apiKey, "keys"),
    "keys with what each opens, by digest or by the variable that has it",
    { otherwise: "none", isSecret: true },
  ),
  setting(
    "allowedHosts",
    "Who may use it",
    kinds.listOf(kinds.hostName, "hosts"),
    "a name under which the server is asked; one of several",
    { flag: "--allowed-host <host>", variable: "WARMCACHE_ALLOWED_HOST", otherwise: "its own address" },
  ),
  setting(
    "corsOrigins",
    "Who may use it",
    kinds.listOf(kinds.origin, "origins"),
    "an origin whose pages may ask; one of several",
    { flag: "--cors-origin <origin>", variable: "WARMCACHE_CORS_ORIGIN", otherwise: "none" },
  ),
  setting("limits.maxBodyBytes", "Limits", kinds.byteSize, "longest body of a request", {
    flag: "--max-body <size>",
    otherwise: `${DEFAULT_LIMITS.maxBodyBytes / 2 ** 20}MiB`,
  }),
  setting("limits.maxQueue", "Limits", kinds.wholeNumber(1), "how many requests wait for models", {
    flag: "--max-queue <number>",
    otherwise: String(DEFAULT_LIMITS.maxQueue),
  }),
  setting("limits.maxQueuePerModel", "Limits", kinds.wholeNumber(1), "how many of them for one model", {
    flag: "--max-queue-per-model <number>",
    otherwise: String(DEFAULT_LIMITS.maxQueuePerModel),
  }),
  setting("limits.maxStreams", "Limits", kinds.wholeNumber(1), "how many answers are sent as streams at a time", {
    flag: "--max-streams <number>",
    otherwise: String(DEFAULT_LIMITS.maxStreams),
  }),
  setting("limits.requestsPerMinute", "Limits", kinds.rate, "how many requests a minute each key may make", {
    flag: "--requests-per-minute <number>",
    otherwise: "any",
  }),
  setting(
    "headerTimeout",
    "Limits",
    kinds.time({ mayBeZero: false }),
    "how long the headers of a request may take to come (Node and Bun)",
    { flag: "--header-timeout <time>", otherwise: seconds(SERVER_DEFAULTS.headerTimeout) },
  ),
  setting(
    "drainDelay",
    "Operations",
    kinds.time({ mayBeZero: true }),
    "how long /readyz says 503 before the listener closes",
    { flag: "--drain-delay <time>", otherwise: seconds(SERVER_DEFAULTS.drainDelay) },
  ),
  setting("drainTimeout", "Operations", kinds.time({ mayBeZero: true }), "how long running requests may take to end", {
    flag: "--drain-timeout <time>",
    fallback: DRAIN_TIMEOUT,
    otherwise: seconds(DRAIN_TIMEOUT),
  }),
  setting("logLevel", "Operations", kinds.oneOf(LOG_LEVELS), "how much to log", {
    flag: "--log-level <level>",
    fallback: "info",
  }),
  setting("logFormat", "Operations", kinds.oneOf(["text", "json"]), "what a line of the log is", {
    flag: "--log-format <format>",
    fallback: "text",
  }),
  setting("config", "Operations", kinds.text, "settings file", {
    flag: "--config <file>",
    otherwise: "warmcache.json, if it is there",
    inFile: false,
  }),
];

function seconds(duration: Milliseconds): string {
  return `${duration / 1000}s`;
}

/** What a row may say besides what it has to. */
type Further<Name extends SettingName> = Partial<Omit<Setting<Name>, "name" | "group" | "kind" | "help">>;

function setting<Name extends SettingName>(
  name: Name,
  group: Group,
  kind: Kind<NonNullable<SettingValues[Name]>>,
  help: string,
  further: Further<Name>,
): Setting {
  const long = /^--([a-z-]+)/.exec(further.flag ?? "")?.[1];
  const row: Setting<Name> = {
    name,
    group,
    kind,
    help,
    read: readerOf(kind),
    inFile: true,
    isSecret: false,
    ...(long !== undefined && { variable: `WARMCACHE_${long.toUpperCase().replaceAll("-", "_")}` }),
    ...further,
  };
  // What a row's own kind takes and gives is known to itself only.
  return row as unknown as Setting;
}

/** A list from lists, a number from digits where text will not do, else text. */
function readerOf(kind: Kind<unknown>): Setting["read"] {
  if (kinds.isList(kind)) return (texts) => words(texts).filter((word) => word !== "");
  return (texts) => {
    const text = last(texts).trim();
    return /^-?\d+(\.\d+)?$/.test(text) && !kind.safeParse(text).success ? Number(text) : text;
  };
}

function last(texts: readonly string[]): string {
  return texts.at(-1)!;
}

/** Several words, with commas between. */
function words(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(",").map((word) => word.trim()));
}

function yesOrNo(texts: readonly string[]): unknown {
  const text = last(texts);
  return ["", "1", "true"].includes(text) ? true : ["0", "false"].includes(text) ? false : text;
}

/** A later one replaces an earlier one of that name. */
function namedUpstreams(texts: readonly string[]): unknown {
  return Object.fromEntries(
    words(texts).filter((word) => word !== "").map((pair) => {
      const at = pair.indexOf("=");
      // It may be a credential, put behind the wrong flag.
      if (at < 1) throw new TypeError("expected name=url");
      return [pair.slice(0, at), { url: pair.slice(at + 1) }];
    }),
  );
}
