/**
 * Which endpoint a request over HTTP asks. One rule for everything that sees such requests, so that the fetch wrapper and
 * the proxy compute the same scope for the same call.
 *
 * Beside its path and its body a question may have a version of the interface in which it is put: Azure's `api-version`
 * in the query (https://learn.microsoft.com/azure/ai-foundry/openai/reference), Anthropic's in the header
 * `anthropic-version` (https://platform.claude.com/docs/en/api/versioning). The endpoint names it. Of Gemini's query,
 * `key` says who asks, and `alt` in what form to answer (https://ai.google.dev/api/generate-content). Of a query that is
 * not known nobody can tell whether it belongs to the question. Headers that are not known are taken to: see
 * {@link ./headers.ts}.
 *
 * @module
 */

import { headersDigest } from "./headers.ts";

/** Where a call goes. */
export interface Target {
  /** The scope's endpoint: the path, with what belongs to the question of its query and of the headers. */
  readonly endpoint: string;
  /** Whether the address itself asks for a stream of events, whatever the body says. */
  readonly streams: boolean;
}

const STREAMING = ":streamGenerateContent";
const WHOLE = ":generateContent";
/** Google's paths end in what is to be done with a model. */
const METHOD = /:[A-Za-z]+$/;

/** The version of Anthropic's interface that is meant where an endpoint names none. */
export const ANTHROPIC_VERSION = "2023-06-01";

/**
 * The endpoint that a request asks; `undefined` where the query has something that is not known, or asks for a stream
 * that is none of events. Gemini's stream and its whole answer are one endpoint: they are two forms of one answer.
 *
 * @param ignoreHeaders names of headers that do not belong to the question, besides those that are known not to.
 */
export async function targetOf(
  url: URL,
  headers: Headers,
  ignoreHeaders?: readonly string[],
): Promise<Target | undefined> {
  const { pathname } = url;
  // Nearly everybody's is empty, and need not be taken apart.
  const given = url.search === "" ? [] : [...url.searchParams];
  const query = new Map(given);
  if (query.size !== given.length) return undefined;
  const streams = pathname.endsWith(STREAMING);
  if (METHOD.test(pathname)) {
    query.delete("key");
    const form = query.get("alt");
    if (form === (streams ? "sse" : "json")) query.delete("alt");
    else if (streams) return undefined;
  }
  const version = query.get("api-version");
  query.delete("api-version");
  if (query.size > 0) return undefined;
  const path = streams ? pathname.slice(0, -STREAMING.length) + WHOLE : pathname;
  const versions = `${named("api-version", version)}${anthropicVersion(path, headers)}`;
  return { endpoint: `${path}${versions}${named("headers", await headersDigest(headers, ignoreHeaders))}`, streams };
}

function anthropicVersion(path: string, headers: Headers): string {
  const version = headers.get("anthropic-version");
  const isNamed = path.endsWith("/v1/messages") && version !== ANTHROPIC_VERSION;
  return isNamed ? named("anthropic-version", version) : "";
}

function named(name: string, value: string | null | undefined): string {
  return value === undefined || value === null ? "" : `?${name}=${value}`;
}
