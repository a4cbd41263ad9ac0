/** What is told of requests once they are over. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import { type RequestRecord, RequestWatch } from "../../src/http/operations/request_watch.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

async function world() {
  const { clock } = await loadRuntime();
  let now = 0;
  const watch = new RequestWatch({ ...clock, now: () => 1_000_000 + now, monotonic: () => now });
  const records: RequestRecord[] = [];
  watch.on((record) => void records.push(record));
  return { watch, records, set: (to: number) => void (now = to) };
}

describe("RequestWatch", () => {
  it("tells of a request when it is over, and once", async () => {
    const { watch, records, set } = await world();
    set(10);
    const watched = watch.begin("id", "POST");
    watched.facts.route = "/v1/completions";
    set(25);
    watched.answered(200);
    set(30);
    assert.deepEqual([watch.running, watch.streams, records.length], [1, 0, 0]);
    watched.ended();
    watched.ended({ isAborted: true });
    assert.deepEqual(records, [{
      id: "id",
      time: 1_000_010,
      method: "POST",
      route: "/v1/completions",
      status: 200,
      isStream: false,
      isAborted: false,
      firstByteTime: 15,
      duration: 20,
    }]);
    assert.equal(watch.running, 0);
  });

  it("counts streams from their first byte to their last", async () => {
    const { watch } = await world();
    const watched = watch.begin("id", "POST");
    assert.equal(watch.streams, 0);
    watched.answered(200, { isStream: true });
    assert.deepEqual([watch.running, watch.streams], [1, 1]);
    watched.ended();
    assert.deepEqual([watch.running, watch.streams], [0, 0]);
  });

  it("calls it 499 when the client has left before there was an answer", async () => {
    const { watch, records } = await world();
    watch.begin("id", "GET").ended({ isAborted: true });
    assert.deepEqual([records[0]!.status, records[0]!.isAborted, records[0]!.firstByteTime], [499, true, 0]);
  });

  for (
    const [status, cache] of [
      [{ outcome: "hit" }, "hit"],
      [{ outcome: "miss" }, "miss"],
      [{ outcome: "miss", shared: true }, "shared"],
      [{ outcome: "expired", expiredServed: true }, "hit"],
      [{ outcome: "stale" }, "stale"],
      [{ outcome: "bypass" }, "bypass"],
      [{}, undefined],
    ] as const satisfies readonly (readonly [CacheStatus, string | undefined])[]
  ) {
    it(`says ${cache ?? "nothing"} of ${JSON.stringify(status)}`, async () => {
      const { watch, records } = await world();
      const watched = watch.begin("id", "POST");
      watched.fared(status);
      watched.ended();
      assert.equal(records[0]!.cache, cache);
    });
  }

  it("reads how a request fared at its end, since a stream's status is filled in by then", async () => {
    const { watch, records } = await world();
    for (const fills of [true, false]) {
      const status: CacheStatus = {};
      const watched = watch.begin("id", "POST");
      watched.fared(status, { outcome: "miss", shared: true });
      if (fills) Object.assign(status, { outcome: "miss", shared: false, costMicrodollars: 7, latency: 90 });
      watched.ended();
    }
    const [filled, begun] = records;
    assert.deepEqual([filled!.cache, filled!.costMicrodollars, filled!.savedLatency], ["miss", 7, undefined]);
    assert.equal(begun!.cache, "shared");
  });

  it("says of a hit what it would have cost, in money and in time", async () => {
    const { watch, records } = await world();
    const watched = watch.begin("id", "POST");
    watched.fared({ outcome: "hit", costMicrodollars: 7, latency: 90 });
    watched.ended();
    assert.deepEqual([records[0]!.costMicrodollars, records[0]!.savedLatency], [7, 90]);
  });

  it("keeps no name of a model that is as long as a request", async () => {
    const { watch, records } = await world();
    for (const length of [512, 60_000_000]) {
      const watched = watch.begin("id", "POST");
      watched.facts.model = "m".repeat(length);
      watched.ended();
    }
    assert.deepEqual(records.map(({ model }) => model), ["m".repeat(512), "(a name of 60000000 characters)"]);
  });

  it("goes on when a listener throws, and stops telling one that has gone", async () => {
    const { watch, records } = await world();
    const stop = watch.on(() => {
      throw new Error("not interested");
    });
    watch.begin("1", "GET").ended();
    stop();
    watch.begin("2", "GET").ended();
    assert.deepEqual(records.map(({ id }) => id), ["1", "2"]);
  });
});
