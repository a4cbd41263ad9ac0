/**
 * The response cache: joins what a request means to a store of answers. A wrong answer is the worst it could do, losing
 * a paid one the second worst; so what cannot be keyed is refused, and what cannot be stored is returned all the same.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { CallContext, Clock, Milliseconds } from "../runtime/runtime.ts";
import { CacheError } from "../store/error.ts";
import type { Outcome, Removed, Selection, Store } from "../store/store.ts";
import { type AnswerStamp, readAnswer, readJson } from "./answer/answer.ts";
import { type Answered, Answering, type Call, type Supplier } from "./flow/answering.ts";
import { Batch } from "./batch/batch.ts";
import { copyAsSent, valueAsSent } from "./request/canonical.ts";
import {
  type CacheCallOptions,
  type CacheStatus,
  checkDuration,
  checkGrace,
  checkKeep,
  type GetOptions,
  type Keep,
  type KeepDefaults,
  OPTION_NAMES,
  type Plan,
  planCall,
  type PutCallOptions,
} from "./call_options.ts";
import { Claimant } from "./flow/claimant.ts";
import { type Entry, entryOf } from "./answer/entry.ts";
import { explainRequest, type Explanation } from "./explain/explanation.ts";
import { FailureMemory } from "./flow/failures.ts";
import { endpointKind, type IgnoreList } from "./request/ignore_list.ts";
import { EMBEDDINGS, type ItemKind, itemsOf, MODERATIONS, type OneOfMany, wrapItems } from "./batch/items.ts";
import { type CacheEvent, Journal } from "./ledger/journal.ts";
import type { DigestFile } from "./request/file_contents.ts";
import type { Sha256 } from "./request/key.ts";
import { checkOutcome, Gate, type OutcomePolicy } from "./answer/policy.ts";
import type { PriceOf } from "./ledger/prices.ts";
import { priceSamples } from "./ledger/pricing.ts";
import { type Production, Productions } from "./flow/production.ts";
import { type BypassedRequest, type CacheRequest, isKeyed, type Reading } from "./request/request.ts";
import { type ReadRequest, RequestReader } from "./request/request_reader.ts";
import { planSamples, SAMPLES_OPTIONS, type SamplesOptions, wrapSamples } from "./batch/sampling.ts";
import { DEFAULT_ENDPOINT, type Scope, SCOPE_OPTIONS } from "./request/scope.ts";
import { type Lookup, type RefusedStore, Shelf } from "./flow/shelf.ts";
import {
  allTimeOf,
  type CacheStatistics,
  type LookupOutcome,
  type StoreStatistics,
  summaryOf,
} from "./ledger/statistics.ts";
import {
  STREAM_OPTIONS,
  streamChunks,
  streamEvents,
  type StreamOptions,
  type StreamParts,
} from "./stream/streaming.ts";
import type { StreamSource } from "./stream/live_stream.ts";
import { streamProtocol } from "./stream/protocols.ts";
import { type ListOptions, type StoredRequest, storedRequest } from "./request/stored_request.ts";
import { type ProduceContext, wholeAnswers } from "./flow/supplier.ts";
import { inTurns, WHOLE_STEPS } from "./flow/turns.ts";

/** What a {@link ResponseCache} is made of. */
export interface ResponseCacheOptions extends Keep {
  /**
   * For how long the store keeps what has expired, if not for ever: a call that asks for older answers, by
   * `staleWhileRevalidate` or `staleIfError`, would never find them, and is refused.
   */
  readonly keepExpired?: Milliseconds;
  /** Where entries live. The cache closes it. */
  readonly store: Store;
  /** Stamps entries and measures how long calls take. */
  readonly clock: Clock;
  /** Hashes requests into keys. */
  readonly sha256: Sha256;
  /** Hashes files that requests name by `file:` URLs; without it such requests are refused. */
  readonly digestFile?: DigestFile;
  /**
   * Tells a request apart that is made by what produces the very answer to it, such as a client over a caching fetch
   * that is called by {@link ResponseCache.wrap}: that goes round the cache. Without one it waits for itself for ever.
   */
  readonly callContext?: CallContext<Production>;
  /** Namespace of requests whose scope names none; empty by default. */
  readonly namespace?: string;
  /** Further top-level fields that do not enter the key, by endpoint. */
  readonly ignore?: IgnoreList;
  /** Which outcomes are stored; what is left out is as by default. */
  readonly policy?: OutcomePolicy;
  /** What answers cost; where there is none, nobody knows. */
  readonly priceOf?: PriceOf;
  /**
   * For how long a request that the provider refused as such (400, 404, 413, 422 and the like) is not tried again; 10
   * seconds by default, 0 for not at all.
   */
  readonly negativeTtl?: Milliseconds;
  /**
   * For how long a process that buys an answer keeps the others from buying it too, unless it renews its claim, which it
   * does while it lives; 10 seconds by default, an hour at most, 0 for not at all.
   */
  readonly claimDuration?: Milliseconds;
  /**
   * What to do when the store is somebody else's (`locked`, `newer_schema`, `foreign_file`): `throw`, before anything is
   * bought (the default), or `bypass` the cache and answer.
   */
  readonly refusedStore?: RefusedStore;
  /** Hears of failures and of answers that were not stored. What it throws is ignored. */
  readonly report?: (event: CacheEvent) => void;
}

/** Which entries to remove: those that fit everything that is said. */
export interface PruneOptions {
  /** Stored longer ago than this. */
  readonly olderThan?: Milliseconds;
  /** Of requests to this model. */
  readonly model?: string;
  /** Of requests in this namespace, and no other. */
  readonly namespace?: string;
  /** That ended so. */
  readonly outcome?: Outcome;
  /** Of requests with this tag. */
  readonly tag?: string;
}

const CACHE_OPTIONS = [
  "store",
  "clock",
  "sha256",
  "digestFile",
  "callContext",
  "namespace",
  "mode",
  "ttl",
  "staleWhileRevalidate",
  "staleIfError",
  "keepExpired",
  "ignore",
  "policy",
  "priceOf",
  "negativeTtl",
  "claimDuration",
  "refusedStore",
  "report",
];
const LIST_OPTIONS = ["model", "namespace"];
const PRUNE_OPTIONS = ["olderThan", "model", "namespace", "outcome", "tag"];
const NEGATIVE_TTL: Milliseconds = 10_000;
const CLAIM_DURATION: Milliseconds = 10_000;
/** Stores grant no claim for longer. */
const LONGEST_CLAIM: Milliseconds = 60 * 60 * 1000;

/** Every answer a model gave, never bought twice. */
export class ResponseCache implements AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #namespace: string;
  readonly #reader: RequestReader;
  readonly #keep: KeepDefaults;
  readonly #journal: Journal;
  readonly #shelf: Shelf;
  readonly #failures: FailureMemory;
  readonly #answering: Answering;
  readonly #productions: Productions;
  readonly #priceOf: PriceOf | undefined;
  /** Calls that have not been answered yet. */
  readonly #underWay = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  /**
   * Makes a cache on a store.
   *
   * @throws TypeError for an option that does not exist or has a wrong type; RangeError for an amount that cannot be.
   */
  constructor(options: ResponseCacheOptions) {
    refuseUnknownOptions("make a cache", options, CACHE_OPTIONS);
    const { store, clock, sha256, digestFile, callContext, report = () => {} } = options;
    const { namespace = "", ignore = {}, policy, refusedStore = "throw", priceOf } = options;
    const { negativeTtl = NEGATIVE_TTL, claimDuration = CLAIM_DURATION } = options;
    if (typeof namespace !== "string") throw new TypeError(`Cannot use a namespace that is no string: ${namespace}`);
    checkKeep("make a cache", options);
    for (const [name, value] of Object.entries({ negativeTtl, claimDuration })) {
      if (typeof value === "number" && value >= 0 && Number.isFinite(value)) continue;
      throw new RangeError(`Cannot make a cache: ${name} has to be 0 or more milliseconds: ${value}`);
    }
    if (claimDuration > LONGEST_CLAIM) {
      throw new RangeError(
        `Cannot make a cache: claimDuration has to be ${LONGEST_CLAIM} ms at most: ${claimDuration}`,
      );
    }
    if (refusedStore !== "throw" && refusedStore !== "bypass") {
      throw new TypeError(`Cannot use refusedStore (it is "throw" or "bypass"): ${refusedStore}`);
    }
    checkIgnoreList(ignore);
    const { mode, ttl, staleWhileRevalidate, staleIfError, keepExpired } = options;
    checkDuration("make a cache", "keepExpired", keepExpired, 0);
    checkGrace("make a cache", options, keepExpired);
    this.#store = store;
    this.#clock = clock;
    this.#namespace = namespace;
    this.#reader = new RequestReader({ namespace, ignore, sha256 }, digestFile);
    this.#keep = {
      gate: new Gate(policy),
      ...(mode !== undefined && { mode }),
      ...(ttl !== undefined && { ttl }),
      ...(staleWhileRevalidate !== undefined && { staleWhileRevalidate }),
      ...(staleIfError !== undefined && { staleIfError }),
      ...(keepExpired !== undefined && { keepExpired }),
    };
    this.#journal = new Journal(clock, report, store.ledger);
    this.#shelf = new Shelf(store, clock, this.#journal, refusedStore);
    this.#failures = new FailureMemory(store.failures, clock, this.#journal, negativeTtl);
    this.#productions = new Productions(callContext);
    this.#priceOf = priceOf;
    this.#answering = new Answering({
      clock,
      journal: this.#journal,
      shelf: this.#shelf,
      failures: this.#failures,
      claimant: new Claimant(store.claims, this.#failures, clock, this.#journal, claimDuration),
      productions: this.#productions,
      price: (request, answer, plan) => priceSamples(this.#priceOf, request, answer, plan),
      nearest: async (request) => (await explainRequest(store, this.#failures, request)).text,
    });
  }

  /**
   * The stored answer to a request, if all the samples it asks for are there.
   *
   * @throws TypeError when the request cannot be keyed; CacheError `closed`; `replay_miss` in the mode `replay`; with
   * `refusedStore: "throw"` also `locked`, `newer_schema`, `foreign_file`.
   */
  async get(body: object, options: GetOptions = {}): Promise<Entry | undefined> {
    const plan = this.#plan("get an answer", options, OPTION_NAMES.get);
    return await this.#during(() => this.#get(body, options, plan));
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
    return await this.#during(() => this.#getAll([...bodies], options, plan));
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
    await this.#during(() => this.#put(body, answer, options, plan));
  }

  async #put(body: object, answer: object, options: PutCallOptions, plan: Plan): Promise<void> {
    const { status, bypass = plan.writes ? undefined : `the mode is ${plan.mode}` } = options;
    const { request } = await this.#reader.read(body, options, { bypass });
    if (!isKeyed(request)) {
      if (plan.writes) this.#journal.tell({ type: "not_stored", model: request.model, why: request.bypass });
      return fill(status, { stored: false, shared: false, why: request.bypass });
    }
    const created = this.#clock.now();
    const stamp: AnswerStamp = {
      modelAsked: request.model,
      latency: null,
      created,
      expires: (outcome) => plan.gate.expires(outcome, created, plan.ttl),
    };
    const read = readAnswer(answer, request.shape, stamp);
    if (read === undefined || read.fault !== undefined) {
      throw new TypeError(`Cannot store an answer: ${read?.fault ?? `the answer is no plain JSON: ${typeof answer}`}`);
    }
    const costs = await priceSamples(this.#priceOf, request, read, plan);
    const samples = read.samples.map((sample, index) => ({ ...sample, costMicrodollars: costs[index]! }));
    const placement = request.shape.fixed ? "replace_all" : "replace";
    const { error, stored, why } = await this.#shelf.write(request, { ...read, samples }, placement, plan);
    fill(status, { stored, shared: false, why });
    if (error !== undefined) throw error;
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
    if (endpointKind(options.endpoint ?? "") === "embeddings") {
      return await this.#wrapItems(EMBEDDINGS, body, produce, options, plan);
    }
    return await this.#during(async () => {
      const bypass = options.bypass ?? streamOf(body) ?? bypassOf(plan);
      const read = await this.#reader.read(body, options, { bypass });
      const answered = await this.#answer(read, plan, options.status, this.#whole(body, produce, read, readJson));
      return valueOf<T>(answered);
    });
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
    return await this.#during(async () => {
      const read = await this.#reader.read(body, options, { bypass: options.bypass ?? bypassOf(plan) });
      const supplier = this.#whole(body, produce, read, readAnswer);
      const { entry, settled: { produced } } = await this.#answer(read, plan, options.status, supplier);
      if (entry === undefined) {
        throw new TypeError(`Cannot make an entry of what produce answered (JSON or bytes): ${typeof produced?.value}`);
      }
      return entry;
    });
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
    const open = async (): Promise<unknown> => streamChunks(await this.#streamParts(body, produce, options));
    return await this.#during(open) as AsyncIterable<C>;
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
    return await this.#during(async () => streamEvents(await this.#streamParts(body, produce, options)));
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
    return await this.#during(async () => {
      const read = await this.#reader.read(body, options, { bypass: options.bypass ?? bypassOf(plan), samples: n });
      const answer = this.#answer.bind(this);
      return await wrapSamples({ wanted, read, plan, clock: this.#clock, produce, answer }, options.status);
    });
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
    const wanted = [...bodies];
    return await this.#during(async () => {
      const clock = this.#clock;
      const reads = await this.#readAll(wanted, options, (body) => ({ bypass: streamOf(body) ?? bypassOf(plan) }));
      const batch = new Batch<B>({ members: reads, clock, productions: this.#productions, produce });
      const results = await this.#answerMany(reads, plan, batch, (read, index) => {
        const ask = (want: B, { signal }: ProduceContext): unknown => batch.ask(read, want, signal);
        return this.#whole(wanted[index]!, ask, read, readJson, (error) => batch.isJoint(error));
      });
      results.forEach(({ status }, index) => statuses[index] = status);
      for (const { failure } of results) if (failure !== undefined) throw failure.error;
      const values: T[] = [];
      await inTurns(clock, results, ({ answered }) => values.push(valueOf<T>(answered!)), WHOLE_STEPS);
      return values;
    });
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
    const plan = this.#plan("wrap embeddings", asked, OPTION_NAMES.wrap);
    checkFunction(produce);
    return await this.#wrapItems(EMBEDDINGS, body, produce, asked, plan);
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
    const plan = this.#plan("wrap moderations", asked, OPTION_NAMES.wrap);
    checkFunction(produce);
    return await this.#wrapItems(MODERATIONS, body, produce, asked, plan);
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
    return await this.#during(async () => {
      const requests = (await this.#readParts(body, scope)).filter(isKeyed);
      if (requests.length === 0) return { entries: 0, storedBytes: 0 };
      return await this.#store.remove({ model: requests[0]!.model, keys: requests.map(({ key }) => key) });
    });
  }

  /**
   * Removes everything in a namespace, the cache's own by default, and nothing else.
   *
   * @throws TypeError; CacheError when the store cannot write, or the cache is `closed`.
   */
  async clear(namespace: string = this.#namespace): Promise<Removed> {
    this.#assertOpen();
    if (typeof namespace !== "string") throw new TypeError(`Cannot clear a namespace that is no string: ${namespace}`);
    return await this.#remove({ namespace });
  }

  /**
   * Removes the entries that fit all that is said, in whatever namespace; without a word all of them.
   *
   * @throws TypeError or RangeError for what means nothing, `undefined` included: it would be taken for not a word;
   * CacheError when the store cannot write, or the cache is `closed`.
   */
  async prune(options: PruneOptions = {}): Promise<Removed> {
    refuseUnknownOptions("prune a cache", options, PRUNE_OPTIONS);
    this.#assertOpen();
    const { olderThan, ...rest } = options;
    if ("olderThan" in options && !(typeof olderThan === "number" && olderThan >= 0)) {
      throw new RangeError(`Cannot prune what is older than no number of milliseconds: ${String(olderThan)}`);
    }
    for (const [name, value] of Object.entries(rest)) {
      if (typeof value !== "string") {
        throw new TypeError(`Cannot prune by a ${name} that is no string: ${String(value)}`);
      }
    }
    if ("outcome" in options) checkOutcome(options.outcome);
    return await this.#remove({
      ...rest,
      ...(olderThan !== undefined && { createdBefore: this.#clock.now() - olderThan }),
    });
  }

  /**
   * Removes all entries with a tag, in a namespace, the cache's own by default.
   *
   * @throws TypeError; CacheError when the store cannot write, or the cache is `closed`.
   */
  async invalidateTag(tag: string, namespace: string = this.#namespace): Promise<Removed> {
    this.#assertOpen();
    if (typeof tag !== "string" || tag === "") throw new TypeError(`Cannot invalidate a tag that is no word: ${tag}`);
    if (typeof namespace !== "string") {
      throw new TypeError(`Cannot invalidate a tag in a namespace that is no string: ${namespace}`);
    }
    return await this.#remove({ tag, namespace });
  }

  /**
   * The requests that have answers, in no order that means anything: those in a namespace, the cache's own by default. Of
   * what is stored or removed meanwhile, some may be among them; of some, all answers may have expired.
   *
   * @throws TypeError for what means nothing; CacheError when the store cannot be read, or the cache is `closed`.
   */
  async *list(options: ListOptions = {}): AsyncGenerator<StoredRequest> {
    refuseUnknownOptions("list requests", options, LIST_OPTIONS);
    this.#assertOpen();
    const { model, namespace = this.#namespace } = options;
    for (const [name, value] of Object.entries(options)) {
      if (typeof value !== "string") {
        throw new TypeError(`Cannot list requests by a ${name} that is no string: ${value}`);
      }
    }
    for await (const listed of this.#store.list({ namespace, ...(model !== undefined && { model }) })) {
      yield storedRequest(listed);
    }
  }

  /**
   * What is stored under a request, what failed, and which stored requests come nearest to it, with the JSON paths in
   * which they differ: why it is a miss. Of a request for embeddings or moderations of several inputs, it is about the
   * first of them that is not there.
   *
   * @throws TypeError when the request cannot be keyed; CacheError when the store cannot be read.
   */
  async explain(body: object, scope: Scope = {}): Promise<Explanation> {
    refuseUnknownOptions("explain a request", scope, SCOPE_OPTIONS);
    this.#assertOpen();
    return await this.#during(async () => {
      const requests = await this.#readParts(body, scope);
      const keyed = requests.filter(isKeyed);
      const index = await this.#firstMissing(keyed);
      const request = keyed[index];
      if (request === undefined) {
        const { bypass } = requests[0] as BypassedRequest;
        return { key: null, bypass, samples: 0, failures: null, nearest: [], text: bypass };
      }
      const explanation = await explainRequest(this.#store, this.#failures, request);
      return keyed.length === 1 ? explanation : { ...explanation, input: index };
    });
  }

  /**
   * What the cache did, in this process and in all time, and what its store holds.
   *
   * @throws CacheError `closed`
   */
  async stats(): Promise<CacheStatistics> {
    this.#assertOpen();
    return await this.#during(() => this.#stats());
  }

  async #stats(): Promise<CacheStatistics> {
    const { name, location, ledger } = this.#store;
    let store: StoreStatistics = {
      name,
      location,
      entries: null,
      bodyBytes: null,
      storedBytes: null,
      totalBytes: null,
      ratio: null,
    };
    let allTime: CacheStatistics["allTime"] = null;
    try {
      const size = await this.#store.size();
      store = { name, location, ...size, ratio: size.storedBytes === 0 ? null : size.bodyBytes / size.storedBytes };
      this.#journal.post();
      if (ledger !== undefined) allTime = allTimeOf(await ledger.read());
    } catch (error) {
      this.#journal.remember(error);
    }
    const counts = this.#journal.tallies.snapshot();
    const { lastError } = this.#journal;
    return { ...counts, store, lastError, allTime, summary: () => summaryOf(counts) };
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
    // Streams and what is bought in the background outlast the calls that began them.
    do {
      await Promise.allSettled(this.#underWay);
      await this.#answering.landed();
    } while (this.#underWay.size > 0);
    this.#journal.close();
    await this.#store.close();
  }

  async #remove(selection: Selection): Promise<Removed> {
    return await this.#during(async () => await this.#store.remove(selection));
  }

  /** Has {@link close} wait for a call. */
  async #during<T>(work: () => Promise<T>): Promise<T> {
    const call = work();
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  /** The hot path: what it awaits, every hit pays for. */
  async #get(body: object, options: GetOptions, plan: Plan): Promise<Entry | undefined> {
    const reading = this.#reader.read(body, options, { bypass: notRead(options, plan) });
    const { request } = reading instanceof Promise ? await reading : reading;
    if (!isKeyed(request)) return this.#miss(request, bypassed(request), options, plan);
    const lookup = await this.#shelf.lookupOne(request, withoutGrace(plan));
    if (lookup.outcome === "hit") return this.#hit(request, lookup, options);
    this.#miss(request, lookup, options, plan);
    if (plan.mode === "replay") throw await this.#answering.replayMiss(request, lookup);
    return undefined;
  }

  async #getAll(bodies: readonly object[], options: GetOptions, plan: Plan): Promise<(Entry | undefined)[]> {
    const bypass = notRead(options, plan);
    const reads = await this.#readAll(bodies, options, () => ({ bypass }));
    const lookups = await this.#lookUp(reads, withoutGrace(plan));
    const entries: (Entry | undefined)[] = [];
    const missing: [CacheRequest, Lookup][] = [];
    await inTurns(this.#clock, reads, ({ request }) => {
      const lookup = isKeyed(request) ? lookups.get(request)! : bypassed(request);
      const isHit = lookup.outcome === "hit";
      entries.push(isHit ? this.#hit(request, lookup, options) : this.#miss(request, lookup, options, plan));
      if (!isHit && isKeyed(request)) missing.push([request, lookup]);
    }, WHOLE_STEPS);
    const [first] = missing;
    if (plan.mode === "replay" && first !== undefined) throw await this.#answering.replayMiss(...first);
    return entries;
  }

  #miss(
    { model }: CacheRequest | BypassedRequest,
    { outcome, why }: Lookup,
    options: GetOptions,
    plan: Plan,
  ): undefined {
    this.#journal.tallies.lookup(model, outcome);
    if (outcome === "corrupt") this.#journal.tell({ type: "corrupt", model });
    if (outcome === "bypass" && plan.reads) this.#journal.tell({ type: "bypassed", model, why: why ?? "" });
    fill(options.status, { outcome, stored: false, shared: false, why });
  }

  #hit({ model }: CacheRequest | BypassedRequest, { samples }: Lookup, { status }: GetOptions): Entry {
    const entry = entryOf(samples);
    this.#journal.tallies.lookup(model, "hit");
    this.#journal.tallies.save(model, entry);
    if (status !== undefined) {
      const { costMicrodollars } = entry;
      const known: CacheStatus = { outcome: "hit", stored: false, shared: false, why: undefined };
      fill(status, { ...known, costMicrodollars, billedMicrodollars: 0 });
    }
    return entry;
  }

  /** Reads requests, a few at a time. */
  async #readAll<B extends object>(
    bodies: readonly B[],
    scope: Scope,
    readingOf: (body: B) => Reading,
  ): Promise<ReadRequest[]> {
    const reads: (ReadRequest | Promise<ReadRequest>)[] = [];
    await inTurns(this.#clock, bodies, (body) => {
      const read = this.#reader.read(body, scope, readingOf(body));
      // Files are read meanwhile; whoever waits for all hears of the first that fails.
      if (read instanceof Promise) read.catch(() => {});
      reads.push(read);
    }, WHOLE_STEPS);
    const all: ReadRequest[] = [];
    for (const read of reads) all.push(read instanceof Promise ? await read : read);
    return all;
  }

  /** Looks up all requests that have a key, each model's in one pass. */
  async #lookUp(reads: readonly ReadRequest[], plan: Plan): Promise<Map<CacheRequest, Lookup>> {
    const lookups = new Map<CacheRequest, Lookup>();
    const byModel = Map.groupBy(reads.map(({ request }) => request).filter(isKeyed), ({ model }) => model);
    await Promise.all([...byModel].map(async ([model, group]) => {
      const found = await this.#shelf.lookup(model, group, plan);
      group.forEach((request, index) => lookups.set(request, found[index]!));
    }));
    return lookups;
  }

  /** A request as what it is stored as: one, or one for each of its inputs. */
  async #readParts(body: object, scope: Scope): Promise<(CacheRequest | BypassedRequest)[]> {
    const items = itemsOf(body, scope.endpoint ?? DEFAULT_ENDPOINT);
    const reads = await this.#readAll(items ?? [body], scope, () => ({ isItem: true }));
    return reads.map(({ request }) => request);
  }

  /** Which of the parts of a request to one model is the first that is not there; the first of all where all are. */
  async #firstMissing(parts: readonly CacheRequest[]): Promise<number> {
    if (parts.length <= 1) return 0;
    const found = await this.#store.lookup(parts[0]!.model, parts.map(({ key }) => ({ key, samples: 1 })));
    return Math.max(0, found.findIndex(({ entries }) => entries.length === 0));
  }

  /** Answers one request, and fills in its status. */
  async #answer(
    read: ReadRequest,
    plan: Plan,
    status: CacheStatus | undefined,
    supplier: Supplier,
    rest: Pick<Call, "found" | "onWait" | "onLive"> = {},
  ): Promise<Answered> {
    const request = this.#unlessProducing(read.request);
    const answered = isKeyed(request)
      ? await this.#answering.answer({ request, plan, supplier: guarded(supplier, read), ...rest })
      : await this.#answering.goRound(request, plan, supplier);
    fill(status, statusOf(answered));
    const { failure } = answered.settled;
    if (failure !== undefined) throw failure.error;
    return answered;
  }

  /** Answers many requests, those that mean the same together. */
  async #answerMany(
    reads: readonly ReadRequest[],
    plan: Plan,
    batch: Pick<Batch<unknown>, "decide">,
    supplierOf: (read: ReadRequest, index: number) => Supplier,
  ): Promise<OneOfMany[]> {
    // Of those that mean the same, the one that wants most asks for all.
    const speakers = new Map<string, number>();
    reads.forEach(({ request }, index) => {
      if (!isKeyed(request)) return;
      const other = speakers.get(request.id);
      const most = other === undefined ? 0 : (reads[other]!.request as CacheRequest).shape.samples;
      if (request.shape.samples > most) speakers.set(request.id, index);
    });
    const speakerOf = ({ request }: ReadRequest, index: number): number =>
      isKeyed(request) ? speakers.get(request.id)! : index;
    const lookups = plan.reads ? await this.#lookUp(reads, plan) : new Map<CacheRequest, Lookup>();
    const flows: Promise<OneOfMany>[] = [];
    const flowOf = async (read: ReadRequest, index: number): Promise<OneOfMany> => {
      const found = isKeyed(read.request) ? lookups.get(read.request) : undefined;
      const onWait = (): void => batch.decide(read);
      const status: CacheStatus = {};
      try {
        const supplier = supplierOf(read, index);
        const answered = await this.#answer(read, plan, status, supplier, { ...(found && { found }), onWait });
        return { status, answered };
      } catch (error) {
        return { status, failure: { error } };
      } finally {
        batch.decide(read);
      }
    };
    await inTurns(this.#clock, reads, (read, index) => {
      if (speakerOf(read, index) === index) flows[index] = flowOf(read, index);
      else batch.decide(read);
    });
    const results: OneOfMany[] = [];
    for (const [index, flow] of flows.entries()) if (flow !== undefined) results[index] = await flow;
    await inTurns(this.#clock, reads, (read, index) => {
      const { status, answered, failure } = results[speakerOf(read, index)]!;
      if (results[index] !== undefined) return;
      if (answered === undefined) return void (results[index] = { status: { ...status }, failure: failure! });
      const part = this.#answering.partOf(answered, read.request as CacheRequest, plan);
      results[index] = { status: statusOf(part), answered: part };
    }, WHOLE_STEPS);
    return results;
  }

  async #wrapItems<T, B extends object>(
    kind: ItemKind,
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<T>,
    options: CacheCallOptions,
    plan: Plan,
  ): Promise<T> {
    return await this.#during(() =>
      wrapItems(kind, {
        body,
        plan,
        options,
        clock: this.#clock,
        productions: this.#productions,
        bypass: options.bypass ?? bypassOf(plan),
        produce: produce as (body: object, context: ProduceContext) => Promise<unknown>,
        read: (body, reading) => this.#reader.read(body, options, reading),
        readAll: (items, reading) => this.#readAll(items, options, () => reading),
        answerMany: this.#answerMany.bind(this),
        answer: (read, supplier) => this.#answer(read, plan, options.status, supplier),
      })
    ) as T;
  }

  async #streamParts<B extends object>(
    body: B,
    produce: (body: B, context: ProduceContext) => Promise<unknown>,
    options: StreamOptions,
  ): Promise<StreamParts> {
    const plan = this.#plan("wrap a stream", options, [...OPTION_NAMES.wrap, ...STREAM_OPTIONS]);
    checkFunction(produce);
    const read = await this.#reader.read(body, options, { bypass: options.bypass ?? bypassOf(plan) });
    const protocol = streamProtocol(options.endpoint ?? DEFAULT_ENDPOINT);
    const { model, body: sent } = read.request;
    const unknown = { model, body: sent, bypass: "nobody here knows how its endpoint streams" };
    const request = isKeyed(read.request) && protocol === undefined ? unknown : this.#unlessProducing(read.request);
    return {
      read: { ...read, request },
      protocol,
      plan: { ...plan, asStream: true },
      options,
      clock: this.#clock,
      produce: (count, context) => produce(count === undefined ? body : { ...read.current(), n: count } as B, context),
      detached() {
        const copy = copyAsSent(read.current()) as B;
        return (count, context) => produce(count === undefined ? copy : { ...copy, n: count }, context);
      },
      answer: (plan, supplier, onLive) =>
        this.#answer({ ...read, request }, plan, options.status, supplier, { onLive }),
    };
  }

  /** Buys with the caller's function: it gets his own body, or a smaller one where some of it is there. */
  #whole<B extends object>(
    body: B,
    produce: (body: B, context: ProduceContext) => unknown,
    read: ReadRequest,
    reader: typeof readJson,
    isJoint?: (error: unknown) => boolean,
  ): Supplier {
    const produceOf = (whole: B) => (count: number | undefined, context: ProduceContext): unknown =>
      produce(count === undefined ? whole : { ...Object(valueAsSent(whole, "")), n: count } as B, context);
    const check = (): void => {
      if (isKeyed(read.request)) read.current();
    };
    const parts = { clock: this.#clock, read: reader, ...(isJoint && { isJoint }) };
    return {
      ...wholeAnswers({ ...parts, check, produce: produceOf(body) }),
      detached(): Supplier {
        const copy = copyAsSent(read.current()) as B;
        return wholeAnswers({ ...parts, check: () => {}, produce: produceOf(copy) });
      },
    };
  }

  /** A request whose answer the caller is about to make would wait for itself. */
  #unlessProducing(request: CacheRequest | BypassedRequest): CacheRequest | BypassedRequest {
    if (!isKeyed(request) || !this.#productions.includes(request.id)) return request;
    return { model: request.model, body: request.body, bypass: "the call produces the answer to this very request" };
  }

  #plan(tried: string, options: CacheCallOptions, names: readonly string[]): Plan {
    this.#assertOpen();
    return planCall(tried, options, names, this.#keep);
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new CacheError("closed", "Cannot use the response cache: it was closed");
  }
}

function checkIgnoreList(ignore: IgnoreList): void {
  for (const [endpoint, fields] of Object.entries(ignore)) {
    if (!Array.isArray(fields) || !fields.every((field) => typeof field === "string")) {
      throw new TypeError(`Cannot ignore fields of ${endpoint} that are no list of names: ${fields}`);
    }
    // One answer would then pass for any number of samples. Where samples are known, n is ignored already.
    if (fields.includes("n")) throw new TypeError(`Cannot ignore how many samples are asked of ${endpoint}: n`);
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

/** Why a request's answer, which is to come as a value, cannot be had from the cache. */
function streamOf(body: object): string | undefined {
  const { stream } = Object(valueAsSent(body, "")) as { stream?: unknown };
  return stream ? "the answer is a stream: wrapStream, wrapEvents" : undefined;
}

/** The mode `off` is a reason against the cache like any other. */
function bypassOf({ mode }: Plan): string | undefined {
  return mode === "off" ? "the mode is off" : undefined;
}

/** A supplier whose answer is not stored when a file that the request names has changed meanwhile. */
function guarded(supplier: Supplier, read: ReadRequest): Supplier {
  const { detached } = supplier;
  return {
    check: () => supplier.check(),
    ...(detached && { detached: () => guarded(detached(), read) }),
    async buy(gap) {
      const bought = await supplier.buy(gap);
      const fault = bought.answer && await read.changed();
      return fault === undefined ? bought : { ...bought, answer: { ...bought.answer!, fault } };
    },
  };
}

/** Why a `get` does not ask the cache; `undefined` when it does. */
function notRead({ bypass }: GetOptions, { reads, mode }: Plan): string | undefined {
  return bypass ?? (reads ? undefined : `the mode is ${mode}`);
}

/** Who only asks whether an answer is there wants none whose time has come. */
function withoutGrace(plan: Plan): Plan {
  const { staleWhileRevalidate, staleIfError } = plan;
  return staleWhileRevalidate + staleIfError === 0 ? plan : { ...plan, staleWhileRevalidate: 0, staleIfError: 0 };
}

function bypassed(request: BypassedRequest): Lookup {
  return { outcome: "bypass", samples: [], why: request.bypass };
}

/** What the caller of a function that produces values gets. */
function valueOf<T>({ settled: { produced }, led, entry }: Answered): T {
  // Whoever called the provider keeps the very value; everybody else gets a value of their own.
  if (produced !== undefined && (led || entry === undefined)) return produced.value as T;
  return entry!.json() as T;
}

function statusOf({ settled, led, shared, entry }: Answered): CacheStatus {
  const { outcome, stored, why, expiredServed = false, billed }: {
    outcome: LookupOutcome;
    stored: boolean;
    why?: string | undefined;
    expiredServed?: boolean;
    billed: number | null;
  } = settled;
  return {
    outcome,
    stored,
    shared,
    expiredServed,
    costMicrodollars: entry?.costMicrodollars ?? null,
    billedMicrodollars: led ? billed : 0,
    why,
  };
}

function fill(status: CacheStatus | undefined, facts: CacheStatus): void {
  if (status !== undefined) Object.assign(status, facts);
}
