/**
 * Where an OpenAI-compatible endpoint is, and how to treat it.
 *
 * @module
 */

import { refuseUnknownOptions } from "../../runtime/options.ts";
import type { Milliseconds } from "../../runtime/runtime.ts";

/** An endpoint, and how patiently it is asked. */
export interface ApiEndpoint {
  /** Base URL as OpenAI's clients take it, such as `http://127.0.0.1:8000/v1`. It carries no key and no query. */
  readonly url: string;
  /** Sent as a bearer token, and never shown. Default: none. */
  readonly apiKey?: string;
  /** How long an answer may take, or a stream be silent. Default: 2 minutes. */
  readonly timeout?: Milliseconds;
  /** How often a question is asked that meets a broken connection, 408, 429 or 5xx, the first time included. Default: 4. */
  readonly attempts?: number;
  /** How many questions of one caller are under way at once. Default: 4. */
  readonly concurrency?: number;
  /** Longest prompt and answer together, in tokens. Default: unknown, which is `Infinity`; the endpoint refuses itself. */
  readonly contextLength?: number;
}

const OPTIONS: Record<keyof ApiEndpoint, true> = {
  url: true,
  apiKey: true,
  timeout: true,
  attempts: true,
  concurrency: true,
  contextLength: true,
};

/**
 * Checks an endpoint.
 *
 * @returns it, with everything said, and its URL in the one form under which it is known.
 * @throws TypeError for an unknown option, and for a URL that is none, is not of HTTP, or carries more than a place.
 * @throws RangeError for a number that means nothing.
 */
export function checkEndpoint(endpoint: ApiEndpoint): Required<Omit<ApiEndpoint, "apiKey">> & { apiKey?: string } {
  refuseUnknownOptions("use an endpoint", endpoint, Object.keys(OPTIONS));
  const { apiKey, timeout = 120_000, attempts = 4, concurrency = 4, contextLength = Infinity } = endpoint;
  if (apiKey !== undefined && (apiKey === "" || /[^\x21-\x7e]/.test(apiKey))) {
    throw new TypeError("Cannot use an endpoint: its apiKey is empty, or no header can carry it");
  }
  for (const [name, value] of Object.entries({ attempts, concurrency })) {
    if (Number.isSafeInteger(value) && value >= 1) continue;
    throw new RangeError(`Cannot use an endpoint: ${name} is not a whole number from 1: ${value}`);
  }
  for (const [name, value] of Object.entries({ timeout, contextLength })) {
    if (!(value > 0)) throw new RangeError(`Cannot use an endpoint: ${name} is not more than 0: ${value}`);
  }
  const url = endpointUrl(endpoint.url);
  return { url, timeout, attempts, concurrency, contextLength, ...(apiKey === undefined ? {} : { apiKey }) };
}

/**
 * The one form of a base URL: scheme and host in lower case, no default port, no slash at the end.
 *
 * @throws TypeError for what is no such URL. What may be a secret is not shown.
 */
export function endpointUrl(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !["http:", "https:"].includes(parsed.protocol)) {
    throw new TypeError(
      "Cannot use an endpoint: its url is no URL with http: or https:, such as http://127.0.0.1:8000/v1",
    );
  }
  if (parsed.username !== "" || parsed.password !== "" || parsed.search !== "" || parsed.hash !== "") {
    throw new TypeError(
      `Cannot use an endpoint: its url carries more than a place; a key belongs into apiKey: ${parsed.origin}`,
    );
  }
  return `${parsed.origin}${parsed.pathname.replace(/\/+$/, "")}`;
}
