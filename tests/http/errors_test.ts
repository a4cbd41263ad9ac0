/** Whatever is thrown, as OpenAI's clients are told it: what may be tried again, and what would be useless. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { invalidRequest } from "../../src/http/api_error.ts";
import { errorResponse, toApiError } from "../../src/http/errors.ts";
import { ModelError } from "../../src/model/error.ts";
import { CacheError } from "../../src/store/error.ts";

const told = (error: unknown): [status: number, retryAfter: string | null, shouldRetry: string | null] => {
  const { status, headers } = errorResponse(toApiError(error));
  return [status, headers.get("Retry-After"), headers.get("x-should-retry")];
};

describe("toApiError", () => {
  it("has clients ask again for a load that may succeed, and not for one that cannot", () => {
    const failed = (options: object): ModelError => new ModelError("model_load_failed", "Cannot load", options);
    assert.deepEqual(told(failed({ retryAfter: 20_000 })), [503, "20", null]);
    assert.deepEqual(told(failed({ retryAfter: 300_000 })), [503, "60", null], "clients ignore a longer one");
    assert.deepEqual(told(failed({ permanent: true })), [503, "1", "false"]);
  });

  it("has nobody ask again for what asking does not change", () => {
    for (const code of ["out_of_memory", "no_room", "not_warm"] as const) {
      assert.deepEqual(told(new ModelError(code, "no")), [503, null, "false"], code);
    }
    assert.deepEqual(told(new CacheError("replay_miss", "no")), [504, null, "false"]);
  });

  it("tells nothing of the cache's files, nor of the inside", async () => {
    for (const error of [new CacheError("unavailable", "Cannot open /secret"), new Error("/secret")]) {
      const text = await errorResponse(toApiError(error)).text();
      assert.ok(!text.includes("secret"), text);
      assert.deepEqual(Object.keys(JSON.parse(text).error), ["message", "type", "param", "code"]);
    }
  });

  it("leaves its own as they are", () => {
    const error = invalidRequest("no", "field");
    assert.equal(toApiError(error), error);
  });
});
