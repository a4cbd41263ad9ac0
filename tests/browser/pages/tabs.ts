/// <reference lib="dom" />
/** A page with caches, for the tests of what tabs share: each function is a step of a test. */

import {
  type CacheStatistics,
  exportDatabase,
  importDatabase,
  type OpenBrowserCacheOptions,
  openCache,
  type ResponseCache,
} from "../../../src/compose/browser.ts";
import { storeOf } from "../../../src/compose/join_cache.ts";
import { browserRuntime } from "../../../src/runtime/browser.ts";
import type { WorkerHandle } from "../../../src/runtime/runtime.ts";
import { webWorkerHandle } from "../../../src/runtime/web_worker.ts";
import { openTabStore } from "../../../src/store/opfs/tab_store.ts";

const caches = new Map<string, ResponseCache>();
const events: string[] = [];
/** How often this page has bought an answer. */
let bought = 0;
/** Lets go of purchases that were told to wait. */
const held: (() => void)[] = [];

/** Opens a cache, in a directory of its name; says where it is. */
export async function open(name: string, options: OpenBrowserCacheOptions = {}): Promise<string> {
  const report: OpenBrowserCacheOptions["report"] = (event) => {
    events.push(
      "why" in event ? `${event.type}: ${event.why}` : "error" in event ? `${event.type}: ${event.error}` : event.type,
    );
  };
  const cache = await openCache({ directory: name, ...options, report });
  caches.set(name, cache);
  return storeOf(cache).location;
}

/** What was reported. */
export function reported(): readonly string[] {
  return events;
}

export async function close(name: string): Promise<void> {
  await caches.get(name)!.close();
}

const request = (text: string, model = "model"): { model: string; messages: object[] } => ({
  model,
  messages: [{ role: "user", content: text }],
});

function answer(text: string): object {
  return {
    model: "model",
    choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: "stop" }],
    usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 },
  };
}

type Answered = { choices: { message: { content: string } }[] };

/** How to ask. */
interface Asking {
  /** What a purchase says. */
  readonly by?: string;
  /** Whether a purchase waits for {@link release}. */
  readonly hold?: boolean;
  readonly model?: string;
}

/** Asks, and says what was answered; what is not there is bought. */
export async function ask(name: string, text: string, asking: Asking = {}): Promise<string> {
  const { by = "bought", hold = false, model = "model" } = asking;
  const given = await caches.get(name)!.wrap(request(text, model), async () => {
    bought++;
    if (hold) await new Promise<void>((resolve) => held.push(resolve));
    return answer(by);
  }) as Answered;
  return given.choices[0]!.message.content;
}

/** Asks for many at once. */
export async function askMany(name: string, texts: readonly string[], asking: Asking = {}): Promise<string[]> {
  return await Promise.all(texts.map((text) => ask(name, text, asking)));
}

/** Ends the purchases that wait. */
export function release(): void {
  for (const end of held.splice(0)) end();
}

/** Waits until so many purchases wait. */
export async function whenHeld(count: number): Promise<void> {
  while (held.length < count) await pause(5);
}

export function purchases(): number {
  return bought;
}

/** What is stored of a request; nothing is bought. */
export async function get(name: string, text: string, model = "model"): Promise<string | null> {
  const entry = await caches.get(name)!.get(request(text, model));
  return entry === undefined
    ? null
    : (JSON.parse(new TextDecoder().decode(entry.bytes())) as Answered).choices[0]!.message.content;
}

let acknowledged = 0;
let isStopped = false;
let putting: Promise<void> = Promise.resolve();

/** Stores an answer to each of `<prefix>0`, `<prefix>1`, …, one when the other is acknowledged, until it is stopped. */
export function keepPutting(name: string, prefix: string): void {
  putting = (async () => {
    for (let count = 0; !isStopped; count++) {
      await put(name, `${prefix}${count}`, `answer ${count}`);
      acknowledged = count + 1;
    }
  })();
}

/** Waits until so many were acknowledged; how many were. */
export async function whenAcknowledged(count: number): Promise<number> {
  while (acknowledged < count) await Promise.race([putting, pause(5)]);
  return acknowledged;
}

/** Has no more stored; how many were acknowledged. */
export async function stopPutting(): Promise<number> {
  isStopped = true;
  await putting;
  return acknowledged;
}

/** Which of `<prefix>0` to `<prefix>count - 1` are not stored as they were put. */
export async function missing(name: string, prefix: string, count: number): Promise<number[]> {
  const numbers = Array.from({ length: count }, (_, number) => number);
  const found = await Promise.all(numbers.map((number) => get(name, `${prefix}${number}`)));
  return numbers.filter((number) => found[number] !== `answer ${number}`);
}

/** Waits until something is stored of a request. */
export async function whenStored(name: string, text: string): Promise<void> {
  while (await get(name, text) === null) await pause(20);
}

/** As {@link open}, with a Worker that stands still when {@link freeze} says so, and less patience. */
export async function openFreezable(name: string): Promise<void> {
  const runtime = browserRuntime();
  const spawn = (): WorkerHandle => {
    return webWorkerHandle(new Worker(new URL("./freezable_worker.js", import.meta.url), { type: "module", name }));
  };
  const store = await openTabStore({ runtime, directory: name, spawn, patience: 300 });
  caches.set(name, await openCache({ backend: store, report: ({ type }) => events.push(type) }));
}

/** Has a directory's Worker do nothing for a while; it has heard of it when this is done. */
export function freeze(name: string, duration: number): Promise<void> {
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(`freeze ${name}`);
    channel.onmessage = () => {
      channel.close();
      resolve();
    };
    channel.postMessage(duration);
  });
}

/** Text that does not compress. */
function noise(bytes: number): string {
  const random = new Uint8Array(Math.ceil(bytes * 3 / 4));
  for (let at = 0; at < random.length; at += 65_536) crypto.getRandomValues(random.subarray(at, at + 65_536));
  let text = "";
  for (let at = 0; at < random.length; at += 3072) text += btoa(String.fromCharCode(...random.subarray(at, at + 3072)));
  return text.slice(0, bytes);
}

/** Buys a long answer; how long it is. */
export async function askLong(name: string, text: string, bytes: number): Promise<number> {
  return (await ask(name, text, { by: noise(bytes) })).length;
}

/** Buys long answers until one is not stored, or so many are; how many were stored. */
export async function fill(name: string, bytes: number, most: number): Promise<number> {
  for (let count = 0; count < most; count++) {
    const { failedWrites } = await stats(name);
    await askLong(name, `long ${count}`, bytes);
    if ((await stats(name)).failedWrites > failedWrites) return count;
  }
  return most;
}

/** Which of so many long answers are not there. */
export async function missingLong(name: string, count: number, bytes: number): Promise<number[]> {
  const missing: number[] = [];
  for (let number = 0; number < count; number++) {
    if ((await get(name, `long ${number}`))?.length !== bytes) missing.push(number);
  }
  return missing;
}

/** Waits until the files take no more than so much: room is made in quiet moments. */
export async function whenWithin(name: string, bytes: number): Promise<void> {
  while ((await stats(name)).store!.totalBytes! > bytes) await pause(50);
}

/** Has the page be one of a browser that lacks something. */
export function lack(what: "BroadcastChannel" | "Worker" | "locks" | "getDirectory"): void {
  const owners = { locks: Navigator.prototype, getDirectory: StorageManager.prototype };
  const owner: object = what in owners ? owners[what as keyof typeof owners] : globalThis;
  Reflect.deleteProperty(owner, what);
}

/** As {@link open}, with a Worker of another module. */
export async function openWithWorker(name: string, module: string): Promise<string> {
  const worker = (): Worker => new Worker(new URL(`./${module}.js`, import.meta.url), { type: "module" });
  return await open(name, { worker });
}

/** So that nothing may be taken for idle and collected: once such a Worker in Firefox never answered, and why is not known. */
const asking = new Set<Worker>();

/** Opens a cache in a Worker of the page's own, asks there twice, and closes it; what was answered. */
export function askInWorker(name: string, text: string): Promise<string[]> {
  const worker = new Worker(new URL("./asking_worker.js", import.meta.url), { type: "module" });
  asking.add(worker);
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => {
      asking.delete(worker);
      worker.terminate();
      resolve(data);
    };
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage([name, text]);
  });
}

/** Buys a stream, or replays it; its chunks' texts. */
export async function askForStream(name: string, text: string): Promise<string[]> {
  const chunk = (content: string | null, finish_reason: string | null = null): object => ({
    id: "1",
    object: "chat.completion.chunk",
    created: 1,
    model: "model",
    choices: [{ index: 0, delta: content === null ? {} : { content }, finish_reason }],
  });
  const chunks = await caches.get(name)!.wrapStream<{ choices: { delta: { content?: string } }[] }>(
    { ...request(text), stream: true },
    () => {
      bought++;
      return Promise.resolve((async function* () {
        for (const word of ["one ", "word ", "after another"]) yield chunk(word) as never;
        yield chunk(null, "stop") as never;
      })());
    },
  );
  const words: string[] = [];
  for await (const { choices: [choice] } of chunks) if (choice?.delta.content) words.push(choice.delta.content);
  return words;
}

/** What a cache says of an option, or of opening. */
export async function openOddly(options: object): Promise<string> {
  try {
    await openCache(options as OpenBrowserCacheOptions);
    return "opened";
  } catch (error) {
    return String(error);
  }
}

const taken = new Map<string, Blob>();

/** Exports a database, and keeps it under a name. */
export async function take(name: string, model: string, as: string): Promise<{ bytes: number; begins: string }> {
  const blob = await exportDatabase(caches.get(name)!, model);
  taken.set(as, blob);
  return { bytes: blob.size, begins: await blob.slice(0, 15).text() };
}

/** Imports what was exported, or a text. */
export async function give(name: string, as: string, replace = false): Promise<string> {
  return await importDatabase(caches.get(name)!, taken.get(as) ?? new Blob([as]), { replace });
}

export async function put(name: string, text: string, content: string, model = "model"): Promise<void> {
  await caches.get(name)!.put(request(text, model), answer(content));
}

export async function stats(name: string): Promise<CacheStatistics> {
  return await caches.get(name)!.stats();
}

export async function verify(name: string): Promise<{ ok: boolean; entries: number }> {
  const report = await caches.get(name)!.verify();
  return { ok: report.ok, entries: report.models.reduce((sum, { entries }) => sum + entries, 0) };
}

export async function listAll(name: string): Promise<number> {
  let count = 0;
  for await (const _ of caches.get(name)!.list()) count++;
  return count;
}

export function pause(duration: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, duration));
}
