/// <reference lib="dom" />
/** The conformance suites in workerd: each test is run by its name, in a Durable Object of its own. */

import { joinCache, type OpenCacheOptions } from "../../../src/compose/join_cache.ts";
import { PORTABLE_STORES } from "../../../src/compose/portable_stores.ts";
import type { ResponseCache } from "../../../src/cache/response_cache.ts";
import { provideRuntime } from "../../../src/runtime/current.ts";
import { edgeRuntime } from "../../../src/runtime/edge.ts";
import type { Milliseconds } from "../../../src/runtime/runtime.ts";
import { provideWasm } from "../../../src/runtime/wasm.ts";
import type { SqlDriver } from "../../../src/sqlite/driver.ts";
import { durableObjectDriver, type DurableObjectStorage } from "../../../src/sqlite/durable_object_driver.ts";
import { openMemoryDatabase } from "../../../src/sqlite/memory_database.ts";
import type { RemoteConnection } from "../../../src/store/remote/options.ts";
import { openRemoteStore } from "../../../src/store/remote/remote_store.ts";
import { openSqlStore } from "../../../src/store/sql/sql_store.ts";
import type { Key } from "../../../src/store/store.ts";
import { ManualClock } from "../../../src/testing/manual_clock.ts";
import { clockOf, ToldTime } from "../../browser/conformance/test_time.ts";
import { sqlite, zstd } from "../support/wasm.js";
import { type Suites, suitesOver } from "./suites.ts";

const machine = edgeRuntime();
provideRuntime(() => Promise.resolve(machine));
provideWasm({ "sqlite3.wasm": sqlite, "zstd.wasm": zstd });

/** Longer than a machine with much else to do keeps a server waiting. */
const PATIENCE = 60_000;
/** Longer than any test lets answers be late. */
const KEPT = 100_000;

interface Environment {
  /** What starts servers for tests. */
  readonly CONTROL: string;
  readonly Bench: {
    idFromName(name: string): unknown;
    get(id: unknown): { fetch(request: Request): Promise<Response> };
  };
}

/** Where a test runs. */
export class Bench {
  readonly #suites: Suites;

  constructor({ storage }: { readonly storage: DurableObjectStorage }, { CONTROL }: Environment) {
    this.#suites = suitesIn(storage, CONTROL);
  }

  async fetch(request: Request): Promise<Response> {
    const { suite, test } = await request.json() as { suite: string; test: string };
    try {
      await this.#suites.get(suite)!.get(test)!();
      return Response.json({});
    } catch (error) {
      const { message, stack } = error as Error;
      return Response.json({ message, stack });
    }
  }
}

export default {
  fetch(request: Request, { Bench }: Environment): Promise<Response> {
    return Bench.get(Bench.idFromName(new URL(request.url).pathname)).fetch(request);
  },
};

function suitesIn(storage: DurableObjectStorage, control: string): Suites {
  return suitesOver({
    "a Durable Object's SQL": async () => {
      const clock = new ManualClock();
      const driver = durableObjectDriver(storage);
      const open = () => openSqlStore({ driver, clock, keepExpired: KEPT });
      const damage = (model: string, key: Key) => breakRow(driver, model, key);
      return { store: await open(), clock, reopen: open, damage, cleanup: () => {} };
    },
    "SQLite in memory": async () => {
      const clock = new ManualClock();
      let driver = await openMemoryDatabase();
      // What is closed is gone: whoever wants it back took a snapshot, and here that is what closing it does.
      let snapshot: Uint8Array | undefined;
      const open = async () => {
        driver = await openMemoryDatabase(snapshot);
        const { close } = driver;
        driver.close = () => {
          snapshot = driver.snapshot();
          close.call(driver);
        };
        return await openSqlStore({ driver, clock, keepExpired: KEPT });
      };
      const damage = (model: string, key: Key) => breakRow(driver, model, key);
      return { store: await open(), clock, reopen: open, damage, cleanup: () => {} };
    },
    "remote": async () => {
      const { time, connection, stop } = await startServer(control);
      const runtime = { clock: clockOf(machine.clock, time) };
      const open = () => openRemoteStore({ runtime, ...connection });
      return { store: await open(), clock: time, another: open, reopen: open, cleanup: stop };
    },
    "a cache in a Durable Object": async () => {
      const clock = new ManualClock();
      const driver = durableObjectDriver(storage);
      const open = async () => openCache(clock, { backend: await openSqlStore({ driver, clock, keepExpired: KEPT }) });
      return { cache: await open(), clock, reopen: open, cleanup: () => {} };
    },
    "a cache on SQLite in memory": async () => {
      const clock = new ManualClock();
      const driver = await openMemoryDatabase();
      const store = await openSqlStore({ driver, clock, keepExpired: KEPT });
      return { cache: await openCache(clock, { backend: store }), clock, cleanup: () => {} };
    },
    "a cache at a server": async () => {
      const { time, connection, stop } = await startServer(control);
      const open = () => openCache(time, { backend: "remote", remote: connection });
      return { cache: await open(), clock: time, another: open, reopen: open, cleanup: stop };
    },
  });
}

async function openCache(time: { now(): Milliseconds }, options: OpenCacheOptions): Promise<ResponseCache> {
  const runtime = { ...machine, clock: clockOf(machine.clock, time) };
  return (await joinCache({ runtime, stores: PORTABLE_STORES }, { keepExpired: 1000, ...options })).cache;
}

function breakRow(driver: SqlDriver, model: string, key: Key): Promise<void> {
  driver.prepare("UPDATE warmcache_entry SET outcome = 'length' WHERE model = ? AND key = ?").run(model, key);
  return Promise.resolve();
}

/** A server of its own, whose clock goes as the test's does. */
async function startServer(control: string) {
  const ask = async (what: string, body: object = {}): Promise<unknown> => {
    const response = await fetch(`${control}/${what}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`Cannot ${what} a server: ${await response.text()}`);
    return await response.json();
  };
  const { id, url } = await ask("start") as { id: number; url: string };
  const time = new ToldTime((now) => ask("set", { id, now }));
  const connection: RemoteConnection = {
    url,
    timeout: PATIENCE,
    fetch: (url, init) => time.settled().then(() => fetch(url, init)),
  };
  return { time, connection, stop: async () => void await ask("stop", { id }) };
}
