/**
 * The case that this cache was begun for: 3,500 answers of 160 KB, 10,000 lookups one after the other, 65 of 100 of which
 * miss. Through the library, keys computed from requests, every row verified:
 *
 * - parsed, beside decompressing and parsing the same answers from memory, and nothing else;
 * - located but not read, beside what it replaces: 20 bins of JSON, 28 MB each, of which one is read and parsed whole on
 *   every miss, because another process may have written to it. That is done for 50 misses and all hits, and
 *   extrapolated;
 * - one more answer put, which has such a bin be written anew.
 *
 * Of ours, the SQLite store and the file store, which is JSON for people, too. Once with varied text, once with repetitive text, as the program it replaces was timed with. The files are written
 * once; every process opens them anew and has looked up 200 answers before it is timed.
 *
 * Run: `deno run -A bench/seed_case.ts`
 */

import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { openCache } from "../mod.ts";
import "../src/runtime/load.ts";
import { declaredSize, loadZstd } from "../src/codec/zstd.ts";
import { Answers, type Kind } from "./answers.ts";
import { compare, namedSide, seededRandom, type SideReport } from "./harness.ts";

const ENTRIES = 3_500;
const ANSWER_BYTES = 160_000;
const BINS = 20;
const LOOKUPS = 10_000;
const MISSES = 0.65;
const TIMED_MISSES = 50;
const WARM_UP = 200;
const PUTS = 20;
const ROUNDS = 5;
const MODEL = "gpt-4o-mini";

/** One after the other: numbers below {@link ENTRIES} are there. */
const ORDER: readonly number[] = (() => {
  const random = seededRandom(3);
  return Array.from({ length: LOOKUPS }, () => {
    const index = Math.floor(random() * ENTRIES);
    return random() < MISSES ? index + ENTRIES : index;
  });
})();

const PARSED = "10,000 lookups, hits parsed";
const LOCATED = "10,000 lookups, hits located and verified, not read";

const PUT = `one more answer put, on average over ${PUTS}`;

const BACKENDS = ["sqlite", "file"] as const;
type Backend = typeof BACKENDS[number];

const program = fileURLToPath(import.meta.url);
const folder = (): string => process.env.WARMCACHE_BENCH_FOLDER!;
const placeOf = (backend: Backend) => ({ backend, directory: join(folder(), backend) });
const sides = [
  { name: "warmcache", run: () => warmcache("sqlite") },
  { name: "warmcache, file store", run: () => warmcache("file") },
  { name: "decompress and parse alone", run: alone },
  { name: "FILE bins (extrapolated)", run: bins },
];

if (namedSide() !== undefined) await compare(program, { title: "", unit: "", rounds: 0, sides });
else {
  for (const kind of ["varied", "repetitive"] as const) {
    process.env.WARMCACHE_BENCH_FOLDER = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
    try {
      await prepare(kind);
      const title = `${ENTRIES} answers of ${ANSWER_BYTES / 1000} KB, ${kind} text, ${LOOKUPS} lookups, 65 % misses`;
      await compare(program, { title, unit: "ms", rounds: ROUNDS, ours: 2, sides });
    } finally {
      await rm(folder(), { recursive: true });
    }
  }
}

/** Writes the same answers in the four forms. */
async function prepare(kind: Kind): Promise<void> {
  const text = answers(kind);
  const zstd = await loadZstd();
  const options = { claimDuration: 0, priceOf: null };
  const caches = await Promise.all(BACKENDS.map((backend) => openCache({ ...placeOf(backend), ...options })));
  const frames: Uint8Array[] = [];
  const contents: Record<string, string>[] = Array.from({ length: BINS }, () => ({}));
  for (let index = 0; index < ENTRIES; index++) {
    const answer = text(index);
    await Promise.all(caches.map((cache) => cache.put(request(index), answer)));
    const json = JSON.stringify(answer);
    frames.push(zstd.compress(new TextEncoder().encode(json)));
    contents[index % BINS]![promptHash(index)] = json;
    if (index % 500 === 499) console.error(`${kind}: ${index + 1} of ${ENTRIES} answers written`);
  }
  await Promise.all(caches.map((cache) => cache.close()));
  const sizes = new Uint32Array(frames.map(({ byteLength }) => byteLength));
  await writeFile(join(folder(), "sizes"), new Uint8Array(sizes.buffer));
  await writeFile(join(folder(), "frames"), frames);
  await mkdir(join(folder(), "bins"));
  for (const [bin, content] of contents.entries()) await writeFile(binPath(bin), JSON.stringify(content));
}

/** Answers to write: paragraphs that others wrote, in an order of their own each, or one paragraph again and again. */
function answers(kind: Kind): (index: number) => object {
  const source = new Answers("varied", 0, 1);
  const paragraphs = Array.from({ length: 600 }, () => {
    const { choices } = JSON.parse(new TextDecoder().decode(source.next(1_500)));
    return String(choices[0].message.content ?? choices[0].message.tool_calls[0].function.arguments);
  });
  return (index) => {
    const random = seededRandom(index);
    const parts: string[] = [];
    for (let length = 0; length < ANSWER_BYTES;) {
      const at = kind === "varied" ? Math.floor(random() * paragraphs.length) : index % paragraphs.length;
      const part = `${parts.length + 1}. ${paragraphs[at]!}`;
      parts.push(part);
      length += part.length;
    }
    const content = parts.join("\n\n").slice(0, ANSWER_BYTES);
    return {
      id: `chatcmpl-${index}`,
      object: "chat.completion",
      created: 1_790_000_000 + index,
      model: "gpt-4o-mini-2024-07-18",
      choices: [{ index: 0, message: { role: "assistant", content }, logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 900, completion_tokens: 40_000, total_tokens: 40_900 },
    };
  };
}

function request(index: number): object {
  const content = `Translate part ${index} of the book into plain English. ${"It is a long one. ".repeat(100)}`;
  return { model: MODEL, temperature: 0, messages: [{ role: "user", content }] };
}

async function warmcache(backend: Backend): Promise<SideReport> {
  const cache = await openCache(placeOf(backend));
  const run = async (order: readonly number[], use: (value: unknown) => void, parse: boolean): Promise<number> => {
    const started = performance.now();
    for (const index of order) {
      const entry = await cache.get(request(index));
      use(parse ? entry?.json() : entry);
    }
    return performance.now() - started;
  };
  await run(ORDER.slice(0, WARM_UP), () => {}, true);
  const digest = digester();
  await run(sampleOrder(), digest.add, true);
  const figures = {
    [PARSED]: await run(ORDER, () => {}, true),
    [LOCATED]: await run(ORDER, () => {}, false),
    [PUT]: await meanOfPuts((index, answer) => cache.put(request(index), answer)),
  };
  await cache.close();
  return { answers: digest.end(), figures, versions: { deno: process.versions.deno! } };
}

async function alone(): Promise<SideReport> {
  const zstd = await loadZstd();
  const all = await readFile(join(folder(), "frames"));
  const sizes = new Uint32Array((await readFile(join(folder(), "sizes"))).slice().buffer);
  let at = 0;
  const frames = Array.from(sizes, (size) => all.subarray(at, at += size));
  const decoder = new TextDecoder();
  const lengths = frames.map((frame) => declaredSize(frame)!);
  const find = (index: number): unknown => {
    const frame = frames[index];
    return frame && zstd.read(frame, lengths[index]!, (bytes) => JSON.parse(decoder.decode(bytes)));
  };
  for (const index of ORDER.slice(0, WARM_UP)) find(index);
  const digest = digester();
  for (const index of sampleOrder()) digest.add(find(index));
  const started = performance.now();
  for (const index of ORDER) find(index);
  return { answers: digest.end(), figures: { [PARSED]: performance.now() - started }, versions: {} };
}

/** As the seed does it: a bin that is in memory answers hits; a miss reads and parses it again. */
async function bins(): Promise<SideReport> {
  const memory = new Map<number, Record<string, string>>();
  const load = async (bin: number): Promise<Record<string, string>> => {
    const content = JSON.parse(await readFile(binPath(bin), "utf8"));
    memory.set(bin, content);
    return content;
  };
  const find = async (index: number): Promise<unknown> => {
    const bin = index % BINS;
    const hash = promptHash(index);
    const text = memory.get(bin)?.[hash] ?? (await load(bin))[hash];
    return text === undefined ? undefined : JSON.parse(text);
  };
  const digest = digester();
  for (const index of sampleOrder()) digest.add(await find(index));
  for (let bin = 0; bin < BINS; bin++) await load(bin);
  const missing = ORDER.filter((index) => index >= ENTRIES);
  let started = performance.now();
  for (const index of missing.slice(0, TIMED_MISSES)) await find(index);
  const misses = (performance.now() - started) / TIMED_MISSES * missing.length;
  started = performance.now();
  for (const index of ORDER) if (index < ENTRIES) await find(index);
  const total = misses + performance.now() - started;
  const put = await meanOfPuts(async (index, answer) => {
    const content = await load(index % BINS);
    content[promptHash(index)] = JSON.stringify(answer);
    await writeFile(binPath(index % BINS), JSON.stringify(content));
  });
  return { answers: digest.end(), figures: { [PARSED]: total, [LOCATED]: total, [PUT]: put }, versions: {} };
}

/** Of answers that nobody looks up, the same in each round. */
async function meanOfPuts(put: (index: number, answer: object) => Promise<void>): Promise<number> {
  const text = answers("varied");
  let took = 0;
  for (let index = 0; index < PUTS; index++) {
    const answer = text(index);
    const started = performance.now();
    await put(2 * ENTRIES + index, answer);
    took += performance.now() - started;
  }
  return took / PUTS;
}

/** Enough lookups, hits and misses, to compare the answers by. */
function sampleOrder(): readonly number[] {
  return ORDER.slice(WARM_UP, WARM_UP + 20);
}

function digester(): { add: (value: unknown) => void; end: () => string } {
  const hash = createHash("sha256");
  return {
    add: (value) => void hash.update(JSON.stringify(value) ?? "missing"),
    end: () => hash.digest("hex").slice(0, 16),
  };
}

function promptHash(index: number): string {
  return createHash("sha1").update(JSON.stringify(request(index))).digest("hex");
}

function binPath(bin: number): string {
  return join(folder(), "bins", `bin${bin}.json`);
}
