/** How a cache is told of a server: in code, in the environment, as a tier. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ResponseCache } from "../../src/cache/response_cache.ts";
import { openCacheOn, type OpenCacheOptions } from "../../src/compose/open_cache.ts";
import { openRemoteStore } from "../../src/compose/stores/remote.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { machine, storeServer } from "../store/remote/fixture.ts";

const request = { model: "gpt-4o-mini", messages: [{ role: "user", content: "hi" }] };
const answer = { choices: [{ message: { content: "ho" }, finish_reason: "stop" }] };

/** Opens a cache where these variables are set. */
function open(options: OpenCacheOptions, variables: Readonly<Record<string, string>> = {}): Promise<ResponseCache> {
  return openCacheOn({ ...machine, environment: (name) => variables[name] }, options);
}

/** What servers were asked with. */
function watched(): { headers: (string | undefined)[]; fetch: (url: string, init: RequestInit) => Promise<Response> } {
  const headers: (string | undefined)[] = [];
  return {
    headers,
    fetch: (_, init) => {
      headers.push((init.headers as Record<string, string>).Authorization);
      return Promise.reject(new TypeError("nobody is there"));
    },
  };
}

describe("openCache with a remote backend", () => {
  it("finds its server and its key in the environment", async () => {
    await using server = await storeServer({ apiKey: "me=sesame" });
    const variables = {
      WARMCACHE_BACKEND: "remote",
      WARMCACHE_REMOTE_URL: server.url,
      WARMCACHE_REMOTE_KEY: "sesame",
    };
    await using cache = await open({}, variables);
    await cache.put(request, answer);
    assert.deepEqual((await cache.get(request))!.json(), answer);
    const { store: { name, location } } = await cache.stats();
    assert.deepEqual([name, location], ["remote", server.url]);
  });

  it("sends a key that is set beside a URL to no other", async () => {
    const variables = { WARMCACHE_REMOTE_URL: "http://127.0.0.1:1", WARMCACHE_REMOTE_KEY: "sesame" };
    for (
      const [url, key] of [
        ["http://127.0.0.1:1", "Bearer sesame"],
        ["http://127.0.0.1:2", undefined],
        [undefined, "Bearer sesame"],
      ] as const
    ) {
      const { headers, fetch } = watched();
      const cache = await open({ backend: "remote", remote: { fetch, ...url !== undefined && { url } } }, variables);
      await cache.close();
      assert.deepEqual(new Set(headers), new Set([key]));
    }
  });

  it("is a tier behind one that is near", async () => {
    await using server = await storeServer();
    const directory = await temporaryFolder();
    const tiers = ["sqlite", { backend: "remote", remote: { url: server.url } }] as const;
    const near = await open({ directory, tiers });
    await near.put(request, answer);
    await near.close();
    const store = await openRemoteStore({ url: server.url });
    await using far = await open({ backend: store });
    assert.deepEqual((await far.get(request))!.json(), answer);
  });

  it("refuses what makes no sense, and says where it was said", async () => {
    const refused: readonly [OpenCacheOptions, Record<string, string>, RegExp][] = [
      [{ backend: "remote", maxBytes: 1e6 }, {}, /takes no maxBytes; the server has a limit of its own/],
      [{ backend: "remote", remote: "http://127.0.0.1" as unknown as object }, {}, /remote has to be an object/],
      [
        { backend: "remote" },
        { WARMCACHE_REMOTE_URL: "sesame" },
        /^Cannot use the environment variable WARMCACHE_REMOTE_URL/,
      ],
      [{ tiers: ["memory", { backend: "remote", directory: "x" }] }, {}, /directory means nothing to the tier remote/],
      [{ tiers: ["remote", "remote"] }, {}, /the same tier twice.*: remote$/],
    ];
    for (const [options, variables, message] of refused) {
      await assert.rejects(open(options, variables), (error: Error) => {
        assert.match(error.message, message);
        return error instanceof TypeError || error instanceof RangeError;
      });
    }
  });
});
