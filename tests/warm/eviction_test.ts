import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { chooseVictims, type Resident } from "../../src/warm/eviction.ts";

const idle = (lastUse: number): Resident => ({ leases: 0, lastUse });

describe("chooseVictims", () => {
  it("chooses nobody while there is room", () => {
    assert.deepEqual(chooseVictims([idle(1)], { maxLoaded: 2, wanted: 1 }), []);
    assert.deepEqual(chooseVictims([idle(1), idle(2)], { maxLoaded: 2, wanted: 0 }), []);
  });

  it("chooses as many as are wanted, least recently used first", () => {
    const residents = [idle(3), idle(1), idle(2)];
    assert.deepEqual(chooseVictims(residents, { maxLoaded: 3, wanted: 2 }), [idle(1), idle(2)]);
    assert.deepEqual(chooseVictims(residents, { maxLoaded: 4, wanted: 2 }), [idle(1)]);
  });

  it("spares what is leased, even when nothing else is left", () => {
    const leased = { leases: 1, lastUse: 1 };
    assert.deepEqual(chooseVictims([leased, idle(3)], { maxLoaded: 2, wanted: 2 }), [idle(3)]);
  });
});
