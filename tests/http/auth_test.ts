/** The server's own keys, and whose entries a request may see. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { ApiKeys } from "../../src/http/auth.ts";
import { namespaceOf } from "../../src/http/tenancy.ts";

const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash("sha256").update(bytes).digest());

describe("ApiKeys", () => {
  it("knows keys by the id they are given, else by the beginning of their digest", () => {
    const keys = new ApiKeys(["alice=one", "two"], sha256);
    assert.equal(keys.idOf("one"), "alice");
    assert.equal(keys.idOf("two"), createHash("sha256").update("two").digest("hex").slice(0, 12));
    for (const other of ["alice=one", "alice", "One", "", undefined]) assert.equal(keys.idOf(other), undefined);
  });

  it("takes an equals sign for a key's own where there is nothing else behind it, or no id before it", () => {
    const keys = new ApiKeys(["c2VjcmV0==", "a b=c", "bob=c2VjcmV0MQ=="], sha256);
    assert.notEqual(keys.idOf("c2VjcmV0=="), undefined);
    assert.notEqual(keys.idOf("a b=c"), undefined);
    assert.equal(keys.idOf("c2VjcmV0MQ=="), "bob");
  });

  it("refuses an empty key, and keys that are not told apart, without telling one", () => {
    for (const given of [[""], [" "], ["one", ""]]) {
      assert.throws(() => new ApiKeys(given, sha256), { name: "TypeError", message: /empty API key/ });
    }
    for (const given of [["a=secret1", "a=secret2"], ["a=secret", "b=secret"], ["secret", "secret"]]) {
      assert.throws(() => new ApiKeys(given, sha256), (error: Error) => {
        assert.match(error.message, /two API keys that are not told apart/);
        assert.doesNotMatch(error.message, /secret/);
        return error instanceof TypeError;
      });
    }
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
