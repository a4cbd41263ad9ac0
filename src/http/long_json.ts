/**
 * Answers of megabytes of JSON. Put together at once they would stop everything else for as long as that takes; they are
 * sent piece by piece instead, at the client's pace.
 *
 * @module
 */

import type { Clock } from "../runtime/runtime.ts";

/** Characters to send at once: a millisecond's work. */
const PIECE = 65_536;

const encoder = new TextEncoder();

/** A response of texts that are JSON together. One that is short goes out whole. */
export function longJson(texts: Iterable<string>, headers: Record<string, string>, clock: Clock): Response {
  const pieces = gather(texts);
  const first = pieces.next();
  const all = { headers: { ...headers, "Content-Type": "application/json" } };
  const second = pieces.next();
  if (second.done) return new Response(first.value ?? "", all);
  const waiting = [first.value!, second.value];
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise<void>((resolve) => clock.afterTurn(resolve));
      const piece = waiting.shift() ?? pieces.next().value;
      if (piece === undefined) controller.close();
      else controller.enqueue(encoder.encode(piece));
    },
  });
  return new Response(body, all);
}

function* gather(texts: Iterable<string>): Generator<string, undefined> {
  let piece = "";
  for (const text of texts) {
    piece += text;
    if (piece.length < PIECE) continue;
    yield piece;
    piece = "";
  }
  if (piece !== "") yield piece;
}
