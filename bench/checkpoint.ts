/**
 * What waits for the disk on the caller's thread, in exclusive mode: a commit of one 2 KB answer with
 * `synchronous: "normal"` and `"full"`, and moving a log of 4, 16 and 64 MiB into the database, fsyncs included. In
 * milliseconds. In shared mode a Worker does the checkpoints.
 *
 * The answers go to random places, as keys are digests. Where the disk only pretends to sync, so do these figures: the
 * first line is one write of 4 KiB with fsync, to judge the rest by.
 *
 * Run: `deno run -A bench/checkpoint.ts [directory]`, or with `node` or `bun` in place of `deno run -A`
 */

import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { loadRuntime } from "../src/runtime/load.ts";
import type { SqlDriver } from "../src/sqlite/driver.ts";
import { type OpenDatabase, openDatabase } from "../src/sqlite/open.ts";
import { ENTRY_COLUMNS } from "../src/store/sqlite/entry_row.ts";
import { applySchema } from "../src/store/sqlite/schema.ts";
import { corpus, keyOf } from "./corpus.ts";
import { seededRandom } from "./harness.ts";

const COMMITS = 500;
const CHECKPOINTS = 7;
const LOGS = [4, 16, 64];
const MEBIBYTE = 1024 * 1024;
/** Rows that are there before, and are overwritten: what a log holds is spread over so many. */
const ROWS = 50_000;

const [{ entry }] = corpus(1, 2_048) as [ReturnType<typeof corpus>[number]];
const random = seededRandom(3);
const directory = await mkdtemp(join(process.argv[2] ?? tmpdir(), "warmcache-bench-"));
try {
  const { deno, bun, node } = process.versions as Record<string, string>;
  const runtime = deno ? `deno ${deno}` : bun ? `bun ${bun}` : `node ${node}`;
  console.log(`ms on the caller's thread, exclusive mode; ${cpus()[0]?.model}, ${cpus().length} cores; ${runtime}\n`);
  report("write and fsync, 4 KiB", timeSyncs());
  for (const synchronous of ["normal", "full"] as const) {
    const owned = await open(synchronous);
    fill(owned.driver);
    owned.checkpoint();
    const put = putter(owned.driver);
    report(`commit, synchronous ${synchronous}`, repeat(COMMITS, () => timed(put)));
    if (synchronous === "normal") {
      for (const size of LOGS) {
        report(
          `checkpoint of ${size} MiB`,
          repeat(CHECKPOINTS, () => {
            owned.checkpoint();
            owned.driver.exec("BEGIN");
            while (owned.logged < size * MEBIBYTE) {
              for (let row = 0; row < 100; row++) put();
              owned.driver.exec("COMMIT; BEGIN");
            }
            owned.driver.exec("COMMIT");
            return timed(() => owned.checkpoint());
          }),
        );
      }
    }
    owned.close();
  }
} finally {
  await rm(directory, { recursive: true });
}

async function open(synchronous: "normal" | "full"): Promise<OpenDatabase> {
  const path = join(directory, `${synchronous}.sqlite`);
  return await openDatabase({
    runtime: await loadRuntime(),
    path,
    create: true,
    locking: "exclusive",
    synchronous,
    lockTimeout: 0,
    schema: (driver) => applySchema(driver, path, "bench"),
  });
}

function fill(driver: SqlDriver): void {
  const put = putter(driver, true);
  driver.exec("BEGIN");
  for (let row = 0; row < ROWS; row++) put();
  driver.exec("COMMIT");
}

/** Stores an answer under one of {@link ROWS} keys, in their order or at random. */
function putter(driver: SqlDriver, inOrder = false): () => void {
  const marks = ENTRY_COLUMNS.replace(/\w+/g, "?");
  const statement = driver.prepare(`INSERT OR REPLACE INTO entry (${ENTRY_COLUMNS}) VALUES (${marks})`);
  const fields = [entry.mediaType, entry.outcome, entry.modelAsked, entry.modelAnswered, entry.fingerprint, 50, 400];
  const rest = [null, entry.latency, entry.created, null, "plain", null, entry.body.byteLength, entry.body];
  let next = 0;
  return () => {
    const key = keyOf(inOrder ? next++ : Math.floor(random() * ROWS));
    statement.run(1, key, 0, ...fields, ...rest, new Uint8Array(8));
  };
}

function timeSyncs(): number[] {
  const file = openSync(join(directory, "sync"), "w");
  const page = new Uint8Array(4096);
  const times = repeat(100, () =>
    timed(() => {
      writeSync(file, page);
      fsyncSync(file);
    }));
  closeSync(file);
  return times;
}

function repeat(times: number, run: () => number): number[] {
  return Array.from({ length: times }, run);
}

function timed(run: () => void): number {
  const started = performance.now();
  run();
  return performance.now() - started;
}

function report(what: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): string =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!.toFixed(2).padStart(9);
  console.log(`${what.padEnd(28)} p50${at(0.5)}   p99${at(0.99)}   longest${at(1)}   (${times.length} times)`);
}
