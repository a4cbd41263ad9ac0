/**
 * A hit and a miss in one database, against better-sqlite3 with zstd-napi on Deno and on Node 24, where native modules
 * are called at less cost: 5,000 answers of 2 KB, looked up in random
 * order by key, verified, decompressed and parsed. Both sides have the same columns, indexes, page cache and
 * durability, own the file exclusively in WAL mode, and check a 64-bit xxHash over every column before they believe a
 * row; the other side's is the cheapest that covers the same content. Single lookups run in a transaction of their own;
 * grouped ones 500 to a transaction.
 *
 * Run: `npm --prefix bench/peers install && deno run -A bench/lookup.ts`
 */

import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import xxhash from "xxhash-wasm";
import { loadRuntime } from "../src/runtime/load.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite_store.ts";
import type { StoredEntry } from "../src/store/store.ts";
import { compare, median, seededRandom, type SideReport } from "./harness.ts";
import { corpus, keyOf, type Sample } from "./corpus.ts";

const ENTRIES = 5_000;
const ANSWER_BYTES = 2_048;
const GROUP = 500;
const LOOKUPS = 5_000;
const PASSES = 7;
const MODEL = "gpt-4o-mini";

/** The peer's columns: those of our own table. */
const COLUMNS =
  "schema_version, key, sample, media_type, outcome, model_asked, model_answered, fingerprint, prompt_tokens, " +
  "completion_tokens, cost_microdollars, latency, created, expires, codec, dictionary, size, body, checksum";
const BODY_COLUMN = 17;

/** One contestant, filled and ready. */
interface Contestant {
  /** Finds a row and verifies it; the answer stays compressed. */
  readonly locate: (key: Uint8Array) => Promise<unknown> | unknown;
  /** The answer's bytes. */
  readonly read: (key: Uint8Array) => Promise<Uint8Array> | Uint8Array;
  /** The parsed answer, or `undefined`. */
  readonly find: (key: Uint8Array) => Promise<unknown> | unknown;
  /** Many at once, in one transaction. */
  readonly findGroup: (keys: readonly Uint8Array[]) => Promise<unknown[]> | unknown[];
  readonly close: () => Promise<void> | void;
}

await compare(fileURLToPath(import.meta.url), {
  title: `Lookup by key, ${ENTRIES} answers of ${ANSWER_BYTES} bytes, exclusive mode`,
  unit: "µs",
  rounds: 7,
  sides: [
    { name: "warmcache", run: () => measure(openOurs, { deno: process.versions.deno! }) },
    { name: "better-sqlite3 on Deno", run: () => measure(openPeer, peerVersions()) },
    {
      name: "better-sqlite3 on Node",
      command: [fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url))],
      run: () => measure(openPeer, { ...peerVersions(), node: process.version }),
    },
  ],
});

async function measure(
  open: (directory: string, samples: readonly Sample[]) => Promise<Contestant>,
  versions: Record<string, string>,
): Promise<SideReport> {
  const directory = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  try {
    const contestant = await open(directory, corpus(ENTRIES, ANSWER_BYTES));
    const hits = shuffled(ENTRIES).slice(0, LOOKUPS).map(keyOf);
    const misses = shuffled(ENTRIES).slice(0, LOOKUPS).map((index) => keyOf(index + ENTRIES));
    const answers = createHash("sha256");
    for (const key of hits) answers.update(JSON.stringify(await contestant.find(key)));
    for (const key of misses) answers.update(String(await contestant.find(key)));
    answers.update(JSON.stringify(await contestant.findGroup(hits.slice(0, GROUP))));
    const figures = {
      "hit, located and verified, single": await time(hits, async (keys) => {
        for (const key of keys) await contestant.locate(key);
      }),
      "hit, decompressed, single": await time(hits, async (keys) => {
        for (const key of keys) await contestant.read(key);
      }),
      "hit, parsed, single": await time(hits, async (keys) => {
        for (const key of keys) await contestant.find(key);
      }),
      "hit, parsed, grouped": await time(hits, (keys) => contestant.findGroup(keys)),
      "miss, single": await time(misses, async (keys) => {
        for (const key of keys) await contestant.find(key);
      }),
      "miss, grouped": await time(misses, (keys) => contestant.findGroup(keys)),
    };
    await contestant.close();
    return { answers: answers.digest("hex").slice(0, 16), figures, versions };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Microseconds a lookup, the median of several passes over all keys. */
async function time(keys: readonly Uint8Array[], run: (group: readonly Uint8Array[]) => unknown): Promise<number> {
  const passes = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const started = performance.now();
    for (let at = 0; at < keys.length; at += GROUP) await run(keys.slice(at, at + GROUP));
    passes.push((performance.now() - started) * 1000 / keys.length);
  }
  return median(passes);
}

async function openOurs(directory: string, samples: readonly Sample[]): Promise<Contestant> {
  const store = await openSqliteStore({ runtime: await loadRuntime(), directory });
  for (const { request, entry } of samples) await store.put(MODEL, request, [entry], "replace");
  const decoder = new TextDecoder();
  const parse = (bytes: Uint8Array): unknown => JSON.parse(decoder.decode(bytes));
  const locate = async (key: Uint8Array): Promise<StoredEntry | undefined> => {
    const [found] = await store.lookup(MODEL, [{ key, samples: 1 }]);
    return found!.entries[0];
  };
  return {
    locate,
    read: async (key) => (await locate(key))!.bytes(),
    find: async (key) => {
      const entry = await locate(key);
      return entry && parse(entry.bytes());
    },
    findGroup: async (keys) => {
      const found = await store.lookup(MODEL, keys.map((key) => ({ key, samples: 1 })));
      return found.map(({ entries }) => entries[0] && parse(entries[0].bytes()));
    },
    close: () => store.close(),
  };
}

/** The peers have native parts and their own folder; no types of theirs are needed here. */
// deno-lint-ignore no-explicit-any
function peer(name: string): any {
  return createRequire(new URL("./peers/package.json", import.meta.url))(name);
}

function peerVersions(): Record<string, string> {
  return Object.fromEntries(
    ["better-sqlite3", "zstd-napi"].map((name) => [name, peer(`${name}/package.json`).version]),
  );
}

async function openPeer(directory: string, samples: readonly Sample[]): Promise<Contestant> {
  const Database = peer("better-sqlite3");
  const { Compressor, Decompressor } = peer("zstd-napi");
  const { h64, h64Raw } = await xxhash();
  const compressor = new Compressor();
  compressor.setParameters({ compressionLevel: 3 });
  const decompressor = new Decompressor();
  const database = new Database(join(directory, "peer.sqlite"));
  database.exec(`
    PRAGMA locking_mode = EXCLUSIVE; PRAGMA auto_vacuum = INCREMENTAL; PRAGMA page_size = 8192;
    PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 0;
    CREATE TABLE entry (${COLUMNS}, PRIMARY KEY (key, sample))`);
  const insert = database.prepare(`INSERT INTO entry (${COLUMNS}) VALUES (${COLUMNS.replace(/\w+/g, "?")})`);
  const checksum = (row: readonly unknown[]): bigint => {
    const [key, body] = [row[1] as Uint8Array, row[BODY_COLUMN] as Uint8Array];
    const rest = [row[0], ...row.slice(2, BODY_COLUMN)].join("\n");
    return h64Raw(body, h64Raw(key, h64(rest)));
  };
  for (const { request, entry } of samples) {
    const row = [
      1,
      request.key,
      0,
      entry.mediaType,
      entry.outcome,
      entry.modelAsked,
      entry.modelAnswered,
      entry.fingerprint,
      entry.promptTokens,
      entry.completionTokens,
      entry.costMicrodollars,
      entry.latency,
      entry.created,
      entry.expires,
      "zstd",
      null,
      entry.body.byteLength,
      compressor.compress(entry.body),
    ];
    const sum = new Uint8Array(8);
    new DataView(sum.buffer).setBigUint64(0, checksum(row));
    insert.run(...row, sum);
  }
  const select = database.prepare(`SELECT ${COLUMNS} FROM entry WHERE key = ? AND sample = 0`).raw();
  const decoder = new TextDecoder();
  const locate = (key: Uint8Array): Uint8Array | undefined => {
    const row = select.get(key);
    if (row === undefined) return undefined;
    const sum: Uint8Array = row[BODY_COLUMN + 1];
    if (new DataView(sum.buffer, sum.byteOffset, 8).getBigUint64(0) !== checksum(row)) throw new Error("corrupt");
    return row[BODY_COLUMN];
  };
  const read = (key: Uint8Array): Uint8Array => decompressor.decompress(locate(key));
  const find = (key: Uint8Array): unknown => {
    const body = locate(key);
    return body && JSON.parse(decoder.decode(decompressor.decompress(body)));
  };
  const findGroup = database.transaction((keys: readonly Uint8Array[]) => keys.map(find));
  return { locate, read, find, findGroup, close: () => database.close() };
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
