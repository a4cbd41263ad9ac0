/** Memory in front of a store changes no answer: two processes, each with its own, do whatever comes to mind. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import type { Found, Placement, Selection, Store, Want } from "../../../src/store/store.ts";
import { openTieredStore } from "../../../src/store/tiers/tiered_store.ts";
import { ManualClock } from "../manual_clock.ts";
import { entry, keyOf, MODEL, requestOf, UnsteadyStore } from "./support.ts";

const SEEDS = 60;
const STEPS = 150;
const KEYS = 3;
const PLACEMENTS: readonly Placement[] = ["append", "replace", "replace_all"];

/** Numbers from 0 to below `most`, the same for the same seed: a linear congruential generator's high bits. */
function numbers(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * most);
  };
}

/** Why there are not as many as were asked for is of interest only where there are not. */
function shown(found: readonly Found[], wants: readonly Want[]): unknown {
  return found.map(({ entries, ...flags }, index) => ({
    ...entries.length < wants[index]!.samples && flags,
    entries: entries.map((each) => ({
      sample: each.sample,
      created: each.created,
      expires: each.expires,
      outcome: each.outcome,
      text: new TextDecoder().decode(each.bytes()),
    })),
  }));
}

describe("memory in front of a store", () => {
  it("answers as the store itself would, whoever did what in between", async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const number = numbers(seed);
      const clock = new ManualClock();
      const below = new UnsteadyStore(openMemoryStore({ clock, maxBytes: 2 ** 20 }), { stamps: true });
      const front = { maxBytes: number(2) === 0 ? 2000 : 2 ** 20 };
      const processes = [1, 2].map((): Store => openTieredStore({ clock, tiers: [{ store: below }], front }));
      for (let step = 0; step < STEPS; step++) {
        const store = processes[number(2)]!;
        const act = number(10);
        if (act < 6) {
          const wants = Array.from({ length: 1 + number(3) }, (): Want => ({
            key: keyOf(number(KEYS)),
            samples: number(5) === 0 ? Number.MAX_SAFE_INTEGER : 1 + number(4),
            ...number(3) === 0 && { grace: number(100) },
          }));
          const found = await store.lookup(MODEL, wants);
          assert.deepEqual(
            shown(found, wants),
            shown(await below.lookup(MODEL, wants), wants),
            `seed ${seed}, step ${step}`,
          );
        } else if (act < 8) {
          const entries = Array.from(
            { length: 1 + number(3) },
            () =>
              entry(`${seed} ${step} ${"so ".repeat(number(50))}`, {
                created: clock.now(),
                expires: number(2) === 0 ? null : clock.now() + 1 + number(100),
                outcome: number(3) === 0 ? "length" : "stop",
              }),
          );
          await store.put(MODEL, requestOf(number(KEYS)), entries, PLACEMENTS[number(3)]!);
        } else if (act === 8) {
          const selections: Selection[] = [{ keys: [keyOf(number(KEYS))] }, { outcome: "length" }, {
            createdBefore: clock.now(),
          }];
          await store.remove(selections[number(3)]!);
        } else clock.advance(number(40));
      }
    }
  });

  it("never goes back behind what was acknowledged, however calls overlap", async () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const number = numbers(seed);
      const clock = new ManualClock();
      const below = new UnsteadyStore(openMemoryStore({ clock, maxBytes: 2 ** 20 }), { stamps: true });
      const plain = below.lookup.bind(below);
      const pause = async (): Promise<void> => {
        for (let turns = number(6); turns > 0; turns--) await Promise.resolve();
      };
      below.mood = pause;
      below.lookup = async (model, wants) => {
        const found = await plain(model, wants);
        await pause();
        return found;
      };
      const front = { maxBytes: 2 ** 20 };
      const processes = [1, 2].map((): Store => openTieredStore({ clock, tiers: [{ store: below }], front }));
      /** The version that every lookup from now on has to show, or a later one. */
      let acknowledged = 0;
      let written = 0;
      const write = async (store: Store): Promise<void> => {
        const version = ++written;
        await store.put(MODEL, requestOf(1), [entry(`${version}`)], "replace_all");
        acknowledged = Math.max(acknowledged, version);
      };
      const read = async (store: Store): Promise<void> => {
        const least = acknowledged;
        const [found] = await store.lookup(MODEL, [{ key: keyOf(1), samples: 1 }]);
        const version = Number(new TextDecoder().decode(found!.entries[0]?.bytes() ?? new Uint8Array()));
        assert.ok(version >= least, `seed ${seed}: version ${version} after ${least} was acknowledged`);
      };
      // One writer at a time: which of two at once is the later one, nobody knows.
      let writing = Promise.resolve();
      const reading: Promise<void>[] = [];
      for (let step = 0; step < STEPS; step++) {
        const store = processes[number(2)]!;
        if (number(4) === 0) writing = writing.then(() => write(store));
        else reading.push(read(store));
        await pause();
      }
      await Promise.all([writing, ...reading]);
    }
  });
});
