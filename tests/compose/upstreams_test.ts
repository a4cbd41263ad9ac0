/** The proxy's table of providers. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { planUpstreams, type UpstreamTable } from "../../src/compose/upstreams.ts";
import { addressAt, dialectOf } from "../../src/http/proxy/upstream.ts";

const machine = { environment: (name: string): string | undefined => name === "SET" ? "from-there" : undefined };
const plan = (table: UpstreamTable) => new Map(planUpstreams(table, machine).map((each) => [each.name, each]));

describe("planUpstreams", () => {
  it("has the providers that everybody uses, and those it is told of", () => {
    assert.deepEqual([...plan({}).values()].map(({ name, url }) => [name, url]), [
      ["openai", "https://api.openai.com"],
      ["anthropic", "https://api.anthropic.com"],
      ["google", "https://generativelanguage.googleapis.com"],
    ]);
    const table = plan({ groq: { url: "https://api.groq.com/openai/" }, openai: { url: "http://10.0.0.7:8000" } });
    assert.equal(table.get("groq")!.url, "https://api.groq.com/openai");
    assert.equal(table.get("openai")!.url, "http://10.0.0.7:8000");
    assert.equal(table.size, 4);
  });

  it("takes a credential as it is, or from the environment", () => {
    const url = "https://api.example";
    const table = plan({ a: { url, apiKey: "here" }, b: { url, apiKeyEnvironment: "SET" }, c: { url } });
    assert.deepEqual(["a", "b", "c"].map((name) => table.get(name)!.apiKey), ["here", "from-there", undefined]);
  });

  it("refuses, at the start, what could not work, and never tells a credential", () => {
    const url = "https://api.example";
    for (
      const [table, message] of [
        [{ v1: { url } }, /route of the server's own: v1$/],
        [{ health: { url } }, /route of the server's own: health$/],
        [{ "Open AI": { url } }, /lower-case letters/],
        [{ "a/b": { url } }, /lower-case letters/],
        [{ "": { url } }, /lower-case letters/],
        [{ "..": { url } }, /lower-case letters/],
        [{ a: url }, /settings are no object/],
        [{ a: { url: "api.example" } }, /no http: or https: URL: api.example/],
        [{ a: { url: "file:///etc" } }, /no http: or https: URL/],
        [{ a: {} }, /no http: or https: URL: undefined/],
        [{ a: { url: "https://me:secret@api.example" } }, /has a credential in it; give it as apiKey: api.example$/],
        [{ a: { url: "https://api.example/?key=1" } }, /more than a path/],
        [{ a: { url, apiKye: "secret" } }, /apiKye/],
        [{ a: { url, apiKey: "" } }, /empty/],
        [{ a: { url, apiKey: "sec\nret" } }, /no header can carry/],
        [{ a: { url, apiKeyEnvironment: "UNSET" } }, /is not set: UNSET/],
        [{ a: { url, apiKey: "secret", apiKeyEnvironment: "SET" } }, /both/],
      ] as const
    ) {
      assert.throws(() => plan(table as unknown as UpstreamTable), (error: Error) => {
        assert.match(error.message, message);
        assert.doesNotMatch(error.message, /secret|sec\n/);
        return error instanceof TypeError;
      });
    }
    for (const timeout of [0, -1, NaN, Infinity, "1"] as number[]) {
      for (const name of ["answerTimeout", "idleTimeout"]) {
        assert.throws(() => plan({ a: { url, [name]: timeout } }), RangeError);
      }
    }
  });
});

describe("addressAt", () => {
  it("appends what is behind the upstream's name to its URL, as it was written", () => {
    const groq = plan({ groq: { url: "https://api.groq.com/openai" } }).get("groq")!;
    const address = (path: string): string => addressAt(groq, new URL(`http://127.0.0.1:8787${path}`)).href;
    assert.equal(address("/groq/v1/models"), "https://api.groq.com/openai/v1/models");
    assert.equal(address("/groq"), "https://api.groq.com/openai");
    assert.equal(address("/groq//evil.example/a%2Fb?x=%20"), "https://api.groq.com/openai//evil.example/a%2Fb?x=%20");
    assert.equal(address("/groq/@evil.example"), "https://api.groq.com/openai/@evil.example");
  });

  it("stays at the upstream's host, whatever stands behind its name", () => {
    const openai = plan({}).get("openai")!;
    for (const path of ["", "/", "//evil.example", "/@evil.example", "/:80", "/.evil.example", "/\\evil.example"]) {
      const { host } = addressAt(openai, new URL(`http://127.0.0.1:8787/openai${path}`));
      assert.equal(host, "api.openai.com");
    }
  });
});

describe("dialectOf", () => {
  it("is the provider's, else what the request speaks", () => {
    const table = plan({ a: { url: "https://api.anthropic.com" }, b: { url: "https://gateway.example" } });
    const dialect = (name: string, path: string, headers: Record<string, string> = {}): string => {
      const upstream = table.get(name)!;
      return dialectOf(upstream, addressAt(upstream, new URL(`http://h/${name}${path}`)), new Headers(headers));
    };
    assert.equal(dialect("openai", "/v1/models"), "openai");
    assert.equal(dialect("anthropic", "/v1/models"), "anthropic");
    assert.equal(dialect("google", "/v1beta/models"), "google");
    assert.equal(dialect("a", "/v1/models"), "anthropic");
    assert.equal(dialect("b", "/v1/messages", { "anthropic-version": "2023-06-01" }), "anthropic");
    assert.equal(dialect("b", "/v1beta/models/m:generateContent"), "google");
    assert.equal(dialect("b", "/v1/chat/completions"), "openai");
  });
});
