/**
 * The engine alone: what finding a row, not finding one, and storing one cost, against better-sqlite3, node:sqlite,
 * bun:sqlite, lmdb and node-sqlite3-wasm, on each runtime that is there. 5,000 rows of 19 columns with an answer of 2 KB,
 * compressed beforehand; a hit is found by key and sample, all columns are read, and the answer's bytes are in
 * JavaScript's hands, still compressed. All sides have the same table, page size, page cache and statement; WAL and
 * `synchronous = NORMAL`, nothing checkpointed meanwhile.
 *
 * What cannot be the same: lmdb has no log; with `noSync` it, too, loses nothing when its process dies, but a power
 * failure may break the file. Its rows are msgpack, its reads always share a transaction. node-sqlite3-wasm has no shared
 * memory and so no WAL that others could join: it owns the file, as our exclusive mode does; the native ones have
 * `locking_mode = EXCLUSIVE` too, which makes them faster, so that all but our shared mode own theirs.
 *
 * "where our hit goes" is measured in the same processes, on one thing more at a time, as the store does it: its own
 * statement, which joins the table with itself (`entry_row.ts`), and the checksum.
 *
 * Run: `npm --prefix bench/peers install --no-package-lock && deno run -A bench/engine.ts [deno] [node] [bun]`
 */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { loadChecksum } from "../src/codec/checksum.ts";
import { loadZstd } from "../src/codec/zstd.ts";
import { loadRuntime } from "../src/runtime/load.ts";
import type { WasmDatabase } from "../src/sqlite/database.ts";
import type { SqlValue } from "../src/sqlite/driver.ts";
import { type Locking, openDatabase } from "../src/sqlite/open.ts";
import {
  compressEntry,
  ENTRY_COLUMNS,
  entryRow,
  readEntry,
  SELECT_ENTRIES,
  type StoredRow,
} from "../src/store/sqlite/entry_row.ts";
import { applySchema } from "../src/store/sqlite/schema.ts";
import { corpus, keyOf } from "./corpus.ts";
import { compare, median, namedSide, seededRandom, type SideReport } from "./harness.ts";

const ENTRIES = 5_000;
const ANSWER_BYTES = 2_048;
const PASSES = 11;
const PUTS = 200;
const GROUP = 500;
const ROUNDS = 5;

const PRAGMAS = "PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 0";
const PEER_PRAGMAS = `PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 8192; PRAGMA auto_vacuum = INCREMENTAL;
  PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${PRAGMAS}`;
const TABLE = `CREATE TABLE entry (key BLOB NOT NULL, sample INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  media_type TEXT NOT NULL, outcome TEXT NOT NULL, model_asked TEXT NOT NULL, model_answered TEXT, fingerprint TEXT,
  prompt_tokens ANY, completion_tokens ANY, cost_microdollars ANY, latency ANY, created ANY NOT NULL, expires ANY,
  codec TEXT NOT NULL, dictionary INTEGER, size INTEGER NOT NULL, checksum BLOB NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (key, sample)) STRICT`;
const SELECT = `SELECT ${ENTRY_COLUMNS} FROM entry WHERE key = ? AND sample = ?`;
const INSERT = `INSERT OR REPLACE INTO entry (${ENTRY_COLUMNS}) VALUES (${ENTRY_COLUMNS.replace(/\w+/g, "?")})`;

type Row = readonly SqlValue[];

/** One contestant, with an empty table. */
interface Contestant {
  /** Finds a row and has its columns in hand, in whatever form is this side's fastest. */
  readonly hit: (key: Uint8Array) => unknown;
  /** The same row's values, to compare. */
  readonly values: (key: Uint8Array) => Row | undefined;
  readonly put: (row: Row) => unknown;
  /** Runs reads or writes in one transaction. */
  readonly together: (run: () => void) => void;
  readonly close: () => unknown;
  /** Stages of a hit, each with those before it, in a transaction. */
  readonly stages?: Readonly<Record<string, (key: Uint8Array) => unknown>>;
}

type Open = (path: string) => Promise<Contestant> | Contestant;

const SIDES: Readonly<Record<string, Open>> = {
  "warmcache, exclusive": (path) => openOurs(path, "exclusive"),
  "warmcache, shared": (path) => openOurs(path, "shared"),
  "better-sqlite3": openBetterSqlite,
  "node:sqlite": openNodeSqlite,
  "bun:sqlite": openBunSqlite,
  "lmdb": openLmdb,
  "node-sqlite3-wasm": openWasmSqlite,
};
const OURS = 2;

const RUNTIMES: Readonly<Record<string, readonly string[]>> = {
  deno: [process.execPath, "run", "-A"],
  node: [fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url)), "--no-warnings"],
  bun: ["bun"],
};

const program = fileURLToPath(import.meta.url);
const sides = Object.entries(SIDES).map(([name, open]) => ({ name, run: () => measure(name, open) }));
const asked = Object.keys(RUNTIMES).filter((name) => process.argv.includes(name));
const side = namedSide();
if (side !== undefined) {
  await compare(program, { title: "", unit: "", rounds: 0, sides });
} else {
  for (const name of asked.length > 0 ? asked : Object.keys(RUNTIMES)) {
    await compare(program, {
      title: `The engine on ${name}: ${ENTRIES} rows, answers of ${ANSWER_BYTES} bytes`,
      unit: "ns",
      ours: OURS,
      rounds: ROUNDS,
      sides: sides.map((side) => ({ ...side, command: RUNTIMES[name]! })),
    });
  }
}

async function measure(name: string, open: Open): Promise<SideReport> {
  const directory = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  try {
    const contestant = await open(join(directory, "bench.sqlite"));
    const rows = await makeRows();
    contestant.together(() => rows.slice(0, ENTRIES).forEach(contestant.put));
    const order = shuffled(ENTRIES);
    const hits = order.map(keyOf);
    const misses = order.map((index) => keyOf(index + rows.length));
    const answers = createHash("sha256");
    for (const key of hits) answers.update(JSON.stringify(contestant.values(key)!.map(plainly)));
    for (const key of misses) answers.update(String(contestant.values(key)));
    const figures: Record<string, number> = {};
    const reads = (keys: readonly Uint8Array[], run: (key: Uint8Array) => unknown) => () => keys.forEach(run);
    const together = (run: () => void) => () => contestant.together(run);
    figures["hit"] = time(ENTRIES, reads(hits, contestant.hit));
    figures["hit, in a transaction"] = time(ENTRIES, together(reads(hits, contestant.hit)));
    figures["miss"] = time(ENTRIES, reads(misses, contestant.hit));
    figures["miss, in a transaction"] = time(ENTRIES, together(reads(misses, contestant.hit)));
    let next = ENTRIES;
    figures["put"] = time(PUTS, () => {
      for (let put = 0; put < PUTS; put++) contestant.put(rows[next++]!);
    });
    figures[`put, ${GROUP} to a transaction`] = time(
      GROUP,
      together(() => {
        for (let put = 0; put < GROUP; put++) contestant.put(rows[next++]!);
      }),
    );
    for (const key of [ENTRIES, next - 1].map(keyOf)) {
      answers.update(JSON.stringify(contestant.values(key)!.map(plainly)));
    }
    Object.assign(figures, timeStages(contestant, hits));
    await contestant.close();
    return { answers: answers.digest("hex").slice(0, 16), figures, versions: versionsOf(name) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Nanoseconds for each of `count` things that `run` does, the median of several passes. */
function time(count: number, run: () => void): number {
  const passes = [];
  for (let pass = 0; pass < PASSES; pass++) {
    const started = performance.now();
    run();
    passes.push((performance.now() - started) * 1e6 / count);
  }
  return median(passes);
}

/** What each stage of a hit adds to those before it: every pass takes all of them in turn, the machine being restless. */
function timeStages({ stages = {}, together }: Contestant, keys: readonly Uint8Array[]): Record<string, number> {
  const passes = new Map<string, number[]>(Object.keys(stages).map((stage) => [stage, []]));
  for (let pass = 0; pass < PASSES; pass++) {
    let before = 0;
    for (const [stage, run] of Object.entries(stages)) {
      const started = performance.now();
      together(() => keys.forEach(run));
      const until = (performance.now() - started) * 1e6 / keys.length;
      passes.get(stage)!.push(until - before);
      before = until;
    }
  }
  return Object.fromEntries([...passes].map(([stage, times]) => [`where our hit goes: ${stage}`, median(times)]));
}

/** Enough rows to look up and to store, with keys in the order of their index. */
async function makeRows(): Promise<Row[]> {
  const tools = { zstd: await loadZstd(), checksum: await loadChecksum(), sha256: (await loadRuntime()).sha256 };
  const samples = corpus(ENTRIES + PASSES * (PUTS + GROUP), ANSWER_BYTES);
  return samples.map(({ request, entry }) => entryRow(request.key, 0, compressEntry(entry, tools), tools));
}

function plainly(value: unknown): unknown {
  return value instanceof Uint8Array ? [...value] : typeof value === "bigint" ? Number(value) : value;
}

async function openOurs(path: string, locking: Locking): Promise<Contestant> {
  const runtime = await loadRuntime();
  const owned = await openDatabase({
    runtime,
    path,
    create: true,
    locking,
    synchronous: "normal",
    lockTimeout: 0,
    schema: (driver) => applySchema(driver, path, "bench"),
  });
  const driver = owned.driver as WasmDatabase;
  driver.exec(PRAGMAS);
  const tools = { zstd: await loadZstd(), checksum: await loadChecksum(), sha256: (await loadRuntime()).sha256 };
  const decoder = new TextDecoder();
  const select = driver.prepare(SELECT);
  const selectRows = driver.prepare(SELECT_ENTRIES);
  const insert = driver.prepare(INSERT);
  const [begin, commit] = [driver.prepare("BEGIN"), driver.prepare("COMMIT")];
  const located = (key: Uint8Array) =>
    readEntry(selectRows.packed(key, 1)[0]!, key, 0, tools, () => undefined) as StoredRow;
  return {
    hit: (key) => select.packed(key, 0),
    values: (key) => select.get(key, 0),
    put: (row) => insert.run(...row),
    together: (run) => {
      begin.run();
      run();
      commit.run();
    },
    close: () => owned.close(),
    stages: {
      "running the statement": (key) => selectRows.run(key, 1),
      "columns, copied out": (key) => selectRows.packed(key, 1),
      "checksum and key": located,
      "decompressing": (key) => located(key).read((bytes) => bytes.byteLength),
      "decoding": (key) => located(key).read((bytes) => decoder.decode(bytes)),
      "parsing": (key) => JSON.parse(located(key).read((bytes) => decoder.decode(bytes))),
    },
  };
}

/** The peers have native parts and their own folder; no types of theirs are needed here. */
// deno-lint-ignore no-explicit-any
function peer(name: string): any {
  return createRequire(new URL("./peers/package.json", import.meta.url))(name);
}

function openBetterSqlite(path: string): Contestant {
  const database = new (peer("better-sqlite3"))(path);
  database.exec(`${PEER_PRAGMAS}; ${TABLE}`);
  const select = database.prepare(SELECT).raw();
  const insert = database.prepare(INSERT);
  const hit = (key: Uint8Array) => select.get(key, 0);
  return {
    hit,
    values: hit,
    put: (row) => insert.run(...row),
    together: bracketed(database.prepare("BEGIN"), database.prepare("COMMIT")),
    close: () => database.close(),
  };
}

async function openNodeSqlite(path: string): Promise<Contestant> {
  const { DatabaseSync } = await import("node:sqlite");
  const database = new DatabaseSync(path);
  database.exec(`${PEER_PRAGMAS}; ${TABLE}`);
  const select = database.prepare(SELECT);
  // Node's types, as Deno has them, do not know it yet.
  (select as unknown as { setReturnArrays(enabled: boolean): void }).setReturnArrays(true);
  const insert = database.prepare(INSERT);
  const hit = (key: Uint8Array) => select.get(key, 0) as unknown as Row | undefined;
  return {
    hit,
    values: hit,
    put: (row) => insert.run(...row),
    together: bracketed(database.prepare("BEGIN"), database.prepare("COMMIT")),
    close: () => database.close(),
  };
}

async function openBunSqlite(path: string): Promise<Contestant> {
  const name = "bun:sqlite";
  const { Database } = await import(name);
  const database = new Database(path);
  database.exec(`${PEER_PRAGMAS}; ${TABLE}`);
  const select = database.prepare(SELECT);
  const insert = database.prepare(INSERT);
  const hit = (key: Uint8Array) => select.values(key, 0)[0];
  return {
    hit,
    values: hit,
    put: (row) => insert.run(...row),
    together: bracketed(database.prepare("BEGIN"), database.prepare("COMMIT")),
    close: () => database.close(),
  };
}

function openLmdb(path: string): Contestant {
  const database = peer("lmdb").open({ path, keyEncoding: "binary", noSync: true, compression: false });
  const hit = (key: Uint8Array) => database.get(key);
  return {
    hit,
    values: hit,
    put: (row) => database.putSync(row[1], row),
    together: (run) => database.transactionSync(run),
    close: () => database.close(),
  };
}

function openWasmSqlite(path: string): Contestant {
  const database = new (peer("node-sqlite3-wasm").Database)(path);
  for (const pragma of PEER_PRAGMAS.split(";")) database.all(pragma);
  database.exec(TABLE);
  const select = database.prepare(SELECT);
  const insert = database.prepare(INSERT);
  const hit = (key: Uint8Array) => select.get([key, 0]);
  return {
    hit,
    values: (key) => {
      const row = hit(key);
      return row ? Object.values(row) as Row : undefined;
    },
    put: (row) => insert.run(row),
    together: bracketed(database.prepare("BEGIN"), database.prepare("COMMIT")),
    close: () => {
      database.close();
    },
  };
}

function bracketed(begin: { run(): unknown }, commit: { run(): unknown }): (run: () => void) => void {
  return (run) => {
    begin.run();
    run();
    commit.run();
  };
}

function versionsOf(side: string): Record<string, string> {
  const { deno, bun, node } = process.versions as Record<string, string>;
  const runtime: Record<string, string> = deno ? { deno } : bun ? { bun } : { node: node! };
  if (side.startsWith("warmcache") || side.includes(":")) return runtime;
  const manifest = new URL(`./peers/node_modules/${side}/package.json`, import.meta.url);
  return { ...runtime, [side]: JSON.parse(readFileSync(manifest, "utf8")).version };
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
