/// <reference lib="dom" />
/** The conformance suites in a dedicated Worker, where OPFS has files that SQLite can use: the store by itself. */

import { joinCache } from "../../../src/compose/join_cache.ts";
import { browserRuntime } from "../../../src/runtime/browser.ts";
import { provideRuntime } from "../../../src/runtime/current.ts";
import { openOpfsFiles, opfsDirectory } from "../../../src/runtime/opfs_files.ts";
import type { Runtime } from "../../../src/runtime/runtime.ts";
import { openSqliteStore } from "../../../src/store/sqlite/sqlite_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { ManualClock } from "../../../src/testing/manual_clock.ts";
import { suitesOver } from "./suites.ts";
import { clockOf } from "./test_time.ts";

const machine = browserRuntime();
provideRuntime(() => Promise.resolve(machine));

const suites = suitesOver({
  "sqlite in a Worker": async () => {
    const clock = new ManualClock();
    const disk = new Disk();
    const open = async (): Promise<Store> => await disk.open({ ...machine, clock });
    return { store: await open(), clock, reopen: open, cleanup: () => disk.close() };
  },
  "a cache on sqlite in a Worker": async () => {
    const clock = new ManualClock();
    const disk = new Disk();
    const runtime = { ...machine, clock: clockOf(machine.clock, clock) };
    const open = async () => {
      const options = { keepExpired: 1000, backend: await disk.open(runtime) };
      return (await joinCache({ runtime, stores: {} }, options)).cache;
    };
    return { cache: await open(), clock, reopen: open, cleanup: () => disk.close() };
  },
});

/** A directory of its own in the private file system, which is given back and taken again between two stores. */
class Disk {
  readonly #path = `conformance/${crypto.randomUUID()}`;
  #close = (): void => {};

  async open(runtime: Runtime): Promise<Store> {
    this.close();
    const files = await openOpfsFiles(await opfsDirectory(this.#path), { clock: machine.clock });
    this.#close = () => files.close();
    const { rangeLocks, lockWholeFile } = browserRuntime(files);
    return await openSqliteStore({
      runtime: { ...runtime, files, rangeLocks, lockWholeFile },
      directory: "cache",
      keepExpired: 1000,
    });
  }

  close(): void {
    this.#close();
  }
}

addEventListener("message", async ({ data: { suite, test } }) => {
  const failure = await suites.get(suite)!.get(test)!().then(() => undefined, (error: Error) => ({
    name: error.name,
    message: error.message,
    stack: error.stack,
  }));
  postMessage({ failure });
});
