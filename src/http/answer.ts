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
import type { AnswerHead, TextEndpoint } from "./endpoint.ts";
import { isAbort } from "./errors.ts";
import { ChoiceCollector, type ChoiceEvent, generateChoices } from "./generation.ts";
import { inWords, unlessCold, unlessLoading } from "./loading.ts";
import { askModel, underIdentity } from "./local_model.ts";
import { type LocalRequest, readLocalRequest } from "./local_request.ts";
import { errorCodeOf } from "./operations/watch_requests.ts";
import type { ServerParts } from "./parts.ts";
import type { TextRequest } from "./request_fields.ts";
import { eventStream } from "./sse.ts";

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
      generateAnswer(endpoint, parts, { ...asked, request: readAgain(endpoint, missing), signal }, model);
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

async function generateAnswer(
  endpoint: TextEndpoint,
  parts: ServerParts,
  asked: Asked,
  model: ResolvedModel,
): Promise<object> {
  const collector = new ChoiceCollector(asked.request.n);
  for await (const event of generate(parts, asked, model)) collector.add(event);
  return endpoint.answer(newHead(endpoint, parts, asked, model), asked.request, collector.choices, collector.usage);
}

/** A stream that has begun. */
interface Opened {
  readonly items: AsyncIterator<Chunk>;
  readonly first: IteratorResult<Chunk>;
}

/** A chunk, as far as it is read here. */
type Chunk = { readonly choices?: unknown; readonly usage?: unknown };

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
async function hasBegun({ clock }: ServerParts, opening: Promise<Opened>): Promise<boolean> {
  const over = new AbortController();
  try {
    const grace = clock.sleep(GRACE, { signal: over.signal, background: true });
    return await Promise.race([opening.then(() => true), grace.then(() => false)]);
  } finally {
    over.abort();
  }
}

/** Opens a stream; until its first chunk is there, nothing was said, and it can start over under another identity. */
async function openStream(
  endpoint: TextEndpoint,
  parts: ServerParts,
  asked: Asked,
  known: Known,
): Promise<Opened> {
  // Everybody has his stream from the cache with its usage, since the one who leads may not wish for it.
  const body = { ...asked.body, stream_options: { include_usage: true } };
  return await underIdentity(parts, asked.spec, asked.signal, async (model) => {
    known.model = model;
    asked.watched.facts.baseIdentity = model.base.identity;
    const produce = (missing: object, { signal }: { readonly signal: AbortSignal }): Promise<AsyncIterable<object>> => {
      known.isAsked = true;
      const request = readAgain(endpoint, missing);
      return Promise.resolve(generateChunks(endpoint, parts, { ...asked, request, signal }, model));
    };
    return await unlessCold(parts, model, asked, async (directives) => {
      const options = { ...optionsOf(endpoint, asked, model, directives), signal: asked.signal, status: known.status };
      const stream = await parts.cache.wrapStream<Chunk>(body, produce, options);
      const items = stream[Symbol.asyncIterator]();
      return { items, first: await items.next() };
    });
  });
}

/** The chunks of a stream as one caller wishes for them. */
async function* asWished(
  opening: Promise<Opened>,
  { request: { includeUsage }, watched }: Asked,
): AsyncGenerator<object> {
  let items: Opened["items"] | undefined;
  try {
    const opened = await opening;
    const { first } = opened;
    items = opened.items;
    for (let next = first; !next.done; next = await items.next()) {
      const { usage, ...chunk } = next.value;
      const isLast = Boolean(usage);
      // Where the usage comes at the end, OpenAI's other chunks have none by name.
      if (includeUsage) yield isLast ? next.value : { ...chunk, usage: null };
      else if (!isLast) yield chunk;
    }
  } catch (error) {
    if (!isAbort(error)) watched.facts.errorCode = errorCodeOf(error);
    throw error;
  } finally {
    await items?.return?.();
  }
}

async function* generateChunks(
  endpoint: TextEndpoint,
  parts: ServerParts,
  asked: Asked,
  model: ResolvedModel,
): AsyncGenerator<object> {
  const { request } = asked;
  const head = newHead(endpoint, parts, asked, model);
  const collector = new ChoiceCollector(request.n);
  const toChunks = endpoint.chunker(head, request);
  for await (const event of generate(parts, asked, model)) {
    collector.add(event);
    yield* toChunks(event);
  }
  yield endpoint.usageChunk(head, collector.usage);
}

function generate(parts: ServerParts, asked: Asked, model: ResolvedModel): AsyncGenerator<ChoiceEvent> {
  const { signal, watched, residency: { lease }, request: { prompts, n, sampling, seed = parts.randomSeed() } } = asked;
  const plan = { prompts, n, sampling, seed };
  const queued = (time: Milliseconds): void => void (watched.facts.queueTime = time);
  return askModel(parts, model, { ...lease, signal, queued }, (view) => generateChoices(view, plan, signal));
}

/** What is missing of a request whose other samples are stored. */
function readAgain(endpoint: TextEndpoint, missing: object): TextRequest {
  return endpoint.read(missing as Record<string, unknown>);
}

function newHead(endpoint: TextEndpoint, parts: ServerParts, { request }: Asked, model: ResolvedModel): AnswerHead {
  return {
    id: `${endpoint.idPrefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(parts.clock.now() / 1000),
    model: request.model,
    system_fingerprint: `wc_${model.identity.slice(0, 16)}`,
  };
}

function optionsOf(
  endpoint: TextEndpoint,
  { bypass }: Asked,
  { identity }: ResolvedModel,
  directives: CacheDirectives,
): CacheCallOptions {
  return { ...directives, provider: "local", endpoint: endpoint.path, identity, bypass };
}

function headersOf(
  { clock }: ServerParts,
  { headers, directives: { mode } }: Asked,
  status: CacheStatus,
): Record<string, string> {
  return { ...headers, ...cacheHeaders(status, { mode, now: clock.now() }) };
}
