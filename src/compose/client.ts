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

import { SseParser } from "../cache/stream/sse.ts";
import type { AdminEvent } from "../http/admin/admin_event.ts";
import type { OrderAnswer } from "../http/admin/admin_routes.ts";
import type { ModelStatus } from "../http/admin/model_status.ts";
import type { Health } from "../http/health.ts";
import type { ProbeReport, SuiteReport } from "../probe/report.ts";
import { messageOf } from "../runtime/message.ts";
import { refuseUnknownOptions } from "../runtime/options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { KeepAlive } from "../warm/keep_alive.ts";

export type { AdminError, AdminEvent, AdminEventBody, ConnectedBody, GapBody } from "../http/admin/admin_event.ts";
export type { OrderAnswer } from "../http/admin/admin_routes.ts";
export type { ModelState, ModelStatus } from "../http/admin/model_status.ts";
export type { Action, FailedOrder, PendingOrder } from "../http/admin/orders.ts";
export type { AutoDevice, Health, LoadedModelHealth } from "../http/health.ts";
export type { ModelKind } from "../model/backend.ts";
export type { Category, Verdict } from "../probe/probe.ts";
export type { ProbeReport, SuiteReport } from "../probe/report.ts";
export type { Band } from "../probe/score.ts";
export type { Milliseconds } from "../runtime/runtime.ts";
export type { EvictionReason } from "../warm/events.ts";
export type { KeepAlive } from "../warm/keep_alive.ts";
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

/** How to give an order. */
export interface OrderOptions extends ClientCallOptions {
  /** Whether to wait until it is carried out, however long that takes. Default: yes. */
  readonly wait?: boolean;
}

/** How to load a model. */
export interface LoadOptions extends OrderOptions {
  /** For how long it stays when nobody uses it. Default: the server's. */
  readonly keepAlive?: KeepAlive;
}

/** How to unload a model. */
export interface UnloadOptions extends OrderOptions {
  /** Not to wait for the requests that use it: they fail. Default: no. */
  readonly force?: boolean;
}

/** How to follow events. */
export interface EventsOptions extends ClientCallOptions {
  /** The last event that was heard, to go on after it. Default: from now on. */
  readonly lastEventId?: string;
  /** After how long to connect again when the connection has ended. Default: 2 seconds. */
  readonly retryDelay?: Milliseconds;
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
const RETRY_DELAY: Milliseconds = 2000;
/** A day. Timers take what is much longer for nothing. */
const LONGEST_TIMEOUT: Milliseconds = 24 * 60 * 60 * 1000;
/** Whoever has nothing to tell says so every 5 s: a connection that is silent for so long is none. */
const LONGEST_SILENCE: Milliseconds = 30_000;
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

  /**
   * Loads a model before anybody asks for it. Needs a key with the scope `admin`, as what follows does.
   *
   * @throws ClientError, with the server's words for why it cannot be loaded.
   */
  async load(model: string, { keepAlive, ...options }: LoadOptions = {}): Promise<OrderAnswer> {
    return await this.#order("load", { model, ...keepAlive !== undefined && { keep_alive: keepAlive } }, options);
  }

  /**
   * Takes a model out of memory; requests that use it are served before that.
   *
   * @throws ClientError
   */
  async unload(model: string, { force = false, ...options }: UnloadOptions = {}): Promise<OrderAnswer> {
    return await this.#order("unload", { model, force }, options);
  }

  /**
   * Loads a model and keeps it from being evicted.
   *
   * @throws ClientError
   */
  async pin(model: string, options: OrderOptions = {}): Promise<OrderAnswer> {
    return await this.#order("pin", { model }, options);
  }

  /**
   * Lets a pinned model be evicted again.
   *
   * @throws ClientError
   */
  async unpin(model: string, options: ClientCallOptions = {}): Promise<OrderAnswer> {
    return await this.#ask("POST", "/admin/models/unpin", { model }, options) as unknown as OrderAnswer;
  }

  /**
   * Where a model stands.
   *
   * @throws ClientError
   */
  async loadStatus(model: string, options: ClientCallOptions = {}): Promise<ModelStatus> {
    const path = `/admin/models/${encodeURIComponent(model)}/load-status`;
    return await this.#ask("GET", path, undefined, options) as unknown as ModelStatus;
  }

  /**
   * What happens to the server's models, as it happens, until the caller breaks off. Where the connection ends it is made
   * anew, and what happened meanwhile is told, as far back as the server remembers; what is lost a `gap` tells.
   *
   * @throws ClientError when the first connection cannot be made, and when the server refuses a later one.
   * @throws the signal's reason when it is aborted.
   */
  async *events({ signal, lastEventId, retryDelay = RETRY_DELAY }: EventsOptions = {}): AsyncGenerator<AdminEvent> {
    let last = lastEventId;
    for (let hasBegun = false;;) {
      try {
        for await (const event of this.#eventsAfter(last, signal)) {
          last = event.id;
          hasBegun = true;
          yield event;
        }
      } catch (error) {
        signal?.throwIfAborted();
        const status = error instanceof ClientError ? error.status : 0;
        const passes = status === undefined || status === 429 || status >= 500;
        if (!hasBegun || !passes) throw error;
      }
      await pause(retryDelay, signal);
    }
  }

  /** The events of one connection. */
  async *#eventsAfter(last: string | undefined, signal: AbortSignal | undefined): AsyncGenerator<AdminEvent> {
    const [method, path] = ["GET", "/admin/events"];
    const silence = new AbortController();
    const listen = (): ReturnType<typeof setTimeout> => setTimeout(() => silence.abort(), LONGEST_SILENCE);
    let timer = listen();
    const ended = signal === undefined ? silence.signal : AbortSignal.any([silence.signal, signal]);
    try {
      const headers = { ...this.#headers, ...last !== undefined && { "Last-Event-ID": last } };
      const fetch = this.#fetch;
      const response = await fetch(`${this.url}${path}`, { method, headers, signal: ended });
      if (!response.ok) objectIn(await response.text(), response.status, method, path, this.#withoutKey);
      if (response.body === null) throw unreadable(method, path, response.status, "", "no body");
      const parser = new SseParser();
      const reader = response.body.getReader();
      try {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          clearTimeout(timer);
          for (const { data } of parser.push(value)) yield eventIn(data, response.status, this.#withoutKey);
          timer = listen();
        }
      } finally {
        reader.cancel().catch(() => {});
      }
    } catch (cause) {
      if (cause instanceof ClientError) throw cause;
      const why = silence.signal.aborted
        ? `nothing came for ${LONGEST_SILENCE} ms`
        : this.#withoutKey(messageOf(cause));
      const code = silence.signal.aborted ? "timeout" : "unreachable";
      throw new ClientError(`${method} ${path} failed: ${why}`, { method, path, code, cause });
    } finally {
      clearTimeout(timer);
    }
  }

  async #order(
    action: "load" | "unload" | "pin",
    body: object,
    { wait = true, signal }: OrderOptions,
  ): Promise<OrderAnswer> {
    const call = signal === undefined ? {} : { signal };
    for (;;) {
      const said = await this.#ask("POST", `/admin/models/${action}`, { ...body, wait }, call);
      const answer = said as unknown as OrderAnswer;
      // A server waits for as long as it would for any request; whoever asks again joins what is under way.
      if (answer.done || !wait) return answer;
    }
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

/** Waits. */
function pause(time: Milliseconds, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", leave);
      resolve();
    }, time);
    if (signal?.aborted) leave();
    signal?.addEventListener("abort", leave, { once: true });
  });
}

/** An event as the server told it. */
function eventIn(data: string, status: number, withoutKey: (text: string) => string): AdminEvent {
  return objectIn(data, status, "GET", "/admin/events", withoutKey) as unknown as AdminEvent;
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
