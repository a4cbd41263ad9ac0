/**
 * A question over HTTP and its answer: from the cache, or from the provider, as the provider gave it. What the fetch
 * wrapper and the proxy have in common; how the provider is reached is theirs.
 *
 * @module
 */

import type { CacheCallOptions, CacheStatus } from "../call_options.ts";
import type { ProduceContext } from "../flow/supplier.ts";
import { decodeText, encodeText, type JsonObject } from "../json.ts";
import { reads, writes } from "../mode.ts";
import type { ResponseCache } from "../response_cache.ts";
import { rememberAnswered } from "./answered_questions.ts";
import type { Asker } from "./asker.ts";
import { EVENT_STREAM, Failure, isAnswer, isOf, isOfAnother, rebuilt, recordedFailure } from "./provider_answer.ts";
import type { Question } from "./question.ts";
import { servedBody } from "./served_body.ts";

/** A question, and how to ask it. */
export interface Exchange {
  readonly question: Question;
  readonly asker: Asker;
  /** Who is asked, and how the answer is served and kept. */
  readonly options: Omit<CacheCallOptions, "endpoint" | "bypass" | "status">;
  /** Whether the answer is sent on to somebody who may take his time over it: a long one then comes as he reads it. */
  readonly isServed?: boolean;
  /** Asks the provider, with this text for a body, until the signal ends it. */
  send(body: string, signal: AbortSignal): Promise<Response>;
}

/** What came of it. */
export interface Exchanged {
  readonly response: Response;
  /** How the request fared; of a stream that is under way it is not known yet. */
  readonly status: CacheStatus;
  /** What the provider said to this very caller; absent where he was not asked for him. */
  readonly asked: Response | undefined;
}

/** Asks the provider for what is missing. */
type Ask<T> = (missing: JsonObject, context: ProduceContext) => Promise<T>;

/** The provider's answer to the very question, where there was need to ask it. */
interface Asked {
  response?: Response;
  /** Its bytes, where all was asked for that the question asks for. */
  whole?: Uint8Array<ArrayBuffer> | undefined;
}

/**
 * Answers a question. A failure of the provider's is a response as well.
 *
 * @throws what `send` throws, and what `cache.wrap` throws before anything is sent; the reason of the caller's signal as
 * soon as that is aborted.
 */
export async function exchange(cache: ResponseCache, call: Exchange): Promise<Exchanged> {
  return await attempt(cache, call);
}

async function attempt(cache: ResponseCache, call: Exchange): Promise<Exchanged> {
  const { asker, options: { mode = "read-write" }, question: { endpoint, bypass } } = call;
  const asked: Asked = {};
  const status: CacheStatus = {};
  const told = (response: Response): Exchanged => ({ response, status, asked: asked.response });
  try {
    const response = await answerTo(cache, call, { ...call.options, endpoint, bypass, status }, asked);
    if (status.outcome === "hit") rememberAnswered(call.question);
    return told(response);
  } catch (error) {
    // Whoever has another key may be answered otherwise. Each of those who asked at the same time fails once, so it ends.
    if (error instanceof Failure && !error.isFor(asker)) return await attempt(cache, call);
    if (isOfAnother(error, asker) && reads(mode) && mode !== "replay") {
      const anew = { ...call.options, mode: writes(mode) ? "refresh" : "off" } as const;
      return await attempt(cache, { ...call, options: anew });
    }
    const failure = error instanceof Failure ? error.toResponse(asker) : recordedFailure(error);
    if (failure === undefined) throw error;
    return told(failure);
  }
}

async function answerTo(
  cache: ResponseCache,
  { question: { kind, body, text, form }, asker, isServed = false, send }: Exchange,
  options: CacheCallOptions,
  asked: Asked,
): Promise<Response> {
  // What was answered to a call that failed, or goes on in the background, is not about the answer of before.
  const own = (): Response | undefined => options.status?.expiredServed ? undefined : asked.response;
  const wholly = (bytes: Uint8Array<ArrayBuffer>): Response => {
    const content = isServed ? servedBody(bytes) : bytes;
    const response = rebuilt(own(), content);
    // How long a stream will be no runtime knows.
    if (content !== bytes) response.headers.set("Content-Length", String(bytes.length));
    return response;
  };
  const ask: Ask<Response> = async (missing, { signal }) => {
    return asked.response = await send(missing === body ? text : JSON.stringify(missing), signal);
  };
  const askWhole: Ask<Uint8Array<ArrayBuffer>> = async (missing, context) => {
    const response = await ask(missing, context);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const isGood = response.status === 200 && isOf("application/json", response.headers);
    if (!isGood || !isAnswer(kind, bytes)) throw new Failure(response, bytes, asker);
    return bytes;
  };
  if (form === "stream") {
    const events = await cache.wrapEvents(body, async (missing, context) => {
      const response = await ask(missing, context);
      if (response.status === 200 && isOf(EVENT_STREAM, response.headers) && response.body !== null) {
        return response.body;
      }
      throw new Failure(response, new Uint8Array(await response.arrayBuffer()), asker);
    }, options);
    return rebuilt(own(), events as ReadableStream<Uint8Array<ArrayBuffer>>, EVENT_STREAM);
  }
  if (form === "embeddings") {
    const answer = await cache.wrapEmbeddings(body, async (missing, context) => {
      const bytes = await askWhole(missing, context);
      asked.whole = JSON.stringify(missing) === JSON.stringify(body) ? bytes : undefined;
      try {
        return JSON.parse(decodeText(bytes)) as JsonObject;
      } catch {
        throw new Failure(asked.response!, bytes, asker);
      }
    }, options);
    const whole = options.status?.expiredServed ? undefined : asked.whole;
    return wholly(whole ?? encodeText(JSON.stringify(answer)) as Uint8Array<ArrayBuffer>);
  }
  const entry = await cache.wrapEntry(body, askWhole, options);
  return wholly(entry.bytes() as Uint8Array<ArrayBuffer>);
}
