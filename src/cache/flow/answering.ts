/**
 * The road of a request: look it up, wait for whoever is buying the same, buy what is missing, store it. One road for
 * every kind of call; what is bought, and how, is the {@link Supplier}'s.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import type { MaybePromise } from "../../store/store.ts";
import type { Answer, AnswerStamp } from "../answer/answer.ts";
import { placementOf, type Plan } from "../call_options.ts";
import type { Claimant } from "./claimant.ts";
import type { Entry, Sample } from "../answer/entry.ts";
import type { FailureMemory } from "./failures.ts";
import { decodeText, isJsonObject } from "../json.ts";
import type { Journal } from "../ledger/journal.ts";
import type { Productions } from "./production.ts";
import { type BypassedRequest, type CacheRequest, isKeyed } from "../request/request.ts";
import { ONE_SAMPLE, type SampleShape } from "../answer/samples.ts";
import {
  appliesTo,
  type Bought,
  type Circumstances,
  entryFor,
  gaveUp,
  isShareable,
  lateness,
  settle,
  type Settled,
  settleFound,
  settleThrown,
  whyFailed,
} from "./settled.ts";
import type { Lookup, ReadLookup, Shelf, Written } from "./shelf.ts";
import { type Cockpit, type Landed, SingleFlight } from "./single_flight.ts";
import type { LiveStream } from "../stream/live_stream.ts";

/** What has to be bought. */
export interface Gap {
  /** How much. */
  readonly shape: SampleShape;
  /** Whether some of what was asked for is there already, so that less has to be asked for. */
  readonly isPart: boolean;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** Hands a stream that has begun to those who wait. */
  goLive(stream: LiveStream): void;
  /** What every sample bought has in common. */
  stamp(latency: Milliseconds): AnswerStamp;
}

/** How to get what is not there. */
export interface Supplier {
  /**
   * Makes sure that what would be sent is still what was looked up.
   *
   * @throws TypeError when the caller has changed the request meanwhile.
   */
  check(): void;
  /** Buys. What the provider's call throws is part of the result. */
  buy(gap: Gap): Promise<Bought>;
  /**
   * One that buys after the caller was answered, when what he does to his request must not change what is sent. Absent
   * where {@link check} has to do.
   *
   * @throws as {@link check} does.
   */
  detached?(): Supplier;
}

/** A request on its road. */
export interface Call {
  readonly request: CacheRequest;
  readonly plan: Plan;
  readonly supplier: Supplier;
  /** What looking it up has brought, if that was done already. */
  readonly found?: Lookup;
  /** Called when it waits for somebody else's call. */
  readonly onWait?: () => void;
  /**
   * Called with the stream that brings the answer, as soon as that has begun; `isOwn` when this call buys it. Says
   * whether the caller reads along, and so is answered by it, whatever becomes of it.
   */
  readonly onLive?: (stream: LiveStream, isOwn: boolean) => boolean;
}

/** A settled request, seen by one of its callers. */
export interface Answered {
  readonly settled: Settled;
  readonly led: boolean;
  /** Whether somebody else's call answered it. */
  readonly shared: boolean;
  /** The answer for as many samples as this caller wants; absent when it is not JSON. */
  readonly entry: Entry | undefined;
}

/** What the road leads past. */
export interface Stations {
  readonly clock: Clock;
  readonly journal: Journal;
  readonly shelf: Shelf;
  readonly failures: FailureMemory;
  readonly claimant: Claimant;
  readonly productions: Productions;
  /** What each sample of an answer costs, in millionths of a US dollar; `null` where that is not known. */
  readonly price: (request: CacheRequest, answer: Answer, plan: Plan) => Promise<readonly (number | null)[]>;
  /** What comes near a request that is not there, for the message of `replay_miss`. */
  readonly nearest: (request: CacheRequest) => Promise<string>;
}

const NOT_JSON = "the answer is no plain JSON";

/** Leads requests along. */
export class Answering {
  readonly #at: Stations;
  readonly #flights = new SingleFlight<Settled, LiveStream>();
  readonly #streams = new Set<LiveStream>();
  #isEnding = false;

  constructor(stations: Stations) {
    this.#at = stations;
  }

  /**
   * Answers a request, together with all who want the same at the same time, as far as one answer will do. What the
   * provider's call throws is in the answer.
   *
   * @throws what {@link Supplier.check} and `isValid` throw; a store's refusal; the reason of the caller's signal.
   */
  async answer(call: Call): Promise<Answered> {
    const { request, plan, onWait = () => {}, onLive = () => false } = call;
    const wanted = request.shape.samples;
    const key = keyOf(call);
    plan.signal?.throwIfAborted();
    let first: MaybePromise<ReadLookup> | undefined;
    if (this.#flights.has(key)) onWait();
    else {
      first = this.#first(call);
      // Nearly all hits are there at once: nobody can have asked for the same meanwhile, and there is nothing to share.
      if (!(first instanceof Promise) && first.outcome === "hit") return this.#hit(call, first);
    }
    let readsAlong = false;
    const flight = {
      size: wanted,
      work: (cockpit: Cockpit<LiveStream>): Promise<Settled> => {
        const looked = first;
        // Whoever flies again looks again.
        first = undefined;
        return this.#lead(call, cockpit, looked);
      },
      suits: (settled: Settled): boolean => readsAlong || (appliesTo(settled, wanted) && this.#suits(settled, call)),
      onLive: (stream: LiveStream, led: boolean): void => {
        readsAlong = onLive(stream, led);
        // Whoever waits for a whole answer keeps the stream going in which it comes.
        if (!readsAlong) stream.hold(plan.signal);
      },
      signal: plan.signal,
    };
    let landed = await this.#flights.run(key, flight);
    const isAnswered = landed.led || readsAlong || isShareable(landed.value);
    if (!isAnswered) landed = await this.#flights.run(Symbol(), flight);
    const { failure, isPrivate } = landed.value;
    if (failure !== undefined && isPrivate) throw failure.error;
    return this.#seenBy(call, landed);
  }

  /** Answers without the cache. */
  async goRound(request: BypassedRequest, plan: Plan, supplier: Supplier): Promise<Answered> {
    const { clock, journal } = this.#at;
    this.#count(request.model, "bypass", request.bypass, plan);
    const known: Circumstances = { outcome: "bypass", stored: false, why: request.bypass, asked: 1 };
    const work = async ({ signal, goLive }: Cockpit<LiveStream>): Promise<Settled> => {
      if (plan.mode === "replay") return settle(known, [], { failure: { error: missOf(request, request.bypass) } });
      const stamp = (latency: number): AnswerStamp => stampOf(plan, request.model, clock, latency);
      const bought = await supplier.buy({ shape: ONE_SAMPLE, isPart: false, signal, goLive, stamp });
      if (hasFailed(bought, signal)) journal.tallies.count(request.model, "failedCalls");
      return settle(known, [], bought);
    };
    const { value: settled } = await this.#flights.run(Symbol(), { size: 1, signal: plan.signal, work });
    return { settled, led: true, shared: false, entry: entryFor(settled, 1, true) };
  }

  /** What one gets who wants the same, but perhaps fewer samples. He is counted as one whom another's call answered. */
  partOf({ settled }: Answered, request: CacheRequest, plan: Plan): Answered {
    return this.#seenBy({ request, plan }, { value: settled, led: false });
  }

  /** The error for a request that was to be answered from the cache alone. */
  async replayMiss(
    request: CacheRequest | BypassedRequest,
    { outcome, why }: Pick<Lookup, "outcome" | "why">,
  ): Promise<CacheError> {
    const { journal, nearest } = this.#at;
    if (!isKeyed(request)) return missOf(request, request.bypass);
    try {
      return missOf(request, why ?? outcome, await nearest(request));
    } catch (error) {
      // That it is not there is the answer; what comes near is only a help.
      journal.remember(error);
      return missOf(request, why ?? outcome);
    }
  }

  /** Resolves when nothing is under way any more. Streams that their readers do not read on are read to their end. */
  landed(): Promise<void> {
    this.#isEnding = true;
    for (const stream of this.#streams) stream.hold();
    return this.#flights.landed();
  }

  #keepGoing(stream: LiveStream): void {
    this.#streams.add(stream);
    stream.ended.then(() => this.#streams.delete(stream));
    if (this.#isEnding) stream.hold();
  }

  #seenBy({ request, plan }: Pick<Call, "request" | "plan">, { value: settled, led }: Landed<Settled>): Answered {
    const { journal } = this.#at;
    const entry = entryFor(settled, request.shape.samples, led);
    const fromStore = settled.outcome === "hit" || settled.expiredServed === true;
    const shared = settled.elsewhere === true || (!led && !fromStore);
    // Whoever led was counted when the flight landed, whether he waited for it or not.
    if (!led) {
      if (shared) journal.tallies.count(request.model, "shared");
      else this.#count(request.model, settled.outcome, undefined, plan);
      if (settled.expiredServed) journal.tallies.count(request.model, "expiredServed");
      if (entry !== undefined) journal.tallies.save(request.model, entry);
    }
    return { settled, led, shared, entry };
  }

  /** Leads a flight, and counts what came of it. */
  async #lead(call: Call, cockpit: Cockpit<LiveStream>, looked?: MaybePromise<ReadLookup>): Promise<Settled> {
    const { request: { model, shape }, plan } = call;
    const { journal } = this.#at;
    let settled: Settled;
    try {
      settled = await this.#settle(call, await (looked ?? this.#first(call)), cockpit);
    } catch (error) {
      return settleThrown(shape.samples, error);
    }
    const { outcome, why, elsewhere, expiredServed, billed, failure } = settled;
    if (elsewhere) journal.tallies.count(model, "shared");
    else this.#count(model, outcome, why, plan);
    if (expiredServed) journal.tallies.count(model, "expiredServed");
    this.#spend(model, billed);
    if (failure === undefined && (outcome === "hit" || expiredServed || elsewhere)) {
      const entry = entryFor(settled, shape.samples, true);
      if (entry !== undefined) journal.tallies.save(model, entry);
    }
    return settled;
  }

  /** What is there of what a request asks for. */
  #first({ request, plan, found }: Call): MaybePromise<ReadLookup> {
    // What was missing when it was looked for with others may have been stored until this flight began.
    return found?.outcome === "hit" ? this.#at.shelf.readable(found, plan) : this.#look(request, plan);
  }

  #hit({ request: { model, shape }, plan }: Call, { samples, body }: ReadLookup): Answered {
    const { journal } = this.#at;
    const known: Circumstances = { outcome: "hit", stored: false, why: undefined, asked: shape.samples };
    const settled = settleFound(known, samples, { ...(body !== undefined && { body }) });
    this.#count(model, "hit", undefined, plan);
    const entry = entryFor(settled, shape.samples, true);
    if (entry !== undefined) journal.tallies.save(model, entry);
    return { settled, led: true, shared: false, entry };
  }

  async #settle(call: Call, first: ReadLookup, cockpit: Cockpit<LiveStream>): Promise<Settled> {
    const { request, plan } = call;
    const { outcome, samples, body, late, why } = first;
    const known: Circumstances = { outcome, stored: false, why, asked: request.shape.samples };
    if (outcome === "hit") return settleFound(known, samples, { ...(body !== undefined && { body }) });
    if (late !== undefined && late.by < plan.staleWhileRevalidate && plan.mode !== "read-only") {
      if (plan.writes) this.#revalidate(call);
      return settleFound({ ...known, outcome: "expired" }, late.samples, { expiredServed: true });
    }
    const settled = plan.mode === "replay"
      ? settle(known, [], { failure: { error: await this.replayMiss(request, first) } })
      : await this.#buyAfterOthers(call, first, known, cockpit);
    // An answer that has expired is still better than the error that there is instead.
    const failed = whyFailed(settled);
    if (failed === undefined || late === undefined || late.by >= plan.staleIfError) return settled;
    if (gaveUp(failed.error)) return settled;
    const instead: Circumstances = { ...known, outcome: "expired", why: messageOf(failed.error) };
    return settleFound(instead, late.samples, { expiredServed: true, billed: settled.billed });
  }

  #look(request: CacheRequest, plan: Plan): MaybePromise<ReadLookup> {
    return plan.reads ? this.#at.shelf.read(request, plan) : this.#unread(request, plan);
  }

  async #unread(request: CacheRequest, plan: Plan): Promise<ReadLookup> {
    const { shelf } = this.#at;
    const isShut = plan.writes && await shelf.isShut(request);
    return { outcome: "bypass", samples: [], isShut, why: `the mode is ${plan.mode}` };
  }

  /** Buys what is missing, unless that is being bought in the background. */
  async #buyAfterOthers(
    call: Call,
    first: Lookup,
    known: Circumstances,
    cockpit: Cockpit<LiveStream>,
  ): Promise<Settled> {
    const { request, plan, onWait = () => {} } = call;
    const key = revalidationOf(request);
    if (!plan.reads || !this.#flights.has(key)) return await this.#buyInTurn(call, first, known, cockpit);
    onWait();
    await this.#flights.landing(key, cockpit.signal);
    const latest = await this.#look(request, plan);
    if (latest.outcome === "hit") return settleFound(known, latest.samples, { elsewhere: true });
    return await this.#buyInTurn(call, latest, known, cockpit);
  }

  /** Buys what is missing, unless another process does; waits for that one then. */
  async #buyInTurn(
    call: Call,
    first: Lookup,
    known: Circumstances,
    cockpit: Cockpit<LiveStream>,
  ): Promise<Settled> {
    const { request, plan, onWait = () => {} } = call;
    const { failures, claimant } = this.#at;
    // Where the cache is not asked, or cannot be, nobody is waited for.
    if (!plan.reads || first.isShut) return await this.#buy(call, first, known, cockpit);
    const before = await failures.last(request);
    const refusal = failures.refusal(request, before);
    if (refusal !== undefined) return settle(known, [], { failure: { error: refusal } });
    if (!plan.writes) return await this.#buy(call, first, known, cockpit);
    let latest = first;
    const look = async (): Promise<Lookup> => latest = await this.#look(request, plan);
    const turn = await claimant.turn(request, { look, before, onWait, signal: cockpit.signal });
    if ("failure" in turn) return settle(known, [], { failure: { error: turn.failure } });
    if ("found" in turn) return settleFound(known, turn.found.samples, { elsewhere: true });
    try {
      return await this.#buy(call, latest, known, cockpit);
    } finally {
      await turn.release();
    }
  }

  async #buy(
    { request, plan, supplier }: Call,
    { samples, inDoubt = false, isShut = false }: Lookup,
    known: Circumstances,
    { signal, goLive }: Cockpit<LiveStream>,
  ): Promise<Settled> {
    const { clock, productions, failures, journal } = this.#at;
    // Whoever has left while it was looked up does not pay for it.
    signal.throwIfAborted();
    supplier.check();
    const { shape, model } = request;
    const reused = shape.fixed || inDoubt ? [] : samples;
    const gap: Gap = {
      shape: { ...shape, samples: shape.samples - reused.length },
      isPart: reused.length > 0,
      signal,
      goLive: (stream) => {
        this.#keepGoing(stream);
        goLive(stream);
      },
      stamp: (latency) => stampOf(plan, model, clock, latency),
    };
    const bought = await productions.run(request.id, () => supplier.buy(gap));
    const mayWrite = plan.writes && !isShut;
    if (hasFailed(bought, signal)) {
      journal.tallies.count(model, "failedCalls");
      if (mayWrite) await failures.record(request, bought.failure);
    }
    if (bought.failure !== undefined) return settle(known, reused, bought);
    const answer = bought.answer && await this.#judge(request, bought.answer, plan);
    const judged = { ...bought, answer };
    const written = mayWrite ? await this.#keep(request, judged, plan, inDoubt) : undefined;
    const { stored = false, why = known.why } = written ?? {};
    return settle({ ...known, stored, why }, reused, judged);
  }

  /** Marks the samples that the caller refuses, and puts prices on all. */
  async #judge(request: CacheRequest, answer: Answer, plan: Plan): Promise<Answer> {
    const costs = await this.#at.price(request, answer, plan);
    const samples = answer.samples.map((sample, index) => {
      const priced = { ...sample, costMicrodollars: costs[index]! };
      if (answer.fault !== undefined || sample.outcome === "error" || this.#passes(request, sample.body, plan)) {
        return priced;
      }
      const outcome = "invalid";
      return { ...priced, outcome, expires: plan.gate.expires(outcome, sample.created, plan.ttl) } as const;
    });
    return { ...answer, samples };
  }

  /** Whether the caller accepts a sample that was just bought. It is paid for: his mistake must not cost it. */
  #passes({ model }: CacheRequest, body: Uint8Array, { isValid }: Plan): boolean {
    try {
      return isValid === undefined || isValidSample(body, isValid);
    } catch (error) {
      this.#at.journal.tell({ type: "not_stored", model, why: `isValid threw: ${messageOf(error)}` });
      return false;
    }
  }

  /** Stores what was bought, where there is something to store. */
  async #keep(request: CacheRequest, bought: Bought, plan: Plan, inDoubt: boolean): Promise<Written> {
    const { answer } = bought;
    const { shelf, journal, failures } = this.#at;
    let written: Written;
    if (answer === undefined) {
      journal.tell({ type: "not_stored", model: request.model, why: NOT_JSON });
      written = { stored: false, why: NOT_JSON };
    } else {
      written = await shelf.write(request, answer, placementOf(plan, { fixed: request.shape.fixed, inDoubt }), plan);
    }
    if (written.stored || written.error !== undefined) return written;
    journal.tallies.count(request.model, "failedCalls");
    await failures.recordUnkept(request, written.why ?? NOT_JSON);
    return written;
  }

  /** Buys a new answer in the background, unless that is being done. */
  #revalidate({ request, plan, supplier }: Call): void {
    const key = revalidationOf(request);
    if (this.#flights.has(key)) return;
    const { journal } = this.#at;
    const failed = (error: unknown): void => {
      journal.tell({ type: "revalidation_failed", model: request.model, error });
    };
    const fresh = { ...plan, staleWhileRevalidate: 0, staleIfError: 0 };
    const revalidate = async (call: Call, signal: AbortSignal): Promise<Settled> => {
      const first = await this.#look(request, fresh);
      const known: Circumstances = { outcome: first.outcome, stored: false, asked: request.shape.samples };
      if (first.outcome === "hit") return settleFound(known, first.samples);
      const goLive = (stream: LiveStream): void => stream.hold();
      const settled = await this.#buyInTurn(call, first, known, { signal, goLive });
      this.#spend(request.model, settled.billed);
      if (settled.failure !== undefined) throw settled.failure.error;
      return settled;
    };
    try {
      // While the caller's request still is what it was when it was looked up.
      const call: Call = { request, plan: fresh, supplier: supplier.detached?.() ?? supplier };
      const work = ({ signal }: Cockpit<LiveStream>): Promise<Settled> => revalidate(call, signal);
      this.#flights.run(key, { size: request.shape.samples, work }).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Whether what another caller got would do for this one, who may be harder to please. */
  #suits({ samples, expiredServed = false, why, failure }: Settled, { request, plan }: Call): boolean {
    if (failure !== undefined) return true;
    const wanted = samples.slice(0, request.shape.samples);
    const now = this.#at.clock.now();
    if (expiredServed) {
      // There is a reason where no new one could be bought.
      const grace = why === undefined
        ? plan.staleWhileRevalidate
        : Math.max(plan.staleWhileRevalidate, plan.staleIfError);
      if (lateness(wanted, now) >= grace) return false;
    }
    if (wanted.some(({ created }) => now - created > plan.maxAge)) return false;
    if (plan.objects?.(wanted) !== undefined) return false;
    const { isValid } = plan;
    // Who reads along, or from a recording, did not have it put together.
    if (plan.form !== "stream" && !wanted.every(isReadable)) return false;
    return isValid === undefined || wanted.every((sample) => isValidSample(sample.bytes(), isValid));
  }

  #spend(model: string, billed: number | null): void {
    if (billed !== null && billed > 0) this.#at.journal.tallies.spend(model, billed);
  }

  #count(model: string, outcome: Settled["outcome"], why: string | undefined, plan: Plan): void {
    const { journal } = this.#at;
    journal.tallies.lookup(model, outcome);
    if (outcome === "corrupt") journal.tell({ type: "corrupt", model });
    // A mode is the caller's own wish.
    if (outcome === "bypass" && plan.reads) journal.tell({ type: "bypassed", model, why: why ?? "" });
  }
}

/** Callers share a flight only with those whose mode does the same to the cache. */
function keyOf({ request, plan }: Pick<Call, "request" | "plan">): string | symbol {
  if (plan.mode === "read-write") return request.id;
  // Every call is to be one more sample.
  return plan.mode === "write-only" ? Symbol() : `${plan.mode} ${request.id}`;
}

function revalidationOf({ id }: CacheRequest): string {
  return `revalidate ${id}`;
}

/** Whether a call failed, and was not given up. */
function hasFailed(bought: Bought, signal: AbortSignal): bought is Bought & Required<Pick<Bought, "failure">> {
  return bought.failure !== undefined && !signal.aborted && !gaveUp(bought.failure.error);
}

function missOf({ model }: Pick<CacheRequest, "model">, why: string, nearest = ""): CacheError {
  const message = `Cannot replay an answer that is not there (${why}): model ${model}. ${nearest}`;
  return new CacheError("replay_miss", message.trimEnd());
}

function stampOf(plan: Plan, modelAsked: string, clock: Clock, latency: Milliseconds | null): AnswerStamp {
  const created = clock.now();
  return { modelAsked, latency, created, expires: (outcome) => plan.gate.expires(outcome, created, plan.ttl) };
}

function isReadable(sample: Sample): boolean {
  if (sample.recording === undefined) return true;
  try {
    sample.bytes();
    return true;
  } catch {
    return false;
  }
}

/** @throws what `isValid` throws. */
function isValidSample(body: Uint8Array, isValid: NonNullable<Plan["isValid"]>): boolean {
  const answer: unknown = JSON.parse(decodeText(body));
  return isJsonObject(answer) && isValid(answer);
}
