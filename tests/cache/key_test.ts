import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { ignoredFields } from "../../src/cache/request/ignore_list.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { type KeyedRequest, requestKey } from "../../src/cache/request/key.ts";
import { parseRequest } from "../../src/cache/request/raw_json.ts";

interface Vector {
  readonly name: string;
  readonly scope: Omit<KeyedRequest, "body">;
  readonly body: string;
  readonly canonical: string;
  readonly key: string;
}

const file = JSON.parse(await readFile(new URL("../vectors/key.json", import.meta.url), "utf8"));
const vectors: readonly Vector[] = file.vectors;

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
const hex = (bytes: Uint8Array): string => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

const SCOPE = { namespace: "", provider: "openai", endpoint: "/v1/chat/completions", identity: null };

/** Every field of the chat completions API that changes the answer, and one that nobody has heard of. */
const CHAT = {
  model: "gpt-4o-mini",
  messages: [{ role: "user", content: "Hi" }],
  audio: { voice: "alloy" },
  frequency_penalty: 0.1,
  function_call: "auto",
  functions: [{ name: "f" }],
  logit_bias: { "50256": -100 },
  logprobs: true,
  max_completion_tokens: 10,
  max_tokens: 10,
  modalities: ["text"],
  parallel_tool_calls: true,
  prediction: { type: "content", content: "x" },
  presence_penalty: 0.2,
  prompt_cache_key: "k",
  reasoning_effort: "low",
  response_format: { type: "json_object" },
  safety_identifier: "s",
  seed: 1,
  service_tier: "auto",
  stop: ["\n"],
  temperature: 0.5,
  tool_choice: "auto",
  tools: [{ type: "function", function: { name: "f", description: "d", parameters: {} } }],
  top_logprobs: 2,
  top_p: 0.9,
  verbosity: "low",
  web_search_options: {},
  num_ctx: 4096,
};

describe("requestKey", () => {
  it("gives the keys of tests/vectors/key.json", () => {
    assert.ok(vectors.length >= 25);
    for (const { name, scope, body, canonical, key } of vectors) {
      const parsed = parseRequest(body);
      assert.equal(parsed.unkeyable, undefined, name);
      const request = { ...scope, body: parsed.body as JsonObject };
      const result = requestKey(request, ignoredFields(scope.endpoint), sha256);
      assert.equal(hex(result.key), key, name);
      assert.equal(hex(sha256(new TextEncoder().encode(canonical))), key, name);
      const { body: keyed } = JSON.parse(canonical);
      assert.deepEqual(JSON.parse(result.canonicalBody), keyed, name);
      assert.ok(canonical.startsWith(`{"body":${result.canonicalBody},`), name);
    }
  });

  it("changes with every field of the request, known or not", () => {
    const whole = keyOf(CHAT);
    for (const name of Object.keys(CHAT)) {
      const { [name]: _, ...without } = CHAT as JsonObject;
      assert.notEqual(keyOf(without), whole, `${name} left out`);
      assert.notEqual(keyOf({ ...CHAT, [name]: "another" }), whole, `${name} changed`);
      assert.notEqual(keyOf({ ...CHAT, [name]: null }), keyOf(without), `${name} null is not absent`);
    }
  });

  it("changes with every part of the scope", () => {
    const keys = [
      keyOf(CHAT),
      keyOf(CHAT, { namespace: "x" }),
      keyOf(CHAT, { provider: "x" }),
      keyOf(CHAT, { endpoint: "/x/chat/completions" }),
      keyOf(CHAT, { identity: "x" }),
      keyOf(CHAT, { identity: "" }),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });

  it("cannot be moved from one part of the scope to another", () => {
    const moved = keyOf(CHAT, { provider: 'openai","v":1', namespace: "" });
    assert.notEqual(moved, keyOf(CHAT));
    assert.notEqual(keyOf(CHAT, { namespace: "a", provider: "bc" }), keyOf(CHAT, { namespace: "ab", provider: "c" }));
  });

  it("does not change with the fields an endpoint ignores", () => {
    const frozen: Record<string, string[]> = {
      "/v1/chat/completions": ["n", "stream", "stream_options", "user", "metadata", "store"],
      "/v1/completions": ["n", "stream", "stream_options", "user"],
      "/v1/responses": ["stream", "stream_options", "user", "metadata"],
      "/v1/messages": ["stream", "metadata"],
      "/v1/embeddings": ["user", "encoding_format"],
      "/v1/moderations": [],
    };
    const every = [...new Set(Object.values(frozen).flat())];
    for (const [endpoint, ignored] of Object.entries(frozen)) {
      const plain = keyOf({ model: "m" }, { endpoint });
      for (const name of every) {
        const same = keyOf({ model: "m", [name]: 2 }, { endpoint }) === plain;
        assert.equal(same, ignored.includes(name), `${name} at ${endpoint}`);
      }
    }
  });

  it("knows an endpoint by the end of its path, at any provider", () => {
    const ignoring = ["/v1/chat/completions", "/openai/deployments/x/chat/completions", "/api/v1/chat/completions"];
    for (const endpoint of ignoring) assert.ok(ignoredFields(endpoint).has("n"), endpoint);
    const others = [
      "/v1/threads/1/messages",
      "/v1/chat/completions/",
      "/v1/xcompletions",
      "/v1/chat/completions/1",
      "",
    ];
    for (const endpoint of others) assert.equal(ignoredFields(endpoint).size, 0, endpoint);
  });

  it("ignores what a user adds for an endpoint, there and nowhere else", () => {
    const extra = { "/v1/chat/completions": ["trace_id"], "/custom": ["trace_id"] };
    assert.ok(ignoredFields("/v1/chat/completions", extra).has("trace_id"));
    assert.ok(ignoredFields("/v1/chat/completions", extra).has("n"));
    assert.deepEqual([...ignoredFields("/custom", extra)], ["trace_id"]);
    assert.deepEqual([...ignoredFields("/other", extra)], []);
    assert.deepEqual([...ignoredFields("toString", extra)], []);
  });

  it("does not change with the order of names, nor with the notation of numbers", () => {
    const reversed = Object.fromEntries(Object.entries(CHAT).toReversed());
    assert.equal(keyOf(reversed), keyOf(CHAT));
    assert.equal(keyOf(JSON.parse('{"model":"m","temperature":0.0}')), keyOf({ model: "m", temperature: 0 }));
    assert.equal(keyOf(JSON.parse('{"model":"m","temperature":1.0e1}')), keyOf({ model: "m", temperature: 10 }));
  });

  it("changes with the order of a list", () => {
    assert.notEqual(keyOf({ model: "m", stop: ["a", "b"] }), keyOf({ model: "m", stop: ["b", "a"] }));
  });

  it("refuses a request without canonical JSON", () => {
    assert.throws(() => keyOf({ ...CHAT, temperature: NaN }), TypeError);
    assert.throws(() => keyOf(CHAT, { namespace: "\ud800" }), TypeError);
  });
});

function keyOf(body: JsonObject, scope: Partial<KeyedRequest> = {}): string {
  const request = { ...SCOPE, ...scope, body };
  return hex(requestKey(request, ignoredFields(request.endpoint), sha256).key);
}
