/**
 * The response cache: joins what a request means to a store of answers. A wrong answer is the worst it could do, losing
 * a paid one the second worst; so what cannot be keyed is refused, and what cannot be stored is returned all the same.
 *
 * What callers may ask of it, and what they are promised, is here; how it is done is in the files that it calls.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import { CacheError } from "../store/error.ts";
import type { Removed, Selection } from "../store/store.ts";
import { type VerifyReport, verifyStore } from "../store/verify.ts";
import type { Entry } from "./answer/entry.ts";
import { storedAnswer } from "./answer/stored_answer.ts";
import { EMBEDDINGS, type ItemKind, MODERATIONS } from "./batch/items.ts";
import { planSamples, SAMPLES_OPTIONS, type SamplesOptions, wrapSamples } from "./batch/sampling.ts";
import { readDivided, wrapDivided } from "./batch/wrap_divided.ts";
import { wrapMany } from "./batch/wrap_many.ts";
import { planCache, type ResponseCacheOptions } from "./cache_options.ts";
import {
  type CacheCallOptions,
  type CacheStatus,
  type GetOptions,
  OPTION_NAMES,
  type Plan,
  planCall,
  type PutCallOptions,
} from "./call_options.ts";
import type { Explanation } from "./explain/explanation.ts";
import { deposit } from "./flow/deposit.ts";
import { findMany, findOne } from "./flow/find.ts";
import type { ProduceContext } from "./flow/supplier.ts";
import { UnderWay } from "./flow/under_way.ts";
import { wrapEntry, wrapValue } from "./flow/wrap.ts";
import { gatherStatistics } from "./ledger/gather.ts";
import type { CacheStatistics } from "./ledger/statistics.ts";
import { type CacheParts, cacheParts } from "./parts.ts";
import { cleared, pruned, type PruneOptions, tagged } from "./removal.ts";
import { endpointKind } from "./request/ignore_list.ts";
import { isKeyed } from "./request/request.ts";
import { type Scope, SCOPE_OPTIONS } from "./request/scope.ts";
import { listed, type ListOptions, type StoredRequest, storedRequest } from "./request/stored_request.ts";
import type { StreamSource } from "./stream/live_stream.ts";
import { streamParts } from "./stream/stream_parts.ts";
import { STREAM_OPTIONS, streamChunks, streamEvents, type StreamOptions } from "./stream/streaming.ts";
import { type CacheVerifyOptions, verification } from "./verification.ts";

export type { CacheVerifyOptions, PruneOptions, ResponseCacheOptions };

/** Every answer a model gave, never bought twice. */
export class ResponseCache implements AsyncDisposable {
  readonly #parts: CacheParts;
  readonly #calls = new UnderWay();
  #closed: Promise<void> | undefined;

  /**
   * Makes a cache on a store.
   *
   * @throws TypeError for an option that does not exist or has a wrong type; RangeError for an amount that cannot be.
   */
  constructor(options: ResponseCacheOptions) {
    this.#parts = cacheParts(planCache(options));
  }

  /**
   * The stored answer to a request, if all the samples it asks for are there.
   *
   * @throws TypeError when the request cannot be keyed; CacheError `closed`; `replay_miss` in the mode `replay`; with
   * `refusedStore: "throw"` also `locked`, `newer_schema`, `foreign_file`.
   */
  async get(body: object, options: GetOptions = {}): Promise<Entry | undefined> {
    const plan = this.#plan("get an answer", options, OPTION_NAMES.get);
    const found = this.#calls.run(() => findOne(this.#parts, body, options, plan));
    return found instanceof Promise ? await found : found;
  }

  /**
   * The stored answers to many requests, in their order, duplicates included. The store is asked
   * model by model, for a few hundred at a time.
   *
   * @throws as {@link get} does.
   */
  async getMany(bodies: readonly object[], options: Omit<GetOptions, "status"> = {}): Promise<(Entry | undefined)[]> {
    const names = OPTION_NAMES.get.filter((name) => name !== "status");
    const plan = this.#plan("get answers", options, names);
    checkList("get answers", bodies);
    return await this.#calls.run(() => findMany(this.#parts, [...bodies], options, plan));
  }

  /**
   * Stores an answer as the first of its request: JSON as an object, or its raw bytes. Several choices are several
   * samples. An outcome that is not stored (`error`, `empty`, `invalid`) is reported and not stored.
   *
   * @throws TypeError when the request cannot be keyed or the answer is not JSON; CacheError when the store cannot
   * write, or the cache is `closed`.
   */
  async put(body: object, answer: object, options: PutCallOptions = {}): Promise<void> {
    const plan = this.#plan("put an answer", options, OPTION_NAMES.put);
    await this.#calls.run(() => deposit(this.#parts, body, answer, options, plan));
  }

  /**
   * The answer to a request: from the cache, else from `produce`, which is then stored. `produce` gets the body, with
   * `n` reduced to the samples that are missing, and is called once however many callers want the same at the same time,
   * here and in the other processes that share the store.
   *
   * An answer is JSON: plain objects and lists, all the way down. Another value is returned, but not stored, and then
   * everybody calls for one of their own; so is a stream, for which there are {@link wrapStream} and {@link wrapEvents}.
   * A request for embeddings is answered text by text, as {@link wrapEmbeddings} does.
   *
   * Whoever waits for another's call gets its error too, unless that call was aborted or asked for more samples. A call
   * from within `produce` for the same request goes round the cache: {@link ResponseCacheOptions.callContext}. The body
   * must not be changed until the answer is there: an answer to one that was is returned, but not stored. What is bought
   * in the background (`staleWhileRevalidate`) is bought for a copy of it.
   *
   * @throws what `produce` throws; and before it is called, as {@link get} does, what `isValid` throws, and TypeError
   * when the body was changed while the cache looked it up; the reason of `signal` once that is aborted; CacheError
   * `call_failed` when another process made the call and it failed, or it was refused just before.
   */
  async wrap<T, B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<T>,
    options: CacheCallOptions = {},
  ): Promise<T> {
    const plan = this.#plan("wrap a call", options, OPTION_NAMES.wrap);
    checkFunction(produce);
    const call = { body, produce, options, plan };
    const isEmbeddings = endpointKind(options.endpoint ?? "") === "embeddings";
    return await this.#calls.run(() =>
      isEmbeddings ? wrapDivided(this.#parts, EMBEDDINGS, call) : wrapValue(this.#parts, call)
    );
  }

  /**
   * As {@link wrap}, for callers who pass answers on: an entry instead of a parsed value. What `produce` answers, as JSON
   * or as raw bytes, is the entry's bytes, untouched.
   *
   * @throws as {@link wrap} does, and TypeError when `produce` answers with neither JSON nor bytes.
   */
  async wrapEntry<B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<object>,
    options: CacheCallOptions = {},
  ): Promise<Entry> {
    const plan = this.#plan("wrap a call", options, OPTION_NAMES.wrap);
    checkFunction(produce);
    return await this.#calls.run(() => wrapEntry(this.#parts, { body, produce, options, plan }));
  }

  /**
   * The answer to a request as a stream of chunks, as SDKs give it: from the cache, else from `produce`, chunk by chunk
   * while it comes. It is stored, and `status` filled in, when its reader comes to the end. Whoever asks for the same
   * meanwhile, here, reads along from the first chunk; elsewhere he waits for the whole.
   *
   * Whoever stops reading has to say so, as `for await` does. When all have, the call is given up, the signal that
   * `produce` was given is aborted, and nothing is stored, unless the last word was there already. A reader who for ten
   * seconds neither reads nor stops is not waited for: the cache reads to the end itself, as it does when it is closed.
   *
   * OpenAI's chat completions, completions and responses and Anthropic's messages are understood; a stream of another
   * kind goes round the cache. A stored stream also answers {@link wrap}, and a stored answer comes as a stream here. A
   * stream without usage is without it for whoever gets it from the store, so ask for it (OpenAI's
   * `stream_options.include_usage`); it is kept from those who did not. Streams longer than 64 MiB are not stored.
   *
   * @throws as {@link wrap} does, until the stream begins; TypeError when `produce` answers with neither a stream nor
   * JSON.
   */
  async wrapStream<C extends object, B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<AsyncIterable<C>>,
    options: StreamOptions = {},
  ): Promise<AsyncIterable<C>> {
    const plan = this.#planStream(options, produce);
    const open = async (): Promise<unknown> =>
      streamChunks(await streamParts(this.#parts, body, produce, options, plan));
    return await this.#calls.run(open) as AsyncIterable<C>;
  }

  /**
   * As {@link wrapStream}, as the bytes of server-sent events. Bytes that `produce` gives are passed on untouched.
   *
   * @throws as {@link wrap} does, until the stream begins.
   */
  async wrapEvents<B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<StreamSource>,
    options: StreamOptions = {},
  ): Promise<ReadableStream<Uint8Array>> {
    const plan = this.#planStream(options, produce);
    return await this.#calls.run(async () =>
      streamEvents(await streamParts(this.#parts, body, produce, options, plan))
    );
  }

  /**
   * `n` answers to one request, each as a call with `n` = 1 answers: those that are stored, in the order in which they
   * were stored, and from `produce` only as many as are missing. Asking for fewer gives the first of them. Writers at the
   * same time, in whatever process, add to each other's. With a `seed` all are asked for anew, and replaced.
   *
   * `produce` gives a list of answers, or of promises of them: what has arrived is stored also where others fail. What is
   * no answer but an error is no sample. `costMicrodollars` is what each of them costs.
   *
   * @throws as {@link wrap} does, RangeError for an `n` that is no positive integer; CacheError `insufficient_samples` as
   * {@link SamplesOptions.insufficient} says.
   */
  async wrapSamples<T>(
    body: object,
    n: number,
    produce: (count: number, context: ProduceContext) => Promise<readonly (T | PromiseLike<T>)[]>,
    options: SamplesOptions = {},
  ): Promise<T[]> {
    const plan = this.#plan("wrap samples", options, [...OPTION_NAMES.wrap, ...SAMPLES_OPTIONS]);
    const wanted = planSamples(n, options);
    checkFunction(produce);
    return await this.#calls.run(() => wrapSamples(this.#parts, { body, produce, options, plan, wanted }));
  }

  /**
   * The answers to many requests, in their order: from the cache, and from one call of `produce` for all that are
   * missing. It answers with as many as it was asked for, in that order; an answer may be a promise, so that one that
   * fails does not take the others with it. Requests that mean the same are asked for once.
   *
   * A request that others are buying at the same time, here or in another process, is not asked for, unless they fail
   * it: then it is asked for by another call. `statuses` is filled in, request by request, whatever becomes of them.
   *
   * @throws what the first failing request fails with, once all others are answered and stored; as {@link wrap} does;
   * TypeError when `produce` does not give one answer for each, with what it gave as `cause`.
   */
  async wrapMany<T, B extends object = object>(
    bodies: readonly B[],
    produce: (missing: readonly B[], context: ProduceContext) => Promise<readonly (T | PromiseLike<T>)[]>,
    options: Omit<CacheCallOptions, "status" | "bypass"> & { readonly statuses?: CacheStatus[] } = {},
  ): Promise<T[]> {
    const names = [...OPTION_NAMES.wrap.filter((name) => name !== "status" && name !== "bypass"), "statuses"];
    const plan = this.#plan("wrap calls", options, names);
    checkFunction(produce);
    checkList("wrap calls", bodies);
    const { statuses = [] } = options;
    if (!Array.isArray(statuses)) throw new TypeError(`Cannot wrap calls: statuses is no list: ${typeof statuses}`);
    const calls = { bodies: [...bodies], produce, scope: options, plan, statuses };
    return await this.#calls.run(() => wrapMany(this.#parts, calls));
  }

  /**
   * Embeddings, text by text (or list of tokens by list): each is looked up by itself, and `produce` gets the body with
   * those that are missing, each once. The vectors come in the form the request asks for, whatever form they were bought
   * in. In the statistics each text is a lookup, with its part of what the call used and cost.
   *
   * What `produce` answers to all of it, but cannot be told apart into vectors, is returned and not stored. An input that
   * does not divide, or vectors of a form other than `float` and `base64`, go round the cache.
   *
   * @throws as {@link wrap} does; TypeError for `isValid` (a vector is no JSON), for an endpoint that is not one of
   * embeddings, and when an answer to some of the texts cannot be told apart: it is the `cause`.
   */
  async wrapEmbeddings<T, B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<T>,
    options: CacheCallOptions = {},
  ): Promise<T> {
    const asked = { ...options, endpoint: options.endpoint ?? "/v1/embeddings" };
    return await this.#wrapDivided("wrap embeddings", EMBEDDINGS, body, produce, asked);
  }

  /**
   * Moderations, text by text: each is looked up by itself, and `produce` gets the body with those that are missing, each
   * once. Texts and pictures that are parts of one input stay together. `isValid` is asked about each text's answer, which
   * has one result. All else is as in {@link wrapEmbeddings}.
   *
   * @throws as {@link wrap} does; TypeError when an answer to some of the texts cannot be told apart: it is the `cause`.
   */
  async wrapModerations<T, B extends object = object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<T>,
    options: CacheCallOptions = {},
  ): Promise<T> {
    const asked = { ...options, endpoint: options.endpoint ?? "/v1/moderations" };
    return await this.#wrapDivided("wrap moderations", MODERATIONS, body, produce, asked);
  }

  /**
   * Removes the stored answers to a request, and what is known of its failures; of a request for embeddings or
   * moderations, those to each of its inputs. What is being bought meanwhile is stored all the same.
   *
   * @throws TypeError when the request cannot be keyed; CacheError when the store cannot write, or the cache is `closed`.
   */
  async delete(body: object, scope: Scope = {}): Promise<Removed> {
    refuseUnknownOptions("delete an answer", scope, SCOPE_OPTIONS);
    this.#assertOpen();
    return await this.#calls.run(async () => {
      const requests = (await readDivided(this.#parts, body, scope)).filter(isKeyed);
      if (requests.length === 0) return { entries: 0, storedBytes: 0 };
      return await this.#parts.store.remove({ model: requests[0]!.model, keys: requests.map(({ key }) => key) });
    });
  }

  /**
   * Removes everything in a namespace, the cache's own by default, and nothing else.
   *
   * @throws TypeError; CacheError when the store cannot write, or the cache is `closed`.
   */
  async clear(namespace: string = this.#parts.namespace): Promise<Removed> {
    this.#assertOpen();
    return await this.#remove(cleared(namespace));
  }

  /**
   * Removes the entries that fit all that is said, in whatever namespace; without a word all of them.
   *
   * @throws TypeError or RangeError for what means nothing, `undefined` included: it would be taken for not a word;
   * CacheError when the store cannot write, or the cache is `closed`.
   */
  async prune(options: PruneOptions = {}): Promise<Removed> {
    this.#assertOpen();
    return await this.#remove(pruned(options, this.#parts.clock.now()));
  }

  /**
   * Removes all entries with a tag, in a namespace, the cache's own by default.
   *
   * @throws TypeError; CacheError when the store cannot write, or the cache is `closed`.
   */
  async invalidateTag(tag: string, namespace: string = this.#parts.namespace): Promise<Removed> {
    this.#assertOpen();
    return await this.#remove(tagged(tag, namespace));
  }

  /**
   * The requests that have answers, in no order that means anything: those in a namespace, the cache's own by default. Of
   * what is stored or removed meanwhile, some may be among them; of some, all answers may have expired.
   *
   * @throws TypeError for what means nothing; CacheError when the store cannot be read, or the cache is `closed`.
   */
  async *list(options: ListOptions = {}): AsyncGenerator<StoredRequest> {
    this.#assertOpen();
    const selection = listed(options, this.#parts.namespace);
    for await (const each of this.#parts.store.list(selection)) yield storedRequest(each);
  }

  /**
   * The answers to a request that {@link list} gave, all its samples; `undefined` when none may be served now. It counts
   * as no lookup.
   *
   * @throws CacheError when the store cannot be read, or the cache is `closed`.
   */
  async stored(request: StoredRequest): Promise<Entry | undefined> {
    this.#assertOpen();
    return await this.#calls.run(() => storedAnswer(this.#parts.store, request));
  }

  /**
   * What is stored under a request, what failed, and which stored requests come nearest to it, with the JSON paths in
   * which they differ: why it is a miss. Of a request for embeddings or moderations of several inputs, it is about the
   * first of them that is not there.
   *
   * @param options `sees`: whether to tell of requests in a namespace; of all, when left out.
   * @throws TypeError when the request cannot be keyed; CacheError when the store cannot be read.
   */
  async explain(
    body: object,
    scope: Scope = {},
    options: { readonly sees?: (namespace: string) => boolean } = {},
  ): Promise<Explanation> {
    refuseUnknownOptions("explain a request", scope, SCOPE_OPTIONS);
    refuseUnknownOptions("explain a request", options, ["sees"]);
    this.#assertOpen();
    return await this.#calls.run(async () => {
      // Loaded by those who ask: a page need not wait for it.
      const { explainBody } = await import("./explain/explain_body.ts");
      return await explainBody(this.#parts, body, scope, options.sees);
    });
  }

  /**
   * Looks at all that is stored, not only what is asked for: checksums, indexes, the pages of files, what belongs to
   * nothing. Nothing is changed, and whoever uses the cache meanwhile is served: it works in slices of some milliseconds.
   * What to do about what it finds is in `docs/repair.md`.
   *
   * @throws TypeError, RangeError for what means nothing; the reason of `signal`; CacheError when the store cannot be
   * read at all, or the cache is `closed`.
   */
  async verify(options: CacheVerifyOptions = {}): Promise<VerifyReport> {
    const asked = verification(options, this.#parts.sha256);
    this.#assertOpen();
    return await this.#calls.run(() => verifyStore(this.#parts.store, asked));
  }

  /**
   * What the cache did, in this process and in all time, and what its store holds.
   *
   * @throws CacheError `closed`
   */
  async stats(): Promise<CacheStatistics> {
    this.#assertOpen();
    return await this.#calls.run(() => gatherStatistics(this.#parts));
  }

  /** Waits for the calls under way, so that no paid answer is lost, then closes the store. Closing twice is no error. */
  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const { answering, journal, store } = this.#parts;
    // Streams and what is bought in the background outlast the calls that began them.
    do {
      await this.#calls.settled();
      await answering.landed();
    } while (this.#calls.size > 0);
    journal.close();
    await store.close();
  }

  async #remove(selection: Selection): Promise<Removed> {
    return await this.#calls.run(() => this.#parts.store.remove(selection));
  }

  async #wrapDivided<T, B extends object>(
    tried: string,
    kind: ItemKind,
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<T>,
    options: CacheCallOptions,
  ): Promise<T> {
    const plan = this.#plan(tried, options, OPTION_NAMES.wrap);
    checkFunction(produce);
    return await this.#calls.run(() => wrapDivided(this.#parts, kind, { body, produce, options, plan }));
  }

  #planStream(options: StreamOptions, produce: unknown): Plan {
    const plan = this.#plan("wrap a stream", options, [...OPTION_NAMES.wrap, ...STREAM_OPTIONS]);
    checkFunction(produce);
    return plan;
  }

  #plan(tried: string, options: CacheCallOptions, names: readonly string[]): Plan {
    this.#assertOpen();
    return planCall(tried, options, names, this.#parts.keep);
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new CacheError("closed", "Cannot use the response cache: it was closed");
  }
}

function checkFunction(produce: unknown): void {
  if (typeof produce === "function") return;
  throw new TypeError(`Cannot wrap a call: produce is no function: ${typeof produce}`);
}

function checkList(tried: string, bodies: unknown): void {
  if (Array.isArray(bodies)) return;
  throw new TypeError(`Cannot ${tried}: a list of requests is needed: ${typeof bodies}`);
}
