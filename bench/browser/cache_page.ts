/// <reference lib="dom" />
/** A page with a cache, and how long it takes to ask it. */

import { openCache, type ResponseCache } from "../../src/compose/browser.ts";

const DIRECTORY = "bench";
const BYTES = 2048;
const TOGETHER = 100;

let cache: ResponseCache;

const requestOf = (number: number): object => ({
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: `Question ${number}` }],
});

/** Words that compress as prose does. */
function answerOf(number: number): object {
  let [state, text] = [number + 1, ""];
  while (text.length < BYTES) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + number;
    text += `${(state >>> 20).toString(36)} `;
  }
  const choice = { index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" };
  return { model: "gpt-4o-mini", choices: [choice], usage: { prompt_tokens: 9, completion_tokens: 500 } };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const before = performance.now();
  await work();
  return (performance.now() - before) * 1000;
}

/** Opens it; how long that took, in µs, the first lookup included. */
export async function open(): Promise<number> {
  return await timed(async () => {
    cache = await openCache({ directory: DIRECTORY });
    await cache.get(requestOf(-1));
  });
}

/** Stores so many answers, one after the other; the median, in µs. */
export async function fill(count: number): Promise<number> {
  const times: number[] = [];
  for (let number = 0; number < count; number++) {
    times.push(await timed(() => cache.put(requestOf(number), answerOf(number))));
  }
  return quantile(times, 0.5);
}

/** Looks up so many answers; figures in µs, and a word for what was found. */
export async function look(count: number): Promise<{ figures: Record<string, number>; answers: string }> {
  let sum = 0;
  const [hits, misses, many]: [number[], number[], number[]] = [[], [], []];
  for (let number = 0; number < count; number++) {
    const place = (number * 7919) % count;
    hits.push(
      await timed(async () => sum += (await cache.get(requestOf(place)))!.bytes()[place % BYTES]! * (place % 97)),
    );
    if (number % 4 === 0) misses.push(await timed(() => cache.get(requestOf(count + number))));
  }
  for (let first = 0; first + TOGETHER <= count; first += TOGETHER) {
    const requests = Array.from({ length: TOGETHER }, (_, number) => requestOf(first + number));
    many.push(await timed(() => cache.getMany(requests)) / TOGETHER);
  }
  return {
    answers: String(sum),
    figures: {
      "hit, p50": quantile(hits, 0.5),
      "hit, p99": quantile(hits, 0.99),
      "miss, p50": quantile(misses, 0.5),
      [`hit, of ${TOGETHER} at once`]: quantile(many, 0.5),
    },
  };
}

/** Looks up one answer; how long that took, in µs. */
export async function lookOnce(): Promise<number> {
  return await timed(() => cache.get(requestOf(1)));
}

function quantile(times: readonly number[], part: number): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length * part)]!;
}

/** Which browser it is. */
export function version(): string {
  return navigator.userAgent;
}
