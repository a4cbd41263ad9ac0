/**
 * Asking several things at once and hearing the answers in the order of the questions: an endpoint is far away, and
 * most of the time of one question is waiting.
 *
 * @module
 */

/**
 * Yields what `answer` says of each item, in order, with at most `most` under way. When one fails, or the reader stops,
 * the others are aborted and nothing goes on behind his back.
 */
export async function* inOrder<I, O>(
  items: readonly I[],
  most: number,
  signal: AbortSignal,
  answer: (item: I, signal: AbortSignal) => Promise<O>,
): AsyncGenerator<O> {
  const work = new AbortController();
  const giveUp = (): void => work.abort(signal.reason);
  if (signal.aborted) giveUp();
  else signal.addEventListener("abort", giveUp, { once: true });
  const running: Promise<O>[] = [];
  let next = 0;
  try {
    work.signal.throwIfAborted();
    for (let taken = 0; taken < items.length; taken++) {
      while (next < items.length && running.length < most) {
        const one = answer(items[next++]!, work.signal);
        // The first in order is heard; those behind it may fail before their turn.
        one.catch(() => {});
        running.push(one);
      }
      yield await running.shift()!;
    }
  } finally {
    signal.removeEventListener("abort", giveUp);
    work.abort();
    await Promise.allSettled(running);
  }
}
