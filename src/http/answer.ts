/**
 * The road of a request for text: read it, look it up under the model's content identity without loading the model,
 * and only on a miss take a lease and generate. Whole answers and streams share one entry.
 *
 * @module
 */

import type { Context } from "hono";
import { parseRequest } from "../cache/request/raw_json.ts";
import type { Scope } from "../cache/request/scope.ts";
import type { CacheStatus, PutCallOptions } from "../cache/call_options.ts";
import { ModelError } from "../model/error.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import { parseModelName } from "../warm/spec.ts";
import { cacheStatus } from "./cache_status.ts";
import { type AnswerHead, headOf, type StoredAnswer, type TextEndpoint } from "./endpoint.ts";
import { invalidRequest, isAbort } from "./errors.ts";
import { ChoiceCollector, type ChoiceEvent, generateChoices } from "./generation.ts";
import type { ServerParts } from "./parts.ts";
import type { TextRequest } from "./request_fields.ts";
import { eventStream } from "./sse.ts";

/** How often a request starts over because model files changed under it, before it gives up. */
const MOST_ATTEMPTS = 3;

/** A request that has been read, and the model it is for. */
interface Asked {
  /** Aborted with an `AbortError` when the client has gone. */
  readonly signal: AbortSignal;
  readonly body: Record<string, unknown>;
  /** Why the cache must not answer or keep it, when the body cannot be keyed safely. */
  readonly bypass: string | undefined;
  readonly request: TextRequest;
  readonly model: ResolvedModel;
}

/** The handler of one text endpoint. */
export function textRoute(endpoint: TextEndpoint, parts: ServerParts): (context: Context) => Promise<Response> {
  return async (context) => {
    parts.activity.request();
    const { body, unkeyable } = readJson(await readText(context));
    const request = endpoint.read(body);
    const spec = parseModelName(request.model);
    const signal = departure(context.req.raw);
    for (let attempt = 1;;) {
      const asked = { signal, body, bypass: unkeyable, request, model: await parts.backends.identify(spec) };
      try {
        return request.stream
          ? await streamedAnswer(endpoint, parts, asked)
          : await wholeAnswer(endpoint, parts, asked);
      } catch (error) {
        // Somebody else's request, whose answer this one was to share, was given up: one of those who wait goes on.
        if (isAbort(error) && !signal.aborted) continue;
        const changed = error instanceof ModelError && error.code === "identity_changed";
        if (!changed || attempt++ === MOST_ATTEMPTS) throw error;
      }
    }
  };
}

async function readText(context: Context): Promise<string> {
  try {
    return await context.req.text();
  } catch (error) {
    throw invalidRequest(`The body of the request broke off: ${(error as Error).message}`);
  }
}

function readJson(text: string): { body: Record<string, unknown>; unkeyable: string | undefined } {
  let parsed;
  try {
    parsed = parseRequest(text);
  } catch (error) {
    throw invalidRequest((error as Error).message);
  }
  const { body, unkeyable } = parsed;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw invalidRequest(`The body of a request has to be a JSON object: ${text.slice(0, 40)}`);
  }
  return { body: body as Record<string, unknown>, unkeyable };
}

async function wholeAnswer(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): Promise<Response> {
  const status: CacheStatus = {};
  const entry = await parts.cache.wrapEntry(
    asked.body,
    (missing) => generateAnswer(endpoint, parts, { ...asked, request: endpoint.read(missing as Asked["body"]) }),
    { ...scopeOf(endpoint, asked), status },
  );
  return new Response(entry.bytes() as Uint8Array<ArrayBuffer>, {
    headers: { "Content-Type": "application/json", "Cache-Status": cacheStatus(status) },
  });
}

async function generateAnswer(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): Promise<object> {
  const collector = new ChoiceCollector(asked.request.n);
  for await (const event of generate(parts, asked)) collector.add(event);
  return endpoint.answer(newHead(endpoint, parts, asked), asked.request, collector.choices, collector.usage);
}

async function streamedAnswer(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): Promise<Response> {
  const { body, request } = asked;
  const status: CacheStatus = {};
  const stored = await parts.cache.get(body, { ...scopeOf(endpoint, asked), status });
  const chunks = stored === undefined
    ? await begun(liveChunks(endpoint, parts, asked))
    : replayChunks(endpoint, request, stored.json() as StoredAnswer);
  return eventStream(chunks, { "Cache-Status": cacheStatus(status) }, parts.report);
}

async function* replayChunks(
  endpoint: TextEndpoint,
  request: TextRequest,
  stored: StoredAnswer,
): AsyncGenerator<object> {
  for (const chunk of endpoint.replay(stored)) yield beforeUsage(request, chunk);
  if (request.includeUsage) yield endpoint.usageChunk(headOf(stored), stored.usage);
}

/** Where the usage comes at the end, OpenAI's other chunks have none by name. */
function beforeUsage({ includeUsage }: TextRequest, chunk: object): object {
  return includeUsage ? { ...chunk, usage: null } : chunk;
}

/** Sends as it generates, and stores the whole answer once the last token is there; an aborted one leaves nothing. */
async function* liveChunks(endpoint: TextEndpoint, parts: ServerParts, asked: Asked): AsyncGenerator<object> {
  const { body, request } = asked;
  const head = newHead(endpoint, parts, asked);
  const collector = new ChoiceCollector(request.n);
  const toChunks = endpoint.chunker(head, request);
  for await (const event of generate(parts, asked)) {
    collector.add(event);
    for (const chunk of toChunks(event)) yield beforeUsage(request, chunk);
  }
  const answer = endpoint.answer(head, request, collector.choices, collector.usage);
  await parts.cache.put(body, answer, scopeOf(endpoint, asked)).catch(parts.report);
  if (request.includeUsage) yield endpoint.usageChunk(head, collector.usage);
}

/**
 * Generates under a lease, which the request holds before the model's load starts and until its last event. A client
 * that goes away ends the wait and the work.
 */
async function* generate(parts: ServerParts, asked: Asked): AsyncGenerator<ChoiceEvent> {
  const { signal, request: { prompts, n, sampling, seed = parts.randomSeed() }, model } = asked;
  // Disposed by hand: Node 22 does not know `using`.
  const lease = await parts.backends.lease(model.spec, { signal });
  try {
    if (lease.identity !== model.identity) {
      throw new ModelError(
        "identity_changed",
        `Cannot answer under another identity than was looked up: ${lease.identity}`,
      );
    }
    const done = parts.activity.run();
    try {
      yield* generateChoices(lease.view, { prompts, n, sampling, seed }, signal);
    } finally {
      done();
    }
  } finally {
    await lease[Symbol.asyncDispose]();
  }
}

/** A signal for the client's going away; the reasons that runtimes give differ, and not all are errors. */
function departure({ signal }: Request): AbortSignal {
  const controller = new AbortController();
  if (signal.aborted) controller.abort();
  else signal.addEventListener("abort", () => controller.abort(), { once: true });
  return controller.signal;
}

/** Waits for the first chunk, so that what goes wrong until then is a status and not an event in a stream. */
async function begun(chunks: AsyncGenerator<object>): Promise<AsyncIterable<object>> {
  const first = await chunks.next();
  return (async function* () {
    if (first.done) return;
    try {
      yield first.value;
      yield* chunks;
    } finally {
      await chunks.return(undefined);
    }
  })();
}

function newHead(endpoint: TextEndpoint, parts: ServerParts, { request, model }: Asked): AnswerHead {
  return {
    id: `${endpoint.idPrefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(parts.clock.now() / 1000),
    model: request.model,
    system_fingerprint: `wc_${model.identity.slice(0, 16)}`,
  };
}

function scopeOf(endpoint: TextEndpoint, { bypass, model }: Asked): Scope & Pick<PutCallOptions, "bypass"> {
  return { provider: "local", endpoint: endpoint.path, identity: model.identity, bypass };
}
