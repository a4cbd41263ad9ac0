import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { Alarm } from "../../src/warm/alarm.ts";

const DAY = 24 * 60 * 60 * 1000;

/** Notes how long sleeps are asked for; timers take more than 2^31 - 1 milliseconds for none. */
class NotingClock extends ManualClock {
  readonly durations: number[] = [];

  override sleep(...[duration, options]: Parameters<ManualClock["sleep"]>): Promise<void> {
    this.durations.push(duration);
    return super.sleep(duration, options);
  }
}

describe("Alarm", () => {
  it("rings at its moment, though that is further off than a timer can count", async () => {
    const clock = new NotingClock();
    let rings = 0;
    const alarm = new Alarm(clock, () => rings++);
    alarm.set(clock.monotonic() + 60 * DAY);
    for (let day = 0; day < 59; day++) {
      clock.advance(DAY);
      await setImmediate();
    }
    assert.equal(rings, 0);
    clock.advance(DAY);
    await setImmediate();
    assert.equal(rings, 1);
    assert.ok(clock.durations.every((duration) => duration < 2 ** 31), String(clock.durations));
  });
});
