/// <reference lib="dom" />
/** The conformance suites in a page: each test is run by its name, on a store that is opened for it. */

import type { ResponseCache } from "../../../src/cache/response_cache.ts";
import { joinCache, type OpenCacheOptions } from "../../../src/compose/join_cache.ts";
import { PORTABLE_STORES } from "../../../src/compose/portable_stores.ts";
import { browserRuntime } from "../../../src/runtime/browser.ts";
import { provideRuntime } from "../../../src/runtime/current.ts";
import type { Milliseconds } from "../../../src/runtime/runtime.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import type { RemoteConnection } from "../../../src/store/remote/options.ts";
import { openTabStore } from "../../../src/store/opfs/tab_store.ts";
import { openRemoteStore } from "../../../src/store/remote/remote_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { ManualClock } from "../../../src/testing/manual_clock.ts";
import { suitesOver } from "./suites.ts";
import { clockOf, SharedTime, ToldTime } from "./test_time.ts";

const machine = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

/** Longer than a machine with much else to do keeps a server waiting. */
const PATIENCE = 60_000;
/** What starts servers for this page. */
const control = new URL(location.href).searchParams.get("control")!;

const suites = suitesOver({
  "memory": () => {
    const clock = new ManualClock();
    return Promise.resolve({ store: openMemoryStore({ clock, maxBytes: 64 * 1024 * 1024 }), clock, cleanup: () => {} });
  },
  "remote": async () => {
    const { time, connection, stop } = await startServer();
    const runtime = { clock: clockOf(machine.clock, time) };
    const open = () => openRemoteStore({ runtime, ...connection });
    return { store: await open(), clock: time, another: open, reopen: open, cleanup: stop };
  },
  "sqlite of all tabs": async () => {
    const time = new SharedTime();
    const open = tabStoreAt(time);
    return { store: await open(), clock: time, another: open, reopen: open, cleanup: () => {} };
  },
  "a cache in memory": async () => {
    const clock = new ManualClock();
    return { cache: await openCache(clock, { backend: "memory" }), clock, cleanup: () => {} };
  },
  "a cache at a server": async () => {
    const { time, connection, stop } = await startServer();
    const open = () => openCache(time, { backend: "remote", remote: connection });
    return { cache: await open(), clock: time, another: open, reopen: open, cleanup: stop };
  },
  "a cache on sqlite of all tabs": async () => {
    const time = new SharedTime();
    const openStore = tabStoreAt(time);
    const open = async () => openCache(time, { backend: await openStore() });
    return { cache: await open(), clock: time, another: open, reopen: open, cleanup: () => {} };
  },
});

/** Runs a test; it has failed when this does. */
export async function run(suite: string, test: string): Promise<void> {
  await (suite.endsWith("in a Worker") ? runInWorker(suite, test) : suites.get(suite)!.get(test)!());
}

let worker: Worker | undefined;

async function runInWorker(suite: string, test: string): Promise<void> {
  worker ??= new Worker(new URL("./conformance_worker.js", import.meta.url), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  worker.onmessage = ({ data: { failure } }) => failure ? reject(Object.assign(new Error(), failure)) : resolve();
  worker.onerror = ({ message }) => reject(new Error(message));
  worker.postMessage({ suite, test });
  await promise;
}

async function openCache(time: { now(): Milliseconds }, options: OpenCacheOptions): Promise<ResponseCache> {
  const runtime = { ...machine, clock: clockOf(machine.clock, time) };
  const { memory, remote } = PORTABLE_STORES;
  return (await joinCache({ runtime, stores: { memory, remote } }, { keepExpired: 1000, ...options })).cache;
}

/** Opens the same store each time, as so many tabs do. */
function tabStoreAt(time: SharedTime): () => Promise<Store> {
  const directory = crypto.randomUUID();
  const spawn = () => {
    const leader = machine.spawnWorker(new URL("./conformance_leader.js", import.meta.url), "a leader");
    leader.post(time.memory);
    return leader;
  };
  const runtime = { ...machine, clock: clockOf(machine.clock, time) };
  return () => openTabStore({ runtime, directory, spawn, keepExpired: 1000 });
}

/** A server of its own, whose clock goes as the test's does. */
async function startServer(): Promise<{ time: ToldTime; connection: RemoteConnection; stop(): Promise<void> }> {
  const { id, url } = await ask("start") as { id: number; url: string };
  const time = new ToldTime((now) => ask("set", { id, now }));
  return {
    time,
    connection: { url, timeout: PATIENCE, fetch: (url, init) => time.settled().then(() => fetch(url, init)) },
    stop: async () => void await ask("stop", { id }),
  };
}

async function ask(what: string, body: object = {}): Promise<unknown> {
  const response = await fetch(`${control}/${what}`, { method: "POST", body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`Cannot ${what} a server: ${await response.text()}`);
  return await response.json();
}
