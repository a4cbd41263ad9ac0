/** Requests with somebody's credentials in them: what comes back is his alone, and a token must not be stored. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ask, openTestCache } from "./support.ts";

const TOOL = { type: "mcp", server_label: "crm", server_url: "https://crm.example/mcp" };

describe("a request with credentials in it", () => {
  for (
    const [where, more] of [
      ["a tool's authorization", { tools: [{ ...TOOL, authorization: "Bearer secret" }] }],
      ["a tool's headers", { tools: [{ ...TOOL, headers: { authorization: "Bearer secret" } }] }],
      ["an MCP server's token", { mcp_servers: [{ type: "url", url: "x", authorization_token: "secret" }] }],
      ["a data source's key", {
        data_sources: [{ type: "search", parameters: { authentication: { key: "secret" } } }],
      }],
    ] as const
  ) {
    it(`goes round the cache: ${where}`, async () => {
      const { cache, provider, events } = openTestCache();
      const request = { ...ask("cats"), ...more };
      await cache.wrap(request, provider.answer);
      await cache.wrap(request, provider.answer);
      await cache.put(request, await provider.answer(ask("cats")));
      assert.equal(await cache.get(request), undefined);
      const { bypassed, store } = await cache.stats();
      assert.deepEqual([provider.calls.length, bypassed, store.entries], [3, 3, 0]);
      assert.doesNotMatch(JSON.stringify(events), /secret/);
    });
  }

  it("is as any other where there are none, or they are null", async () => {
    const { cache, provider } = openTestCache();
    const request = { ...ask("cats"), tools: [{ ...TOOL, authorization: null }] };
    await cache.wrap(request, provider.answer);
    await cache.wrap(request, provider.answer);
    assert.equal(provider.calls.length, 1);
  });
});
