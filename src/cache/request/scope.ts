/**
 * Who is asked: the part of a request that is not in its body. The library, the proxy and the fetch wrapper compute the
 * same scope for the same call, and so share entries.
 *
 * @module
 */

import type { JsonObject } from "../json.ts";

/** Who is asked. */
export interface Scope {
  /** `openai` (the default), `anthropic`, `google`, `local`, the configured name of an upstream, or its origin. */
  readonly provider?: string;
  /** Path at the provider, as `docs/key.md` writes it. `/v1/chat/completions` by default. */
  readonly endpoint?: string;
  /** Entries in different namespaces never meet. The cache's own by default, else empty. */
  readonly namespace?: string;
  /** Content identity of a local model; none by default. */
  readonly identity?: string;
}

/** The names of {@link Scope}, for checking options. */
export const SCOPE_OPTIONS: readonly string[] = ["provider", "endpoint", "namespace", "identity"];

/** A scope with every default in place, and the model that decides where its entries live. */
export interface ResolvedScope {
  readonly provider: string;
  readonly endpoint: string;
  readonly namespace: string;
  readonly identity: string | null;
  readonly model: string;
}

/** The path at the provider that is meant where none is given. */
export const DEFAULT_ENDPOINT = "/v1/chat/completions";

/** Where entries live whose request names no model. */
const NO_MODEL = "_none";

/**
 * Puts the defaults in place. The model is the body's `model`, else the one in the path (`/models/<name>:…`,
 * `/models/<name>/…`), else {@link NO_MODEL}.
 *
 * @throws TypeError when a part is no string, or when the body has no text `model` and the provider or endpoint is left
 * to the defaults, which would then be a guess.
 */
export function resolveScope(body: JsonObject, scope: Scope, namespace: string): ResolvedScope {
  for (const name of SCOPE_OPTIONS) {
    const value = scope[name as keyof Scope];
    if (value !== undefined && typeof value !== "string") {
      throw new TypeError(`Cannot use a scope whose ${name} is no string: ${String(value)}`);
    }
  }
  const { provider = "openai", endpoint = DEFAULT_ENDPOINT, identity = null } = scope;
  const named = typeof body.model === "string" ? body.model : undefined;
  if (named === undefined && (scope.provider === undefined || scope.endpoint === undefined)) {
    throw new TypeError(
      `Cannot tell who is asked (a body without model needs provider and endpoint): model is ${typeof body.model}`,
    );
  }
  return {
    provider,
    endpoint,
    namespace: scope.namespace ?? namespace,
    identity,
    model: named ?? modelInPath(endpoint) ?? NO_MODEL,
  };
}

/** The model that a path names, as Google's do. */
export function modelInPath(endpoint: string): string | undefined {
  return /\/models\/([^/:]+)(?:[/:]|$)/.exec(endpoint)?.[1];
}
