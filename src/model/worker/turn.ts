/**
 * One turn of a Worker's event loop. A WASM run occupies the thread, so messages (more requests, cancellation) only get
 * in between runs, and only when the loop is let turn. A message channel does that in about 10 µs; a zero timeout takes
 * a millisecond or more.
 *
 * @module
 */

const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()!();

/** Resolves after the messages that have arrived were handled. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(undefined);
  });
}
