/**
 * The caches that `million.ts` measures: requests of 1 KB and answers of 0.3 to 2 KB of prose, of four models of which
 * one has most, over 90 days. A request is made from its number, the same in every process.
 */

import { readFileSync } from "node:fs";
import { ResponseCache } from "../src/cache/response_cache.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import type { Clock } from "../src/runtime/runtime.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite_store.ts";
import { seededRandom } from "./harness.ts";

const DAY = 24 * 60 * 60 * 1000;
/** When the last answer was put, and over how long all of them. */
export const NOW: number = Date.UTC(2026, 10, 1);
export const SPAN: number = 90 * DAY;
/** A tag that one request in twenty has. */
export const TAG = "pilot";

/** Models, and how many of 100 requests are to them. */
const MODELS = [["gpt-4o-mini", 80], ["claude-haiku-4-5", 12], ["gemini-2.5-flash", 6], ["mistral-small", 2]] as const;
/** Puts that are under way at once, and have the same time. */
const AT_ONCE = 2000;
const TIMES = 50;
/** Upkeep that has not slept for so long is done. */
const AT_REST = 3000;

const words = ((): readonly string[] => {
  const tokenizer = new URL("../models/kjv-tiny/tokenizer.json", import.meta.url);
  const { model } = JSON.parse(readFileSync(tokenizer, "utf8")) as { model: { vocab: Record<string, number> } };
  return Object.keys(model.vocab).filter((token) => /^Ġ[a-z]{2,}$/.test(token)).map((token) => token.slice(1));
})();
/** Of eight tasks that share their instructions. */
const instructions: readonly string[] = Array.from({ length: 8 }, (_, task) => prose(seededRandom(task + 1), 550));

/** The model that is asked by most of the requests, or by the next most, and so on. */
export function modelAt(rank: number): string {
  return MODELS[rank]![0];
}

/** How many of `entries` requests are to a model. */
export function countOf(model: string, entries: number): number {
  const rest = Array.from({ length: entries % 100 }, (_, index) => modelOf(index)).filter((each) => each === model);
  return Math.floor(entries / 100) * MODELS.find(([name]) => name === model)![1] + rest.length;
}

/** How many of `entries` were put in the first so much of the time. */
export function putWithin(share: number, entries: number): number {
  return Math.floor(share * entries / batchOf(entries)) * batchOf(entries);
}

/** Request number `index`. */
export function requestOf(index: number): Record<string, unknown> {
  return {
    model: modelOf(index),
    temperature: 0,
    max_tokens: 512,
    messages: [
      { role: "system", content: instructions[index % instructions.length] },
      { role: "user", content: `Item ${index}. ${prose(seededRandom(2 * index), 330)}` },
    ],
  };
}

/** Its answer, in OpenAI's shape. */
export function answerOf(index: number): Record<string, unknown> {
  const random = seededRandom(2 * index + 1);
  const content = prose(random, 10 + 1700 * random() ** 1.5);
  return {
    id: `chatcmpl-${index}`,
    object: "chat.completion",
    created: Math.floor((NOW - SPAN) / 1000) + index,
    model: modelOf(index),
    choices: [{ index: 0, message: { role: "assistant", content }, logprobs: null, finish_reason: "stop" }],
    usage: { prompt_tokens: 200, completion_tokens: content.length >> 2, total_tokens: 200 + (content.length >> 2) },
  };
}

/** Fills a directory with the first `entries` answers and does all the upkeep; returns what each took, in seconds. */
export async function build(directory: string, entries: number): Promise<{ put: number; upkeep: number }> {
  const machine = await loadRuntime();
  let now = NOW - SPAN;
  let [isHurried, slept] = [false, 0];
  const clock: Clock = {
    ...machine.clock,
    now: () => now,
    // The pauses that upkeep makes for others, who are not there.
    sleep: (duration, options) => {
      slept = performance.now();
      return machine.clock.sleep(isHurried && options?.background ? Math.min(duration, 1) : duration, options);
    },
  };
  const store = await openSqliteStore({ runtime: { ...machine, clock }, directory, locking: "exclusive" });
  const cache = new ResponseCache({ store, clock, sha256: (bytes) => machine.sha256(bytes), claimDuration: 0 });
  const began = performance.now();
  for (let from = 0; from < entries; from += batchOf(entries)) {
    const until = Math.min(entries, from + batchOf(entries));
    now = NOW - SPAN + Math.floor(SPAN * until / entries);
    const puts: Promise<void>[] = [];
    for (let index = from; index < until; index++) {
      puts.push(cache.put(requestOf(index), answerOf(index), index % 20 === 0 ? { tags: [TAG] } : {}));
    }
    await Promise.all(puts);
    if (until % 50_000 === 0) {
      console.error(`${until} of ${entries}: ${((performance.now() - began) / 1000).toFixed(0)} s`);
    }
  }
  const rested = performance.now();
  isHurried = true;
  slept = rested;
  while (performance.now() - slept < AT_REST) await machine.clock.sleep(100);
  const done = performance.now() - AT_REST;
  await cache.close();
  return { put: (rested - began) / 1000, upkeep: (done - rested) / 1000 };
}

function batchOf(entries: number): number {
  return Math.min(AT_ONCE, Math.ceil(entries / TIMES));
}

function modelOf(index: number): string {
  // Spread evenly, so that every part of the whole has every model.
  let place = index * 37 % 100;
  return MODELS.find(([, share]) => (place -= share) < 0)![0];
}

function prose(random: () => number, length: number): string {
  let text = word(random);
  while (text.length < length) text += ` ${word(random)}`;
  return text;
}

/** Common words are common, as in real prose: Zipf's law. */
function word(random: () => number): string {
  return words[Math.floor(words.length * random() ** 2)]!;
}
