import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { CacheStatus } from "../../src/cache/call_options.ts";
import type { Mode } from "../../src/cache/mode.ts";
import { CacheError } from "../../src/store/error.ts";
import type { NewFailure } from "../../src/store/store.ts";
import { pick } from "./pick.ts";
import { ask, openTestCache, saidBy } from "./support.ts";

interface HttpError extends Error {
  readonly status: number;
}

/** What an SDK throws when the provider answers with a status. */
function httpError(status: number, message = `${status}: that will not do`): HttpError {
  return Object.assign(new Error(message), { status });
}

const failing = (error: unknown) => (): Promise<never> => Promise.reject(error);

describe("a request that the provider refused as such", () => {
  for (const status of [400, 404, 405, 410, 413, 414, 415, 422]) {
    it(`with ${status} is not tried again for negativeTtl`, async () => {
      const { cache, provider, clock } = openTestCache({ negativeTtl: 5000 });
      const error = httpError(status);
      await assert.rejects(cache.wrap(ask("cats"), failing(error)), (thrown) => thrown === error);
      clock.advance(4999);
      await assert.rejects(cache.wrap(ask("cats"), provider.answer), (thrown) => {
        assert.ok(thrown instanceof CacheError && thrown.code === "call_failed");
        assert.match(thrown.message, /that will not do/);
        assert.equal((thrown.cause as HttpError).status, status);
        assert.equal((thrown.cause as HttpError).message, error.message);
        return true;
      });
      assert.equal(provider.calls.length, 0);
      clock.advance(1);
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    });
  }

  for (const status of [401, 402, 403, 408, 409, 425, 429, 500, 502, 503, 529]) {
    it(`is another matter than ${status}, which is no fault of the request's`, async () => {
      const { cache, provider } = openTestCache();
      await assert.rejects(cache.wrap(ask("cats"), failing(httpError(status))));
      assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    });
  }

  it("is tried again by who asks for something else, and at once where negativeTtl is 0", async () => {
    const { cache, provider } = openTestCache();
    await assert.rejects(cache.wrap(ask("cats"), failing(httpError(400))));
    await cache.wrap(ask("dogs"), provider.answer);
    const eager = openTestCache({ negativeTtl: 0 });
    await assert.rejects(eager.cache.wrap(ask("cats"), failing(httpError(400))));
    await eager.cache.wrap(ask("cats"), eager.provider.answer);
  });

  it("is served all the same where an answer is stored, and after it was deleted tried again", async () => {
    const { cache, provider } = openTestCache();
    await assert.rejects(cache.wrap(ask("cats"), failing(httpError(400))));
    await cache.put(ask("cats"), provider.choices(1));
    await cache.wrap(ask("cats"), provider.answer);
    await cache.delete(ask("cats"));
    await cache.wrap(ask("cats"), provider.answer);
    assert.equal(provider.calls.length, 1);
  });

  it("is tried in the modes that do not read, and remembered by those that write", async () => {
    const tried: [Mode, readsIt: boolean, writesIt: boolean][] = [
      ["read-only", true, false],
      ["write-only", false, true],
      ["refresh", false, true],
      ["off", false, false],
    ];
    for (const [mode, readsIt, writesIt] of tried) {
      const refused = openTestCache();
      await assert.rejects(refused.cache.wrap(ask("cats"), failing(httpError(400))));
      const again = refused.cache.wrap(ask("cats"), refused.provider.answer, { mode });
      if (readsIt) await assert.rejects(again, CacheError, mode);
      else await again;
      const { cache, provider } = openTestCache();
      await assert.rejects(cache.wrap(ask("cats"), failing(httpError(400)), { mode }), { status: 400 });
      const after = cache.wrap(ask("cats"), provider.answer);
      if (writesIt) await assert.rejects(after, CacheError, mode);
      else await after;
      assert.equal((await cache.stats()).failedCalls, 1, mode);
    }
  });

  it("is not refused for longer by a clock that was set back", async () => {
    const { cache, provider, clock } = openTestCache();
    clock.advance(86_400_000);
    await assert.rejects(cache.wrap(ask("cats"), failing(httpError(400))));
    clock.advance(-86_400_000);
    await cache.wrap(ask("cats"), provider.answer);
  });
});

describe("calls that failed", () => {
  it("are counted, and told by explain", async () => {
    const { cache, clock } = openTestCache();
    const failures: unknown[] = [new TypeError("fetch failed"), "a text", undefined, httpError(503, "busy")];
    for (const failure of failures) {
      clock.advance(1000);
      await cache.wrap(ask("cats"), failing(failure)).catch(() => {});
    }
    assert.equal((await cache.stats()).failedCalls, 4);
    const { failures: known } = await cache.explain(ask("cats"));
    assert.deepEqual(known, { count: 4, last: clock.now(), message: "Error: busy" });
    assert.equal((await cache.explain(ask("dogs"))).failures, null);
  });

  it("count answers that are none to keep as well", async () => {
    const { cache } = openTestCache();
    await cache.wrap<object>(ask("cats"), () => Promise.resolve({ error: { message: "overloaded" } }));
    await cache.wrap(ask("cats"), () => Promise.resolve(new Response()));
    assert.equal((await cache.stats()).failedCalls, 2);
    assert.deepEqual(pick((await cache.explain(ask("cats"))).failures!, "count", "message"), {
      count: 2,
      message: "the answer is no plain JSON",
    });
  });

  it("do not count those that were given up", async () => {
    const { cache } = openTestCache();
    const given = cache.wrap(ask("cats"), failing(new DOMException("gave up", "AbortError")));
    await assert.rejects(given, { name: "AbortError" });
    assert.equal((await cache.stats()).failedCalls, 0);
    assert.equal((await cache.explain(ask("cats"))).failures, null);
  });

  it("are remembered by what is known of them, however long", async () => {
    const { cache, provider } = openTestCache();
    const long = "é".repeat(20_000);
    const facts = { name: long, status: 400, code: "context_length_exceeded", type: long, param: 7, body: long };
    const error = Object.assign(new Error(long), facts, { headers: { authorization: "secret" } });
    await assert.rejects(cache.wrap(ask("cats"), failing(error)));
    await assert.rejects(cache.wrap(ask("cats"), provider.answer), (thrown) => {
      const cause = (thrown as CacheError).cause as typeof error;
      assert.deepEqual(pick(cause, "status", "code", "param"), {
        status: 400,
        code: "context_length_exceeded",
        param: 7,
      });
      assert.ok(cause.message.startsWith("ééé"));
      assert.equal("body" in cause, false, "cut, it would be no body");
      assert.equal("headers" in cause, false);
      return true;
    });
  });

  it("keep the body of the provider's answer, for who passes it on", async () => {
    const { cache, provider } = openTestCache();
    const body = '{"error":{"message":"no such model"}}';
    await assert.rejects(cache.wrap(ask("cats"), failing(Object.assign(httpError(404), { body }))));
    await assert.rejects(cache.wrap(ask("cats"), provider.answer), (thrown) => {
      return ((thrown as CacheError).cause as { body?: string }).body === body;
    });
  });

  it("cost nobody an answer where they cannot be remembered", async () => {
    const broken = (): never => {
      throw new CacheError("unavailable", "the disk is full");
    };
    const { store } = openTestCache();
    Object.defineProperty(store, "failures", { value: { record: broken, last: broken } });
    const { cache, provider } = openTestCache({ store });
    const error = httpError(400);
    await assert.rejects(cache.wrap(ask("cats"), failing(error)), (thrown) => thrown === error);
    const status: CacheStatus = {};
    await cache.wrap(ask("cats"), provider.answer, { status });
    assert.equal(status.stored, true);
    assert.equal((await cache.stats()).lastError?.message, "the disk is full");
  });
});

describe("a refusal of what the key leaves out", () => {
  it("is none of the same question asked in another way", async () => {
    const { cache, provider } = openTestCache();
    const many = ask("cats", { n: 200 });
    await assert.rejects(cache.wrap(many, failing(httpError(400))));
    await assert.rejects(cache.wrap(many, provider.answer), /refused as such/);
    assert.deepEqual(saidBy(await cache.wrap(ask("cats"), provider.answer)), ["text 1"]);
    const named = (user: string) => ({ ...ask("dogs"), user });
    await assert.rejects(cache.wrap(named("x".repeat(1000)), failing(httpError(400))));
    assert.deepEqual(saidBy(await cache.wrap(named("x"), provider.answer)), ["text 2"]);
  });

  it("holds for every way of asking where there is no such model", async () => {
    const { cache, provider } = openTestCache();
    await assert.rejects(cache.wrap(ask("cats", { n: 200 }), failing(httpError(404))));
    await assert.rejects(cache.wrap(ask("cats"), provider.answer), /refused as such/);
  });

  it("tells the store nothing of it", async () => {
    const { cache, store } = openTestCache();
    let recorded = "";
    const { record, last } = store.failures;
    const failures = {
      last,
      record: (model: string, key: Uint8Array, failure: NewFailure) => {
        recorded += new TextDecoder().decode(failure.error);
        return record(model, key, failure);
      },
    };
    Object.defineProperty(store, "failures", { value: failures });
    const remembering = openTestCache({ store }).cache;
    await assert.rejects(remembering.wrap({ ...ask("cats"), user: "Ada" }, failing(httpError(400))));
    assert.match(recorded, /that will not do/);
    assert.doesNotMatch(recorded, /Ada/);
    await cache.close();
  });
});
