/**
 * The kind `api`: models behind the endpoints that whoever runs this program has named. Nobody else's word leads to a
 * connection: a request that could name any address would reach what only this machine can (server-side request forgery,
 * https://owasp.org/www-community/attacks/Server_Side_Request_Forgery), itself included.
 *
 * @module
 */

import { openApiBackend } from "../model/api/api_backend.ts";
import { type ApiEndpoint, checkEndpoint, endpointUrl } from "../model/api/endpoint.ts";
import type { ApiBase } from "../model/backend.ts";
import { ModelError } from "../model/error.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { BackendKind } from "../warm/kinds.ts";

/** Endpoints by the names that they are asked for by. A URL alone stands for an endpoint without a key. */
export type ApiEndpoints = Readonly<Record<string, ApiEndpoint | string>>;

/** Names go into the cache's statistics and its command line. */
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

/**
 * Makes the kind.
 *
 * @throws TypeError, RangeError for an endpoint that cannot be one.
 */
export function apiKind(
  runtime: Pick<Runtime, "clock" | "sha256" | "environment">,
  endpoints: ApiEndpoints,
): BackendKind {
  const known = new Map<string, ApiEndpoint>();
  for (const [name, given] of Object.entries(endpoints)) {
    // Answers of endpoints are filed under their names, and those of this machine's models under this one.
    if (!NAME.test(name) || name === "local") {
      throw new TypeError(`Cannot use an endpoint under this name: ${JSON.stringify(name)}`);
    }
    const endpoint = checkEndpoint(typeof given === "string" ? { url: given } : given);
    // One place has one key and one patience, by whatever name it is asked for.
    const same = [...known].find(([, { url }]) => url === endpoint.url);
    if (same !== undefined) {
      throw new TypeError(`Cannot use one endpoint under two names, ${same[0]} and ${name}: ${endpoint.url}`);
    }
    known.set(name, withKey(runtime, endpoint));
  }
  const find = (asked: string | undefined): readonly [name: string, endpoint: ApiEndpoint] => {
    for (const named of known) if (named[0] === asked) return named;
    const url = asked === undefined ? undefined : formOf(asked);
    for (const named of known) if (named[1].url === url) return named;
    const message = asked === undefined
      ? "A model of kind api needs the endpoint that answers for it"
      : `No such endpoint is set up here (known: ${[...known.keys()].join(", ") || "none"}): ${url ?? "no URL"}`;
    throw new ModelError("model_not_found", message, { parameter: "endpoint" });
  };
  return {
    resolve: (spec) =>
      new Promise((resolve) => {
        const [provider, { url }] = find(spec.endpoint);
        const base: ApiBase = {
          kind: "api",
          name: spec.base,
          // What the endpoint has under this name nobody can know from here; a revision is the user's word for it.
          identity: JSON.stringify([["endpoint", url], ["model", spec.base], ["revision", spec.revision ?? null]]),
          dtype: "unknown",
          device: "remote",
          provider,
          endpoint: url,
          model: spec.base,
        };
        resolve({ base });
      }),
    load: (base) =>
      new Promise((resolve) => {
        const [, endpoint] = find((base as ApiBase).endpoint);
        resolve(openApiBackend(runtime, base, endpoint));
      }),
  };
}

/** OpenAI's key where its own clients look for it, and for OpenAI alone: to others it is not sent. */
function withKey({ environment }: Pick<Runtime, "environment">, endpoint: ApiEndpoint): ApiEndpoint {
  const isOpenAi = new URL(endpoint.url).hostname === "api.openai.com";
  const apiKey = endpoint.apiKey ?? (isOpenAi ? environment("OPENAI_API_KEY") : undefined);
  return apiKey === undefined || apiKey === "" ? endpoint : { ...endpoint, apiKey };
}

function formOf(url: string): string | undefined {
  try {
    return endpointUrl(url);
  } catch {
    return undefined;
  }
}
