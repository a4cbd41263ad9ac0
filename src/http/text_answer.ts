/**
 * Having a model that is kept warm answer a request for text, whole or in chunks. Nothing here knows of HTTP or of a
 * server, so that a page that runs models of its own answers as a server does, and files it under the same key.
 *
 * @module
 */

import type { Scope } from "../cache/request/scope.ts";
import { hexOf } from "../runtime/hex.ts";
import type { Milliseconds } from "../runtime/runtime.ts";
import type { ResolvedModel } from "../warm/identity.ts";
import type { AnswerHead, TextEndpoint } from "./endpoint.ts";
import { ChoiceCollector, type ChoiceEvent, generateChoices } from "./generation.ts";
import { type AskingParts, askModel } from "./local_model.ts";
import type { Residency } from "./own_fields.ts";
import type { TextRequest } from "./request_fields.ts";

/** What answering takes. */
export interface AnsweringParts extends AskingParts {
  /** A seed for requests that name none: an unsigned 32-bit integer. */
  readonly randomSeed: () => number;
}

/** A question, and for whom it is asked. */
export interface Asking {
  readonly request: TextRequest;
  readonly residency: Pick<Residency, "lease">;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Is told how long the model was waited for. */
  readonly queued?: (time: Milliseconds) => void;
}

/** Under what the cache files the answers of a model of ours. */
export function localScope({ path }: TextEndpoint, { identity }: ResolvedModel): Scope {
  return { provider: "local", endpoint: path, identity };
}

/** What is missing of a request whose other samples are stored. */
export function readAgain(endpoint: TextEndpoint, missing: object): TextRequest {
  return endpoint.read(missing as Record<string, unknown>);
}

/** The body by which a stream is looked up: with its usage, since the one who leads may not wish for it. */
export function streamedBody(body: object): object {
  return { ...body, stream_options: { include_usage: true } };
}

/** A chunk, as far as it is read here. */
export type Chunk = { readonly choices?: unknown; readonly usage?: unknown };

/** A chunk as one caller wishes for it, who may not want the usage; `undefined` when it has nothing for him. */
function wishedChunk(whole: Chunk, { includeUsage }: TextRequest): Chunk | undefined {
  const { usage, ...chunk } = whole;
  const isLast = Boolean(usage);
  // Where the usage comes at the end, OpenAI's other chunks have none by name.
  if (includeUsage) return isLast ? whole : { ...chunk, usage: null };
  return isLast ? undefined : chunk;
}

/** A stream that has begun. */
export interface BegunStream {
  readonly items: AsyncIterator<Chunk>;
  readonly first: IteratorResult<Chunk>;
}

/** Waits for the first chunk: until it is there nothing was said, and all may begin anew under another identity. */
export async function begin(stream: AsyncIterable<Chunk>): Promise<BegunStream> {
  const items = stream[Symbol.asyncIterator]();
  return { items, first: await items.next() };
}

/** All chunks as one caller wishes for them. */
export async function* wishedChunks({ items, first }: BegunStream, request: TextRequest): AsyncGenerator<Chunk> {
  try {
    for (let next = first; !next.done; next = await items.next()) {
      const chunk = wishedChunk(next.value, request);
      if (chunk !== undefined) yield chunk;
    }
  } finally {
    await items.return?.();
  }
}

/** The answer as one object. */
export async function generateAnswer(
  endpoint: TextEndpoint,
  parts: AnsweringParts,
  asking: Asking,
  model: ResolvedModel,
): Promise<object> {
  const { request } = asking;
  const collector = new ChoiceCollector(request.n);
  for await (const event of generate(parts, asking, model)) collector.add(event);
  return endpoint.answer(newHead(endpoint, parts, request, model), request, collector.choices, collector.usage);
}

/** The answer in chunks, the last of which has the usage. */
export async function* generateChunks(
  endpoint: TextEndpoint,
  parts: AnsweringParts,
  asking: Asking,
  model: ResolvedModel,
): AsyncGenerator<object> {
  const { request } = asking;
  const head = newHead(endpoint, parts, request, model);
  const collector = new ChoiceCollector(request.n);
  const toChunks = endpoint.chunker(head, request);
  for await (const event of generate(parts, asking, model)) {
    collector.add(event);
    yield* toChunks(event);
  }
  yield endpoint.usageChunk(head, collector.usage);
}

function generate(parts: AnsweringParts, asking: Asking, model: ResolvedModel): AsyncGenerator<ChoiceEvent> {
  const { signal, queued, residency: { lease }, request: { prompts, n, sampling, seed = parts.randomSeed() } } = asking;
  const plan = { prompts, n, sampling, seed };
  const options = { ...lease, signal, ...(queued !== undefined && { queued }) };
  return askModel(parts, model, options, (view) => generateChoices(view, plan, signal));
}

function newHead(
  endpoint: TextEndpoint,
  { clock }: AnsweringParts,
  { model: name }: TextRequest,
  { identity }: ResolvedModel,
): AnswerHead {
  return {
    id: `${endpoint.idPrefix}-${randomId()}`,
    created: Math.floor(clock.now() / 1000),
    model: name,
    system_fingerprint: `wc_${identity.slice(0, 16)}`,
  };
}

/** 128 random bits. Not `randomUUID`, which a page has in a secure context only. */
function randomId(): string {
  return hexOf(crypto.getRandomValues(new Uint8Array(16)));
}
