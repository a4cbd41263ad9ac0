/**
 * A client of the server's own routes, for programs that run suites on it: with `fetch` alone, and with errors that say
 * what was asked, and what came instead.
 *
 * ```ts ignore
 * import { WarmcacheClient } from "@warmcache/warmcache/client";
 *
 * const client = new WarmcacheClient("http://127.0.0.1:8787");
 * const { loaded_models } = await client.health();
 * const report = await client.run(spec);
 * ```
 *
 * What speaks OpenAI's API is for OpenAI's own client; a cache that is kept on a server, for `openCache({ backend:
 * "remote" })`.
 *
 * @module
 */

import type { Health } from "../http/health.ts";
import type { ProbeReport, SuiteReport } from "../probe/report.ts";
import { messageOf } from "../runtime/message.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";

export type { AutoDevice, Health, LoadedModelHealth } from "../http/health.ts";
export type { ModelKind } from "../model/backend.ts";
export type { Category, Verdict } from "../probe/probe.ts";
export type { ProbeReport, SuiteReport } from "../probe/report.ts";
export type { Band } from "../probe/score.ts";
export type { LoadedModel } from "../warm/loaded_model.ts";

/** How to reach a server. */
export interface WarmcacheClientOptions {
  /** One of its API keys, where it has some. */
  readonly apiKey?: string;
  /** How long a request may take, its answer included. Default: 120 seconds; suites may take longer. */
  readonly timeout?: Milliseconds;
  /** What requests are sent with. Default: the runtime's own. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** What a call may be told. */
export interface ClientCallOptions {
  /** Ends the call early, and what the server does for it. */
  readonly signal?: AbortSignal;
}

/** How to run a suite. */
export interface RunOptions extends ClientCallOptions {
  /** Where the suite came from, for the report. Default: `<client>`. */
  readonly specPath?: string;
  /** For probes that choose at random: an unsigned 32-bit integer. Default: the suite's own. */
  readonly seed?: number;
}

/** How to run probes of a suite. */
export interface ScoreOptions extends ClientCallOptions {
  /** Which; all by default. */
  readonly probeNames?: readonly string[];
  /** As in {@link RunOptions}. */
  readonly seed?: number;
}

/** A model that can be asked for. */
export interface ClientModel {
  /** What requests call it. */
  readonly id: string;
  /** When it came to be, in seconds since 1970. */
  readonly created: number;
  /** The base of an adapter. */
  readonly parent: string | null;
  /** Which exports a base has. */
  readonly dtypes?: readonly string[];
}

/** What went wrong with a request: with the answer, where there was one. */
export interface ClientErrorDetails extends ErrorOptions {
  /** How it was asked. */
  readonly method: string;
  /** What was asked. */
  readonly path: string;
  /** As in {@link ClientError}. */
  readonly status?: number | undefined;
  /** As in {@link ClientError}. */
  readonly code?: string | undefined;
  /** As in {@link ClientError}. */
  readonly body?: unknown;
}

/** A request that was not answered as it should have been. */
export class ClientError extends Error {
  /** `ClientError`. */
  override readonly name = "ClientError";
  /** How it was asked: `GET` or `POST`. */
  readonly method: string;
  /** What was asked, beneath the server's address. */
  readonly path: string;
  /** The answer's status; `undefined` where none came. */
  readonly status: number | undefined;
  /**
   * The word for it in the server's own errors, such as `model_not_found`; `timeout`, `unreachable` or `unreadable` where
   * it gave none; `undefined` where it told only in words.
   */
  readonly code: string | undefined;
  /** The answer, as JSON if it is some, else as text; `undefined` where none came. */
  readonly body: unknown;
  /** An error of a request. */
  constructor(message: string, { method, path, status, code, body, ...options }: ClientErrorDetails) {
    super(message, options);
    this.method = method;
    this.path = path;
    this.status = status;
    this.code = code;
    this.body = body;
  }
}

const OPTIONS: Record<keyof WarmcacheClientOptions, true> = { apiKey: true, timeout: true, fetch: true };
const TIMEOUT: Milliseconds = 120_000;
/** A day. Timers take what is much longer for nothing. */
const LONGEST_TIMEOUT: Milliseconds = 24 * 60 * 60 * 1000;
/** So much of an answer that makes no sense is shown. */
const SHOWN = 200;

/** Speaks to one server. Nothing is kept open: there is nothing to close. */
export class WarmcacheClient {
  /** Where the server is, without a slash at the end. */
  readonly url: string;
  readonly #headers: Readonly<Record<string, string>>;
  /** What others say, who may repeat the key. */
  readonly #withoutKey: (text: string) => string;
  readonly #timeout: Milliseconds;
  readonly #fetch: (url: string, init: RequestInit) => Promise<Response>;

  /**
   * Asks nothing yet.
   *
   * @throws TypeError, RangeError when an option is wrong.
   */
  constructor(url: string, options: WarmcacheClientOptions = {}) {
    refuseUnknownOptions("make a client", options, Object.keys(OPTIONS));
    const { apiKey, timeout = TIMEOUT, fetch = (url, init) => globalThis.fetch(url, init) } = options;
    const parsed = typeof url === "string" && URL.canParse(url) ? new URL(url) : undefined;
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol) || parsed.username + parsed.password !== "") {
      // Not repeated: it may hold a credential.
      throw new TypeError("Cannot make a client: url has to be http://host:port or https://…, without a credential");
    }
    if (/[?#]/.test(parsed.href)) {
      throw new TypeError(`Cannot make a client: url takes no ? and no #: ${parsed.host}`);
    }
    if (typeof fetch !== "function") {
      throw new TypeError(`Cannot make a client: fetch has to be a function: ${typeof fetch}`);
    }
    if (!(timeout > 0 && timeout <= LONGEST_TIMEOUT)) {
      throw new RangeError(
        `Cannot make a client: timeout must be more than 0 and at most ${LONGEST_TIMEOUT} ms: ${timeout}`,
      );
    }
    if (apiKey !== undefined && (typeof apiKey !== "string" || !/^[\x21-\x7e]+$/.test(apiKey))) {
      throw new TypeError("Cannot make a client: apiKey has to be printable ASCII without spaces");
    }
    this.url = parsed.href.replace(/\/+$/, "");
    this.#headers = apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` };
    this.#withoutKey = (text) => apiKey === undefined ? text : text.replaceAll(apiKey, "…");
    this.#timeout = timeout;
    this.#fetch = fetch;
  }

  /**
   * What is in memory, and how the server is set up. Needs no API key.
   *
   * @throws ClientError
   */
  async health(options: ClientCallOptions = {}): Promise<Health> {
    return await this.#ask("GET", "/health", undefined, options) as unknown as Health;
  }

  /**
   * What the server and its caches have done.
   *
   * @throws ClientError
   */
  async stats(options: ClientCallOptions = {}): Promise<Record<string, unknown>> {
    return await this.#ask("GET", "/stats", undefined, options);
  }

  /**
   * The models that can be asked for.
   *
   * @throws ClientError
   */
  async models(options: ClientCallOptions = {}): Promise<ClientModel[]> {
    const { data } = await this.#ask("GET", "/v1/models", undefined, options);
    if (Array.isArray(data)) return data as ClientModel[];
    throw unreadable("GET", "/v1/models", 200, { data }, "no list of models");
  }

  /**
   * Runs a suite. A probe that fails is a verdict in the report, and no error.
   *
   * @param spec the suite, as `docs/probes.md` describes it.
   * @throws ClientError, with the server's words for what is wrong with the suite.
   */
  async run(spec: object, options: RunOptions = {}): Promise<SuiteReport & { readonly request_seconds: number }> {
    const { specPath = "<client>", seed, ...call } = options;
    const body = { spec, spec_path: specPath, ...seed !== undefined && { seed } };
    return await this.#ask("POST", "/run", body, call) as never;
  }

  /**
   * Runs some probes of a suite.
   *
   * @throws ClientError as {@link run} does.
   */
  async score(
    spec: object,
    { probeNames, seed, ...call }: ScoreOptions = {},
  ): Promise<{ readonly probes: readonly ProbeReport[]; readonly request_seconds: number }> {
    const body = {
      spec,
      ...probeNames !== undefined && { probe_names: probeNames },
      ...seed !== undefined && { seed },
    };
    return await this.#ask("POST", "/score", body, call) as never;
  }

  async #ask(
    method: string,
    path: string,
    body: object | undefined,
    { signal }: ClientCallOptions,
  ): Promise<Record<string, unknown>> {
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const late = AbortSignal.timeout(this.#timeout);
    const ended = signal === undefined ? late : AbortSignal.any([late, signal]);
    let status: number | undefined;
    let text: string;
    try {
      // A browser's own fetch is no method of ours.
      const fetch = this.#fetch;
      const response = await fetch(`${this.url}${path}`, {
        method,
        headers: { ...this.#headers, ...sent !== undefined && { "Content-Type": "application/json" } },
        ...sent !== undefined && { body: sent },
        signal: ended,
      });
      status = response.status;
      text = await response.text();
    } catch (cause) {
      signal?.throwIfAborted();
      const why = late.aborted ? `it took longer than ${this.#timeout} ms` : this.#withoutKey(messageOf(cause));
      const code = late.aborted ? "timeout" : "unreachable";
      throw new ClientError(`${method} ${path} failed: ${why}`, { method, path, status, code, cause });
    }
    return objectIn(text, status, method, path, this.#withoutKey);
  }
}

/** What was answered. */
function objectIn(
  text: string,
  status: number,
  method: string,
  path: string,
  withoutKey: (text: string) => string,
): Record<string, unknown> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw unreadable(method, path, status, text, `a body that is no JSON: ${withoutKey(text).slice(0, SHOWN)}`);
  }
  const isGood = status >= 200 && status < 300;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw unreadable(method, path, status, body, `JSON that is no object: ${withoutKey(text).slice(0, SHOWN)}`);
  }
  if (isGood) return body as Record<string, unknown>;
  const { error, detail } = body as { error?: { message?: unknown; code?: unknown }; detail?: unknown };
  const said = typeof error?.message === "string" ? error.message : typeof detail === "string" ? detail : text;
  const code = typeof error?.code === "string" ? error.code : undefined;
  const message = `${method} ${path} was answered ${status}: ${withoutKey(said).slice(0, 10 * SHOWN)}`;
  throw new ClientError(message, { method, path, status, code, body });
}

function unreadable(method: string, path: string, status: number, body: unknown, what: string): ClientError {
  return new ClientError(`${method} ${path} was answered ${status} with ${what}`, {
    method,
    path,
    status,
    code: "unreadable",
    body,
  });
}
