/** A tier that fails: how long it is waited for, and how long it is left alone. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { CacheError } from "../../../src/store/error.ts";
import { openMemoryStore } from "../../../src/store/memory/memory_store.ts";
import { Tier } from "../../../src/store/tiers/tier.ts";
import { requireRuntime, RUNTIMES } from "../../support/runtimes.ts";
import { ManualClock } from "../manual_clock.ts";
import { settle } from "./support.ts";

const WORKER = fileURLToPath(new URL("./patient_worker.ts", import.meta.url));
const SECOND = 1000;

function open(deadline = SECOND): { clock: ManualClock; tier: Tier } {
  const clock = new ManualClock();
  return { clock, tier: new Tier(openMemoryStore({ clock, maxBytes: 1000 }), clock, deadline) };
}

const asking = { tried: "ask" };

/** One call that fails; whether the store was asked at all. */
async function fail(tier: Tier): Promise<boolean> {
  let isAsked = false;
  await assert.rejects(async () =>
    await tier.ask(() => {
      isAsked = true;
      throw new Error("no");
    }, asking)
  );
  return isAsked;
}

describe("a tier", () => {
  it("answers at once where its store does", () => {
    assert.equal(open().tier.ask(() => 1, asking), 1);
  });

  it("throws what its store throws as a CacheError", async () => {
    const { tier } = open();
    await assert.rejects(
      async () => await tier.ask(() => Promise.reject(new RangeError("odd")), asking),
      (error) =>
        error instanceof CacheError && error.code === "unavailable" && error.cause instanceof RangeError &&
        error.message === "Cannot ask in the tier memory (memory): odd",
    );
    const closed = new CacheError("closed", "it was closed");
    assert.throws(() =>
      tier.ask(() => {
        throw closed;
      }, asking), (error) => error === closed);
  });

  it("is waited for until its deadline, and its answer is passed on when it comes", async () => {
    const { tier, clock } = open();
    const { promise, resolve } = Promise.withResolvers<number>();
    const late: number[] = [];
    const asked = tier.ask(() => promise, { ...asking, late: (answer) => void answer.then((each) => late.push(each)) });
    const refused = assert.rejects(async () => await asked, /took longer than 1000 ms/);
    clock.advance(SECOND);
    await refused;
    resolve(7);
    await settle();
    assert.deepEqual(late, [7]);
  });

  it("may fail after its deadline, and nobody hears", async () => {
    const { tier, clock } = open();
    const { promise, reject } = Promise.withResolvers<number>();
    const refused = assert.rejects(async () => await tier.ask(() => promise, asking), /took longer/);
    clock.advance(SECOND);
    await refused;
    reject(new Error("late"));
    await settle();
  });

  it("is waited for longer by who is patient, and for ever where it has no deadline", async () => {
    const { promise, resolve } = Promise.withResolvers<number>();
    const patient = open();
    const asked = patient.tier.ask(() => promise, { ...asking, patience: 30 });
    patient.clock.advance(29 * SECOND);
    const endless = open(Infinity);
    const waiting = endless.tier.ask(() => promise, asking);
    endless.clock.advance(1e9);
    await settle();
    resolve(7);
    assert.deepEqual(await Promise.all([asked, waiting]), [7, 7]);
  });

  it("is left alone after three failures in a row, longer after each trial", async () => {
    const { tier, clock } = open();
    for (let time = 0; time < 3; time++) assert.equal(await fail(tier), true);
    for (const seconds of [5, 10, 20, 40, 60, 60]) {
      clock.advance(seconds * SECOND - 1);
      assert.equal(tier.isLeftAlone(), true);
      assert.equal(await fail(tier), false);
      clock.advance(1);
      assert.equal(tier.isLeftAlone(), false);
      assert.equal(await fail(tier), true);
    }
  });

  it("says while it is left alone what went wrong, and for how long", async () => {
    const { tier, clock } = open();
    for (let time = 0; time < 3; time++) await fail(tier);
    clock.advance(1500);
    assert.throws(() => tier.ask(() => 1, asking), {
      code: "unavailable",
      message: "Cannot ask in the tier memory (memory): it is left alone for another 4 s, since it failed time and " +
        "again, last with: Cannot ask in the tier memory (memory): no",
    });
  });

  it("is as good as new after one success", async () => {
    const { tier, clock } = open();
    for (let time = 0; time < 2; time++) await fail(tier);
    tier.ask(() => 1, asking);
    for (let time = 0; time < 3; time++) assert.equal(await fail(tier), true);
    clock.advance(5 * SECOND);
    tier.ask(() => 1, asking);
    assert.equal(tier.isLeftAlone(), false);
    for (let time = 0; time < 3; time++) assert.equal(await fail(tier), true);
    clock.advance(5 * SECOND);
    assert.equal(tier.isLeftAlone(), false);
  });

  it("is tried by one call at a time", async () => {
    const { tier, clock } = open();
    for (let time = 0; time < 3; time++) await fail(tier);
    clock.advance(5 * SECOND);
    const { promise, resolve } = Promise.withResolvers<number>();
    const trial = tier.ask(() => promise, asking);
    assert.equal(tier.isLeftAlone(), true);
    resolve(1);
    assert.equal(await trial, 1);
    assert.equal(tier.isLeftAlone(), false);
  });

  it("is not left alone for longer because many calls failed at once", async () => {
    const { tier, clock } = open();
    const refused = Promise.all(
      Array.from({ length: 20 }, () => assert.rejects(async () => await tier.ask(() => new Promise(() => {}), asking))),
    );
    clock.advance(SECOND);
    await refused;
    clock.advance(5 * SECOND);
    assert.equal(tier.isLeftAlone(), false);
  });

  it("is well when it refuses what is somebody else's", async () => {
    const { tier } = open();
    for (const code of ["locked", "newer_schema", "foreign_file"] as const) {
      for (let time = 0; time < 3; time++) {
        await assert.rejects(async () => await tier.ask(() => Promise.reject(new CacheError(code, code)), asking), {
          code,
        });
      }
    }
    assert.equal(tier.isLeftAlone(), false);
  });

  it("leaves one model alone that fails by itself, and what is about all models too", async () => {
    const { tier } = open();
    const ask = (model?: string, error?: Error) => async () =>
      await tier.ask(() => {
        if (error !== undefined) throw error;
      }, { tried: "ask", ...model !== undefined && { model } });
    for (let time = 0; time < 3; time++) {
      await assert.rejects(ask("broken", new Error("no")), /no$/);
      await assert.rejects(ask(undefined, new Error("no")), /no$/);
    }
    for (const model of ["broken", undefined]) await assert.rejects(ask(model), /left alone/);
    assert.deepEqual([tier.isLeftAlone("broken"), tier.isLeftAlone(), tier.isLeftAlone("sound")], [true, true, false]);
    await ask("sound")();
  });

  it("is left alone for all models when it answers none in time, be it with an error", async () => {
    const { tier, clock } = open();
    for (const model of ["one", "another", "a third"]) {
      const { promise, reject } = Promise.withResolvers<never>();
      const refused = assert.rejects(async () => await tier.ask(() => promise, { tried: "ask", model }), /late/);
      clock.advance(SECOND / 2);
      reject(new Error("late"));
      await refused;
    }
    assert.equal(tier.isLeftAlone("any other"), true);
  });

  it("is waited for as long as it takes where no timer runs so long", async () => {
    const clock = new ManualClock();
    clock.sleep = () => assert.fail("such a timer ends at once");
    const tier = new Tier(openMemoryStore({ clock, maxBytes: 1000 }), clock, 2 ** 31);
    assert.equal(await tier.ask(() => Promise.resolve(1), asking), 1);
  });

  for (const name of RUNTIMES) {
    it(`that never answers does not end a process on ${name} that waits for it`, (context) => {
      const command = requireRuntime(context, name);
      if (command === undefined) return;
      const [program, ...args] = command;
      assert.equal(execFileSync(program, [...args, WORKER], { encoding: "utf8" }), "it took longer than 50 ms\n");
    });
  }
});
