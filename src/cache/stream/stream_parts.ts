/**
 * A caller's request for a stream, read, and put together with what makes one of it.
 *
 * @module
 */

import type { Plan } from "../call_options.ts";
import { answerOne, bypassOf, unlessProducing } from "../flow/answer_one.ts";
import type { ProduceContext } from "../flow/supplier.ts";
import type { CacheParts } from "../parts.ts";
import { copyAsSent } from "../request/canonical.ts";
import { isKeyed } from "../request/request.ts";
import { DEFAULT_ENDPOINT } from "../request/scope.ts";
import { streamProtocol } from "./protocols.ts";
import type { StreamOptions, StreamParts } from "./streaming.ts";

/** What a stream is made of. */
export async function streamParts<B extends object>(
  parts: CacheParts,
  body: B,
  produce: (body: B, context: ProduceContext) => Promise<unknown>,
  options: StreamOptions,
  plan: Plan,
): Promise<StreamParts> {
  const { reader, clock, productions } = parts;
  const read = await reader.read(body, options, { bypass: bypassOf(options, plan) });
  const protocol = streamProtocol(options.endpoint ?? DEFAULT_ENDPOINT);
  const { model, body: sent } = read.request;
  const unknown = { model, body: sent, bypass: "nobody here knows how its endpoint streams" };
  const isUnknown = isKeyed(read.request) && protocol === undefined;
  const request = isUnknown ? unknown : unlessProducing(productions, read.request);
  return {
    read: { ...read, request },
    protocol,
    plan: { ...plan, form: "stream" },
    options,
    clock,
    produce: (count, context) => produce(count === undefined ? body : { ...read.current(), n: count } as B, context),
    detached() {
      const copy = copyAsSent(read.current()) as B;
      return (count, context) => produce(count === undefined ? copy : { ...copy, n: count }, context);
    },
    answer: (plan, supplier, onLive) =>
      answerOne(parts, { ...read, request }, plan, options.status, supplier, { onLive }),
  };
}
