/** The read transaction that lookups of one turn of the event loop share: when it begins, and what ends it. */

import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import type { OpenDatabase } from "../../../src/sqlite/open.ts";
import { ReadTransaction } from "../../../src/store/sqlite/read_transaction.ts";
import { machine } from "./fixture.ts";

describe("ReadTransaction", () => {
  let said: string[];
  let turns: (() => void)[];
  let news: boolean;
  let refused: string | undefined;
  let reading: ReadTransaction;
  beforeEach(() => {
    [said, turns, news, refused] = [[], [], false, undefined];
    const prepare = (sql: string) => ({
      run() {
        said.push(sql);
        if (sql === refused) throw new Error(sql);
      },
    });
    const database = {
      driver: { prepare },
      get hasNews() {
        return news;
      },
    } as unknown as OpenDatabase;
    reading = new ReadTransaction(database, { ...machine.clock, afterTurn: (run) => void turns.push(run) });
  });

  it("is one for all lookups of a turn, and ends with it", () => {
    for (let lookup = 0; lookup < 100; lookup++) reading.enter(0);
    assert.deepEqual(said, ["BEGIN"]);
    assert.equal(turns.length, 1);
    turns.pop()!();
    assert.deepEqual(said, ["BEGIN", "COMMIT"]);
    reading.enter(0);
    assert.equal(turns.length, 1);
  });

  it("lasts 5 ms at most, and ends when the clock is set back", () => {
    for (const now of [1000, 1004, 1005, 1009, 1010, 500, 504]) reading.enter(now);
    assert.deepEqual(said.join(" "), "BEGIN COMMIT BEGIN COMMIT BEGIN COMMIT BEGIN");
    assert.equal(turns.length, 1);
  });

  it("begins anew when somebody else has committed", () => {
    reading.enter(0);
    news = true;
    reading.enter(0);
    news = false;
    reading.enter(0);
    assert.deepEqual(said, ["BEGIN", "COMMIT", "BEGIN"]);
  });

  it("may be ended early, and more than once", () => {
    reading.end();
    reading.enter(0);
    reading.end();
    reading.end();
    turns.pop()!();
    assert.deepEqual(said, ["BEGIN", "COMMIT"]);
  });

  it("that SQLite has ended by itself is over", () => {
    refused = "COMMIT";
    reading.enter(0);
    reading.end();
    reading.enter(0);
    assert.deepEqual(said, ["BEGIN", "COMMIT", "BEGIN"]);
  });

  it("that could not begin is not open", () => {
    refused = "BEGIN";
    assert.throws(() => reading.enter(0), /BEGIN/);
    refused = undefined;
    reading.enter(0);
    assert.deepEqual(said, ["BEGIN", "BEGIN"]);
  });
});
