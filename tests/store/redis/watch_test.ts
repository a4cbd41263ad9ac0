/** Silence and slowness, told apart by a clock that the test moves. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Silence, Watch } from "../../../src/store/redis/watch.ts";
import { ManualClock } from "../manual_clock.ts";

const NEVER = new Promise<never>(() => {});

/** Lets so many steps of 25 ms pass. */
async function pass(clock: ManualClock, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) {
    clock.advance(25);
    await new Promise((resolve) => setTimeout(resolve));
  }
}

/** What became of an answer so far. */
function followed(answer: Promise<unknown>): { outcome: unknown } {
  const followed = { outcome: undefined as unknown };
  answer.then((value) => followed.outcome = value, (error) => followed.outcome = error);
  return followed;
}

function assertSilence({ outcome }: { outcome: unknown }, isHopeless: boolean): void {
  assert.ok(outcome instanceof Silence);
  assert.equal(outcome.isHopeless, isHopeless);
}

describe("Watch", () => {
  it("gives an answer, or what it failed with", async () => {
    const watch = new Watch(new ManualClock(), 100);
    assert.equal(await watch.answer("a", Promise.resolve(1), 100), 1);
    await assert.rejects(watch.answer("a", Promise.reject(new Error("broken")), 100), /broken/);
  });

  it("gives up what nothing is heard of", async () => {
    const clock = new ManualClock();
    const one = followed(new Watch(clock, 100).answer("a", NEVER, 100));
    await pass(clock, 4);
    assert.equal(one.outcome, undefined);
    await pass(clock, 1);
    assertSilence(one, true);
    assert.match(String(one.outcome), /no answer within 100 ms/);
  });

  it("waits as long as something is heard on the same lane", async () => {
    const clock = new ManualClock();
    const watch = new Watch(clock, 100);
    const [one, other] = [followed(watch.answer("a", NEVER, 100)), followed(watch.answer("b", NEVER, 100))];
    for (let time = 0; time < 10; time++) {
      watch.heard("a");
      await pass(clock, 2);
    }
    assert.equal(one.outcome, undefined);
    assertSilence(other, true);
    await pass(clock, 5);
    assertSilence(one, true);
  });

  it("has hope for what comes behind something that takes longer", async () => {
    const clock = new ManualClock();
    const watch = new Watch(clock, 100);
    const long = followed(watch.answer("a", NEVER, 1000));
    const short = followed(watch.answer("a", NEVER, 100));
    await pass(clock, 6);
    assertSilence(short, false);
    assert.equal(long.outcome, undefined);
    await pass(clock, 40);
    assertSilence(long, true);
  });

  it("has none for what came before it", async () => {
    const clock = new ManualClock();
    const watch = new Watch(clock, 100);
    const short = followed(watch.answer("a", NEVER, 100));
    const long = followed(watch.answer("a", NEVER, 1000));
    await pass(clock, 6);
    assertSilence(short, true);
    assert.equal(long.outcome, undefined);
  });

  it("takes one step only for an event loop that stood still", async () => {
    const clock = new ManualClock();
    const one = followed(new Watch(clock, 100).answer("a", NEVER, 100));
    clock.advance(10_000);
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(one.outcome, undefined);
  });
});
