import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { cacheStatusOf, CHAT, startProxy } from "./support.ts";

const PATH = "v1/chat/completions";

describe("proxy: the same bytes, asked again", () => {
  it("are another question to another provider, on another path, under a header that counts, and by another key", async () => {
    await using proxy = await startProxy({
      apiKey: ["one=key-of-one", "other=key-of-other"],
      upstreams: { groq: { url: "http://127.0.0.1:1" } },
    });
    const one = { "X-Warmcache-Key": "key-of-one" };
    const ask = async (path: string, headers: Record<string, string> = {}): Promise<string> => {
      const response = await proxy.post(path, CHAT, { ...one, ...headers });
      const text = await response.text();
      return `${response.status} ${cacheStatusOf(response)} ${text.length}`;
    };
    const home = `openai/${PATH}`;
    assert.match(await ask(home), /^200 .*fwd=miss/);
    // From here on the text is known, and what was read of it.
    for (let again = 0; again < 3; again++) assert.match(await ask(home), /^200 warmcache; hit/);
    assert.equal(proxy.upstream.asked.length, 1);
    const anew: readonly [path: string, headers?: Record<string, string>][] = [
      [`groq/${PATH}`],
      [`anthropic/${PATH}`],
      ["openai/v2/v1/chat/completions"],
      [`${home}?api-version=2`],
      [`${home}?unknown=2`],
      [home, { "anthropic-beta": "thinking-2026" }],
      [home, { "x-portkey-provider": "another" }],
      [home, { "X-Warmcache-Key": "key-of-other" }],
      [home, { "X-Warmcache-Namespace": "another" }],
      [home, { "Content-Type": "text/plain" }],
    ];
    for (const [path, headers] of anew) {
      const answer = await ask(path, headers);
      assert.ok(!answer.includes("hit"), `${path} ${JSON.stringify(headers)}: ${answer}`);
      assert.match(await ask(home), /^200 warmcache; hit/);
    }
    // As the endpoint's own, they are known again, each by itself.
    assert.match(await ask(`${home}?api-version=2`), /^200 warmcache; hit/);
    assert.match(await ask(home, { "X-Warmcache-Key": "key-of-other" }), /^200 warmcache; hit/);
    assert.match(await ask(home), /^200 warmcache; hit/);
  });
});
