/** How much a server takes on: what may be said of it, rates, and streams that are open. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ApiError } from "../../src/http/api_error.ts";
import { checkLimits, type LimitOptions } from "../../src/http/limits/limits.ts";
import { RateLimits } from "../../src/http/limits/rate_limits.ts";
import { StreamLimit } from "../../src/http/limits/stream_limit.ts";
import { RequestWatch } from "../../src/http/operations/request_watch.ts";
import { ManualClock } from "../../src/testing/manual_clock.ts";

function refusal(run: () => unknown): ApiError {
  try {
    run();
  } catch (error) {
    return error as ApiError;
  }
  return assert.fail("nothing was refused");
}

describe("checkLimits", () => {
  it("has a value for each that nothing was said of", () => {
    assert.deepEqual(checkLimits({ maxQueue: 1 }), {
      maxBodyBytes: 64 * 1024 * 1024,
      maxQueue: 1,
      maxQueuePerModel: 512,
      maxStreams: 4096,
      requestsPerMinute: Infinity,
    });
  });

  it("takes Infinity for no limit, and a rate that is no whole number", () => {
    const limits = { maxStreams: Infinity, requestsPerMinute: 0.5 };
    assert.deepEqual(checkLimits(limits), { ...checkLimits({}), ...limits });
  });

  it("refuses what limits nothing by name, and unknown names", () => {
    for (const name of ["maxBodyBytes", "maxQueue", "maxQueuePerModel", "maxStreams"] as const) {
      for (const limit of [0, -1, 1.5, NaN]) {
        assert.throws(() => checkLimits({ [name]: limit }), { name: "RangeError", message: new RegExp(name) });
      }
    }
    for (const requestsPerMinute of [0, -1, NaN]) {
      assert.throws(() => checkLimits({ requestsPerMinute }), { name: "RangeError", message: /requestsPerMinute/ });
    }
    const misspelled = { maxStream: 1 } as LimitOptions;
    assert.throws(() => checkLimits(misspelled), { name: "TypeError", message: /maxStream/ });
  });
});

describe("RateLimits", () => {
  const alice = { id: "alice", requestsPerMinute: undefined };

  it("tells and refuses nothing where there is no limit", () => {
    const rates = new RateLimits(Infinity, new ManualClock());
    assert.equal(rates.take(undefined), undefined);
    assert.equal(rates.take(alice), undefined);
  });

  it("lets a minute's requests pass at once, and tells what is left in OpenAI's headers", () => {
    const rates = new RateLimits(3, new ManualClock());
    const told = [rates.take(alice), rates.take(alice), rates.take(alice)];
    assert.deepEqual(told.map((headers) => headers?.["x-ratelimit-remaining-requests"]), ["2", "1", "0"]);
    assert.deepEqual(told[1], {
      "x-ratelimit-limit-requests": "3",
      "x-ratelimit-remaining-requests": "1",
      "x-ratelimit-reset-requests": "40s",
    });
  });

  it("refuses the next with 429, and says to the millisecond when it passes", () => {
    const clock = new ManualClock();
    const rates = new RateLimits(40, clock);
    for (let count = 0; count < 40; count++) rates.take(alice);
    clock.advance(100);
    const { status, type, code, headers, message } = refusal(() => rates.take(alice));
    assert.deepEqual([status, type, code], [429, "requests", "rate_limit_exceeded"]);
    assert.match(message, /the API key alice, 40 requests per minute: ask again in 1.4s/);
    assert.deepEqual([headers["Retry-After"], headers["retry-after-ms"]], ["2", "1400"]);
    assert.equal(headers["x-ratelimit-remaining-requests"], "0");
    clock.advance(1399);
    assert.equal(refusal(() => rates.take(alice)).headers["retry-after-ms"], "1");
    clock.advance(1);
    assert.ok(rates.take(alice));
  });

  it("fills evenly, and no further than a minute's requests", () => {
    const clock = new ManualClock();
    const rates = new RateLimits(60, clock);
    for (let count = 0; count < 60; count++) rates.take(alice);
    clock.advance(10_000);
    assert.equal(rates.take(alice)?.["x-ratelimit-remaining-requests"], "9");
    clock.advance(3_600_000);
    assert.equal(rates.take(alice)?.["x-ratelimit-remaining-requests"], "59");
  });

  it("counts for each key by itself, by that key's own limit where it has one", () => {
    const rates = new RateLimits(1, new ManualClock());
    const bob = { id: "bob", requestsPerMinute: 2 };
    rates.take(alice);
    rates.take(bob);
    assert.equal(rates.take(bob)?.["x-ratelimit-limit-requests"], "2");
    for (const caller of [alice, bob]) assert.equal(refusal(() => rates.take(caller)).status, 429);
    const free = new RateLimits(Infinity, new ManualClock());
    assert.equal(free.take(alice), undefined);
    assert.ok(free.take(bob));
  });

  it("counts for all together where there are no keys", () => {
    const rates = new RateLimits(1, new ManualClock());
    assert.ok(rates.take(undefined));
    assert.match(refusal(() => rates.take(undefined)).message, /for this server/);
  });

  it("never asks to wait longer than clients do, and writes minutes as OpenAI does", () => {
    const rates = new RateLimits(0.5, new ManualClock());
    assert.equal(rates.take(alice)?.["x-ratelimit-reset-requests"], "2m0s");
    assert.equal(refusal(() => rates.take(alice)).headers["Retry-After"], "60");
    assert.equal(new RateLimits(100_000, new ManualClock()).take(alice)?.["x-ratelimit-reset-requests"], "1ms");
  });
});

describe("StreamLimit", () => {
  it("refuses one more with 503 until one is over, however it ended and however often that is said", () => {
    const watch = new RequestWatch(new ManualClock());
    const limit = new StreamLimit(2);
    const requests = ["one", "two"].map((id) => watch.begin(id, "POST"));
    for (const request of requests) limit.begin(request);
    const { status, code, headers } = refusal(() => limit.begin(watch.begin("three", "POST")));
    assert.deepEqual([status, code, headers["Retry-After"]], [503, "too_many_streams", "1"]);
    requests[0]!.ended({ isAborted: true });
    requests[0]!.ended();
    assert.equal(limit.open, 1);
    limit.begin(watch.begin("four", "POST"));
    assert.equal(limit.open, 2);
  });

  it("counts those that are there already, and refuses none of them", () => {
    const watch = new RequestWatch(new ManualClock());
    const limit = new StreamLimit(1);
    for (const id of ["one", "two"]) limit.count(watch.begin(id, "POST"));
    assert.equal(limit.open, 2);
    assert.equal(refusal(() => limit.begin(watch.begin("three", "POST"))).status, 503);
  });

  it("counts none for a request that is over before it could begin", () => {
    const request = new RequestWatch(new ManualClock()).begin("one", "POST");
    request.ended();
    const limit = new StreamLimit(1);
    limit.begin(request);
    assert.equal(limit.open, 0);
  });
});
