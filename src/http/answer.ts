/**
 * The road of a request for text: read it, look it up under the model's content identity without loading the model,
 * and only on a miss take a lease and generate. Whole answers and streams share one entry, and whoever asks for the same
 * at the same time shares one run.
 *
 * @module
 */

import type { Context } from "hono";
import type { CacheCallOptions, CacheStatus } from "../cache/call_options.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { type ModelSpec, parseModelName } from "../warm/spec.ts";
import type { CacheDirectives } from "./cache_directives.ts";
import { begunStatus, cacheHeaders } from "./cache_headers.ts";
import type { TextEndpoint } from "./endpoint.ts";
import { isAbort } from "./api_error.ts";
import { inWords, unlessCold, unlessLoading } from "./loading.ts";
import { underIdentity } from "./local_model.ts";
import { type LocalRequest, readLocalRequest } from "./local_request.ts";
import { errorCodeOf } from "./operations/watch_requests.ts";
import type { ServerParts } from "./parts.ts";
import type { TextRequest } from "./request_fields.ts";
import { eventStream } from "./sse.ts";
import {
  type Asking,
  begin,
  type BegunStream,
  type Chunk,
  generateAnswer,
  generateChunks,
  localScope,
  readAgain,
  streamedBody,
  wishedChunks,
} from "./text_answer.ts";

/** For how long what goes wrong with a stream still is a status, and not an event in it. */
export const GRACE: Milliseconds = 1500;

/** A request that has been read. */
interface Asked extends LocalRequest {
  readonly request: TextRequest;
  readonly spec: ModelSpec;
}

/** The handler of one text endpoint. */
export function textRoute(endpoint: TextEndpoint, parts: ServerParts): (context: Context) => Promise<Response> {
  return async (context) => {
    parts.activity.request();
    const local = await readLocalRequest(context, parts, endpoint.fields);
    const request = endpoint.read(local.body);
    const asked = { ...local, request, spec: parseModelName(request.model) };
    return await (request.stream ? streamedAnswer(endpoint, parts, asked) : wholeAnswer(endpoint, parts, asked));
  };
}

async function wholeAnswer(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): Promise<Response> {
  return await underIdentity(parts, asked.spec, asked.signal, async (model) => {
    const status: CacheStatus = {};
    asked.watched.facts.baseIdentity = model.base.identity;
    asked.watched.fared(status);
    const produce = (missing: object, { signal }: { readonly signal: AbortSignal }): Promise<object> =>
      generateAnswer(endpoint, parts, asking(asked, endpoint, missing, signal), model);
    const entry = await unlessLoading(
      parts,
      model,
      asked.signal,
      (signal) =>
        unlessCold(parts, model, asked, (directives) =>
          parts.cache.wrapEntry(asked.body, produce, {
            ...optionsOf(endpoint, asked, model, directives),
            signal,
            status,
          })),
    );
    return new Response(entry.bytes() as Uint8Array<ArrayBuffer>, {
      headers: { "Content-Type": "application/json", ...headersOf(parts, asked, status) },
    });
  });
}

/** What becomes known of a stream before it has begun. */
interface Known {
  readonly status: CacheStatus;
  model?: ResolvedModel;
  /** Whether a model is asked for this very caller. */
  isAsked: boolean;
}

async function streamedAnswer(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): Promise<Response> {
  parts.limits.streams.begin(asked.watched);
  const client = new AbortController();
  const leave = (): void => client.abort();
  if (asked.signal.aborted) leave();
  asked.signal.addEventListener("abort", leave, { once: true });
  const known: Known = { status: {}, isAsked: false };
  const opening = openStream(endpoint, parts, { ...asked, signal: client.signal }, known);
  // It is told to whoever reads the stream.
  opening.catch(() => {});
  const isShared = await hasBegun(parts, opening) && !known.isAsked;
  const status = begunStatus(known.status, isShared, asked.directives.mode);
  asked.watched.fared(known.status, status);
  return eventStream(asWished(opening, asked), {
    headers: headersOf(parts, asked, status),
    report: parts.report,
    clock: parts.clock,
    comment: () => inWords(asked.request.model, known.model && parts.loads.of(known.model.base)),
    leave,
  });
}

/** Waits until a stream has begun, but not for long. */
async function hasBegun({ clock }: ServerParts, opening: Promise<BegunStream>): Promise<boolean> {
  const over = new AbortController();
  try {
    const grace = clock.sleep(GRACE, { signal: over.signal, background: true });
    return await Promise.race([opening.then(() => true), grace.then(() => false)]);
  } finally {
    over.abort();
  }
}

async function openStream(
  endpoint: TextEndpoint,
  parts: ServerParts,
  asked: Asked,
  known: Known,
): Promise<BegunStream> {
  const body = streamedBody(asked.body);
  return await underIdentity(parts, asked.spec, asked.signal, async (model) => {
    known.model = model;
    asked.watched.facts.baseIdentity = model.base.identity;
    const produce = (missing: object, { signal }: { readonly signal: AbortSignal }): Promise<AsyncIterable<object>> => {
      known.isAsked = true;
      return Promise.resolve(generateChunks(endpoint, parts, asking(asked, endpoint, missing, signal), model));
    };
    return await unlessCold(parts, model, asked, async (directives) => {
      const options = { ...optionsOf(endpoint, asked, model, directives), signal: asked.signal, status: known.status };
      return await begin(await parts.cache.wrapStream<Chunk>(body, produce, options));
    });
  });
}

/** The chunks of a stream as one caller wishes for them. */
async function* asWished(
  opening: Promise<BegunStream>,
  { request, watched }: Asked,
): AsyncGenerator<object> {
  try {
    yield* wishedChunks(await opening, request);
  } catch (error) {
    if (!isAbort(error)) watched.facts.errorCode = errorCodeOf(error);
    throw error;
  }
}

/** What a model is asked for somebody, of whose samples some may be stored. */
function asking(
  { residency, watched }: Asked,
  endpoint: TextEndpoint,
  missing: object,
  signal: AbortSignal,
): Asking {
  const queued = (time: Milliseconds): void => void (watched.facts.queueTime = time);
  return { request: readAgain(endpoint, missing), residency, signal, queued };
}

function optionsOf(
  endpoint: TextEndpoint,
  { bypass }: Asked,
  model: ResolvedModel,
  directives: CacheDirectives,
): CacheCallOptions {
  return { ...directives, ...localScope(endpoint, model), bypass };
}

function headersOf(
  { clock }: ServerParts,
  { headers, directives: { mode } }: Asked,
  status: CacheStatus,
): Record<string, string> {
  return { ...headers, ...cacheHeaders(status, { mode, now: clock.now() }) };
}
