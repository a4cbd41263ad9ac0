/**
 * Which providers the server's proxy reaches, and under which names: those that everybody uses, and those that its
 * settings name.
 *
 * @module
 */

import type { Upstream } from "../http/proxy/upstream.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds, Runtime } from "../runtime/runtime.ts";

/** A provider behind the proxy. */
export interface UpstreamOptions {
  /** Where it is: what comes after the upstream's name in a request's path is appended to it. */
  readonly url: string;
  /**
   * The server's own credential for it, which takes the place of the caller's. Default: none; the caller's is passed on.
   */
  readonly apiKey?: string;
  /** The environment variable that has it. */
  readonly apiKeyEnvironment?: string;
  /** How long it may take until an answer begins. Default: 10 minutes, after which OpenAI's clients give up as well. */
  readonly answerTimeout?: Milliseconds;
  /** How long it may be silent in the middle of one. Default: 5 minutes. */
  readonly idleTimeout?: Milliseconds;
}

/** Providers by name. */
export type UpstreamTable = Readonly<Record<string, UpstreamOptions>>;

const BUILT_IN: UpstreamTable = {
  openai: { url: "https://api.openai.com" },
  anthropic: { url: "https://api.anthropic.com" },
  google: { url: "https://generativelanguage.googleapis.com" },
};

const OPTIONS = ["url", "apiKey", "apiKeyEnvironment", "answerTimeout", "idleTimeout"];
const ANSWER_TIMEOUT: Milliseconds = 600_000;
const IDLE_TIMEOUT: Milliseconds = 300_000;

/** What an upstream may be called. */
export const UPSTREAM_NAME: RegExp = /^[a-z0-9][a-z0-9._-]{0,63}$/;
/** What begins the paths of the server's own routes, those to come included. `local` are its models. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set([
  "admin",
  "assets",
  "cache",
  "dashboard",
  "docs",
  "favicon.ico",
  "health",
  "livez",
  "local",
  "login",
  "metrics",
  "openapi.json",
  "readyz",
  "robots.txt",
  "run",
  "score",
  "stats",
  "v1",
]);

/**
 * Checks the settings, and puts the defaults in place.
 *
 * @throws TypeError for a name that is taken or no name, a URL that is none, and a credential that is not there;
 * RangeError for a timeout that is no time.
 */
export function planUpstreams(table: UpstreamTable, { environment }: Pick<Runtime, "environment">): Upstream[] {
  return Object.entries({ ...BUILT_IN, ...table }).map(([name, options]) => {
    const tried = `reach the upstream ${name}`;
    if (!UPSTREAM_NAME.test(name)) {
      throw new TypeError(`Cannot name an upstream (lower-case letters, digits, ".", "_" and "-" are needed): ${name}`);
    }
    if (RESERVED_NAMES.has(name)) {
      throw new TypeError(`Cannot name an upstream as a route of the server's own: ${name}`);
    }
    if (typeof options !== "object" || options === null) {
      throw new TypeError(`Cannot ${tried}: its settings are no object: ${String(options)}`);
    }
    refuseUnknownOptions(tried, options, OPTIONS);
    const { answerTimeout = ANSWER_TIMEOUT, idleTimeout = IDLE_TIMEOUT } = options;
    for (const [name, value] of Object.entries({ answerTimeout, idleTimeout })) {
      if (typeof value === "number" && value > 0 && Number.isFinite(value)) continue;
      throw new RangeError(`Cannot ${tried}: ${name} has to be a positive number of milliseconds: ${String(value)}`);
    }
    const url = baseOf(tried, options.url);
    return { name, url, apiKey: credentialOf(tried, options, environment), answerTimeout, idleTimeout };
  });
}

function baseOf(tried: string, given: unknown): string {
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`Cannot ${tried}: its url is no http: or https: URL: ${String(given)}`);
  }
  // A credential in the URL would be told with it.
  if (url.username !== "" || url.password !== "") {
    throw new TypeError(`Cannot ${tried}: its url has a credential in it; give it as apiKey: ${url.host}`);
  }
  if (url.search !== "" || url.hash !== "") {
    throw new TypeError(`Cannot ${tried}: its url has more than a path at the end: ${given}`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function credentialOf(
  tried: string,
  { apiKey, apiKeyEnvironment }: UpstreamOptions,
  environment: Runtime["environment"],
): string | undefined {
  if (apiKey !== undefined && apiKeyEnvironment !== undefined) {
    throw new TypeError(`Cannot ${tried}: both apiKey and apiKeyEnvironment say what its credential is`);
  }
  const key = apiKeyEnvironment === undefined ? apiKey : environment(apiKeyEnvironment);
  if (apiKeyEnvironment !== undefined && (key === undefined || key === "")) {
    throw new TypeError(`Cannot ${tried}: the variable that has its credential is not set: ${apiKeyEnvironment}`);
  }
  // What no header can carry would fail with each request.
  if (key !== undefined && (typeof key !== "string" || !/^[\x21-\x7e]+$/.test(key))) {
    throw new TypeError(`Cannot ${tried}: its credential is empty, or has characters in it that no header can carry`);
  }
  return key;
}
