/** The `Cache-Status` header, RFC 9211. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheStatus } from "../../src/http/cache_status.ts";

describe("cacheStatus", () => {
  it("says hit, or why the request went forward and whether the answer was kept", () => {
    assert.equal(cacheStatus({ outcome: "hit" }), "warmcache; hit");
    assert.equal(cacheStatus({ outcome: "miss", stored: true }), "warmcache; fwd=miss; stored");
    assert.equal(cacheStatus({ outcome: "miss", shared: true }), "warmcache; fwd=miss; collapsed");
    assert.equal(cacheStatus({ outcome: "stale", stored: true }), "warmcache; fwd=stale; stored");
    assert.equal(cacheStatus({ outcome: "expired" }), "warmcache; fwd=stale");
    assert.equal(cacheStatus({ outcome: "corrupt" }), "warmcache; fwd=miss");
    assert.equal(cacheStatus({ outcome: "bypass" }), "warmcache; fwd=bypass");
  });

  it("says what the provider answered, and whether the request wished to go there", () => {
    assert.equal(cacheStatus({ outcome: "miss" }, { forwardStatus: 429 }), "warmcache; fwd=miss; fwd-status=429");
    assert.equal(cacheStatus({ outcome: "bypass" }, { isWish: true }), "warmcache; fwd=request");
    assert.equal(cacheStatus({ outcome: "hit" }, { forwardStatus: 200 }), "warmcache; hit");
  });

  it("says for how long the answer will do, below 0 for one whose time has come", () => {
    assert.equal(cacheStatus({ outcome: "hit", expires: 91_999 }, { now: 1000 }), "warmcache; hit; ttl=90");
    assert.equal(cacheStatus({ outcome: "hit", expires: null }, { now: 1000 }), "warmcache; hit");
    const late = { outcome: "expired", expiredServed: true, expires: 1000 } as const;
    assert.equal(cacheStatus(late, { now: 3000 }), "warmcache; hit; ttl=-2");
  });

  it("says why, as a string that a header can carry, and nothing of where the store lies", () => {
    const detail = (why: string): string => cacheStatus({ outcome: "bypass", why }).split("detail=")[1]!;
    assert.equal(detail('the name "a\\b" appears twice'), String.raw`"the name \"a\\b\" appears twice"`);
    assert.equal(detail("é\r\nX: y"), '"???X: y"');
    assert.equal(detail("x".repeat(999)).length, 162);
    assert.equal(detail("Cannot open /home/alice/cache: locked"), '"the store failed"');
  });
});
