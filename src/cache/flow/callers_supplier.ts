/**
 * Buys with the caller's function: it gets his own body, or a smaller one where some of the answer is there.
 *
 * @module
 */

import type { Clock } from "../../runtime/runtime.ts";
import { copyAsSent, valueAsSent } from "../request/canonical.ts";
import { isKeyed } from "../request/request.ts";
import type { ReadRequest } from "../request/request_reader.ts";
import type { Supplier } from "./answering.ts";
import { type ProduceContext, type Reader, wholeAnswers } from "./supplier.ts";

/** A request, and the caller's function that buys the answer. */
export interface CallersCall<B extends object> {
  readonly body: B;
  readonly produce: (body: B, context: ProduceContext) => unknown;
  readonly read: ReadRequest;
  readonly reader: Reader;
  /** Whether an error may be another request's of the same call; none is by default. */
  readonly isJoint?: (error: unknown) => boolean;
}

/** A supplier that calls the caller's function. */
export function callersSupplier<B extends object>(
  clock: Clock,
  { body, produce, read, reader, isJoint }: CallersCall<B>,
): Supplier {
  const produceOf = (whole: B) => (count: number | undefined, context: ProduceContext): unknown =>
    produce(count === undefined ? whole : { ...Object(valueAsSent(whole, "")), n: count } as B, context);
  const check = (): void => {
    if (isKeyed(read.request)) read.current();
  };
  const parts = { clock, read: reader, ...(isJoint && { isJoint }) };
  return {
    ...wholeAnswers({ ...parts, check, produce: produceOf(body) }),
    detached(): Supplier {
      const copy = copyAsSent(read.current()) as B;
      return wholeAnswers({ ...parts, check: () => {}, produce: produceOf(copy) });
    },
  };
}
