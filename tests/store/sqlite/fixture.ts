/** Stores on real files, and what is put into them. */

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadRuntime } from "../../../src/runtime/load.ts";
import type { Clock, Runtime } from "../../../src/runtime/runtime.ts";
import type { SqliteStoreOptions } from "../../../src/store/sqlite/sqlite_store.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import type { Found, Key, NewEntry, RequestRecord, Store } from "../../../src/store/store.ts";
import type { ManualClock } from "../manual_clock.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The machine the tests run on. */
export const machine: Runtime = await loadRuntime();
/** A model that most tests use. */
export const MODEL = "gpt-4o-mini";
/** When entries were made, unless a test says otherwise. */
export const NOW = 1_700_000_000_000;

/** The key of a request that is known by a word. */
export function keyOf(word: string): Key {
  return new Uint8Array(createHash("sha256").update(word).digest());
}

/** A request that is known by a word. */
export function requestOf(word: string): RequestRecord {
  return {
    key: keyOf(word),
    namespace: "tests",
    provider: "openai",
    endpoint: "/v1/chat/completions",
    identity: null,
    body: encoder.encode(JSON.stringify({ messages: [{ content: word, role: "user" }], model: MODEL })),
    sketch: keyOf(word).subarray(0, 16),
  };
}

/** An answer with some text as its body. */
export function entryOf(text: string | Uint8Array, fields: Partial<NewEntry> = {}): NewEntry {
  return {
    mediaType: "application/json",
    outcome: "stop",
    modelAsked: MODEL,
    modelAnswered: "gpt-4o-mini-2024-07-18",
    fingerprint: "fp_1",
    promptTokens: 12,
    completionTokens: 34,
    costMicrodollars: 56.5,
    latency: 789.25,
    created: NOW,
    expires: null,
    body: typeof text === "string" ? encoder.encode(text) : text,
    ...fields,
  };
}

/** A store in a folder, with defaults for tests. */
export function openStore(directory: string, options: Partial<SqliteStoreOptions> = {}): Promise<Store> {
  return openSqliteStore({ runtime: machine, directory, lockTimeout: 0, ...options });
}

/** The machine with another time. */
export function at(now: () => number, runtime: Runtime = machine): Runtime {
  return { ...runtime, clock: { ...runtime.clock, now } satisfies Clock };
}

/** What a lookup of one word finds. */
export async function find(store: Store, word: string, samples = 1, model: string = MODEL): Promise<Found> {
  const [found] = await store.lookup(model, [{ key: keyOf(word), samples }]);
  return found!;
}

/** The texts found for one word. */
export async function texts(store: Store, word: string, samples = 1, model: string = MODEL): Promise<string[]> {
  return (await find(store, word, samples, model)).entries.map((entry) => decoder.decode(entry.bytes()));
}

/** The one database in a folder. */
export async function databaseIn(directory: string): Promise<string> {
  const names = (await readdir(directory)).filter((name) => name.endsWith(".sqlite"));
  if (names.length !== 1) throw new Error(`Cannot choose a database in ${directory}: ${names}`);
  return join(directory, names[0]!);
}

/** How many transactions a database's log holds: its frames that say how large the database is after them. */
export async function commitsIn(path: string): Promise<number> {
  // https://sqlite.org/fileformat2.html#the_write_ahead_log
  const log = await readFile(`${path}-wal`);
  const frame = 24 + log.readUInt32BE(8);
  let commits = 0;
  for (let at = 32; at + frame <= log.byteLength; at += frame) if (log.readUInt32BE(at + 4) !== 0) commits++;
  return commits;
}

/** Lets a store whose clock stands still have quiet moments, with time for so many slices of work. */
export async function quiet(clock: ManualClock, slices = 20): Promise<void> {
  for (let slice = 0; slice < slices; slice++) {
    clock.advance(500);
    await new Promise((resolve) => setTimeout(resolve));
  }
}
