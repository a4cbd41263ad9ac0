/**
 * Every store of ours beside what people use today: Keyv with its own SQLite and Redis adapters, and cacheable with
 * memory in front of SQLite. 2,000 answers of 2 KB: put one after another, found by key, singly and a hundred at a time,
 * not found.
 *
 * All sides take a parsed answer and give it back parsed. What they do for it is not the same. Ours compress, keep the
 * request and its sketch beside the answer for `explain`, and check a 64-bit checksum before they believe a row (`memory`
 * does neither, `file` does not compress); memory in front of SQLite asks SQLite before each hit whether another process
 * has changed anything. Keyv and cacheable store JSON as it is, check nothing, and cacheable's memory does not see what
 * others write to its SQLite. Durability is the same where it can be: SQLite in WAL mode with `synchronous = NORMAL` on
 * both sides, a Redis without persistence.
 *
 * Run: `npm --prefix bench/peers install --no-package-lock && deno run -A bench/stores.ts`; it takes a redis-server.
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { openFileStore } from "../src/compose/stores/file.ts";
import { openMemoryStore } from "../src/compose/stores/memory.ts";
import { openRedisStore } from "../src/compose/stores/redis.ts";
import { openSqliteStore } from "../src/compose/stores/sqlite.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import type { Found, Store } from "../src/store/store.ts";
import { openTieredStore } from "../src/store/tiers/tiered_store.ts";
import { RedisServer } from "../tests/support/redis_server.ts";
import { corpus, keyOf, type Sample } from "./corpus.ts";
import { compare, namedSide, seededRandom, type SideReport, timeByGroup } from "./harness.ts";

const ENTRIES = 2_000;
const ANSWER_BYTES = 2_048;
const PACE = { group: 100, passes: 5 };
const MODEL = "gpt-4o-mini";
const MEMORY_BYTES = 64 * 1024 * 1024;

/** One contestant, empty. */
interface Contestant {
  /** Stores a parsed answer. */
  readonly put: (sample: Sample, answer: unknown) => Promise<unknown> | unknown;
  /** The parsed answer, or `undefined`. */
  readonly find: (key: Uint8Array) => Promise<unknown> | unknown;
  readonly findGroup: (keys: readonly Uint8Array[]) => Promise<readonly unknown[]>;
  readonly close: () => Promise<unknown> | unknown;
}

type Open = (directory: string) => Promise<Contestant>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function ours(open: (directory: string) => Promise<Store>): Open {
  return async (directory) => {
    const store = await open(directory);
    const parsed = ({ entries }: Found): unknown =>
      entries[0] && JSON.parse(entries[0].read((bytes) => decoder.decode(bytes)));
    return {
      put: ({ request, entry }, answer) => {
        const body = encoder.encode(JSON.stringify(answer));
        return store.put(MODEL, request, [{ ...entry, body }], "replace_all");
      },
      find: async (key) => parsed((await store.lookup(MODEL, [{ key, samples: 1 }]))[0]!),
      findGroup: async (keys) => (await store.lookup(MODEL, keys.map((key) => ({ key, samples: 1 })))).map(parsed),
      close: () => store.close(),
    };
  };
}

/** With a server that ends with the contestant. */
function onServer(open: (url: string) => Promise<Contestant>): Open {
  return async () => {
    const server = await RedisServer.start();
    const contestant = await open(server.url);
    return {
      ...contestant,
      close: async () => {
        await contestant.close();
        await server.stop();
      },
    };
  };
}

const sqlite = (locking: "exclusive" | "shared") => (directory: string): Promise<Store> =>
  openSqliteStore({ directory, locking });

const fronted = async (directory: string): Promise<Store> => {
  const { clock } = await loadRuntime();
  const store = await sqlite("shared")(directory);
  return openTieredStore({ clock, tiers: [{ store }], front: { maxBytes: MEMORY_BYTES } });
};

/** The peers have their own folder; no types of theirs are needed here. */
// deno-lint-ignore no-explicit-any
function peer(name: string): any {
  return createRequire(new URL("./peers/package.json", import.meta.url))(name);
}

/** What a Keyv and a Cacheable have in common. */
interface KeyValues {
  set(key: string, value: unknown): Promise<unknown>;
  get(key: string): Promise<unknown>;
  getMany(keys: string[]): Promise<readonly unknown[]>;
  disconnect(): Promise<unknown>;
}

function keyed(store: KeyValues): Contestant {
  const name = (key: Uint8Array): string => key.reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");
  return {
    put: ({ request }, answer) => store.set(name(request.key), answer),
    find: async (key) => await store.get(name(key)) ?? undefined,
    findGroup: async (keys) => (await store.getMany(keys.map(name))).map((value) => value ?? undefined),
    close: () => store.disconnect(),
  };
}

async function keyvSqlite(directory: string): Promise<unknown> {
  const { default: KeyvSqlite } = peer("@keyv/sqlite");
  const adapter = new KeyvSqlite(`sqlite://${join(directory, "keyv.sqlite")}`);
  for (const pragma of ["journal_mode = WAL", "synchronous = NORMAL"]) await adapter.query(`PRAGMA ${pragma}`);
  const { default: Keyv } = peer("keyv");
  return new Keyv({ store: adapter });
}

const contestants: readonly (readonly [name: string, open: Open, versions: readonly string[]])[] = [
  ["memory", ours(() => openMemoryStore({ maxBytes: MEMORY_BYTES })), []],
  ["memory, sqlite (shared)", ours(fronted), []],
  ["sqlite (exclusive)", ours(sqlite("exclusive")), []],
  ["sqlite (shared)", ours(sqlite("shared")), []],
  ["file", ours((directory) => openFileStore({ directory })), []],
  ["redis", onServer((url) => ours(() => openRedisStore({ url }))("")), []],
  ["Keyv, @keyv/sqlite", async (directory) => keyed(await keyvSqlite(directory) as KeyValues), [
    "keyv",
    "@keyv/sqlite",
  ]],
  [
    "Keyv, @keyv/redis",
    onServer((url) => {
      const [{ default: Keyv }, { default: KeyvRedis }] = [peer("keyv"), peer("@keyv/redis")];
      return Promise.resolve(keyed(new Keyv({ store: new KeyvRedis(url) })));
    }),
    ["keyv", "@keyv/redis"],
  ],
  ["cacheable, @keyv/sqlite", async (directory) => {
    const { Cacheable } = peer("cacheable");
    return keyed(new Cacheable({ secondary: await keyvSqlite(directory) }));
  }, ["cacheable", "@keyv/sqlite"]],
];

const program = fileURLToPath(import.meta.url);
const sides = contestants.map(([name, open, versions]) => ({ name, run: () => measure(open, versions) }));
const runtimes = {
  Deno: [process.execPath, "run", "-A"],
  "Node 24": [fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url)), "--no-warnings"],
};
if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides });
else {
  for (const [runtime, command] of Object.entries(runtimes)) {
    await compare(program, {
      title: `Stores on ${runtime}, ${ENTRIES} answers of ${ANSWER_BYTES} bytes`,
      unit: "µs",
      ours: 6,
      rounds: 5,
      sides: sides.map((side) => ({ ...side, command })),
    });
  }
}

async function measure(open: Open, packages: readonly string[]): Promise<SideReport> {
  const directory = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  try {
    const samples = corpus(ENTRIES, ANSWER_BYTES);
    const parsed = samples.map(({ entry }): unknown => JSON.parse(decoder.decode(entry.body)));
    const contestant = await open(directory);
    const started = performance.now();
    for (const [index, sample] of samples.entries()) await contestant.put(sample, parsed[index]);
    const put = (performance.now() - started) * 1000 / ENTRIES;
    const hits = shuffled(ENTRIES).map(keyOf);
    const misses = shuffled(ENTRIES).map((index) => keyOf(index + ENTRIES));
    const answers = createHash("sha256");
    for (const key of hits) answers.update(JSON.stringify(await contestant.find(key)));
    for (const key of misses) answers.update(String(await contestant.find(key)));
    answers.update(JSON.stringify(await contestant.findGroup(hits.slice(0, PACE.group))));
    const one = async (keys: readonly Uint8Array[]): Promise<void> => {
      for (const key of keys) await contestant.find(key);
    };
    const figures = {
      put,
      hit: await timeByGroup(hits, PACE, one),
      "hit, a hundred at a time": await timeByGroup(hits, PACE, contestant.findGroup),
      miss: await timeByGroup(misses, PACE, one),
    };
    await contestant.close();
    return { answers: answers.digest("hex").slice(0, 16), figures, versions: versionsOf(packages) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

function versionsOf(packages: readonly string[]): Record<string, string> {
  const { deno, node } = process.versions as Record<string, string>;
  const runtime: Record<string, string> = deno ? { deno } : { node: node! };
  return { ...runtime, ...Object.fromEntries(packages.map((name) => [name, versionOf(name)])) };
}

function versionOf(name: string): string {
  return JSON.parse(readFileSync(new URL(`./peers/node_modules/${name}/package.json`, import.meta.url), "utf8"))
    .version;
}

function shuffled(count: number): number[] {
  const random = seededRandom(2);
  const order = Array.from({ length: count }, (_, index) => index);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}
