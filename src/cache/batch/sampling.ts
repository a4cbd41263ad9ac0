/**
 * Samples: many answers to one request, for evaluations that ask the same again and again. They are bought once each,
 * whatever the endpoint knows of `n`, and found again by their place.
 *
 * @module
 */

import { messageOf } from "../../runtime/message.ts";
import type { Clock } from "../../runtime/runtime.ts";
import { CacheError } from "../../store/error.ts";
import { type Answer, readJson } from "../answer/answer.ts";
import type { Answered, Gap, Supplier } from "../flow/answering.ts";
import type { CacheCallOptions, CacheStatus, Plan } from "../call_options.ts";
import type { Sample } from "../answer/entry.ts";
import { decodeText } from "../json.ts";
import { answerOne, bypassOf } from "../flow/answer_one.ts";
import type { CacheParts } from "../parts.ts";
import { isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import { ONE_SAMPLE } from "../answer/samples.ts";
import { type Bought, sumOf } from "../flow/settled.ts";
import { together } from "./statuses.ts";
import { faultOf, type ProduceContext, since } from "../flow/supplier.ts";

/** How to get samples. */
export interface SamplesOptions extends CacheCallOptions {
  /**
   * What to do when there are fewer valid samples (see `isValid`) than were asked for:
   *
   * - `retry`: ask for the missing ones again, {@link attempts} times in all, then as `error` (the default).
   * - `error`: fail with CacheError `insufficient_samples`. Where valid ones could not be stored, all of them are its
   *   `cause`.
   * - `continue`: return those there are.
   * - `pad`: fill up with those that were bought, but are not valid; if that does not do, as `error`.
   *
   * What was bought and is valid is stored, whatever becomes of the call.
   */
  readonly insufficient?: "retry" | "error" | "continue" | "pad";
  /** How often `retry` asks in all; 3 by default. */
  readonly attempts?: number;
  /**
   * The share of empty answers among the stored ones, from 0 to 1, beyond which all of them are bought anew; 0.5 by
   * default. Empty answers are stored only where the policy says so. In the mode `replay` they stay what they are.
   */
  readonly emptyThreshold?: number;
}

/** The names of the options that only samples have. */
export const SAMPLES_OPTIONS: readonly string[] = ["insufficient", "attempts", "emptyThreshold"];

/** What was asked of samples: every default in place. */
export interface SamplesPlan {
  readonly n: number;
  readonly insufficient: "retry" | "error" | "continue" | "pad";
  readonly attempts: number;
  readonly emptyThreshold: number;
}

const INSUFFICIENT: readonly unknown[] = ["retry", "error", "continue", "pad"];
const ATTEMPTS = 3;
const EMPTY_THRESHOLD = 0.5;

/**
 * Checks what is asked of samples and puts the defaults in place.
 *
 * @throws TypeError, RangeError
 */
export function planSamples(n: number, options: SamplesOptions): SamplesPlan {
  const { insufficient = "retry", attempts = ATTEMPTS, emptyThreshold = EMPTY_THRESHOLD } = options;
  if (!Number.isSafeInteger(n) || n < 1) {
    throw new RangeError(`Cannot wrap samples: n has to be 1 or more: ${String(n)}`);
  }
  if (!INSUFFICIENT.includes(insufficient)) {
    throw new TypeError(`Cannot wrap samples: insufficient is none of ${INSUFFICIENT.join(", ")}: ${insufficient}`);
  }
  if (!Number.isSafeInteger(attempts) || attempts < 1) {
    throw new RangeError(`Cannot wrap samples: attempts has to be 1 or more: ${String(attempts)}`);
  }
  if (!(typeof emptyThreshold === "number" && emptyThreshold >= 0 && emptyThreshold <= 1)) {
    throw new RangeError(`Cannot wrap samples: emptyThreshold has to be from 0 to 1: ${String(emptyThreshold)}`);
  }
  return { n, insufficient, attempts, emptyThreshold };
}

/** What is asked for as samples. */
export interface SamplesCall<T> {
  readonly body: object;
  readonly produce: SamplesParts<T>["produce"];
  readonly options: SamplesOptions;
  readonly plan: Plan;
  readonly wanted: SamplesPlan;
}

/** What samples are made of. */
interface SamplesParts<T> {
  readonly wanted: SamplesPlan;
  readonly read: ReadRequest;
  readonly plan: Plan;
  readonly clock: Clock;
  readonly produce: (count: number, context: ProduceContext) => Promise<readonly (T | PromiseLike<T>)[]>;
  readonly answer: (read: ReadRequest, plan: Plan, status: CacheStatus, supplier: Supplier) => Promise<Answered>;
}

/** As {@link ../response_cache.ts ResponseCache.wrapSamples}; fills in the status however it ends. */
export async function wrapSamples<T>(cache: CacheParts, call: SamplesCall<T>): Promise<T[]> {
  const { body, produce, options, plan, wanted } = call;
  const { status = {} } = options;
  const { emptyThreshold, n } = wanted;
  const read = await cache.reader.read(body, options, { bypass: bypassOf(options, plan), samples: n });
  const answer: SamplesParts<T>["answer"] = (...asked) => answerOne(cache, ...asked);
  const parts: SamplesParts<T> = { wanted, read, plan, clock: cache.clock, produce, answer };
  const objects = (samples: readonly Sample[]): string | undefined =>
    shareOfEmpty(samples) > emptyThreshold ? "too many of the stored answers are empty" : undefined;
  // What nobody can buy stays what it is.
  const sampling = new Sampling(plan.mode === "replay" ? parts : { ...parts, plan: { ...plan, objects } });
  try {
    return await sampling.gather();
  } finally {
    Object.assign(status, sampling.status());
  }
}

/** A value that is a sample; where it is no JSON, nothing is known of it but that it was paid for. */
interface Valid<T> {
  readonly value: T;
  readonly sample: Sample | undefined;
}

/** Gathers samples, round by round: each takes what is there and buys the rest, once. */
class Sampling<T> {
  readonly #parts: SamplesParts<T>;
  /** What the next round finds in the store. */
  #stored: Valid<T>[] = [];
  /** What it does not find there: it could not be stored, or must not, or the store is not asked. */
  #held: Valid<T>[] = [];
  readonly #refused: T[] = [];
  readonly #statuses: CacheStatus[] = [];
  #returned: readonly Valid<T>[] = [];

  constructor(parts: SamplesParts<T>) {
    this.#parts = parts;
  }

  async gather(): Promise<T[]> {
    const { wanted: { n, insufficient, attempts } } = this.#parts;
    let { plan } = this.#parts;
    let attempt = 0;
    for (;;) {
      const { outcome, failure } = await this.#round(plan);
      attempt++;
      const valid = [...this.#stored, ...this.#held];
      if (valid.length >= n || insufficient === "continue") {
        if (failure !== undefined) Object.assign(this.#statuses.at(-1)!, { why: messageOf(failure.error) });
        return this.#give(valid);
      }
      const padded = [...valid, ...this.#refused.map((value) => ({ value, sample: undefined }))];
      if (insufficient === "pad" && padded.length >= n) return this.#give(padded);
      if (failure !== undefined) throw failure.error;
      // What is stored would be found again, and found wanting again.
      if (insufficient !== "retry" || attempt === attempts || outcome === "hit") throw this.#insufficient(attempt);
      plan = this.#nextPlan();
    }
  }

  /** How all rounds together fared. */
  status(): CacheStatus {
    const costs = this.#returned.map(({ sample }) => sample?.costMicrodollars ?? null);
    const isStored = this.#statuses.some(({ stored }) => stored) && this.#held.length === 0;
    return {
      ...together(this.#statuses),
      stored: isStored,
      costMicrodollars: costs.length === 0 ? null : sumOf(costs),
    };
  }

  #give(valid: readonly Valid<T>[]): T[] {
    this.#returned = valid.slice(0, this.#parts.wanted.n);
    return this.#returned.map(({ value }) => value);
  }

  /** What was bought anew stays; the rest is put behind it. */
  #nextPlan(): Plan {
    const { plan, read: { request } } = this.#parts;
    const isFixed = isKeyed(request) && request.shape.fixed;
    return plan.mode === "refresh" && !isFixed ? { ...plan, mode: "write-only" } : plan;
  }

  #insufficient(attempt: number): CacheError {
    const { n } = this.#parts.wanted;
    const valid = [...this.#stored, ...this.#held].map(({ value }) => value);
    const isKept = this.#held.length === 0;
    const text = `Cannot get ${n} valid samples: ${valid.length} valid and ${this.#refused.length} refused after ` +
      `${attempt} attempts; ${isKept ? "those are stored, so ask again for the rest" : "not all of those are stored"}`;
    return new CacheError("insufficient_samples", text, isKept ? {} : { cause: valid });
  }

  async #round(plan: Plan): Promise<{
    readonly outcome: string;
    readonly failure: Bought["failure"];
  }> {
    const { read, wanted: { n }, answer } = this.#parts;
    const { request } = read;
    const shape = isKeyed(request) ? request.shape : ONE_SAMPLE;
    // Samples of two calls must not be mixed where the provider repeats or ranks them.
    if (shape.fixed) this.#held = [];
    const size = n - this.#held.length;
    const purchase = new Purchase(this.#parts, size, shape.prompts);
    const status: CacheStatus = {};
    this.#statuses.push(status);
    const reading = {
      ...read,
      request: isKeyed(request) ? { ...request, shape: { ...shape, samples: size } } : request,
    };
    const { settled } = await answer(reading, plan, status, purchase);
    const { samples, reused, outcome, stored } = settled;
    // An answer that stands for itself leaves out what was there.
    const there = samples[0] === reused[0] ? reused : [];
    this.#stored = there === reused ? [] : reused.map((sample) => this.#valid(sample, purchase));
    for (const sample of samples) {
      const isThere = there.includes(sample);
      const valid = this.#valid(sample, purchase);
      if (isGood(sample, plan)) {
        const isFound = this.#nextPlan().reads && (isThere || (stored && plan.gate.admits(sample.outcome)));
        (isFound ? this.#stored : this.#held).push(valid);
      } else if (!isThere) {
        this.#refused.push(valid.value);
      }
    }
    this.#held.push(...purchase.unreadable.map((value) => ({ value, sample: undefined })));
    this.#refused.push(...purchase.refused);
    return { outcome, failure: purchase.failure };
  }

  #valid(sample: Sample, purchase: Purchase<T>): Valid<T> {
    return { value: purchase.valueOf(sample) ?? JSON.parse(decodeText(sample.bytes())), sample };
  }
}

/** What one round buys. */
class Purchase<T> implements Supplier {
  /** No JSON: it cannot be kept, but was paid for. */
  readonly unreadable: T[] = [];
  /** Nothing, an answer that says less than was asked, or an error beside samples, where it would stand for all. */
  readonly refused: T[] = [];
  /** Why the first of those failed that were to be samples. */
  failure: Bought["failure"];
  readonly #parts: SamplesParts<T>;
  readonly #size: number;
  readonly #prompts: number;
  /** By what a sample keeps, whatever else is noted on it. */
  readonly #values = new Map<Sample["bytes"], T>();

  constructor(parts: SamplesParts<T>, size: number, prompts: number) {
    this.#parts = parts;
    this.#size = size;
    this.#prompts = prompts;
  }

  check(): void {
    const { read } = this.#parts;
    if (isKeyed(read.request)) read.current();
  }

  async buy(gap: Gap): Promise<Bought> {
    const { clock, produce } = this.#parts;
    const started = clock.monotonic();
    let arrivals: PromiseSettledResult<{ readonly value: T; readonly answer: Answer | undefined }>[];
    try {
      const values: unknown = await produce(gap.isPart ? gap.shape.samples : this.#size, { signal: gap.signal });
      if (!Array.isArray(values)) {
        throw new TypeError(`Cannot get samples (produce has to give a list): ${typeof values}`, { cause: values });
      }
      const shape = { ...ONE_SAMPLE, prompts: this.#prompts };
      arrivals = await Promise.allSettled(Array.from(values, async (promised: T | PromiseLike<T>) => {
        const value = await promised;
        return { value, answer: readJson(value, shape, gap.stamp(since(clock, started))) };
      }));
    } catch (error) {
      return { failure: { error } };
    }
    const failed = arrivals.find((arrival) => arrival.status === "rejected");
    if (failed !== undefined) this.failure = { error: failed.reason };
    const arrived = arrivals.flatMap((arrival) => arrival.status === "fulfilled" ? [arrival.value] : []);
    if (arrived.length === 0 && this.failure !== undefined) return { failure: this.failure };
    const answers = arrived.flatMap(({ value, answer }) => this.#sort(value, answer, gap));
    const produced = { value: arrived.map(({ value }) => value) };
    if (answers.length === 0 && this.unreadable.length > 0) return { produced };
    return {
      produced,
      answer: {
        bills: answers.flatMap(({ bills }) => bills),
        samples: answers.flatMap(({ samples }) => samples),
        ...faultOf(() => this.check()),
      },
    };
  }

  /** The value that a sample was bought as; `undefined` for one that was there, or is one of several in a value. */
  valueOf(sample: Sample): T | undefined {
    return this.#values.get(sample.bytes);
  }

  #sort(value: T, answer: Answer | undefined, { isPart }: Gap): Answer[] {
    if (answer === undefined) {
      (value === undefined || value === null ? this.refused : this.unreadable).push(value);
      return [];
    }
    const isError = answer.samples.some(({ outcome }) => outcome === "error");
    if (answer.fault !== undefined || (isError && isPart)) {
      this.refused.push(value);
      return [];
    }
    if (answer.samples.length === 1) this.#values.set(answer.samples[0]!.bytes, value);
    return [answer];
  }
}

/** An error, or what the caller refuses, is no sample; an empty answer is one where it is stored. */
function isGood({ outcome }: Sample, { gate }: Plan): boolean {
  return outcome !== "error" && outcome !== "invalid" && (outcome !== "empty" || gate.admits(outcome));
}

function shareOfEmpty(samples: readonly Sample[]): number {
  return samples.length === 0 ? 0 : samples.filter(({ outcome }) => outcome === "empty").length / samples.length;
}
