/**
 * The response cache: joins what a request means to a store of answers. A wrong answer is the worst it could do, losing
 * a paid one the second worst; so what cannot be keyed is refused, and what cannot be stored is returned all the same.
 *
 * @module
 */

import { refuseUnknownOptions } from "../runtime/options.ts";
import type { CallContext, Clock, Milliseconds } from "../runtime/runtime.ts";
import { CacheError } from "../store/error.ts";
import type { Placement, Store } from "../store/store.ts";
import { type AnswerReader, type AnswerStamp, readAnswer, readJson } from "./answer.ts";
import { valueAsSent } from "./canonical.ts";
import { type Entry, entryOf } from "./entry.ts";
import type { IgnoreList } from "./ignore_list.ts";
import { type CacheEvent, Journal } from "./journal.ts";
import type { JsonObject } from "./json.ts";
import type { Sha256 } from "./key.ts";
import { type Production, Productions } from "./production.ts";
import { type BypassedRequest, type CacheRequest, isKeyed, readRequest, type RequestDefaults } from "./request.ts";
import { ONE_SAMPLE, type SampleShape } from "./samples.ts";
import { type Scope, SCOPE_OPTIONS } from "./scope.ts";
import { appliesTo, type Bought, entryFor, isShareable, settle, type Settled } from "./settled.ts";
import { type Lookup, type RefusedStore, Shelf, type Written } from "./shelf.ts";
import { type Landed, SingleFlight } from "./single_flight.ts";
import type { CacheStatistics, LookupOutcome, StoreStatistics } from "./statistics.ts";

/** What a {@link ResponseCache} is made of. */
export interface ResponseCacheOptions {
  /** Where entries live. The cache closes it. */
  readonly store: Store;
  /** Stamps entries and measures how long calls take. */
  readonly clock: Clock;
  /** Hashes requests into keys. */
  readonly sha256: Sha256;
  /**
   * Tells a request apart that is made by what produces the very answer to it, such as a client over a caching fetch
   * that is called by {@link ResponseCache.wrap}: that goes round the cache. Without one it waits for itself for ever.
   */
  readonly callContext?: CallContext<Production>;
  /** Namespace of requests whose scope names none; empty by default. */
  readonly namespace?: string;
  /** How long an answer may be served after it was stored; for ever by default. */
  readonly ttl?: Milliseconds;
  /** Further top-level fields that do not enter the key, by endpoint. */
  readonly ignore?: IgnoreList;
  /**
   * What to do when the store is somebody else's (`locked`, `newer_schema`, `foreign_file`): `throw`, before anything is
   * bought (the default), or `bypass` the cache and answer.
   */
  readonly refusedStore?: RefusedStore;
  /** Hears of failures and of answers that were not stored. What it throws is ignored. */
  readonly report?: (event: CacheEvent) => void;
}

/** What became of one call; the caller passes an empty one in and reads it afterwards. */
export interface CacheStatus {
  /** How the request fared; absent after a `put`, which looks nothing up. */
  outcome?: LookupOutcome;
  /** Whether something was stored. */
  stored?: boolean;
  /** Whether another caller's call to the provider answered this one. */
  shared?: boolean;
  /** Why the cache was bypassed or could not be read, or the answer not stored. */
  why?: string | undefined;
}

/** A scope, a status to fill in, and perhaps a reason against the cache. */
export interface CacheCallOptions extends Scope {
  /** An object of the caller's, filled in by the call. */
  readonly status?: CacheStatus;
  /** A reason not to use the cache for this request, such as `unkeyable` of a parsed raw body; it is counted. */
  readonly bypass?: string | undefined;
}

const CACHE_OPTIONS = [
  "store",
  "clock",
  "sha256",
  "callContext",
  "namespace",
  "ttl",
  "ignore",
  "refusedStore",
  "report",
];
const CALL_OPTIONS = [...SCOPE_OPTIONS, "status", "bypass"];

/** How to get an answer that is not there. */
interface Supplier<B extends object> {
  readonly body: B;
  readonly produce: (body: B) => Promise<unknown>;
  readonly read: AnswerReader;
  readonly options: CacheCallOptions;
}

/** A settled request, seen by one of its callers. */
interface Answered {
  readonly settled: Settled;
  readonly led: boolean;
  /** The answer for as many samples as this caller wants; absent when it is not JSON. */
  readonly entry: Entry | undefined;
}

/** Every answer a model gave, never bought twice. */
export class ResponseCache implements AsyncDisposable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #defaults: RequestDefaults;
  readonly #ttl: Milliseconds | undefined;
  readonly #journal: Journal;
  readonly #shelf: Shelf;
  readonly #flights = new SingleFlight<Settled>();
  readonly #productions: Productions;
  #closed: Promise<void> | undefined;

  /**
   * Makes a cache on a store.
   *
   * @throws TypeError for an option that does not exist or has a wrong type; RangeError for a `ttl` that is not
   * positive.
   */
  constructor(options: ResponseCacheOptions) {
    refuseUnknownOptions("make a cache", options, CACHE_OPTIONS);
    const { store, clock, sha256, callContext, report = () => {} } = options;
    const { namespace = "", ttl, ignore = {}, refusedStore = "throw" } = options;
    if (typeof namespace !== "string") throw new TypeError(`Cannot use a namespace that is no string: ${namespace}`);
    if (ttl !== undefined && !(ttl > 0 && Number.isFinite(ttl))) {
      throw new RangeError(`Cannot keep answers for a ttl that is no positive number of milliseconds: ${ttl}`);
    }
    if (refusedStore !== "throw" && refusedStore !== "bypass") {
      throw new TypeError(`Cannot use refusedStore (it is "throw" or "bypass"): ${refusedStore}`);
    }
    for (const [endpoint, fields] of Object.entries(ignore)) {
      if (!Array.isArray(fields) || !fields.every((field) => typeof field === "string")) {
        throw new TypeError(`Cannot ignore fields of ${endpoint} that are no list of names: ${fields}`);
      }
      // One answer would then pass for any number of samples. Where samples are known, n is ignored already.
      if (fields.includes("n")) throw new TypeError(`Cannot ignore how many samples are asked of ${endpoint}: n`);
    }
    this.#store = store;
    this.#clock = clock;
    this.#defaults = { namespace, ignore, sha256 };
    this.#ttl = ttl;
    this.#journal = new Journal(clock, report);
    this.#shelf = new Shelf(store, this.#journal, refusedStore);
    this.#productions = new Productions(callContext);
  }

  /**
   * The stored answer to a request, if all the samples it asks for are there.
   *
   * @throws TypeError when the request cannot be keyed; CacheError `closed`, and with `refusedStore: "throw"` also
   * `locked`, `newer_schema`, `foreign_file`.
   */
  async get(body: object, options: CacheCallOptions = {}): Promise<Entry | undefined> {
    refuseUnknownOptions("get an answer", options, CALL_OPTIONS);
    const [entry] = await this.#getAll([body], options);
    return entry;
  }

  /**
   * The stored answers to many requests, in their order, duplicates included. The store is asked once for each model.
   *
   * @throws as {@link get} does.
   */
  async getMany(bodies: readonly object[], scope: Scope = {}): Promise<(Entry | undefined)[]> {
    refuseUnknownOptions("get answers", scope, SCOPE_OPTIONS);
    return await this.#getAll(bodies, scope);
  }

  /**
   * Stores an answer as the first of its request: JSON as an object, or its raw bytes. Several choices are several
   * samples. An outcome that is never stored (`error`, `empty`, `invalid`) is reported and not stored.
   *
   * @throws TypeError when the request cannot be keyed or the answer is not JSON; CacheError when the store cannot
   * write, or the cache is `closed`.
   */
  async put(body: object, answer: object, options: CacheCallOptions = {}): Promise<void> {
    refuseUnknownOptions("put an answer", options, CALL_OPTIONS);
    this.#assertOpen();
    const request = readRequest(body, options, this.#defaults, options.bypass);
    if (!isKeyed(request)) {
      this.#journal.tell({ type: "not_stored", model: request.model, why: request.bypass });
      return fill(options.status, { stored: false, shared: false, why: request.bypass });
    }
    const read = readAnswer(answer, request.shape, this.#stamp(request.model, null));
    if (read === undefined || read.fault !== undefined) {
      throw new TypeError(`Cannot store an answer: ${read?.fault ?? `${NOT_JSON}: ${typeof answer}`}`);
    }
    const { error, stored, why } = await this.#shelf.write(request, read, "replace");
    fill(options.status, { stored, shared: false, why });
    if (error !== undefined) throw error;
  }

  /**
   * The answer to a request: from the cache, else from `produce`, which is then stored. `produce` gets the body, with
   * `n` reduced to the samples that are missing, and is called once however many callers want the same at the same time.
   * An answer is JSON: plain objects and lists, all the way down. Another value is returned, but not stored, and then
   * everybody calls for one of their own; so is a stream, for which the cache is bypassed.
   *
   * Whoever waits for another's call gets its error too, unless that call was aborted or asked for more samples. A call
   * from within `produce` for the same request goes round the cache: {@link ResponseCacheOptions.callContext}.
   *
   * @throws what `produce` throws; and before it is called, as {@link get} does, and TypeError when the body was changed
   * while the cache looked it up.
   */
  async wrap<T, B extends object = object>(
    body: B,
    produce: (body: B) => Promise<T>,
    options: CacheCallOptions = {},
  ): Promise<T> {
    refuseUnknownOptions("wrap a call", options, CALL_OPTIONS);
    const { stream } = Object(valueAsSent(body, "")) as { stream?: unknown };
    const bypass = options.bypass ?? (stream ? "the answer is a stream" : undefined);
    const answered = await this.#answer({ body, produce, read: readJson, options: { ...options, bypass } });
    const { settled: { produced }, led, entry } = answered;
    // Whoever called the provider keeps the very value; everybody else gets a value of their own.
    if (produced !== undefined && (led || entry === undefined)) return produced.value as T;
    return entry!.json() as T;
  }

  /**
   * As {@link wrap}, for callers who pass answers on: an entry instead of a parsed value. What `produce` answers, as JSON
   * or as raw bytes, is the entry's bytes, untouched.
   *
   * @throws as {@link wrap} does, and TypeError when `produce` answers with neither JSON nor bytes.
   */
  async wrapEntry<B extends object = object>(
    body: B,
    produce: (body: B) => Promise<object>,
    options: CacheCallOptions = {},
  ): Promise<Entry> {
    refuseUnknownOptions("wrap a call", options, CALL_OPTIONS);
    const { entry, settled: { produced } } = await this.#answer({ body, produce, read: readAnswer, options });
    if (entry === undefined) {
      throw new TypeError(`Cannot make an entry of what produce answered (JSON or bytes): ${typeof produced?.value}`);
    }
    return entry;
  }

  /**
   * What the cache did in this process, and what its store holds.
   *
   * @throws CacheError `closed`
   */
  async stats(): Promise<CacheStatistics> {
    this.#assertOpen();
    const { name, location } = this.#store;
    let store: StoreStatistics = { name, location, entries: null, bodyBytes: null, storedBytes: null };
    try {
      store = { name, location, ...await this.#store.size() };
    } catch (error) {
      this.#journal.remember(error);
    }
    return { ...this.#journal.tallies.snapshot(), store, lastError: this.#journal.lastError };
  }

  /** Waits for the calls under way, so that no paid answer is lost, then closes the store. Closing twice is no error. */
  close(): Promise<void> {
    return this.#closed ??= this.#flights.landed().then(() => this.#store.close());
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #getAll(bodies: readonly object[], options: CacheCallOptions): Promise<(Entry | undefined)[]> {
    this.#assertOpen();
    const requests = bodies.map((body) => readRequest(body, options, this.#defaults, options.bypass));
    const lookups = new Map<CacheRequest, Lookup>();
    const byModel = Map.groupBy(requests.filter(isKeyed), (request) => request.model);
    await Promise.all([...byModel].map(async ([model, group]) => {
      const found = await this.#shelf.lookup(model, group);
      group.forEach((request, index) => lookups.set(request, found[index]!));
    }));
    return requests.map((request) => {
      const { outcome, samples, why } = isKeyed(request) ? lookups.get(request)! : bypassed(request);
      const entry = outcome === "hit" ? entryOf(samples) : undefined;
      this.#count(request.model, outcome, why);
      if (entry !== undefined) this.#journal.tallies.save(request.model, entry);
      fill(options.status, { outcome, stored: false, shared: false, why });
      return entry;
    });
  }

  async #answer<B extends object>(supplier: Supplier<B>): Promise<Answered> {
    this.#assertOpen();
    if (typeof supplier.produce !== "function") {
      throw new TypeError(`Cannot wrap a call: produce is no function: ${typeof supplier.produce}`);
    }
    const { body, options } = supplier;
    const request = this.#unlessProducing(readRequest(body, options, this.#defaults, options.bypass));
    const wanted = isKeyed(request) ? request.shape.samples : 1;
    const { value: settled, led } = isKeyed(request)
      ? await this.#fly(request, supplier)
      : { value: await this.#goRound(request, supplier), led: true };
    const { outcome, stored, why, failure } = settled;
    const entry = entryFor(settled, wanted, led);
    const shared = !led && outcome !== "hit";
    if (shared) this.#journal.tallies.count(request.model, "shared");
    else if (!led) this.#journal.tallies.lookup(request.model, outcome);
    if (entry !== undefined && (shared || outcome === "hit")) this.#journal.tallies.save(request.model, entry);
    fill(options.status, { outcome, stored, shared, why });
    if (failure !== undefined) throw failure.error;
    return { settled, led, entry };
  }

  /** A request whose answer the caller is about to make would wait for itself. */
  #unlessProducing(request: CacheRequest | BypassedRequest): CacheRequest | BypassedRequest {
    if (!isKeyed(request) || !this.#productions.includes(request.id)) return request;
    return { model: request.model, body: request.body, bypass: "the call produces the answer to this very request" };
  }

  /** Answers for all who want the same at the same time, as far as one answer will do. */
  async #fly<B extends object>(request: CacheRequest, supplier: Supplier<B>): Promise<Landed<Settled>> {
    const wanted = request.shape.samples;
    const lead = (): Promise<Settled> => this.#lead(request, supplier);
    const landed = await this.#flights.run(request.id, wanted, lead, (settled) => appliesTo(settled, wanted));
    return landed.led || isShareable(landed.value) ? landed : await this.#flights.run(Symbol(), wanted, lead);
  }

  /** Answers without the cache. */
  async #goRound<B extends object>(request: BypassedRequest, supplier: Supplier<B>): Promise<Settled> {
    const { outcome, samples, why } = bypassed(request);
    this.#count(request.model, outcome, why);
    const bought = await this.#buy(request.model, ONE_SAMPLE, supplier.read, () => supplier.produce(supplier.body));
    return settle({ outcome, stored: false, why, asked: 1 }, samples, bought);
  }

  /** Answers from the store, or by a call for what is missing there. */
  async #lead<B extends object>(request: CacheRequest, supplier: Supplier<B>): Promise<Settled> {
    const { model, shape } = request;
    const asked = shape.samples;
    const { outcome, samples, body, isTorn, why } = await this.#shelf.read(request);
    this.#count(model, outcome, why);
    if (body !== undefined) return { outcome, stored: false, asked, samples, body };

    const sent = this.#reread(request, supplier);
    const reused = shape.fixed ? [] : samples;
    const gap = { ...shape, samples: asked - reused.length };
    const toSend = reused.length === 0 ? supplier.body : { ...sent, n: gap.samples } as object as B;
    const produce = (): Promise<unknown> => this.#productions.run(request.id, () => supplier.produce(toSend));
    const bought = await this.#buy(model, gap, supplier.read, produce);
    // What another process has bought meanwhile is not to be overwritten. Only a row that its store takes for sound, but
    // that does not decompress, would have what is appended lie behind it for ever.
    const placement = shape.fixed || isTorn ? "replace" : "append";
    const written = outcome === "bypass" ? undefined : await this.#keep(request, bought, placement);
    return settle({ outcome, stored: written?.stored ?? false, why: written?.why ?? why, asked }, reused, bought);
  }

  /** Calls the provider. What it throws is part of the result, so that followers get it too. */
  async #buy(
    model: string,
    shape: SampleShape,
    read: AnswerReader,
    produce: () => Promise<unknown>,
  ): Promise<Bought> {
    const started = this.#clock.monotonic();
    let value: unknown;
    try {
      value = await produce();
    } catch (error) {
      return { failure: { error } };
    }
    const latency = Math.round(this.#clock.monotonic() - started);
    return { produced: { value }, answer: read(value, shape, this.#stamp(model, latency)) };
  }

  /** Stores what was bought, where there is something to store. */
  async #keep(request: CacheRequest, { produced, answer }: Bought, placement: Placement): Promise<Written | undefined> {
    if (answer !== undefined) return await this.#shelf.write(request, answer, placement);
    if (produced === undefined) return undefined;
    this.#journal.tell({ type: "not_stored", model: request.model, why: NOT_JSON });
    return { stored: false, why: NOT_JSON };
  }

  /** The body as it is to be sent now; it has to be the one that was looked up. */
  #reread<B extends object>({ id, shape }: CacheRequest, { body, options }: Supplier<B>): JsonObject {
    const now = readRequest(body, options, this.#defaults);
    if (isKeyed(now) && now.id === id && now.shape.samples === shape.samples) return now.body;
    throw new TypeError(`Cannot answer a request whose body was changed while it was looked up: model ${now.model}`);
  }

  #stamp(modelAsked: string, latency: Milliseconds | null): AnswerStamp {
    const created = this.#clock.now();
    return { modelAsked, latency, created, expires: this.#ttl === undefined ? null : created + this.#ttl };
  }

  #count(model: string, outcome: LookupOutcome, why: string | undefined): void {
    this.#journal.tallies.lookup(model, outcome);
    if (outcome === "corrupt") this.#journal.tell({ type: "corrupt", model });
    if (outcome === "bypass") this.#journal.tell({ type: "bypassed", model, why: why ?? "" });
  }

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new CacheError("closed", "Cannot use the response cache: it was closed");
  }
}

const NOT_JSON = "the answer is no plain JSON";

function bypassed(request: BypassedRequest): Lookup {
  return { outcome: "bypass", samples: [], why: request.bypass };
}

function fill(status: CacheStatus | undefined, facts: CacheStatus): void {
  if (status !== undefined) Object.assign(status, facts);
}
