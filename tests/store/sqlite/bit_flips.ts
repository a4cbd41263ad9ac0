/**
 * Flips bits in a database file and asks it for every answer: each has to be the right one or none. In some rounds one
 * bit is flipped, in others a hundred, so that pages with much and with little left of them are met.
 *
 * A long run: `deno run -A tests/store/sqlite/bit_flips.ts --flips 100000 --seed 1`
 */

import { readFile, rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { openCache } from "../../../mod.ts";
import { openCacheOn } from "../../../src/compose/open_cache.ts";
import { CacheError } from "../../../src/store/error.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { RandomNumbers } from "../../torture/random.ts";
import { ManualClock } from "../manual_clock.ts";
import { databaseIn, machine, quiet } from "./fixture.ts";

/** Enough for a dictionary. */
const REQUESTS = 240;
const ABSENT = 20;
const FLIPS_A_ROUND: readonly number[] = [1, 1, 1, 2, 5, 20, 100];
/** What a file may be refused for as a whole: its header says that it is none of ours, or newer. */
const REFUSALS: ReadonlySet<string> = new Set(["foreign_file", "newer_schema", "corrupt", "unavailable"]);

/** How often what happened. */
export interface FlipReport {
  readonly flips: number;
  readonly lookups: number;
  /** The right answer. */
  right: number;
  /** No answer. */
  missed: number;
  /** The file was refused as a whole. */
  refused: number;
  /** Another answer than was stored, or one where none was: what must not be. */
  readonly wrong: string[];
  /** Whatever else was thrown: what must not be either. */
  readonly thrown: string[];
}

/** Flips `flips` bits, of which the `seed` says where. */
export async function flipBits({ flips, seed }: { flips: number; seed: number }): Promise<FlipReport> {
  const directory = await temporaryFolder();
  const expected = await fill(directory);
  const path = await databaseIn(directory);
  const sound = await readFile(path);
  const random = new RandomNumbers(seed);
  const report = {
    flips: 0,
    lookups: 0,
    right: 0,
    missed: 0,
    refused: 0,
    wrong: [] as string[],
    thrown: [] as string[],
  };
  for (let round = 0; report.flips < flips; round++) {
    const count = FLIPS_A_ROUND[round % FLIPS_A_ROUND.length]!;
    const flipped = Buffer.from(sound);
    for (let flip = 0; flip < count; flip++) {
      flipped[random.between(0, flipped.length - 1)]! ^= 1 << random.between(0, 7);
    }
    await writeFile(path, flipped);
    for (const left of ["-wal", "-shm"]) await rm(path + left, { force: true });
    await ask(directory, expected, report, `seed ${seed}, round ${round}`);
    report.flips += count;
    report.lookups += REQUESTS + ABSENT;
    if (round % 500 === 499 && flips > 10_000) console.error(`${report.flips} of ${flips} bits flipped`);
  }
  return report;
}

/**
 * Stores answers of all sizes, some with several samples, and says what each request should bring. Then there is time to
 * compress them with a dictionary.
 */
async function fill(directory: string): Promise<string[]> {
  const clock = new ManualClock();
  const cache = await openCacheOn({ ...machine, clock }, { directory, priceOf: null });
  const random = new RandomNumbers(0);
  const expected: string[] = [];
  for (let index = 0; index < REQUESTS; index++) {
    const samples = index % 10 === 0 ? 3 : 1;
    const choices = Array.from({ length: samples }, (_, choice) => ({
      index: choice,
      message: { role: "assistant", content: words(random, index % 20 === 19 ? 3000 : [3, 20, 60][index % 3]!) },
      finish_reason: "stop",
    }));
    const usage = { prompt_tokens: 9, completion_tokens: 9 * samples, total_tokens: 9 + 9 * samples };
    await cache.put(request(index), {
      id: `chatcmpl-${index}`,
      object: "chat.completion",
      model: "m-1",
      choices,
      usage,
    });
    expected.push((await cache.get(request(index)))!.text());
  }
  await quiet(clock, 400);
  await cache.close();
  const native = new DatabaseSync(await databaseIn(directory), { readOnly: true });
  const { count } = native.prepare("SELECT count(*) AS count FROM entry WHERE dictionary IS NOT NULL").get()!;
  native.close();
  if (count === 0) throw new Error("Cannot flip bits where it matters: no answer was compressed with a dictionary");
  return expected;
}

async function ask(
  directory: string,
  expected: readonly string[],
  report: { right: number; missed: number; refused: number; wrong: string[]; thrown: string[] },
  where: string,
): Promise<void> {
  const cache = await openCache({ directory, priceOf: null, locking: "exclusive", lockTimeout: 0 });
  try {
    for (let index = 0; index < REQUESTS + ABSENT; index++) {
      const text = (await cache.get(request(index)))?.text();
      if (text === undefined) report.missed++;
      else if (text === expected[index]) report.right++;
      else report.wrong.push(`${where}: request ${index} was answered with ${text.slice(0, 100)}`);
    }
  } catch (error) {
    if (error instanceof CacheError && REFUSALS.has(error.code)) report.refused++;
    else report.thrown.push(`${where}: ${error}`);
  } finally {
    await cache.close();
  }
}

function request(index: number): object {
  const n = index % 10 === 0 ? 3 : 1;
  return { model: "m", n, messages: [{ role: "user", content: `Say something about ${index}` }] };
}

function words(random: RandomNumbers, count: number): string {
  const known = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "größer", "😀"];
  return Array.from({ length: count }, () => random.pick(known)).join(" ");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name: string, fallback: number): number => {
    const at = process.argv.indexOf(`--${name}`);
    return at === -1 ? fallback : Number(process.argv[at + 1]);
  };
  const { wrong, thrown, ...counts } = await flipBits({ flips: option("flips", 100_000), seed: option("seed", 1) });
  console.log({ ...counts, wrong: wrong.length, thrown: thrown.length });
  for (const line of [...wrong, ...thrown].slice(0, 20)) console.log(line);
  process.exit(wrong.length + thrown.length === 0 ? 0 : 1);
}
