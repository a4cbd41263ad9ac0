/**
 * Requests that cannot be, or can hardly be, told apart from others: each is a typed error before anything is bought, is
 * taken as `JSON.stringify` would send it, or goes round the cache and is counted. None has another request's key.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type CacheStatus, openCache, type ResponseCache } from "../../mod.ts";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { temporaryFolder } from "../support/temporary.ts";

const ANSWER = { choices: [{ index: 0, message: { content: "yes" }, finish_reason: "stop" }] };

/** An object around an object around …, without a recursion that would overflow here. */
function nested(depth: number): object {
  let value: object = {};
  for (let level = 1; level < depth; level++) value = { inner: value };
  return value;
}

function cyclic(): object {
  const value: Record<string, unknown> = {};
  value.itself = value;
  return value;
}

async function withCache(use: (cache: ResponseCache) => Promise<void>): Promise<void> {
  const cache = await openCache({ directory: await temporaryFolder(), priceOf: null });
  try {
    await use(cache);
  } finally {
    await cache.close();
  }
}

describe("a request given as a value", () => {
  const REFUSED: Record<string, unknown> = {
    "not a number": NaN,
    "an infinity": -Infinity,
    "a BigInt": 1n,
    "a cycle": cyclic(),
    "a lone surrogate": "\ud83d",
    "a lone surrogate as a name": { "\udc00": 1 },
    "10,000 levels": nested(10_000),
    "a toJSON that throws a TypeError": {
      toJSON(): never {
        throw new TypeError("no");
      },
    },
  };
  for (const [name, value] of Object.entries(REFUSED)) {
    it(`with ${name} in it is refused by every call, before anything is bought`, async () => {
      await withCache(async (cache) => {
        const body = { model: "m", messages: [], extra: value };
        const never = (): Promise<never> => Promise.reject(new Error("it was bought"));
        const calls = [
          () => cache.get(body),
          () => cache.getMany([{ model: "m", messages: [] }, body]),
          () => cache.put(body, ANSWER),
          () => cache.wrap(body, never),
          () => cache.wrapEntry(body, never),
          () => cache.wrapStream(body, never),
          () => cache.wrapEvents(body, never),
          () => cache.wrapSamples(body, 2, never),
          () => cache.wrapMany([{ model: "m", messages: [] }, body], never),
          () => cache.explain(body),
          () => cache.delete(body),
        ];
        for (const call of calls) await assert.rejects(call, TypeError);
        assert.equal((await cache.stats()).writes, 0);
      });
    });
  }

  it("is taken as it would be sent: undefined and functions are left out, -0 is 0, 1.0 is 1", async () => {
    await withCache(async (cache) => {
      await cache.put({ model: "m", messages: [], temperature: 0, list: [null] }, ANSWER);
      const same = { messages: [], list: [undefined], temperature: -0, model: "m", not: undefined, run: () => 1 };
      assert.ok(await cache.get(same));
      assert.equal(await cache.get({ ...same, not: null }), undefined);
    });
  });

  it("may have __proto__, constructor and numbers for names", async () => {
    await withCache(async (cache) => {
      const bodies = ['{"__proto__":1}', '{"__proto__":2}', '{"constructor":1}', '{"2":1,"10":1}', "{}"].map((
        extra,
      ) => ({
        model: "m",
        messages: [],
        logit_bias: JSON.parse(extra),
      }));
      for (const [index, body] of bodies.entries()) await cache.put(body, { ...ANSWER, id: `${index}` });
      const found = await cache.getMany(bodies);
      assert.deepEqual(found.map((entry) => (entry!.json() as { id: string }).id), ["0", "1", "2", "3", "4"]);
      const own = JSON.parse('{"__proto__":{"n":3},"model":"m","messages":[]}');
      await cache.put(own, { ...ANSWER, id: "own" });
      assert.equal((await cache.get(own))!.samples, 1, "n is not inherited");
      assert.equal(await cache.get({ model: "m", messages: [] }), undefined);
    });
  });

  it("of 100 MB goes round the cache, at once, and is counted", async () => {
    await withCache(async (cache) => {
      const texts = [["x".repeat(100_000_000)], Array<string>(200).fill("y".repeat(500_000))];
      for (const content of texts) {
        const status: CacheStatus = {};
        const body = { model: "m", messages: content.map((text) => ({ role: "user", content: text })) };
        assert.equal(await cache.wrap(body, () => Promise.resolve(ANSWER), { status }), ANSWER);
        assert.deepEqual([status.outcome, status.stored], ["bypass", false]);
      }
      assert.equal((await cache.stats()).bypassed, 2);
    });
  });
});

describe("a request given as its bytes", () => {
  const encode = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(new TextEncoder().encode(text));
  const around = (extra: string): string => `{"model":"m","messages":[],"extra":${extra}}`;
  const ROUND: Record<string, Uint8Array<ArrayBuffer>> = {
    "an integer beyond 2^53": encode(around("9007199254740993")),
    "a name twice": encode(around('{"a":1,"a":2}')),
    "a name twice, once escaped": encode(around('{"a":1,"\\u0061":2}')),
    "a number too large": encode(around("1e999")),
    "a lone surrogate": encode(around('"\\ud83d"')),
    "600 levels": encode(around("[".repeat(600) + "]".repeat(600))),
    "10,000 levels": encode(around("[".repeat(10_000) + "]".repeat(10_000))),
    "invalid UTF-8": new Uint8Array([...encode('{"model":"m","messages":["'), 0xff, 0xfe, ...encode('"]}')]),
    "half a JSON": encode('{"model":"m","messages":['),
  };
  for (const [name, bytes] of Object.entries(ROUND)) {
    it(`with ${name} is sent as it is every time, and nothing is stored`, async () => {
      await withCache(async (cache) => {
        const sent: Uint8Array[] = [];
        const fetch = cachedFetch(cache, {
          fetch: async (input, init) => {
            sent.push(new Uint8Array(await new Request(input, init).arrayBuffer()));
            return Response.json(ANSWER);
          },
        });
        for (let time = 0; time < 2; time++) {
          const headers = { "Content-Type": "application/json" };
          const init = { method: "POST", headers, body: bytes };
          const response = await fetch("https://api.openai.com/v1/chat/completions", init);
          assert.deepEqual(await response.json(), ANSWER);
        }
        assert.deepEqual(sent, [bytes, bytes]);
        assert.equal((await cache.stats()).writes, 0);
      });
    });
  }
});
