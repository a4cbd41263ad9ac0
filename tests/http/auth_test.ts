/** The server's own keys, what they open, and whose entries a request may see. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { Hono } from "hono";
import { type ApiKeyOptions, ApiKeys, authorize, callerOf, type KeyScope, mayKnow } from "../../src/http/auth.ts";
import { errorResponse, toApiError } from "../../src/http/errors.ts";
import { namespaceOf } from "../../src/http/tenancy.ts";

const digest = (text: string): string => createHash("sha256").update(text).digest("hex");
const runtime = {
  sha256: (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest()),
  environment: (name: string) => ({ THE_KEY: "from outside", EMPTY: "" } as Record<string, string>)[name],
};

function keysOf(...given: (string | ApiKeyOptions)[]): ApiKeys {
  return new ApiKeys(given, runtime);
}

describe("ApiKeys", () => {
  it("knows keys by the id they are given, else by the beginning of their digest", () => {
    const keys = keysOf("alice=one", "two");
    assert.equal(keys.holderOf("one")?.id, "alice");
    assert.equal(keys.holderOf("two")?.id, digest("two").slice(0, 12));
    for (const other of ["alice=one", "alice", "One", "", undefined]) assert.equal(keys.holderOf(other), undefined);
  });

  it("takes an equals sign for a key's own where there is nothing else behind it, or no id before it", () => {
    const keys = keysOf("c2VjcmV0==", "a b=c", "bob=c2VjcmV0MQ==", "==", `${"x".repeat(65)}=c`);
    for (const key of ["c2VjcmV0==", "a b=c", "==", `${"x".repeat(65)}=c`]) {
      assert.equal(keys.holderOf(key)?.id, digest(key).slice(0, 12));
    }
    assert.equal(keys.holderOf("c2VjcmV0MQ==")?.id, "bob");
  });

  it("takes the key of an object as it is, whatever is in it", () => {
    const keys = keysOf({ key: "a=b" }, { id: "carol", key: "c=d=e" });
    assert.equal(keys.holderOf("a=b")?.id, digest("a=b").slice(0, 12));
    assert.equal(keys.holderOf("b"), undefined);
    assert.equal(keys.holderOf("c=d=e")?.id, "carol");
  });

  it("takes a key from the environment, or its digest in its place", () => {
    const keys = keysOf(
      { id: "env", keyEnvironment: "THE_KEY" },
      { id: "digest", sha256: digest("hidden").toUpperCase() },
      { sha256: digest("nameless") },
    );
    assert.equal(keys.holderOf("from outside")?.id, "env");
    assert.equal(keys.holderOf("hidden")?.id, "digest");
    assert.equal(keys.holderOf("nameless")?.id, digest("nameless").slice(0, 12));
    // A digest is no key: whoever has read the settings cannot ask.
    assert.equal(keys.holderOf(digest("hidden")), undefined);
  });

  it("opens everything but admin, or what it is said to", () => {
    const keys = keysOf("plain", { key: "narrow", scopes: ["cache"], requestsPerMinute: 5 });
    assert.deepEqual([...keys.holderOf("plain")!.scopes], ["models", "proxy", "cache", "status"]);
    assert.deepEqual(keys.holderOf("narrow"), {
      id: digest("narrow").slice(0, 12),
      scopes: new Set(["cache"]),
      requestsPerMinute: 5,
    });
  });

  it("refuses an empty key, and keys that are not told apart, without telling one", () => {
    for (const given of [[""], [" "], ["one", ""], [{ key: "" }], [{ id: "a", keyEnvironment: "EMPTY" }]]) {
      assert.throws(() => keysOf(...given), { name: "TypeError", message: /empty API key/ });
    }
    for (
      const given of [
        ["a=secret1", "a=secret2"],
        ["a=secret", "b=secret"],
        ["secret", "secret"],
        ["secret", { sha256: digest("secret") }],
      ]
    ) {
      assert.throws(() => keysOf(...given), (error: Error) => {
        assert.match(error.message, /two API keys that are not told apart/);
        assert.doesNotMatch(error.message, /secret/);
        return error instanceof TypeError;
      });
    }
  });

  it("refuses what is no key, no id, no scope and no rate, without telling a key", () => {
    const refused: [object, RegExp][] = [
      [{}, /one of key, keyEnvironment and sha256/],
      [{ key: "secret", sha256: digest("secret") }, /one of key, keyEnvironment and sha256/],
      [{ key: 5 }, /empty API key/],
      [{ keyEnvironment: "NOT_THERE" }, /not set: NOT_THERE/],
      [{ sha256: "secret" }, /64 hexadecimal digits/],
      [{ id: "a:b", key: "secret" }, /Cannot name an API key .*"a:b"/],
      [{ id: "", key: "secret" }, /Cannot name an API key/],
      [{ id: "x".repeat(65), key: "secret" }, /Cannot name an API key/],
      [{ key: "secret", scopes: [] }, /its scopes are not some of models, proxy, cache, status, admin/],
      [{ key: "secret", scopes: ["everything"] }, /its scopes are not some of/],
      [{ key: "secret", scopes: "admin" }, /its scopes are not some of/],
      [{ key: "secret", keys: 1 }, /unknown option .*: keys/],
      [{ key: "secret", requestsPerMinute: 0 }, /requestsPerMinute has to be above 0: 0/],
      [{ key: "secret", requestsPerMinute: NaN }, /requestsPerMinute has to be above 0: NaN/],
    ];
    for (const [options, message] of refused) {
      assert.throws(() => keysOf(options), (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret/);
        return error instanceof TypeError || error instanceof RangeError;
      });
    }
  });

  it("keeps no key in memory", () => {
    const keys = keysOf("alice=very-secret");
    assert.doesNotMatch(JSON.stringify(keys), /very-secret/);
    assert.doesNotMatch(JSON.stringify(keys.holderOf("very-secret")), /very-secret/);
  });
});

describe("authorize", () => {
  const keys = keysOf("alice=one", { id: "root", key: "two", scopes: ["admin"] });

  function ask(scope: KeyScope, headers: Record<string, string>, apiKeys: ApiKeys | undefined = keys) {
    const app = new Hono();
    app.onError((error) => errorResponse(toApiError(error)));
    app.get("/", authorize({ apiKeys }, scope), (context) => context.text(callerOf(context)?.id ?? "anybody"));
    return app.request("/", { headers });
  }

  it("lets a key with the scope pass, as a bearer token or in its own header, which goes first", async () => {
    assert.equal(await (await ask("models", { Authorization: "Bearer one" })).text(), "alice");
    assert.equal(await (await ask("models", { authorization: "bearer  one" })).text(), "alice");
    assert.equal(await (await ask("models", { "X-Warmcache-Key": "one", Authorization: "Bearer sk" })).text(), "alice");
    assert.equal((await ask("models", { "X-Warmcache-Key": "sk", Authorization: "Bearer one" })).status, 401);
  });

  it("answers 401 to whoever has none, and says that a token was wrong only where there was one", async () => {
    const none = await ask("models", {});
    assert.equal(none.status, 401);
    assert.equal(none.headers.get("WWW-Authenticate"), 'Bearer realm="warmcache"');
    for (const wrong of ["Bearer three", "Bearer alice", "Bearer alice=one", "Bearer one,one"]) {
      const answer = await ask("models", { Authorization: wrong });
      assert.equal(answer.status, 401);
      assert.equal(answer.headers.get("WWW-Authenticate"), 'Bearer realm="warmcache", error="invalid_token"');
      assert.equal((await answer.json()).error.code, "invalid_api_key");
    }
  });

  it("answers 403 naming the scope that a key has not", async () => {
    for (const [key, scope] of [["one", "admin"], ["two", "models"]] as const) {
      const answer = await ask(scope, { Authorization: `Bearer ${key}` });
      assert.equal(answer.status, 403);
      const challenge = `Bearer realm="warmcache", error="insufficient_scope", scope="${scope}"`;
      assert.equal(answer.headers.get("WWW-Authenticate"), challenge);
      const { error } = await answer.json();
      assert.equal(error.code, "insufficient_scope");
      assert.match(error.message, new RegExp(`does not have the scope ${scope}$`));
    }
  });

  it("lets everybody pass where there are no keys, but not to administer", async () => {
    const open = (scope: KeyScope) => {
      const app = new Hono();
      app.onError((error) => errorResponse(toApiError(error)));
      app.get("/", authorize({ apiKeys: undefined }, scope), (context) => context.text("passed"));
      return app.request("/");
    };
    for (const scope of ["models", "proxy", "cache", "status"] as const) {
      assert.equal(await (await open(scope)).text(), "passed");
    }
    const refused = await open("admin");
    assert.equal(refused.status, 403);
    assert.match((await refused.json()).error.message, /start it with --admin-key/);
  });
});

describe("mayKnow", () => {
  it("says whether a route that answers anybody may tell more", () => {
    const apiKeys = keysOf("alice=one", { id: "root", key: "two", scopes: ["admin"] });
    const asked = (key?: string): Headers => new Headers(key === undefined ? {} : { "X-Warmcache-Key": key });
    assert.equal(mayKnow(asked(), { apiKeys: undefined }, "status"), true);
    assert.equal(mayKnow(asked(), { apiKeys }, "status"), false);
    assert.equal(mayKnow(asked("wrong"), { apiKeys }, "status"), false);
    assert.equal(mayKnow(asked("two"), { apiKeys }, "status"), false);
    assert.equal(mayKnow(asked("one"), { apiKeys }, "status"), true);
  });
});

describe("namespaceOf", () => {
  it("is the caller's own where callers have keys, and never another's", () => {
    assert.equal(namespaceOf("alice", undefined), "key:alice");
    assert.equal(namespaceOf("alice", ""), "key:alice");
    assert.equal(namespaceOf("alice", "eval"), "key:alice:eval");
    assert.equal(namespaceOf("alice", "key:bob"), "key:alice:key:bob");
  });

  it("is what is asked for where all share, but for what is somebody's", () => {
    assert.equal(namespaceOf(undefined, undefined), undefined);
    assert.equal(namespaceOf(undefined, "eval"), "eval");
    assert.throws(() => namespaceOf(undefined, "key:bob"), { name: "ApiError", status: 400 });
  });
});
