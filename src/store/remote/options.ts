/**
 * How a remote store is told where its server is, checked before anything is sent: no message ever repeats a credential.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds, Runtime } from "../../runtime/runtime.ts";
import { CALLS_PATH, LIST_PATH } from "./calls.ts";

/** Where a warmcache server is, and how to talk to it. */
export interface RemoteConnection {
  /** Its address, as its clients know it. Default: `http://127.0.0.1:8787`. */
  readonly url?: string;
  /** One of its API keys, where it has some. */
  readonly apiKey?: string;
  /**
   * How long the server may be silent while it owes an answer, before it counts as away. Default: 2 seconds; where much is
   * sent, a second more for each 100 KB; 60 seconds for what looks at the whole store.
   */
  readonly timeout?: Milliseconds;
  /** How many bytes of answers may wait while the server is away. Default: 64 MiB. */
  readonly queueBytes?: number;
  /** How long closing the store tries to send what waits. Default: 5 seconds. */
  readonly flushTimeout?: Milliseconds;
  /** What requests are sent with. Default: the runtime's own. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
}

/** How to open a remote store. */
export interface RemoteStoreOptions extends RemoteConnection {
  readonly runtime: Pick<Runtime, "clock">;
}

/** {@link RemoteStoreOptions}, checked and with nothing left open. */
export interface Settings {
  /** What the store is called: `remote`, but for one that is reached otherwise than over HTTP. */
  readonly name: string;
  /** Where it is, for people. */
  readonly location: string;
  readonly callsUrl: string;
  readonly listUrl: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What others say, who may repeat the key, fit for a message. */
  readonly withoutKey: (text: string) => string;
  readonly timeout: Milliseconds;
  readonly queueBytes: number;
  readonly flushTimeout: Milliseconds;
  /**
   * For how long calls wait for a server that has gone away before they fail: 0 where an outage is an outage, more where
   * another one takes its place at once.
   */
  readonly patience: Milliseconds;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

const OPTIONS: Record<keyof RemoteStoreOptions, true> = {
  runtime: true,
  url: true,
  apiKey: true,
  timeout: true,
  queueBytes: true,
  flushTimeout: true,
  fetch: true,
};

const DEFAULT_URL = "http://127.0.0.1:8787";
/** A day. Timers take what is much longer for nothing. */
const LONGEST_TIMEOUT: Milliseconds = 24 * 60 * 60 * 1000;

/**
 * Checks options.
 *
 * @throws TypeError, RangeError
 */
export function settingsOf(options: RemoteStoreOptions): Settings {
  refuseUnknownOptions("open a remote store", options, Object.keys(OPTIONS));
  const { url = DEFAULT_URL, apiKey, timeout = 2000, flushTimeout = 5000 } = options;
  const { queueBytes = 64 * 1024 * 1024, fetch = (url, init) => globalThis.fetch(url, init) } = options;
  const base = baseOf(url);
  if (apiKey !== undefined && (typeof apiKey !== "string" || !/^[\x21-\x7e]+$/.test(apiKey))) {
    throw refused("apiKey has to be printable ASCII without spaces", "something else");
  }
  if (!(timeout > 0 && timeout <= LONGEST_TIMEOUT)) {
    throw outOfRange(`timeout must be more than 0 and at most ${LONGEST_TIMEOUT} ms`, timeout);
  }
  if (!(flushTimeout >= 0 && flushTimeout <= LONGEST_TIMEOUT)) {
    throw outOfRange(`flushTimeout must be 0 or more and at most ${LONGEST_TIMEOUT} ms`, flushTimeout);
  }
  if (!(queueBytes >= 0)) throw outOfRange("queueBytes must be 0 or more", queueBytes);
  if (typeof fetch !== "function") throw refused("fetch has to be a function", typeof fetch);
  return {
    name: "remote",
    location: base,
    callsUrl: `${base}/${CALLS_PATH}`,
    listUrl: `${base}/${LIST_PATH}`,
    headers: apiKey === undefined ? {} : { Authorization: `Bearer ${apiKey}` },
    withoutKey: (text) => apiKey === undefined ? text : text.replaceAll(apiKey, "…"),
    timeout,
    queueBytes,
    flushTimeout,
    patience: 0,
    fetch,
  };
}

function baseOf(given: unknown): string {
  const url = typeof given === "string" && URL.canParse(given) ? new URL(given) : undefined;
  // Not repeated: it may hold a credential.
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw refused("url has to be http://host:port or https://…", "something else");
  }
  if (url.username !== "" || url.password !== "") throw refused("url takes no credential: give apiKey", url.host);
  // An empty one is in the address only.
  if (/[?#]/.test(url.href)) throw refused("url takes no ? and no #", url.host);
  return url.href.replace(/\/+$/, "");
}

function refused(rule: string, received: string): TypeError {
  return new TypeError(`Cannot open a remote store: ${rule}: ${received}`);
}

function outOfRange(rule: string, received: number): RangeError {
  return new RangeError(`Cannot open a remote store: ${rule}: ${received}`);
}
