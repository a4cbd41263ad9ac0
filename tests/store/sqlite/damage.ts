/**
 * Databases that something happened to: a real one with answers of all kinds, what is in it by SQLite's own account, and
 * ways to break it. What survives is told from its bytes alone, without any of the code under test.
 */

import { execFileSync } from "node:child_process";
import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { RandomNumbers } from "../../torture/random.ts";
import { ManualClock } from "../manual_clock.ts";
import { openCacheOn } from "../../../src/compose/open_cache.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { databaseIn, machine, quiet } from "./fixture.ts";

/** An answer that was stored, and where its bytes lie in the file. */
export interface Stored {
  readonly request: object;
  readonly text: string;
}

/** A database before anything happened to it. */
export interface Sound {
  readonly directory: string;
  readonly path: string;
  readonly bytes: Buffer;
  /** By the number of the request. */
  readonly answers: readonly Stored[];
  /** Its rows: where each begins and ends in the file, if it lies in one page. */
  readonly rows: readonly Row[];
  readonly pageSize: number;
}

/** A row of `entry`. */
export interface Row {
  readonly key: string;
  readonly sample: number;
  /** Whether it needs a dictionary. */
  readonly dictionary: number | null;
  /** `undefined` for one that goes on on other pages. */
  readonly place: { readonly from: number; readonly to: number } | undefined;
}

/** A request known by a number. */
export function request(index: number): object {
  const n = index % 10 === 0 ? 3 : 1;
  return { model: "m", n, messages: [{ role: "user", content: `Say something about ${index}` }] };
}

/** Makes a database of `requests` requests, some with several answers, some with tags; compressed, where there is time. */
export async function makeDatabase(
  requests: number,
  { compressed = true }: { readonly compressed?: boolean } = {},
): Promise<Sound> {
  const directory = await temporaryFolder();
  const clock = new ManualClock();
  const cache = await openCacheOn({ ...machine, clock }, { directory, priceOf: null });
  const random = new RandomNumbers(7);
  const answers: Stored[] = [];
  for (let index = 0; index < requests; index++) {
    const samples = index % 10 === 0 ? 3 : 1;
    const length = index % 20 === 19 ? 3000 : [3, 20, 60][index % 3]!;
    const choices = Array.from({ length: samples }, (_, choice) => ({
      index: choice,
      message: { role: "assistant", content: words(random, length) },
      finish_reason: "stop",
    }));
    const usage = { prompt_tokens: 9, completion_tokens: 9 * samples, total_tokens: 9 + 9 * samples };
    const answer = { id: `chatcmpl-${index}`, object: "chat.completion", model: "m-1", choices, usage };
    await cache.put(request(index), answer, index % 4 === 0 ? { tags: ["fourth", `t${index}`] } : {});
    answers.push({ request: request(index), text: (await cache.get(request(index)))!.text() });
  }
  // What was removed must not come back.
  for (let index = requests; index < requests + 20; index++) {
    const message = { role: "assistant", content: words(random, 30) };
    const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
    const choices = [0, 1, 2].map((index) => ({ index, message, finish_reason: "stop" }));
    await cache.put(request(index), { object: "chat.completion", model: "m-1", choices, usage });
    await cache.delete(request(index));
  }
  if (compressed) await quiet(clock, 400);
  await cache.close();
  const path = await databaseIn(directory);
  const bytes = await readFile(path);
  return { directory, path, bytes, answers, ...rowsIn(path, bytes) };
}

/** Puts a sound database's bytes back, and nothing beside them. */
export async function restore({ path, bytes }: Sound): Promise<void> {
  for (const left of ["-wal", "-shm", "-journal"]) await rm(path + left, { force: true });
  await writeFile(path, bytes);
}

/** Puts other bytes in its place. */
export async function replace({ path }: Sound, bytes: Uint8Array): Promise<void> {
  for (const left of ["-wal", "-shm", "-journal"]) await rm(path + left, { force: true });
  await writeFile(path, bytes);
}

/** The rows that `damaged` still has, byte for byte, in the same place or another page. */
export function survivors({ rows, bytes, pageSize }: Sound, damaged: Uint8Array): Row[] {
  const all = Buffer.from(damaged.buffer, damaged.byteOffset, damaged.byteLength);
  return rows.filter(({ place }) => {
    if (place === undefined) return false;
    const at = all.indexOf(bytes.subarray(place.from, place.to));
    return at !== -1 && Math.floor(at / pageSize) === Math.floor((at + place.to - place.from - 1) / pageSize);
  });
}

/** The rows of a database, as `key:sample`. */
export function namesIn(path: string): string[] {
  const native = new DatabaseSync(path, { readOnly: true });
  try {
    return native.prepare("SELECT lower(hex(key)) || ':' || sample AS name FROM entry").all().map(({ name }) =>
      String(name)
    );
  } finally {
    native.close();
  }
}

/** What the `sqlite3` shell says of a database; `undefined` where there is no such shell. */
export function shellCheck(path: string): string | undefined {
  try {
    return execFileSync("sqlite3", [path, "PRAGMA integrity_check"], { encoding: "utf8" }).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A copy of a database, its log included. */
export async function copyDatabase(from: string, to: string): Promise<void> {
  for (const part of ["", "-wal"]) await copyFile(from + part, to + part).catch(() => {});
}

function rowsIn(path: string, bytes: Buffer): { rows: Row[]; pageSize: number } {
  const native = new DatabaseSync(path, { readOnly: true });
  try {
    const pageSize = Number(native.prepare("PRAGMA page_size").get()!.page_size);
    const select = native.prepare(
      "SELECT lower(hex(key)) AS key, sample, dictionary, CAST(checksum AS BLOB) AS checksum, body, key AS raw FROM entry",
    );
    const rows = select.all().map(({ key, sample, dictionary, checksum, body, raw }): Row => {
      // The last two columns lie side by side, and the first column is the key.
      const tail = Buffer.concat([checksum as Uint8Array, body as Uint8Array]);
      const end = bytes.indexOf(tail);
      // A free page may have it too, from before it was moved: nobody can tell which of them is gone.
      const isOnce = end !== -1 && bytes.indexOf(tail, end + 1) === -1;
      const to = end + tail.byteLength;
      const start = end === -1 ? -1 : bytes.lastIndexOf(raw as Uint8Array, end);
      // In front of the key there are at most 3 + 5 + 24 bytes: the cell's own and the row's header.
      const isWhole = isOnce && start !== -1 && end - start < 400 &&
        Math.floor((start - 40) / pageSize) === Math.floor(to / pageSize);
      return {
        key: String(key),
        sample: Number(sample),
        dictionary: dictionary === null ? null : Number(dictionary),
        place: isWhole ? { from: start - 40, to } : undefined,
      };
    });
    return { rows, pageSize };
  } finally {
    native.close();
  }
}

function words(random: RandomNumbers, count: number): string {
  const known = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "größer", "😀"];
  return Array.from({ length: count }, () => random.pick(known)).join(" ");
}
