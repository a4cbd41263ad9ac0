import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { resolveScope, type Scope } from "../../src/cache/request/scope.ts";

describe("resolveScope", () => {
  it("takes OpenAI's chat completions where nothing is said", () => {
    assert.deepEqual(resolveScope({ model: "m" }, {}, ""), {
      provider: "openai",
      endpoint: "/v1/chat/completions",
      namespace: "",
      identity: null,
      model: "m",
    });
  });

  it("takes what is said, and the cache's namespace unless another is", () => {
    const scope = { provider: "local", endpoint: "/v1/completions", identity: "abc" };
    assert.deepEqual(resolveScope({ model: "m" }, scope, "ns"), { ...scope, namespace: "ns", model: "m" });
    assert.equal(resolveScope({ model: "m" }, { namespace: "" }, "ns").namespace, "");
  });

  it("finds the model in the path where the body names none", () => {
    const model = (endpoint: string): string => resolveScope({}, { provider: "google", endpoint }, "").model;
    assert.equal(model("/v1beta/models/gemini-2.5-flash:generateContent"), "gemini-2.5-flash");
    assert.equal(model("/v1/models/whisper/transcribe"), "whisper");
    assert.equal(model("/v1/models/last"), "last");
    assert.equal(model("/v1/models"), "_none");
    assert.equal(model("/v1/speak"), "_none");
  });

  it("prefers the body's model to the path's", () => {
    const scope = { provider: "p", endpoint: "/models/path:run" };
    assert.equal(resolveScope({ model: "body" }, scope, "").model, "body");
  });

  it("refuses to guess who is asked", () => {
    for (const body of [{}, { model: null }, { model: 7 }]) {
      assert.throws(() => resolveScope(body, {}, ""), TypeError);
      assert.throws(() => resolveScope(body, { provider: "p" }, ""), TypeError);
      assert.throws(() => resolveScope(body, { endpoint: "/e" }, ""), TypeError);
      assert.equal(resolveScope(body, { provider: "p", endpoint: "/e" }, "").model, "_none");
    }
  });

  it("refuses parts that are no text", () => {
    const scopes = [{ provider: 1 }, { endpoint: null }, { namespace: {} }, { identity: 5 }] as unknown as Scope[];
    for (const scope of scopes) assert.throws(() => resolveScope({ model: "m" }, scope, ""), TypeError);
  });
});
