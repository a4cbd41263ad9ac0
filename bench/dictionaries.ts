/**
 * What dictionaries save: answers of 0.5, 2, 8 and 160 KB compressed without one, with ours, and with one of 64 KB that
 * zstd's own trainer made of the same 400 answers. The answers measured are others than those the dictionaries were made
 * of, about other texts. Then what the store's policy rests on: how many answers a dictionary takes to pay for itself,
 * how large an answer gains from it, and what building it anew gains later.
 *
 * Everything is decompressed and compared before any figure is printed. Ratios are the same on every machine with the
 * same zstd; times are medians in this process.
 *
 * Run: `deno run -A bench/dictionaries.ts`, with the command line tool `zstd` (package `zstd`) on the path.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { buildDictionary, type BuiltDictionary } from "../src/codec/build_dictionary.ts";
import { type CompressOptions, FAST, THOROUGH } from "../src/codec/codec.ts";
import type { Dictionary } from "../src/codec/dictionary.ts";
import "../src/runtime/load.ts";
import { loadZstd } from "../src/codec/zstd.ts";
import { Answers, type Kind } from "./answers.ts";
import { median } from "./harness.ts";

const KINDS: readonly Kind[] = ["varied", "repetitive"];
const LEVELS = [FAST, THOROUGH] as const;
/** How many answers of each size are measured, in bytes; a database has them mixed. */
const SIZES: readonly (readonly [bytes: number, count: number])[] = [[500, 150], [2_048, 150], [8_192, 60], [
  160_000,
  3,
]];
const SAMPLES = 400;
const SAMPLE_SIZES = [500, 2_048, 500, 2_048, 8_192];
const TRAINED_BYTES = 64 * 1024;
const PASSES = 7;

const zstd = await loadZstd();
const tool = toolVersion();
console.log(`${cpus()[0]?.model}, ${cpus().length} cores; @bokuweb/zstd-wasm; zstd tool: ${tool ?? "missing"}`);
if (tool === undefined) console.log("Without the zstd tool there is nothing to hold the ratios against.");
for (const kind of KINDS) compareSizes(kind);
for (const kind of KINDS) payBack(kind);
for (const kind of KINDS) largeAnswers(kind);
changingWork();

/** The main table: each size, without a dictionary, with ours, with the trainer's. */
function compareSizes(kind: Kind): void {
  const samples = mixed(new Answers(kind, 0, 2), SAMPLES);
  const { dictionary } = build(samples)!;
  const others = new Answers(kind, 1, 2);
  const tests = SIZES.map(([bytes, count]) => Array.from({ length: count }, () => others.next(bytes)));
  const trained = tool === undefined ? undefined : train(samples, tests);
  const rows = tests.map((answers, index) => {
    const ours = LEVELS.map((level) => ratio(answers, { level, dictionary }));
    const theirs = trained?.map((ratios) => ratios[index]!);
    return [
      `${SIZES[index]![0]} B`,
      ratio(answers, { level: FAST }),
      ratio(answers, { level: THOROUGH }),
      ...ours,
      ...(theirs ?? ["", ""]),
      ...(theirs ? ours.map((value, level) => value / theirs[level]!) : ["", ""]),
      ...times(answers, dictionary),
    ];
  });
  table(`${kind} text: original ÷ compressed; µs an answer`, [
    "answers of",
    "plain 3",
    "plain 9",
    "ours 3",
    "ours 9",
    "--train 3",
    "--train 9",
    "ours ÷ theirs, 3",
    "and 9",
    "µs: write plain 3",
    "ours 3",
    "ours 9",
    "read plain",
    "ours",
  ], rows);
}

/** What a dictionary made of so many answers of 2 KB saves on just as many others, less its own bytes. */
function payBack(kind: Kind): void {
  const rows = [25, 50, 100, 200, 400].map((count) => {
    const [from, to] = [new Answers(kind, 0, 2), new Answers(kind, 1, 2)];
    const samples = Array.from({ length: Math.min(count, 200) }, () => from.next(2_048));
    const others = Array.from({ length: count }, () => to.next(2_048));
    const built = build(samples);
    const plain = stored(others, { level: THOROUGH });
    if (!built) return [count, plain, "none", "", ""];
    const { dictionary, saved } = built;
    const used = stored(others, { level: THOROUGH, dictionary });
    return [
      count,
      plain,
      used + dictionary.content.byteLength,
      1 - (used + dictionary.content.byteLength) / plain,
      saved,
    ];
  });
  table(`${kind} text, answers of 2 KB at level 9: bytes stored, the dictionary included`, [
    "answers",
    "without",
    "with",
    "saved",
    "as the builder saw it",
  ], rows);
}

/** Up to which size a dictionary pays, and what it costs to read. */
function largeAnswers(kind: Kind): void {
  const { dictionary } = build(mixed(new Answers(kind, 0, 2), SAMPLES))!;
  const others = new Answers(kind, 1, 2);
  const rows = [4_096, 8_192, 16_384, 32_768, 65_536].map((bytes) => {
    const answers = Array.from({ length: 8 }, () => others.next(bytes));
    const [, , , plain, ours] = times(answers, dictionary);
    const saved = 1 - stored(answers, { level: THOROUGH, dictionary }) / stored(answers, { level: THOROUGH });
    return [`${bytes} B`, saved, plain!, ours!];
  });
  table(`${kind} text, level 9: the part that a dictionary saves of larger answers, and µs to read them`, [
    "answers of",
    "saved",
    "µs: plain",
    "with",
  ], rows);
}

/** What building anew gains once the database has grown, with the same work going on and with other work. */
function changingWork(): void {
  const rows: Row[] = [];
  for (
    const [first, later] of [["varied", "varied"], ["repetitive", "repetitive"], ["repetitive", "varied"], [
      "varied",
      "repetitive",
    ]] as const
  ) {
    const early = new Answers(first, 0, 3);
    const current = build(mixed(early, 200))!.dictionary;
    for (const growth of [2, 4, 8]) {
      const [old, added, test] = [new Answers(first, 0, 3), new Answers(later, 1, 3), new Answers(later, 2, 3)];
      // Two hundred of all that are stored, as a random choice would take them.
      const kept = Math.round(200 / growth);
      const samples = [...mixed(old, kept), ...mixed(added, 200 - kept)];
      const renewed = build(interleaved(samples))!.dictionary;
      const answers = mixed(test, 150);
      rows.push([
        `${first}, then ${later}`,
        `${growth}x`,
        1 - stored(answers, { level: THOROUGH, dictionary: renewed }) /
          stored(answers, { level: THOROUGH, dictionary: current }),
      ]);
    }
  }
  table("a dictionary of 200 answers, made anew when there are more: part saved of answers to come, level 9", [
    "work",
    "grown",
    "saved",
  ], rows);
}

/** In another order, the same every time: what is held out must not be all of one kind. */
function interleaved(samples: readonly Uint8Array[]): Uint8Array[] {
  return samples.map((sample, index) => ({ sample, order: (index * 7_919) % samples.length }))
    .sort((a, b) => a.order - b.order).map(({ sample }) => sample);
}

function build(samples: readonly Uint8Array[]): BuiltDictionary | undefined {
  const steps = buildDictionary(samples, {
    codec: zstd,
    sha256: (bytes) => createHash("sha256").update(bytes).digest(),
  });
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

function mixed(answers: Answers, count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => answers.next(SAMPLE_SIZES[index % SAMPLE_SIZES.length]!));
}

/** Compressed bytes, of what decompresses to the same. */
function stored(answers: readonly Uint8Array[], options: CompressOptions): number {
  return answers.reduce((sum, answer) => {
    const frame = zstd.compress(answer, options);
    const back = zstd.decompress(frame, answer.byteLength, options.dictionary);
    if (!Buffer.from(back).equals(answer)) throw new Error("Cannot compare: an answer came back changed");
    return sum + frame.byteLength;
  }, 0);
}

function ratio(answers: readonly Uint8Array[], options: CompressOptions): number {
  return total(answers) / stored(answers, options);
}

/** µs an answer: compressed at level 3, with the dictionary at 3 and at 9; decompressed without and with it. */
function times(answers: readonly Uint8Array[], dictionary: Dictionary): number[] {
  const plain = answers.map((answer) => zstd.compress(answer));
  const shorter = answers.map((answer) => zstd.compress(answer, { level: THOROUGH, dictionary }));
  const size = (index: number): number => answers[index]!.byteLength;
  const runs: ((answer: Uint8Array, index: number) => unknown)[] = [
    (answer) => zstd.compress(answer),
    (answer) => zstd.compress(answer, { dictionary }),
    (answer) => zstd.compress(answer, { level: THOROUGH, dictionary }),
    (_, index) => zstd.read(plain[index]!, size(index), () => {}),
    (_, index) => zstd.read(shorter[index]!, size(index), () => {}, dictionary),
  ];
  return runs.map((run) =>
    median(Array.from({ length: PASSES }, () => {
      const started = performance.now();
      answers.forEach(run);
      return (performance.now() - started) * 1000 / answers.length;
    }))
  );
}

/** The ratios, level 3 and level 9, that the tool reaches with the dictionary that it trains. */
function train(samples: readonly Uint8Array[], tests: readonly (readonly Uint8Array[])[]): number[][] {
  const directory = mkdtempSync(join(tmpdir(), "warmcache-bench-"));
  try {
    const dictionary = join(directory, "dictionary");
    const files = write(join(directory, "samples"), samples);
    // It says much about itself on stderr.
    execFileSync("zstd", ["-q", "--train", ...files, `--maxdict=${TRAINED_BYTES}`, "-o", dictionary], {
      stdio: "ignore",
    });
    return LEVELS.map((level) =>
      tests.map((answers, index) => {
        const names = write(join(directory, `${level} ${index}`), answers);
        // Our rows have a checksum of their own, on both sides of the comparison.
        execFileSync("zstd", ["-q", "--no-check", `-${level}`, "-D", dictionary, ...names]);
        return total(answers) / names.reduce((sum, name) => sum + statSync(`${name}.zst`).size, 0);
      })
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function write(directory: string, contents: readonly Uint8Array[]): string[] {
  mkdirSync(directory);
  return contents.map((content, index) => {
    const name = join(directory, String(index));
    writeFileSync(name, content);
    return name;
  });
}

function total(answers: readonly Uint8Array[]): number {
  return answers.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

function toolVersion(): string | undefined {
  try {
    return /v[\d.]+/.exec(execFileSync("zstd", ["--version"], { encoding: "utf8" }))?.[0];
  } catch {
    return undefined;
  }
}

type Row = readonly (string | number)[];

function table(title: string, head: readonly string[], rows: readonly Row[]): void {
  const cells = [head, ...rows.map((row) => row.map(text))];
  const widths = head.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  console.log(`\n${title}\n`);
  for (const row of cells) console.log(`| ${row.map((cell, column) => cell.padStart(widths[column]!)).join(" | ")} |`);
}

function text(cell: string | number): string {
  if (typeof cell === "string") return cell;
  return Number.isInteger(cell) ? String(cell) : cell.toFixed(cell < 100 ? 2 : 0);
}
