/**
 * How a Redis store is told where its server is, checked before anything is dialled: a misspelled option or a password in
 * the wrong place is found here, and no message ever repeats a credential.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";

/** What a TLS connection needs beyond the machine's own list of authorities. All in PEM. */
export interface RedisTls {
  /** Certificates of the authorities to trust instead of the machine's own. */
  readonly ca?: string;
  /** Our own certificate, for a server that asks for one. */
  readonly cert?: string;
  /** The key to `cert`. */
  readonly key?: string;
  /** The name that the server's certificate has to bear, where it is not the host's. */
  readonly servername?: string;
}

/** Where a Redis or Valkey server is, and how to talk to it. */
export interface RedisConnection {
  /** `redis://host:port/database`, or `rediss://` for TLS. Default: `redis://127.0.0.1:6379`. */
  readonly url?: string;
  /** Nodes of a Cluster to learn the others from, instead of `url`. */
  readonly urls?: readonly string[];
  /** Whether the server is a Cluster. Default: whether `urls` is given. */
  readonly cluster?: boolean;
  /** An ACL user. Wins over the one in the URL. */
  readonly username?: string;
  /** Its password, or the server's. Wins over the one in the URL. */
  readonly password?: string;
  /** TLS, which a `rediss://` URL asks for too. */
  readonly tls?: boolean | RedisTls;
  /**
   * How long the server may be silent while it owes an answer, before the connection counts as broken and is made anew.
   * Default: 1 second; where much is sent, a second more for each 100 KB.
   */
  readonly commandTimeout?: Milliseconds;
  /** How many bytes of answers may wait while the server is away. Default: 64 MiB. */
  readonly queueBytes?: number;
  /** How long closing the store tries to write what waits. Default: 5 seconds. */
  readonly flushTimeout?: Milliseconds;
  /** What all keys begin with: letters, digits, `.`, `_` and `-`. Default: `wc1`. */
  readonly keyPrefix?: string;
}

/** How to open a Redis store. */
export interface RedisStoreOptions extends RedisConnection {
  readonly runtime: Runtime;
  /** How long answers are kept after their time has passed, to be served in a need; 0 by default. */
  readonly keepExpired?: Milliseconds;
}

/** A server's address, credentials apart. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly database: number;
}

/** {@link RedisStoreOptions}, checked and with nothing left open. */
export interface Settings {
  readonly endpoints: readonly Endpoint[];
  readonly isCluster: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: RedisTls | undefined;
  readonly commandTimeout: Milliseconds;
  readonly queueBytes: number;
  readonly flushTimeout: Milliseconds;
  readonly keyPrefix: string;
  readonly keepExpired: Milliseconds;
  /** Where it is, for people, without credentials. */
  readonly location: string;
}

const OPTIONS: Record<keyof RedisStoreOptions, true> = {
  runtime: true,
  url: true,
  urls: true,
  cluster: true,
  username: true,
  password: true,
  tls: true,
  commandTimeout: true,
  queueBytes: true,
  flushTimeout: true,
  keyPrefix: true,
  keepExpired: true,
};

const DEFAULT_URL = "redis://127.0.0.1:6379";
const DEFAULT_PORT = 6379;
/** A day. Timers take what is much longer for nothing. */
const LONGEST_TIMEOUT: Milliseconds = 24 * 60 * 60 * 1000;
/** No braces: they would move the keys of all models into one slot. No glob characters: they go into patterns. */
const KEY_PREFIX = /^[A-Za-z0-9._-]{1,64}$/;

/**
 * Checks options.
 *
 * @throws TypeError, RangeError
 */
export function settingsOf(options: RedisStoreOptions): Settings {
  refuseUnknownOptions("open a Redis store", options, Object.keys(OPTIONS));
  const { url, urls, cluster = urls !== undefined, tls, commandTimeout = 1000, flushTimeout = 5000 } = options;
  const { queueBytes = 64 * 1024 * 1024, keyPrefix = "wc1", keepExpired = 0 } = options;
  if (url !== undefined && urls !== undefined) throw refused("url and urls exclude each other", "both");
  if (urls?.length === 0) throw refused("urls has to name at least one node", "none");
  if (!cluster && urls !== undefined) throw refused("urls are for a Cluster", "cluster: false");
  const parsed = (urls ?? [url ?? DEFAULT_URL]).map(parse);
  const endpoints = parsed.map(({ endpoint }) => endpoint);
  if (cluster && endpoints.some(({ database }) => database !== 0)) {
    throw refused("a Cluster has no databases but 0", describe(endpoints, false, "redis"));
  }
  for (const [name, value] of Object.entries({ username: options.username, password: options.password })) {
    if (value !== undefined && typeof value !== "string") throw refused(`${name} has to be a string`, typeof value);
  }
  if (!(commandTimeout > 0 && commandTimeout <= LONGEST_TIMEOUT)) {
    throw outOfRange(`commandTimeout must be more than 0 and at most ${LONGEST_TIMEOUT} ms`, commandTimeout);
  }
  if (!(flushTimeout >= 0 && flushTimeout <= LONGEST_TIMEOUT)) {
    throw outOfRange(`flushTimeout must be 0 or more and at most ${LONGEST_TIMEOUT} ms`, flushTimeout);
  }
  if (!(queueBytes >= 0)) throw outOfRange("queueBytes must be 0 or more", queueBytes);
  if (!(keepExpired >= 0)) throw outOfRange("keepExpired must be 0 or more", keepExpired);
  if (typeof keyPrefix !== "string" || !KEY_PREFIX.test(keyPrefix)) {
    throw refused("keyPrefix has to be 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`", String(keyPrefix));
  }
  const [named, known] = [parsed.find(({ username }) => username), parsed.find(({ password }) => password)];
  const wantsTls = parsed.some(({ secure }) => secure);
  const secured = typeof tls === "object" ? tls : tls || wantsTls ? {} : undefined;
  if (tls === false && wantsTls) throw refused("a rediss:// URL asks for TLS", "tls: false");
  return {
    endpoints,
    isCluster: cluster,
    username: options.username ?? named?.username,
    password: options.password ?? known?.password,
    tls: secured,
    commandTimeout,
    queueBytes,
    flushTimeout,
    keyPrefix,
    keepExpired,
    location: describe(endpoints, cluster, secured ? "rediss" : "redis"),
  };
}

interface Parsed {
  readonly endpoint: Endpoint;
  readonly secure: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
}

function parse(text: string): Parsed {
  let url: URL;
  try {
    // The scheme is none that URL knows how to take apart; http is, and is alike in all that matters here.
    url = new URL(String(text).replace(/^rediss?:/, "http:"));
  } catch {
    // Not repeated, and no cause: it may hold a password.
    throw refused("url has to be redis://host:port/database or rediss://…", "something else");
  }
  const scheme = /^(rediss?):\/\//.exec(String(text))?.[1];
  if (scheme === undefined) throw refused("url has to begin with redis:// or rediss://", url.protocol);
  // What stands behind the host may be the rest of a password.
  const said = (part: string): string => String(text).includes("@") ? "something else" : part;
  const encode = "(in a password, encode `/`, `?` and `#`)";
  if (url.search !== "" || url.hash !== "") {
    throw refused(`url takes no ? and no # ${encode}`, said(url.search || url.hash));
  }
  const database = url.pathname.replace(/^\//, "");
  if (!/^\d{0,5}$/.test(database)) {
    throw refused(`the path of url has to be a database's number ${encode}`, said(database));
  }
  return {
    endpoint: {
      host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
      port: url.port === "" ? (/:80(\/|$)/.test(text) ? 80 : DEFAULT_PORT) : Number(url.port),
      database: Number(database),
    },
    secure: scheme === "rediss",
    username: decoded(url.username),
    password: decoded(url.password),
  };
}

function decoded(credential: string): string | undefined {
  try {
    return credential === "" ? undefined : decodeURIComponent(credential);
  } catch {
    throw refused("a % in the credentials of url has to be encoded as %25", "one that is not");
  }
}

function describe(endpoints: readonly Endpoint[], isCluster: boolean, scheme: string): string {
  const hosts = endpoints.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`).join(",");
  const database = endpoints[0]!.database;
  return `${scheme}://${hosts}${isCluster || database === 0 ? "" : `/${database}`}`;
}

function refused(rule: string, received: string): TypeError {
  return new TypeError(`Cannot open a Redis store: ${rule}: ${received}`);
}

function outOfRange(rule: string, received: number): RangeError {
  return new RangeError(`Cannot open a Redis store: ${rule}: ${received}`);
}
