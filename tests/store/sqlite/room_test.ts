/** Who is let in where room is short, and when. What is removed for him: `eviction_test.ts`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Databases } from "../../../src/store/sqlite/databases.ts";
import { Room } from "../../../src/store/sqlite/room.ts";
import { temporaryFolder } from "../../support/temporary.ts";
import { settingsOf } from "./settings.ts";

const MAX_BYTES = 10_000_000;
/** Of three such answers, which are counted twice, two do not go at once. */
const LARGE = { most: 2_500_000, bytes: 2_500_000 };

async function emptyRoom(): Promise<Room> {
  const settings = settingsOf(await temporaryFolder());
  return new Room(new Databases(settings), settings, MAX_BYTES);
}

describe("Room", () => {
  it("lets in at once who fits, and who does not when those before him have written", async () => {
    const room = await emptyRoom();
    const said: string[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const first = room.admit(LARGE, () => (said.push("first"), promise));
    const second = room.admit(LARGE, () => Promise.resolve(void said.push("second")));
    assert.deepEqual(said, ["first"]);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(said, ["first"]);
    resolve();
    await Promise.all([first, second]);
    assert.deepEqual(said, ["first", "second"]);
  });

  it("forgets nobody, also who comes just when the last who waited was let in", async () => {
    for (let late = 0; late < 32; late++) {
      const room = await emptyRoom();
      const { promise: end, resolve } = Promise.withResolvers<void>();
      const come = async (): Promise<void> => {
        for (let microtasks = 0; microtasks < late; microtasks++) await Promise.resolve();
        const third = room.admit(LARGE, () => Promise.resolve());
        resolve();
        await third;
      };
      let third: Promise<void> | undefined;
      const first = room.admit(LARGE, () => Promise.resolve());
      const second = room.admit(LARGE, () => (third = come(), end));
      await Promise.all([first, second]);
      await third;
    }
  });

  it("refuses what is larger than all there is, without asking anybody to go", async () => {
    const room = await emptyRoom();
    await assert.rejects(room.admit({ most: 2 * MAX_BYTES, bytes: MAX_BYTES }, () => assert.fail("it was let in")), {
      name: "CacheError",
      code: "unavailable",
      message: /it has 10000000 bytes.*raise maxBytes/,
    });
  });

  it("lets in what is large only before it is compressed", async () => {
    const room = await emptyRoom();
    await room.admit({ most: 2 * MAX_BYTES, bytes: MAX_BYTES / 10 }, () => Promise.resolve());
  });

  it("says what a write that was let in says", async () => {
    const room = await emptyRoom();
    await assert.rejects(room.admit({ most: 1, bytes: 1 }, () => Promise.reject(new Error("the disk"))), /the disk/);
    await room.admit(LARGE, () => Promise.resolve());
  });

  it("lets everybody in once it is opened", async () => {
    const room = await emptyRoom();
    const { promise, resolve } = Promise.withResolvers<void>();
    const puts = [1, 2, 3].map(() => room.admit(LARGE, () => promise));
    room.open();
    resolve();
    await Promise.all(puts);
  });
});
