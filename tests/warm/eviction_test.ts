import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseVictims, fits, minus, NO_ROOM, plus, type Resident, type Room } from "../../src/warm/eviction.ts";
import { randomBelow } from "../support/random.ts";

const PLACE: Room = { places: 1, ram: 0, gpu: 0 };

interface Named extends Resident {
  readonly name: string;
}

/** One that nothing holds, used when its turn in the alphabet was. */
function idle(name: string, more: Partial<Resident> = {}): Named {
  const lastUse = name.charCodeAt(0);
  const state = { leases: 0, isLoading: false, isPinned: false, isYoung: false };
  return { name, takes: PLACE, ...state, idle: 1000, loadTime: 100, lastUse, ...more };
}

const ram = (bytes: number): Room => ({ places: 1, ram: bytes, gpu: 0 });

function victims(residents: readonly Named[], free: Partial<Room>, needs: readonly Room[]): string {
  const room = { places: 0, ram: 0, gpu: 0, ...free };
  return chooseVictims(residents, room, needs).map(({ name }) => name).join("");
}

describe("chooseVictims", () => {
  it("chooses nobody while there is room", () => {
    assert.equal(victims([idle("a")], { places: 1 }, [PLACE]), "");
    assert.equal(victims([idle("a"), idle("b")], {}, [NO_ROOM]), "");
    assert.equal(victims([idle("a")], { places: 1, ram: 10 }, [ram(10)]), "");
  });

  it("chooses as many as are needed, of bases alike the least recently used first", () => {
    const residents = [idle("c"), idle("a"), idle("b")];
    assert.equal(victims(residents, {}, [PLACE, PLACE]), "ab");
    assert.equal(victims(residents, { places: 1 }, [PLACE, PLACE]), "a");
  });

  it("spares what is leased, loading, pinned or young, even when nothing else is left", () => {
    const spared = [{ leases: 1 }, { isLoading: true }, { isPinned: true }, { isYoung: true }];
    for (const more of spared) {
      assert.equal(victims([idle("a", more), idle("b")], {}, [PLACE, PLACE]), "b");
      assert.equal(victims([idle("a", more)], {}, [PLACE]), "");
    }
  });

  it("spares what took long to load, until it was idle for long in relation to that", () => {
    const slow = (time: number): Named => idle("a", { loadTime: 10_000, idle: time });
    const quick = idle("b", { loadTime: 1000, idle: 5000 });
    assert.equal(victims([slow(20_000), quick], {}, [PLACE]), "b");
    assert.equal(victims([slow(80_000), quick], {}, [PLACE]), "a");
  });

  it("does not tell load times apart that differ by chance", () => {
    assert.equal(victims([idle("b", { loadTime: 100 }), idle("a", { loadTime: 120 })], {}, [PLACE]), "a");
  });

  it("frees enough bytes, and lets stay what turns out not to be in the way", () => {
    const residents = [idle("a", { takes: ram(1) }), idle("b", { takes: ram(8) }), idle("c", { takes: ram(2) })];
    assert.equal(victims(residents, { places: 9, ram: 1 }, [ram(9)]), "b");
    assert.equal(victims(residents, { places: 9, ram: 0 }, [ram(11)]), "abc");
  });

  it("counts places, memory and the GPU each by itself", () => {
    const onGpu = idle("a", { takes: { places: 1, ram: 1, gpu: 10 } });
    const inRam = idle("b", { takes: { places: 1, ram: 10, gpu: 0 } });
    assert.equal(victims([onGpu, inRam], { places: 9, ram: 0, gpu: 0 }, [ram(5)]), "b");
    assert.equal(victims([inRam, onGpu], { places: 9, ram: 9, gpu: 0 }, [{ places: 1, ram: 1, gpu: 5 }]), "a");
  });

  it("evicts nobody in vain: for a need that cannot be met, and for those behind it", () => {
    const leased = idle("a", { takes: ram(10), leases: 1 });
    const residents = [leased, idle("b", { takes: ram(2) })];
    assert.equal(victims(residents, { places: 9 }, [ram(5)]), "");
    assert.equal(victims(residents, { places: 9 }, [ram(5), ram(1)]), "");
    assert.equal(victims(residents, { places: 9 }, [ram(1), ram(5)]), "b");
  });

  it("makes the residents fit where they have grown over the limit", () => {
    const residents = [idle("a", { takes: ram(4) }), idle("b", { takes: ram(4) })];
    assert.equal(victims(residents, { places: 9, ram: -3 }, [NO_ROOM]), "a");
    assert.equal(victims(residents, { places: 9, ram: -5 }, [NO_ROOM]), "ab");
  });

  it("over 20,000 random situations: chooses none that may not go, enough, none too many, and always the same", () => {
    for (let seed = 1; seed <= 20_000; seed++) {
      const below = randomBelow(seed);
      const room = (most: number): Room => ({ places: 1, ram: below(most), gpu: below(2) * below(most) });
      const residents = Array.from({ length: below(8) }, (_, index) =>
        idle(String.fromCharCode(97 + index), {
          takes: room(10),
          leases: below(4) === 0 ? 1 + below(3) : 0,
          isLoading: below(6) === 0,
          isPinned: below(6) === 0,
          isYoung: below(6) === 0,
          idle: below(60_000),
          loadTime: below(5000),
        }));
      const free = { places: below(4) - 1, ram: below(20) - 5, gpu: below(20) - 5 };
      const needs = [NO_ROOM, ...Array.from({ length: below(4) }, () => room(12))];
      const chosen = chooseVictims(residents, free, needs);
      const about = `situation ${seed}`;
      for (const { leases, isLoading, isPinned, isYoung } of chosen) {
        assert.deepEqual([leases, isLoading, isPinned, isYoung], [0, false, false, false], about);
      }
      const after = chosen.reduce((sum, { takes }) => plus(sum, takes), free);
      const met = needs.map((_, index) => needs.slice(0, index + 1).reduce(plus)).filter((need) => fits(need, after));
      if (chosen.length > 0) assert.ok(met.length > 0, `${about}: somebody went in vain`);
      for (const { takes } of chosen) {
        assert.ok(!fits(met.at(-1)!, minus(after, takes)), `${about}: one victim too many`);
      }
      // What could be met if all went that may: the longest run of needs from the first on.
      const most = residents.filter((each) => !each.leases && !each.isLoading && !each.isPinned && !each.isYoung)
        .reduce((sum, { takes }) => plus(sum, takes), free);
      const possible = needs.findIndex((_, index) => !fits(needs.slice(0, index + 1).reduce(plus), most));
      assert.equal(met.length, possible === -1 ? needs.length : Math.max(possible, met.length), about);
      assert.ok(
        met.length >= (possible === -1 ? needs.length : possible),
        `${about}: a need that could be met was not`,
      );
      assert.deepEqual(
        chooseVictims([...residents].reverse(), free, needs).map(({ name }) => name).sort(),
        chosen.map(({ name }) => name).sort(),
        about,
      );
    }
  });
});
