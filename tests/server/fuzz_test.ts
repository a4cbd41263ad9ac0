/** Requests as nobody should send them: thousands of them, each refused as designed, and the server as well as before. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { temporaryFolder } from "../support/temporary.ts";
import { assertWell, fuzz, startStandIn } from "./fuzz/fuzz.ts";
import { testServer } from "./support.ts";

describe("malformed requests", () => {
  it("have designed statuses only, and harm no other", { timeout: 120_000 }, async () => {
    const upstream = await startStandIn();
    const server = await testServer({
      cache: await temporaryFolder(),
      hub: false,
      apiKey: "fuzz=fuzz-key",
      upstreams: { openai: { url: upstream.url }, anthropic: { url: upstream.url }, google: { url: upstream.url } },
    });
    const target = { url: server.url, key: "fuzz-key", model: "kjv-tiny" };
    try {
      const { faults, statuses } = await fuzz(target, { seed: 11, requests: 2000 });
      assert.deepEqual(faults, []);
      for (const status of [200, 400, 401, 404, 405]) {
        assert.ok(statuses.has(status), `none was answered with ${status}`);
      }
      await assertWell(target);
    } finally {
      await server.stop();
      await upstream.close();
    }
  });
});
