/** What the headers of a request say to the cache. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readCacheDirectives } from "../../src/http/cache_directives.ts";
import { ApiError } from "../../src/http/api_error.ts";

describe("readCacheDirectives", () => {
  const read = (headers: Record<string, string>) => readCacheDirectives(new Headers(headers));
  const control = (value: string) => read({ "Cache-Control": value });

  it("says nothing where nothing is said", () => {
    assert.deepEqual(read({}), {});
    assert.deepEqual(control("max-stale, private, x-other=1, stale-if-error=5"), {});
    assert.deepEqual(control(""), {});
  });

  it("reads Cache-Control as RFC 9111 writes it", () => {
    assert.deepEqual(control("no-store"), { mode: "off" });
    assert.deepEqual(control("No-Cache"), { mode: "refresh" });
    assert.deepEqual(control("only-if-cached"), { mode: "replay" });
    assert.deepEqual(control("max-age=60"), { maxAge: 60_000 });
    assert.deepEqual(control('private="no-store, a", max-age = "0"'), { maxAge: 0 });
  });

  it("lets the word win that stores nothing", () => {
    assert.deepEqual(control("no-cache, no-store"), { mode: "off" });
    assert.deepEqual(control("no-store, only-if-cached"), { mode: "replay" });
    assert.deepEqual(read({ "Cache-Control": "no-store", "X-Warmcache-Mode": "write-only" }), { mode: "off" });
    assert.deepEqual(read({ "Cache-Control": "no-cache", "X-Warmcache-Mode": "read-only" }), { mode: "read-only" });
  });

  it("reads what Cache-Control has no word for", () => {
    assert.deepEqual(
      read({
        "X-Warmcache-Mode": "Write-Only",
        "X-Warmcache-Ttl": "1h30m",
        "X-Warmcache-Namespace": "eval-7",
        "X-Warmcache-Tags": " a ,b,, c d",
      }),
      { mode: "write-only", ttl: 5_400_000, namespace: "eval-7", tags: ["a", "b", "c d"] },
    );
    assert.deepEqual(read({ "X-Warmcache-Ttl": "7" }), { ttl: 7000 });
  });

  it("refuses what means nothing", () => {
    for (
      const headers of [
        { "Cache-Control": "max-age=soon" },
        { "Cache-Control": "max-age" },
        { "Cache-Control": "no-cache, only-if-cached" },
        { "X-Warmcache-Mode": "on" },
        { "X-Warmcache-Ttl": "-1s" },
        { "X-Warmcache-Ttl": "0" },
        { "X-Warmcache-Ttl": "7 years" },
      ] as Record<string, string>[]
    ) {
      assert.throws(() => read(headers), (error) => error instanceof ApiError && error.status === 400);
    }
  });
});
