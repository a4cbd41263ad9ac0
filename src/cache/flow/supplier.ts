/**
 * Buys answers that come whole: one call to the caller's own function, its value read as JSON or as bytes.
 *
 * @module
 */

import type { Clock, Milliseconds } from "../../runtime/runtime.ts";
import type { Answer, AnswerStamp } from "../answer/answer.ts";
import type { Gap, Supplier } from "./answering.ts";
import type { SampleShape } from "../answer/samples.ts";
import type { Bought } from "./settled.ts";

/** What a function that produces an answer is given besides the body. */
export interface ProduceContext {
  /** Aborted when nobody waits for the answer any more; only if every caller gave a signal of his own. */
  readonly signal: AbortSignal;
}

/** Reads what was produced into samples; `undefined` for a value that cannot be one. */
export type Reader = (value: unknown, shape: SampleShape, stamp: AnswerStamp) => Answer | undefined;

/** How to make a {@link Supplier} of a function. */
export interface WholeAnswers {
  readonly clock: Clock;
  /** See {@link Supplier.check}. */
  readonly check: () => void;
  /** Calls the provider for `count` samples; `undefined` when that is all that was asked for. */
  readonly produce: (count: number | undefined, context: ProduceContext) => unknown;
  readonly read: Reader;
  /** Whether an error may be another request's of the same call; none is by default. */
  readonly isJoint?: (error: unknown) => boolean;
}

/** Buys by one call. */
export function wholeAnswers({ clock, check, produce, read, isJoint = () => false }: WholeAnswers): Supplier {
  return {
    check,
    async buy({ shape, isPart, signal, stamp }: Gap): Promise<Bought> {
      const started = clock.monotonic();
      let value: unknown;
      try {
        value = await produce(isPart ? shape.samples : undefined, { signal });
      } catch (error) {
        return { failure: { error, isJoint: isJoint(error) } };
      }
      const answer = read(value, shape, stamp(since(clock, started)));
      return { produced: { value }, answer: answer && { ...answer, ...faultOf(check) } };
    },
  };
}

/**
 * What is wrong with an answer just bought: its caller changed the request while it was being sent, so that nobody knows
 * which of the two was answered.
 */
export function faultOf(check: () => void): { readonly fault?: string } {
  try {
    check();
    return {};
  } catch {
    return { fault: "the request was changed while it was answered" };
  }
}

/** How long ago that was, in whole milliseconds. */
export function since(clock: Clock, started: Milliseconds): Milliseconds {
  return Math.round(clock.monotonic() - started);
}
