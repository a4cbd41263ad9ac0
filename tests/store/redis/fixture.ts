/** What the tests of the Redis store share. */

import { execFileSync } from "node:child_process";
import { hexOf } from "../../../src/runtime/hex.ts";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Clock, Milliseconds, Runtime, SleepOptions } from "../../../src/runtime/runtime.ts";
import type { RedisStoreOptions } from "../../../src/store/redis/options.ts";
import { openRedisStore } from "../../../src/store/redis/redis_store.ts";
import type { Found, Key, NewEntry, RequestRecord, Store, StoreFault } from "../../../src/store/store.ts";

/** The model that most tests use. */
export const MODEL = "gpt-4o-mini";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Whether redis-server can be started here. */
export function hasRedis(): boolean {
  try {
    execFileSync("which", ["redis-server"], { stdio: "ignore" });
    execFileSync("which", ["redis-cli"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** A clock that tests set, by which answers expire, while waiting for a server takes the time it takes. */
export class RedisClock implements Clock {
  readonly #real: Clock;
  #now: Milliseconds = Date.UTC(2026, 0, 1);

  constructor(real: Clock) {
    this.#real = real;
  }

  now(): Milliseconds {
    return this.#now;
  }

  monotonic(): Milliseconds {
    return this.#real.monotonic();
  }

  sleep(duration: Milliseconds, options?: SleepOptions): Promise<void> {
    return this.#real.sleep(duration, options);
  }

  afterTurn(run: () => void): void {
    this.#real.afterTurn(run);
  }

  advance(duration: Milliseconds): void {
    this.#now += duration;
  }
}

/** What stands between the braces of a model's keys. */
export function modelHash({ sha256 }: Pick<Runtime, "sha256">, model: string): string {
  return hexOf(sha256(encoder.encode(model)).subarray(0, 8));
}

/** A store, with a list of the faults it reported. */
export async function openStore(
  options: Omit<RedisStoreOptions, "runtime">,
): Promise<{ store: Store; faults: StoreFault[] }> {
  const store = await openRedisStore({ runtime: await loadRuntime(), ...options });
  const faults: StoreFault[] = [];
  store.onFault!((fault) => faults.push(fault));
  return { store, faults };
}

/** A request's key, by number. */
export function keyOf(number: number): Key {
  const key = new Uint8Array(32).fill(7);
  new DataView(key.buffer).setUint32(0, number);
  return key;
}

export function requestOf(number: number, namespace = ""): RequestRecord {
  return {
    key: keyOf(number),
    namespace,
    provider: "openai",
    endpoint: "/v1/chat/completions",
    identity: null,
    body: encoder.encode(`{"messages":[${number}]}`),
    sketch: new Uint8Array(16),
  };
}

export function entryOf(body: string): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: MODEL,
    modelAnswered: null,
    fingerprint: null,
    promptTokens: 1,
    completionTokens: 1,
    costMicrodollars: null,
    latency: null,
    created: Date.now(),
    expires: null,
    body: encoder.encode(body),
  };
}

/** Puts one answer. */
export async function put(store: Store, number: number, body: string, model: string = MODEL): Promise<void> {
  await store.put(model, requestOf(number), [entryOf(body)], "append");
}

/** All answers to a request. */
export async function texts(store: Store, number: number, model: string = MODEL): Promise<string[]> {
  return textsIn((await found(store, number, model))!);
}

export async function found(store: Store, number: number, model: string = MODEL): Promise<Found> {
  return (await store.lookup(model, [{ key: keyOf(number), samples: 1000 }]))[0]!;
}

export function textsIn({ entries }: Found): string[] {
  return entries.map((entry) => decoder.decode(entry.bytes()));
}
