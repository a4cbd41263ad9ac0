/**
 * One call for what many requests miss. Every request goes its own road, with claims, flights and all; where it would
 * buy, it asks here, and when all of them have asked, or wait for others, one call is made for those that asked.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import type { Productions } from "../flow/production.ts";
import { isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import type { ProduceContext } from "../flow/supplier.ts";
import { inTurns, nextTurn } from "../flow/turns.ts";

/** What a call for many is made of. */
export interface BatchParts<W> {
  /** The requests, in the order in which they are asked for. */
  readonly members: readonly ReadRequest[];
  readonly clock: Clock;
  readonly productions: Productions;
  /** Makes the call: an answer, or a promise of one, for each of `wants`, in their order. */
  readonly produce: (wants: readonly W[], context: ProduceContext) => Promise<readonly unknown[]>;
}

interface Asked<W> {
  readonly member: ReadRequest;
  readonly want: W;
  readonly signal: AbortSignal;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** As many requests take milliseconds to gather. */
const MANY = 256;

/** Gathers what is wanted. */
export class Batch<W> {
  readonly #parts: BatchParts<W>;
  /** Requests of which nobody knows yet whether they have to be bought. */
  readonly #undecided: Set<ReadRequest>;
  /** What calls for several requests have failed with. */
  readonly #jointErrors = new Set<unknown>();
  #asked: Asked<W>[] = [];

  constructor(parts: BatchParts<W>) {
    this.#parts = parts;
    this.#undecided = new Set(parts.members);
  }

  /**
   * What one request has to buy. Resolves to its answer. `signal` is aborted when nobody waits for that any more.
   *
   * @throws what the call throws; the signal's reason, when it is aborted before the call.
   */
  ask(member: ReadRequest, want: W, signal: AbortSignal): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#asked.push({ member, want, signal, resolve, reject });
    // Who waited for somebody else, in vain, or buys in the background, is not alone either.
    if (this.#undecided.size === 0) this.#callAfterTurn();
    else this.decide(member);
    return promise;
  }

  /** Whether an error is that of a call for several requests, and may be due to another one of them. */
  isJoint(error: unknown): boolean {
    return this.#jointErrors.has(error);
  }

  /** One request does not have to be bought, or not now: it waits for somebody else's call. */
  decide(member: ReadRequest): void {
    if (this.#undecided.delete(member) && this.#undecided.size === 0) void this.#call();
  }

  #callAfterTurn(): void {
    if (this.#asked.length > 1) return;
    this.#parts.clock.afterTurn(() => void this.#call());
  }

  /** Calls for all that was asked until now. Never throws. */
  async #call(): Promise<void> {
    const { clock, productions, produce } = this.#parts;
    const asked = this.#takeAsked();
    if (asked.length === 0) return;
    const context = { signal: signalOf(asked) };
    const ids = asked.map(({ member }) => member.request).filter(isKeyed).map(({ id }) => id);
    try {
      // Until the last answer is there, however it comes: a promised one is still in the making.
      await productions.runAll(ids, async () => {
        const wants = asked.map(({ want }) => want);
        // What it takes to gather thousands, and what his function does, is enough for a turn each.
        if (asked.length > MANY) await nextTurn(clock);
        context.signal.throwIfAborted();
        const values = await produce(wants, context);
        if (asked.length > MANY) await nextTurn(clock);
        const answers = answersOf(values, asked.length);
        await inTurns(clock, asked, ({ resolve }, index) => resolve(answers[index]));
        await Promise.allSettled(answers);
      });
    } catch (error) {
      if (asked.length > 1) this.#jointErrors.add(error);
      for (const { reject } of asked) reject(error);
    }
  }

  /** What is still wanted of what was asked, in the order of the requests. */
  #takeAsked(): Asked<W>[] {
    const places = new Map(this.#parts.members.map((member, place) => [member, place]));
    const asked = this.#asked.toSorted((a, b) => places.get(a.member)! - places.get(b.member)!);
    this.#asked = [];
    return asked.filter(({ signal, reject }) => {
      if (signal.aborted) reject(signal.reason);
      return !signal.aborted;
    });
  }
}

/** The call is everybody's: only when nobody wants any of it any more is it given up. */
function signalOf(asked: readonly { readonly signal: AbortSignal }[]): AbortSignal {
  const aborter = new AbortController();
  let waiting = asked.length;
  for (const { signal } of asked) {
    signal.addEventListener("abort", () => --waiting === 0 && aborter.abort(signal.reason), { once: true });
  }
  return aborter.signal;
}

/** A promise for each answer. One that fails does so for whoever waits for it, and for nobody else. */
function answersOf(values: unknown, count: number): Promise<unknown>[] {
  // Each is asked once, for what is only like a promise may call when it is asked.
  const answers = Array.isArray(values) ? values.map((value) => Promise.resolve(value)) : [];
  for (const answer of answers) answer.catch(() => {});
  if (Array.isArray(values) && values.length === count) return answers;
  const found = Array.isArray(values) ? `${values.length} answers` : typeof values;
  // What was paid for is in the error: nobody else has it.
  throw new TypeError(`Cannot tell whose answers they are (one for each of ${count} is needed): ${found}`, {
    cause: values,
  });
}
