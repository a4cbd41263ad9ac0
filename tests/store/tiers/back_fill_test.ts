/** Work in the background: how much of it at once, and what need not wait for it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { BackFill } from "../../../src/store/tiers/back_fill.ts";
import { ManualClock } from "../manual_clock.ts";
import { settle } from "./support.ts";

interface Begun {
  readonly backFill: BackFill;
  /** The places whose copies were begun, in order. */
  readonly begun: string[];
  /** Has a copy made that ends when `end` is called. */
  readonly copy: (place: string, bytes?: number) => Promise<void>;
  readonly end: () => void;
}

function open(): Begun {
  const backFill = new BackFill(new ManualClock());
  const begun: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  return {
    backFill,
    begun,
    copy: (place, bytes = 1) =>
      backFill.copy(place, bytes, () => {
        begun.push(place);
        return promise;
      }),
    end: resolve,
  };
}

const MEGABYTE = 2 ** 20;

describe("copies in the background", () => {
  it("are begun in order, so many at once, and the others once these are made", async () => {
    const { backFill, begun, copy, end } = open();
    const places = Array.from({ length: 100 }, (_, index) => `${index}`);
    for (const place of places) copy(place);
    await settle();
    assert.deepEqual(begun, places.slice(0, 64));
    end();
    await backFill.idle();
    assert.deepEqual(begun, places);
  });

  it("are made one after another on one place, and before what is done there next", async () => {
    const { backFill, begun, copy, end } = open();
    for (let time = 0; time < 2; time++) copy("one");
    const after = backFill.inTurn("one", () => Promise.resolve(begun.length));
    await settle();
    assert.deepEqual(begun, ["one"]);
    end();
    assert.equal(await after, 2);
  });

  it("are next where somebody waits for them", async () => {
    const { backFill, begun, copy, end } = open();
    for (let index = 0; index < 100; index++) copy(`${index}`);
    await settle();
    const after = backFill.inTurn("99", () => Promise.resolve("done"));
    await settle();
    assert.deepEqual(begun.slice(64), ["99"]);
    end();
    assert.equal(await after, "done");
  });

  it("are not made where too much waits already", async () => {
    const { backFill, begun, copy, end } = open();
    copy("one", 40 * MEGABYTE);
    await copy("two", 40 * MEGABYTE);
    copy("three", 20 * MEGABYTE);
    await settle();
    assert.deepEqual(begun, ["one", "three"]);
    end();
    await backFill.idle();
    copy("two", 40 * MEGABYTE);
    await backFill.idle();
    assert.deepEqual(begun, ["one", "three", "two"]);
  });

  it("keep nobody waiting on another place", async () => {
    const { backFill, copy } = open();
    for (let index = 0; index < 100; index++) copy(`${index}`);
    assert.equal(await backFill.inTurn("other", () => Promise.resolve("done")), "done");
    await assert.rejects(backFill.inTurn("other", () => Promise.reject(new Error("no"))), /no/);
    assert.equal(await backFill.inTurn("other", () => Promise.resolve("again")), "again");
  });
});
