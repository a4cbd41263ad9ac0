/**
 * What `million.ts` does to a cache, each step in a process of its own: how long it takes, how much memory it needs at
 * most, and how long the event loop was kept from turning at most.
 */

import { readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import process from "node:process";
import { openCache, type OpenCacheOptions } from "../mod.ts";
import type { ResponseCache } from "../src/cache/response_cache.ts";
import { exportPack } from "../src/compose/packs.ts";
import { seededRandom } from "./harness.ts";
import { answerOf, countOf, modelAt, NOW, putWithin, requestOf, SPAN, TAG } from "./million_cache.ts";

/** Ticks of the clock that sees the event loop stand still. */
const TICK = 2;
const LOOKUPS = 2000;
const AT_ONCE = 1000;
const PAGE = 100;
const EXPLAINED = 12;

/** What a step found: milliseconds by name, and what it counted. `work` is this thread's processor time. */
export interface Figures {
  readonly [name: string]: number;
}

/** The cache a step is done to. */
interface Place {
  readonly directory: string;
  readonly entries: number;
}

/** Steps by name; a process does one of them. */
export const STEPS: Readonly<Record<string, (place: Place) => Promise<Figures>>> = {
  open,
  lookup,
  getMany,
  list,
  "list another namespace": listAnother,
  explain,
  stats,
  "prune a tag": (place) => prune(place, { tag: TAG }, Math.ceil(place.entries / 20)),
  "prune the oldest tenth": (place) => {
    return prune(place, { olderThan: Date.now() - NOW + SPAN * 0.9 }, putWithin(0.1, place.entries));
  },
  "prune a model": (place) => prune(place, { model: modelAt(1) }, countOf(modelAt(1), place.entries)),
  evict,
  export: exported,
  verify,
};

/** Steps that are done several times, and their medians believed. */
export const QUICK: ReadonlySet<string> = new Set(["open", "lookup", "getMany", "explain", "stats"]);

/** Steps that need a copy of their own. */
export const SPOILING: ReadonlySet<string> = new Set([
  "prune a tag",
  "prune the oldest tenth",
  "prune a model",
  "evict",
]);

/**
 * Does a step; its figures, with the memory before and at most in MiB, for how long the event loop stood still at most,
 * and how much of that was this thread's own work (`turn`): on a busy machine it stands still for others, too.
 */
export async function take(step: string, place: Place): Promise<Figures> {
  const before = memory("VmRSS");
  await writeFile("/proc/self/clear_refs", "5");
  let [last, worked, stall, turn] = [performance.now(), threadTime(), 0, 0];
  const ticking = setInterval(() => {
    const [now, time] = [performance.now(), threadTime()];
    stall = Math.max(stall, now - last - TICK);
    turn = Math.max(turn, time - worked);
    [last, worked] = [now, time];
  }, TICK);
  const usage = process.cpuUsage();
  const figures = await STEPS[step]!(place);
  const { user, system } = process.cpuUsage(usage);
  clearInterval(ticking);
  return { ...figures, cpu: (user + system) / 1000, stall, turn, before, peak: memory("VmHWM") };
}

async function open({ directory }: Place): Promise<Figures> {
  const [began, working] = [performance.now(), threadTime()];
  const cache = await openCache({ directory });
  const opened = performance.now();
  await expectHit(cache, 0);
  const first = performance.now();
  const firstWork = threadTime() - working;
  await cache.close();
  return { open: opened - began, first: first - opened, close: performance.now() - first, firstWork };
}

async function lookup({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const random = seededRandom(5);
  const indexes = Array.from({ length: LOOKUPS }, () => Math.floor(random() * entries));
  const [hits, misses]: [number[], number[]] = [[], []];
  for (const [turn, index] of [...indexes.slice(0, 200), ...indexes].entries()) {
    for (const [times, asked] of [[hits, requestOf(index)], [misses, requestOf(index + entries)]] as const) {
      const began = performance.now();
      const found = await cache.get(asked);
      const took = performance.now() - began;
      if ((found !== undefined) !== (times === hits)) throw new Error(`Request ${index} was looked up wrongly`);
      if (turn >= 200) times.push(took);
    }
    // Others have their turn, as between the questions of a program.
    if (turn % 20 === 0) await othersTurn();
  }
  await cache.close();
  return { hit: at(hits, 0.5), hit99: at(hits, 0.99), miss: at(misses, 0.5), miss99: at(misses, 0.99) };
}

async function getMany({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const random = seededRandom(6);
  const [times, works]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < 6; turn++) {
    const asked: object[] = [];
    while (asked.push(requestOf(Math.floor(random() * entries))) < AT_ONCE) {
      if (asked.length % 50 === 0) await othersTurn();
    }
    const [began, working] = [performance.now(), threadTime()];
    const found = await cache.getMany(asked);
    times.push(performance.now() - began);
    works.push(threadTime() - working);
    if (found.includes(undefined)) throw new Error("An answer that was put was not found");
  }
  await cache.close();
  return { first: times[0]!, getMany: at(times.slice(1), 0.5), work: at(works.slice(1), 0.5) };
}

async function list({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const [began, working] = [performance.now(), threadTime()];
  let [count, page, pageWork] = [0, 0, 0];
  for await (const _ of cache.list()) {
    if (++count === PAGE) [page, pageWork] = [performance.now() - began, threadTime() - working];
  }
  const all = performance.now() - began;
  if (count !== entries) throw new Error(`${count} of ${entries} requests were listed`);
  await cache.close();
  return { page, all, pageWork };
}

async function listAnother({ directory }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const began = performance.now();
  for await (const _ of cache.list({ namespace: "another" })) throw new Error("A request of nobody was listed");
  const all = performance.now() - began;
  await cache.close();
  return { all };
}

async function explain({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const random = seededRandom(7);
  const [times, works]: [number[], number[]] = [[], []];
  let named = 0;
  for (let turn = 0; turn < EXPLAINED; turn++) {
    const stored = requestOf(Math.floor(random() * entries));
    const [began, working] = [performance.now(), threadTime()];
    const { nearest } = await cache.explain({ ...stored, temperature: 1 });
    times.push(performance.now() - began);
    works.push(threadTime() - working);
    if (nearest[0]?.differences.length === 1 && nearest[0].differences[0]!.path === "$.temperature") named++;
  }
  await cache.close();
  return {
    first: times[0]!,
    explain: at(times.slice(1), 0.5),
    work: at(works.slice(1), 0.5),
    named: named / EXPLAINED,
  };
}

async function stats({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const times: number[] = [];
  for (let turn = 0; turn < 3; turn++) {
    const began = performance.now();
    const { store } = await cache.stats();
    times.push(performance.now() - began);
    if (store.entries !== entries) throw new Error(`${store.entries} of ${entries} answers were counted`);
  }
  // Now with the databases open, and one answer more.
  for (let rank = 0; rank < 4; rank++) await cache.get({ ...requestOf(0), model: modelAt(rank) });
  await cache.put(requestOf(entries), answerOf(entries));
  const began = performance.now();
  await cache.stats();
  const changed = performance.now() - began;
  await cache.delete(requestOf(entries));
  await cache.close();
  return { first: times[0]!, stats: times[2]!, changed };
}

async function prune(
  { directory }: Place,
  selection: Parameters<ResponseCache["prune"]>[0],
  expected: number,
): Promise<Figures> {
  const cache = await openCache({ directory });
  const began = performance.now();
  const { entries } = await cache.prune(selection);
  const took = performance.now() - began;
  if (entries !== expected) throw new Error(`${entries} answers were removed instead of ${expected}`);
  await cache.close();
  return { prune: took, removed: entries };
}

/** Puts into a cache that is full to the brim, until room was made a few times. */
async function evict({ directory, entries }: Place): Promise<Figures> {
  const before = await openCache({ directory });
  const { store } = await before.stats();
  await before.close();
  const options: OpenCacheOptions = { directory, maxBytes: Math.max(4 << 20, Math.ceil(store.totalBytes! / 0.92)) };
  const cache = await openCache(options);
  const times: number[] = [];
  const puts = Math.max(200, Math.ceil(entries * 0.05));
  for (let index = 0; index < puts; index += 50) {
    await Promise.all(Array.from({ length: 50 }, async (_, each) => {
      const number = entries + index + each;
      const began = performance.now();
      await cache.put(requestOf(number), answerOf(number));
      times.push(performance.now() - began);
    }));
  }
  const { store: after } = await cache.stats();
  await cache.close();
  const total = times.reduce((sum, time) => sum + time, 0) / 50;
  return {
    put: at(times, 0.5),
    put99: at(times, 0.99),
    longest: at(times, 1),
    total,
    evicted: entries + puts - after.entries!,
    full: after.totalBytes! / options.maxBytes!,
  };
}

/** Into a pack, twice: the second time nothing has changed. */
async function exported({ directory, entries }: Place): Promise<Figures> {
  const pack = `${directory}-pack`;
  const times: number[] = [];
  for (let turn = 0; turn < 2; turn++) {
    const began = performance.now();
    const { samples: count } = await exportPack({ directory }, pack);
    times.push(performance.now() - began);
    if (count !== entries) throw new Error(`${count} of ${entries} answers were exported`);
  }
  await rm(pack, { recursive: true });
  return { export: times[0]!, again: times[1]! };
}

async function verify({ directory, entries }: Place): Promise<Figures> {
  const cache = await openCache({ directory });
  const began = performance.now();
  const { ok, models } = await cache.verify();
  const took = performance.now() - began;
  const count = models.reduce((sum, model) => sum + model.entries, 0);
  if (!ok || count !== entries) throw new Error(`${count} of ${entries} answers were looked at, all sound: ${ok}`);
  await cache.close();
  return { verify: took };
}

async function expectHit(cache: ResponseCache, index: number): Promise<void> {
  if (await cache.get(requestOf(index)) === undefined) throw new Error(`Request ${index} was not found`);
}

function othersTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function at(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

/** Processor time of this thread in ms: others on the machine do not count. https://docs.kernel.org/scheduler/sched-stats.html */
function threadTime(): number {
  return Number(readFileSync("/proc/thread-self/schedstat", "utf8").split(" ")[0]) / 1e6;
}

/** https://man7.org/linux/man-pages/man5/proc_pid_status.5.html, in MiB. */
function memory(name: "VmRSS" | "VmHWM"): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(readFileSync("/proc/self/status", "utf8"))![1]) / 1024;
}
