/**
 * A hit and a miss in one database, through the store, against better-sqlite3 with zstd-napi, on Deno and on Node 24,
 * where native modules are called at less cost: 5,000 answers of 2 KB, looked up in random order by key, verified,
 * decompressed and parsed. Both sides have the same columns, indexes, page cache and durability, and check a 64-bit
 * xxHash over every column before they believe a row; the other side's is the cheapest that covers the same content. The
 * other side owns the file exclusively, in WAL mode. Its single lookups run in a transaction of their own, its grouped
 * ones 500 to a transaction; ours share one for a turn of the event loop, however they are asked for.
 *
 * Run: `npm --prefix bench/peers install --no-package-lock && deno run -A bench/lookup.ts`
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
import type { Locking } from "../src/sqlite/open.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite_store.ts";
import type { Found, MaybePromise, StoredEntry } from "../src/store/store.ts";
import { compare, namedSide, seededRandom, type SideReport, timeByGroup } from "./harness.ts";
import { corpus, keyOf, type Sample } from "./corpus.ts";

const ENTRIES = 5_000;
const ANSWER_BYTES = 2_048;
const PACE = { group: 500, passes: 7 };
const LOOKUPS = 5_000;
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

const program = fileURLToPath(import.meta.url);
const ours = (locking: Locking) => ({
  name: `warmcache, ${locking}`,
  run: () => measure((directory, samples) => openOurs(directory, samples, locking), runtimeVersion()),
});
const sides = [ours("exclusive"), ours("shared"), {
  name: "better-sqlite3",
  run: () => measure(openPeer, { ...runtimeVersion(), ...peerVersions() }),
}];
const runtimes = {
  Deno: [process.execPath, "run", "-A"],
  "Node 24": [fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url)), "--no-warnings"],
};
if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides });
else {
  for (const [runtime, command] of Object.entries(runtimes)) {
    await compare(program, {
      title: `Lookup by key on ${runtime}, ${ENTRIES} answers of ${ANSWER_BYTES} bytes`,
      unit: "µs",
      ours: 2,
      rounds: 7,
      sides: sides.map((side) => ({ ...side, command })),
    });
  }
}

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
    answers.update(JSON.stringify(await contestant.findGroup(hits.slice(0, PACE.group))));
    const figures = {
      "hit, located and verified, single": await timeByGroup(hits, PACE, async (keys) => {
        for (const key of keys) await contestant.locate(key);
      }),
      "hit, decompressed, single": await timeByGroup(hits, PACE, async (keys) => {
        for (const key of keys) await contestant.read(key);
      }),
      "hit, parsed, single": await timeByGroup(hits, PACE, async (keys) => {
        for (const key of keys) await contestant.find(key);
      }),
      "hit, parsed, grouped": await timeByGroup(hits, PACE, (keys) => contestant.findGroup(keys)),
      "miss, single": await timeByGroup(misses, PACE, async (keys) => {
        for (const key of keys) await contestant.find(key);
      }),
      "miss, grouped": await timeByGroup(misses, PACE, (keys) => contestant.findGroup(keys)),
    };
    await contestant.close();
    return { answers: answers.digest("hex").slice(0, 16), figures, versions };
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function openOurs(directory: string, samples: readonly Sample[], locking: Locking): Promise<Contestant> {
  const store = await openSqliteStore({ runtime: await loadRuntime(), directory, locking });
  for (const { request, entry } of samples) await store.put(MODEL, request, [entry], "replace");
  const decoder = new TextDecoder();
  const parse = (entry: StoredEntry | undefined): unknown =>
    entry && JSON.parse(entry.read((bytes) => decoder.decode(bytes)));
  const first = (found: readonly Found[]): StoredEntry | undefined => found[0]!.entries[0];
  const lookup = <T>(keys: readonly Uint8Array[], use: (found: readonly Found[]) => T): MaybePromise<T> => {
    const found = store.lookup(MODEL, keys.map((key) => ({ key, samples: 1 })));
    return found instanceof Promise ? found.then(use) : use(found);
  };
  return {
    locate: (key) => lookup([key], first),
    read: (key) => lookup([key], (found) => first(found)!.bytes()),
    find: (key) => lookup([key], (found) => parse(first(found))),
    findGroup: (keys) => lookup(keys, (found) => found.map(({ entries }) => parse(entries[0]))),
    close: () => store.close(),
  };
}

/** The peers have native parts and their own folder; no types of theirs are needed here. */
// deno-lint-ignore no-explicit-any
function peer(name: string): any {
  return createRequire(new URL("./peers/package.json", import.meta.url))(name);
}

function runtimeVersion(): Record<string, string> {
  const { deno, node } = process.versions as Record<string, string>;
  return deno ? { deno } : { node: node! };
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
