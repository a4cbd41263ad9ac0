/** Which headers belong to a question, and which only say who asks. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headersDigest } from "../../src/cache/request/headers.ts";

const digest = (headers: Record<string, string>, ignored?: readonly string[]): Promise<string | undefined> =>
  headersDigest(new Headers(headers), ignored);

describe("headersDigest", () => {
  it("is none for what says who asks, by which program, and for whom", async () => {
    const headers = {
      "Accept": "application/json",
      "Content-Type": "application/json",
      "User-Agent": "OpenAI/JS 7.0.0",
      "Authorization": "Bearer one",
      "api-key": "one",
      "X-API-Key": "one",
      "x-goog-api-key": "one",
      "Helicone-Auth": "Bearer one",
      "cf-aig-authorization": "Bearer one",
      "x-amz-security-token": "one",
      "Cookie": "a=1",
      "OpenAI-Organization": "org-1",
      "OpenAI-Project": "proj-1",
      "X-Stainless-Retry-Count": "1",
      "x-goog-api-client": "google-genai-sdk/3.1.0",
      "HTTP-Referer": "https://example.com",
      "X-Title": "A program",
      "Idempotency-Key": "1",
      "traceparent": "00-1-2-01",
      "X-Request-Id": "1",
      "X-Client-Request-Id": "1",
      "x-datadog-trace-id": "1",
      "X-Forwarded-For": "::1",
      "CF-Ray": "8f0000000000000-FRA",
      "CF-Connecting-IP": "::1",
      "CF-IPCountry": "DE",
      "CF-Access-Jwt-Assertion": "one",
      "CDN-Loop": "cloudflare; loops=1",
      "True-Client-IP": "::1",
      "X-Vercel-Id": "fra1::1",
      "Fly-Client-IP": "::1",
      "Sec-Fetch-Mode": "cors",
    };
    assert.equal(await digest(headers), undefined);
  });

  it("is another one for whatever may choose who answers, or how", async () => {
    const headers: Record<string, string>[] = [
      { "x-portkey-provider": "openai" },
      { "x-portkey-provider": "azure-openai" },
      { "x-portkey-virtual-key": "openai-1" },
      { "Helicone-Target-Url": "https://api.openai.com" },
      { "Groq-Model-Version": "latest" },
      { "x-policy-id": "strict" },
      { "OpenAI-Beta": "responses=v2" },
      { "x-goog-fieldmask": "candidates" },
      { "X-Session-Id": "7" },
      { "cf-aig-gateway-id": "one" },
      { "unheard-of": "1" },
      { "unheard-of": "1", "unheard": "1" },
      { "unheard-of": "1, unheard: 1" },
    ];
    const digests = await Promise.all(headers.map((one) => digest(one)));
    for (const one of digests) assert.match(one ?? "", /^[0-9a-f]{32}$/);
    assert.equal(new Set(digests).size, headers.length);
  });

  it("does not hang on how names are written, in which order, or on what else there is", async () => {
    const one = await digest({ "X-Tenant": "a", "X-Team": "b", "Authorization": "Bearer one" });
    assert.equal(await digest({ "x-team": "b", "x-tenant": "a", "User-Agent": "two" }), one);
  });

  it("leaves out what its caller says changes nothing", async () => {
    assert.equal(await digest({ "X-Job": "1" }, ["x-JOB"]), undefined);
    assert.equal(await digest({ "X-Job": "1", "X-Tenant": "a" }, ["X-Job"]), await digest({ "X-Tenant": "a" }));
  });
});
