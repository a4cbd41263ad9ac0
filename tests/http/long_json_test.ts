/** Long answers leave in pieces, and everything else gets its turn between them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { longJson } from "../../src/http/long_json.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const { clock } = await loadRuntime();

describe("longJson", () => {
  it("sends a short answer whole", async () => {
    const response = longJson(["[1,", "2]"], { "Cache-Status": "warmcache; hit" }, clock);
    assert.equal(response.headers.get("Content-Type"), "application/json");
    assert.equal(response.headers.get("Cache-Status"), "warmcache; hit");
    assert.deepEqual(await response.json(), [1, 2]);
  });

  it("makes a long one as it is read, with turns of the event loop between", async () => {
    let made = 0;
    function* texts(): Generator<string> {
      yield "[";
      for (; made < 1000; made++) yield `${made === 0 ? "" : ","}"${"é".repeat(1000)}"`;
      yield "]";
    }
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) clock.afterTurn(count);
    };
    const response = longJson(texts(), {}, clock);
    assert.ok(made < 200, `${made}`);
    count();
    assert.deepEqual(await response.json(), new Array(1000).fill("é".repeat(1000)));
    isDone = true;
    assert.ok(turns > 10, `${turns}`);
  });

  it("stops when its reader does", async () => {
    let made = 0;
    function* texts(): Generator<string> {
      for (; made < 1000; made++) yield "x".repeat(10_000);
    }
    const { body } = longJson(texts(), {}, clock);
    const reader = body!.getReader();
    await reader.read();
    await reader.cancel();
    assert.ok(made < 100, `${made}`);
  });
});
