/** The file store keeps the contract of every store. */

import { readFile, writeFile } from "node:fs/promises";
import { describe, it } from "node:test";
import type { Key, Store } from "../../../src/store/store.ts";
import { ManualClock, storeConformance, type StoreUnderTest } from "../../../src/testing/testing.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { folderIn, machine, openFiles } from "./fixture.ts";

async function open(runtime: Partial<typeof machine> = {}): Promise<StoreUnderTest> {
  const time = new ManualClock();
  // Who waits for another store's lock waits indeed.
  const clock = { ...machine.clock, now: () => time.now() };
  const directory = await temporaryFolder();
  const reopen = () => openFiles(directory, { runtime: { ...machine, ...runtime, clock }, lockTimeout: 60_000 });
  const damage = async (model: string, key: Key): Promise<void> => {
    const hex = Array.from(key, (byte) => byte.toString(16).padStart(2, "0")).join("");
    const path = `${folderIn(directory, model)}/${hex.slice(0, 2)}/${hex}.json`;
    await writeFile(path, (await readFile(path, "utf8")).replace(/"outcome": "stop"/g, '"outcome": "length"'));
  };
  return { store: await reopen(), clock: time, another: reopen, reopen, damage, cleanup: () => {} };
}

/** A store of which the suite does not see that it remembers failures, which it does not share. */
function withoutFailures(store: Store): Store {
  return new Proxy(store, {
    get: (_, name) => {
      const value = name === "failures" ? undefined : Reflect.get(store, name);
      return typeof value === "function" ? value.bind(store) : value;
    },
  });
}

storeConformance({ describe, it }, "files, for one process", async () => {
  const { store, clock, cleanup } = await open();
  return { store, clock, cleanup };
}, ["failures"]);

for (const [name, rangeLocks] of [["", machine.rangeLocks], [" without byte-range locks", undefined]] as const) {
  storeConformance({ describe, it }, `files, shared${name}`, async () => {
    const { store, another, reopen, ...rest } = await open({ rangeLocks });
    const hidden = (open: () => Promise<Store>) => async () => withoutFailures(await open());
    return { ...rest, store: withoutFailures(store), another: hidden(another!), reopen: hidden(reopen!) };
  }, ["another", "reopen", "damage"]);
}
