/**
 * Two processes on one machine, with the same two tiers, put, remove and look up one request as it comes: once all is
 * quiet, neither finds what was replaced or removed.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import { ManualClock } from "../manual_clock.ts";
import { bodiesOf, entry, MODEL, requestOf, UnsteadyStore, want } from "./support.ts";

const SEEDS = 150;
const STEPS = 60;

/** Numbers from 0 to below `most`, the same for the same seed: a linear congruential generator's high bits. */
function numbers(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * most);
  };
}

async function versionIn(store: Store): Promise<number | undefined> {
  const [version] = bodiesOf((await store.lookup(MODEL, [want(1)]))[0]);
  return version === undefined ? undefined : Number(version);
}

async function play(seed: number): Promise<void> {
  const number = numbers(seed);
  const clock = new ManualClock();
  const pause = async (): Promise<void> => {
    for (let turns = number(8); turns > 0; turns--) await Promise.resolve();
    if (number(3) === 0) await new Promise((resolve) => setImmediate(resolve));
  };
  const stores = [1, 2].map(() => openMemoryStore({ clock, maxBytes: 2 ** 20 }));
  const processes = [1, 2].map((): Store => {
    const tiers = stores.map((store) => {
      const tier = new UnsteadyStore(store);
      tier.mood = pause;
      // It is looked into once both are gone.
      tier.close = () => Promise.resolve();
      const lookup = tier.lookup.bind(tier);
      tier.lookup = async (model, wants) => {
        const found = await lookup(model, wants);
        await pause();
        return found;
      };
      return { store: tier };
    });
    return openTieredStore({ clock, tiers });
  });
  let written = 0;
  let removed = 0;
  const write = async (process: Store): Promise<void> => {
    await process.put(MODEL, requestOf(1), [entry(`${++written}`)], "replace_all");
  };
  const remove = async (process: Store): Promise<void> => {
    await process.remove({});
    removed = written;
  };
  // One writer at a time: which of two at once is the later one, nobody knows.
  let writing = Promise.resolve();
  const reading: Promise<unknown>[] = [];
  for (let step = 0; step < STEPS; step++) {
    const process = processes[number(2)]!;
    const act = number(12);
    if (act < 2) writing = writing.then(() => write(process));
    else if (act === 2) writing = writing.then(() => remove(process));
    else reading.push(versionIn(process));
    await pause();
  }
  await Promise.all([writing, ...reading]);
  for (const process of processes) await process.close();
  const [near, far] = await Promise.all(stores.map(versionIn));
  const last = written > removed ? written : undefined;
  assert.deepEqual({ seed, far }, { seed, far: last });
  if (near !== undefined) assert.deepEqual({ seed, near }, { seed, near: last });
}

describe("two processes on the same tiers", () => {
  it("find in the end what was put last, and nothing that was removed", async () => {
    for (let seed = 1; seed <= SEEDS; seed++) await play(seed);
  });
});
