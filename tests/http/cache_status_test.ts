/** The `Cache-Status` header, RFC 9211. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { cacheStatus } from "../../src/http/cache_status.ts";

it("cacheStatus says hit, or why the request went forward and whether the answer was kept", () => {
  assert.equal(cacheStatus({ outcome: "hit" }), "warmcache; hit");
  assert.equal(cacheStatus({ outcome: "miss", stored: true }), "warmcache; fwd=miss; stored");
  assert.equal(cacheStatus({ outcome: "miss", shared: true }), "warmcache; fwd=miss; collapsed");
  assert.equal(cacheStatus({ outcome: "stale", stored: true }), "warmcache; fwd=stale; stored");
  assert.equal(cacheStatus({ outcome: "expired" }), "warmcache; fwd=stale");
  assert.equal(cacheStatus({ outcome: "corrupt" }), "warmcache; fwd=miss");
  assert.equal(cacheStatus({ outcome: "bypass" }), "warmcache; fwd=bypass");
});
