import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Reading, type Seat } from "../../../src/cache/stream/reading.ts";

/** A place at a stream whose items come when they are given, and that ends when it is left. */
class TestSeat implements Seat<string> {
  left = 0;
  isOver = false;
  readonly #waiting: PromiseWithResolvers<IteratorResult<string>>[] = [];

  readonly items: AsyncIterator<string> = {
    next: () => {
      const waiting = Promise.withResolvers<IteratorResult<string>>();
      this.#waiting.push(waiting);
      return waiting.promise;
    },
  };

  give(value: string): void {
    this.#waiting.shift()!.resolve({ done: false, value });
  }

  end(): void {
    this.#waiting.shift()!.resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#waiting.shift()!.reject(error);
  }

  leave(): void {
    this.left++;
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined });
  }

  isConcluded(): boolean {
    return this.isOver;
  }
}

/** Whether a promise has settled once everything that is ready has happened. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => void (settled = true);
  promise.then(settle, settle);
  await new Promise((resolve) => setTimeout(resolve, 0));
  return settled;
}

describe("Reading", () => {
  it("gives what comes, and leaves once at the end", async () => {
    const seat = new TestSeat();
    const reading = new Reading(seat);
    const next = reading.next();
    seat.give("a");
    assert.deepEqual(await next, { done: false, value: "a" });
    const end = reading.next();
    seat.end();
    assert.equal((await end).done, true);
    await reading.return();
    assert.equal((await reading.next()).done, true);
    assert.equal(seat.left, 1);
  });

  it("is left while it waits, and has then come to its end", async () => {
    const seat = new TestSeat();
    const reading = new Reading(seat);
    const next = reading.next();
    assert.equal((await reading.return()).done, true);
    assert.equal((await next).done, true);
    assert.equal(seat.left, 1);
  });

  it("is ended by its signal at once, and never seems to have come to its end", async () => {
    const seat = new TestSeat();
    const controller = new AbortController();
    const reading = new Reading(seat, { signal: controller.signal });
    const next = reading.next();
    controller.abort(new Error("enough"));
    assert.equal(seat.left, 1);
    await assert.rejects(next, /enough/);
    await assert.rejects(reading.next(), /enough/);
  });

  it("gives its place up at once when its signal was aborted before", async () => {
    const seat = new TestSeat();
    const reading = new Reading(seat, { signal: AbortSignal.abort(new Error("enough")) });
    assert.equal(seat.left, 1);
    await assert.rejects(reading.next(), /enough/);
  });

  it("does not care for a signal that is aborted after the end", async () => {
    const seat = new TestSeat();
    const controller = new AbortController();
    const reading = new Reading(seat, { signal: controller.signal });
    await reading.return();
    controller.abort(new Error("enough"));
    assert.equal((await reading.next()).done, true);
    assert.equal(seat.left, 1);
  });

  it("passes an error on, unless its reader has left", async () => {
    const seat = new TestSeat();
    const reading = new Reading(seat);
    const next = reading.next();
    seat.fail(new Error("connection reset"));
    await assert.rejects(next, /connection reset/);
    assert.equal(seat.left, 1);
    const other = new TestSeat();
    other.leave = () => other.fail(new Error("it was cancelled"));
    const left = new Reading(other);
    const waiting = left.next();
    await left.return();
    assert.equal((await waiting).done, true);
  });

  it("tells the end, and what comes when the stream is concluded, only after the landing", async () => {
    for (const conclude of [(seat: TestSeat) => seat.end(), (seat: TestSeat) => seat.give("last")]) {
      const seat = new TestSeat();
      const landed = Promise.withResolvers<void>();
      const reading = new Reading(seat, { landed: landed.promise });
      const next = reading.next();
      seat.isOver = true;
      conclude(seat);
      assert.equal(await isSettled(next), false);
      landed.resolve();
      await next;
    }
  });

  it("tells an error only after the landing", async () => {
    const seat = new TestSeat();
    const landed = Promise.withResolvers<void>();
    const reading = new Reading(seat, { landed: landed.promise });
    const next = reading.next();
    const rejected = assert.rejects(next, /connection reset/);
    seat.fail(new Error("connection reset"));
    assert.equal(await isSettled(next), false);
    landed.resolve();
    await rejected;
  });
});
