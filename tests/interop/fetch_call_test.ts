/** How `cachedFetch` makes a client's call: with all it was made with, what only one runtime or another fetch knows included. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cachedFetch } from "../../src/interop/fetch.ts";
import { ask, openTestCache, Provider } from "../cache/support.ts";

const CHAT = "https://api.openai.com/v1/chat/completions";
const FILES = "https://api.openai.com/v1/files";
const HEADERS = { "Content-Type": "application/json", "Content-Length": "7", "X-Stainless-OS": "Linux" };

/** A fetch that keeps what it was called with, and reads it as the runtime's own would. */
function recording() {
  const calls: { input: RequestInfo | URL; init: RequestInit | undefined; text: string; request: Request }[] = [];
  const fetch = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const request = new Request(input, init);
    calls.push({ input, init, request, text: await request.clone().text() });
    return Response.json(new Provider().choices(1));
  };
  return { calls, fetch };
}

describe("cachedFetch", () => {
  for (const url of [CHAT, FILES]) {
    const about = url === CHAT ? "a miss" : "what it does not cache";

    it(`hands on what only another fetch understands, with ${about}`, async () => {
      const { calls, fetch } = recording();
      const agent = { name: "agent" };
      const init = { method: "POST", headers: HEADERS, body: JSON.stringify(ask("cats")), agent };
      await cachedFetch(openTestCache().cache, { fetch })(url, init);
      assert.equal(calls.length, 1);
      assert.equal(calls[0]!.input, url, "some know no Request but their own");
      assert.equal((calls[0]!.init as typeof init).agent, agent);
      assert.equal(calls[0]!.text, init.body);
      assert.equal(calls[0]!.request.headers.get("X-Stainless-OS"), "Linux");
    });

    it(`does so beside a request, with ${about}`, async () => {
      const { calls, fetch } = recording();
      const agent = { name: "agent" };
      const body = JSON.stringify(ask("cats"));
      const request = new Request(url, { method: "POST", headers: HEADERS, body });
      await cachedFetch(openTestCache().cache, { fetch })(request, { agent } as RequestInit);
      assert.equal((calls[0]!.init as { agent?: object }).agent, agent);
      assert.deepEqual([calls[0]!.request.method, calls[0]!.text], ["POST", body]);
      assert.equal(calls[0]!.request.headers.get("X-Stainless-OS"), "Linux");
    });

    it(`sends a body that can be read only once, with ${about}`, async () => {
      const { calls, fetch } = recording();
      const text = JSON.stringify(ask("cats"));
      const init = { method: "POST", headers: HEADERS, body: new Blob([text]).stream(), duplex: "half" as const };
      await cachedFetch(openTestCache().cache, { fetch })(url, init);
      assert.equal(calls[0]!.text, text);
    });

    it(`reads what it is made with off an object with a class of its own, with ${about}`, async () => {
      const { calls, fetch } = recording();
      class Made {
        readonly headers = HEADERS;
        get method(): string {
          return "POST";
        }
        get body(): string {
          return JSON.stringify(ask("cats"));
        }
      }
      await cachedFetch(openTestCache().cache, { fetch })(url, new Made());
      assert.deepEqual([calls[0]!.request.method, calls[0]!.text], ["POST", new Made().body]);
      assert.equal(calls[0]!.request.headers.get("X-Stainless-OS"), "Linux");
    });
  }

  it("sends no length of a body that it has made anew", async () => {
    const { calls, fetch } = recording();
    const init = { method: "POST", headers: HEADERS, body: JSON.stringify(ask("cats", { n: 1 })) };
    await cachedFetch(openTestCache().cache, { fetch })(CHAT, init);
    assert.equal(calls[0]!.request.headers.get("Content-Length"), null);
  });

  it("goes where its client's proxy is, on Bun", { skip: !("Bun" in globalThis) }, async () => {
    const bun = (globalThis as unknown as {
      Bun: { serve(how: object): { port: number; stop(now: boolean): Promise<void> } };
    }).Bun;
    const serving = (name: string) =>
      bun.serve({ port: 0, fetch: () => Response.json({ ...new Provider().choices(1), by: name }) });
    const [origin, proxy] = [serving("origin"), serving("proxy")];
    const cached = cachedFetch(openTestCache().cache);
    const by = async (path: string): Promise<unknown> => {
      const init = {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(ask("cats")),
        proxy: `http://127.0.0.1:${proxy.port}`,
      };
      return (await (await cached(`http://127.0.0.1:${origin.port}${path}`, init)).json()).by;
    };
    assert.deepEqual([await by("/v1/chat/completions"), await by("/v1/files")], ["proxy", "proxy"]);
    await Promise.all([origin.stop(true), proxy.stop(true)]);
  });
});
