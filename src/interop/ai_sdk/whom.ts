/**
 * Whom a model of the AI SDK asks, and with what of its own. A call says nothing of that, and models do not either; but
 * most hold what they were made with. Two models that hold different things must not share answers, and of one that
 * shows nothing nobody can tell.
 *
 * @module
 */

import type { JsonObject } from "../../cache/json.ts";
import { ANTHROPIC_VERSION } from "../../cache/request/endpoint.ts";
import { headersDigest } from "../../cache/request/headers.ts";
import { providerAt } from "../../cache/request/upstreams.ts";
import type { ModelName } from "./model.ts";

/** What a caller may say of a model. */
export interface Vouching {
  readonly provider?: string | undefined;
  readonly identity?: string | undefined;
  readonly ignoreHeaders?: readonly string[] | undefined;
}

/** Who answers, as far as it can be found out. */
export interface Whom {
  readonly provider: string;
  /** What the model was made with, of all that changes what it answers. */
  readonly made: JsonObject;
  /** Why models that look the same may answer differently. */
  readonly doubt: string | undefined;
}

/** What models are made with, as far as it is known where they keep it. */
interface Config {
  readonly baseURL?: unknown;
  readonly baseUrl?: unknown;
  readonly url?: unknown;
  readonly headers?: unknown;
  readonly extraBody?: unknown;
}

/** Asked of each only once, for it may cost a call to get a token. */
const knownHeaders = new WeakMap<object, Promise<Headers>>();

/** Finds out whom a model asks that is called with these headers. */
export async function whomOf(
  model: ModelName,
  called: Record<string, string | undefined> | undefined,
  { provider, identity, ignoreHeaders }: Vouching,
): Promise<Whom> {
  const { config, settings } = model as { config?: unknown; settings?: unknown };
  const { extraBody } = Object(config) as Config;
  const headers = new Headers(await headersOf(config));
  for (const [name, value] of Object.entries(called ?? {})) if (value !== undefined) headers.set(name, value);
  const digest = await headersDigest(headers, ignoreHeaders);
  const address = addressOf(model);
  const version = address?.searchParams.get("api-version");
  address?.searchParams.delete("api-version");
  const anthropicVersion = headers.get("anthropic-version") ?? ANTHROPIC_VERSION;
  const made = {
    ...(settings !== undefined && { settings }),
    ...(extraBody !== undefined && { extraBody }),
    ...(version !== null && version !== undefined && { apiVersion: version }),
    ...(anthropicVersion !== ANTHROPIC_VERSION && { anthropicVersion }),
    ...(digest !== undefined && { headers: digest }),
  };
  const doubt = address === undefined && provider === undefined
    ? "the model does not show whom it asks, or what stands between: name it by `provider` or `identity`"
    : address?.search
    ? "the model's address has a query that is not known: name what it changes by `identity`"
    : undefined;
  return {
    provider: provider ?? (address === undefined ? model.provider : nameOf(address)),
    made,
    doubt: identity === undefined ? doubt : undefined,
  };
}

/** Two servers behind one kind of client must not share answers, for both may have a model of the same name. */
function nameOf({ origin, pathname }: URL): string {
  const known = providerAt(origin);
  return known === origin ? `${origin}${pathname.replace(/\/$/, "")}` : known;
}

function addressOf(model: ModelName): URL | undefined {
  const { url, baseURL, baseUrl } = Object((model as { config?: unknown }).config) as Config;
  const base = baseURL ?? baseUrl;
  try {
    const address = typeof url === "function"
      ? url({ path: "", modelId: model.modelId })
      : typeof base === "function"
      ? base()
      : base;
    return typeof address === "string" ? new URL(address) : undefined;
  } catch {
    return undefined;
  }
}

/** The headers that a model sends with every call; none where they cannot be had, for then it cannot be called either. */
async function headersOf(config: unknown): Promise<Headers> {
  const none = new Headers();
  if (typeof config !== "object" || config === null) return none;
  let known = knownHeaders.get(config);
  if (known === undefined) knownHeaders.set(config, known = resolvedHeaders(config));
  try {
    return await known;
  } catch {
    knownHeaders.delete(config);
    return none;
  }
}

async function resolvedHeaders({ headers }: Config): Promise<Headers> {
  const record: unknown = await (typeof headers === "function" ? headers() : headers);
  const entries = Object.entries(Object(record)).filter(([, value]) => typeof value === "string");
  return new Headers(entries as [string, string][]);
}
