import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadRuntime } from "../../src/runtime/load.ts";
import { cacheStatusOf, CHAT, CHAT_PATH, startProxy } from "./support.ts";

const { name: runtime } = await loadRuntime();
// Bun sends a stream in chunks, whatever its headers say.
const tellsLengths = runtime !== "bun";

describe("proxy: how long an answer is", () => {
  it("is told of a hit as of a miss", async () => {
    await using proxy = await startProxy();
    const [miss, hit] = [await proxy.post(CHAT_PATH, CHAT), await proxy.post(CHAT_PATH, CHAT)];
    assert.match(cacheStatusOf(hit)!, /; hit\b/);
    const bought = await miss.bytes();
    assert.deepEqual(await hit.bytes(), bought);
    assert.equal(hit.headers.get("Content-Length"), String(bought.length));
    assert.equal(hit.headers.get("Transfer-Encoding"), null);
  });

  it("does not change what comes, though it be long", async () => {
    await using proxy = await startProxy();
    proxy.upstream.mock.onMessage("all of it", { content: "ä word or two, ".repeat(200_000) });
    const question = { ...CHAT, messages: [{ role: "user", content: "all of it" }] };
    const bought = await (await proxy.post(CHAT_PATH, question)).bytes();
    assert.ok(bought.length > 3_000_000);
    const hits = await Promise.all(Array.from({ length: 5 }, () => proxy.post(CHAT_PATH, question)));
    for (const hit of hits) {
      assert.match(cacheStatusOf(hit)!, /; hit\b/);
      if (tellsLengths) assert.equal(hit.headers.get("Content-Length"), String(bought.length));
      assert.equal(hit.headers.get("Content-Type"), "application/json");
      assert.deepEqual(await hit.bytes(), bought);
    }
  });

  it("is none of what one leaves behind who goes in the middle of it", async () => {
    await using proxy = await startProxy();
    proxy.upstream.mock.onMessage("all of it", { content: "a word or two, ".repeat(400_000) });
    const question = { ...CHAT, messages: [{ role: "user", content: "all of it" }] };
    const bought = await (await proxy.post(CHAT_PATH, question)).bytes();
    const left = await proxy.post(CHAT_PATH, question);
    const reader = left.body!.getReader();
    await reader.read();
    await reader.cancel();
    assert.deepEqual(await (await proxy.post(CHAT_PATH, question)).bytes(), bought);
  });

  it("is what it was for whoever reads it while the server stops", async () => {
    const proxy = await startProxy();
    try {
      proxy.upstream.mock.onMessage("all of it", { content: "a word or two, ".repeat(1_000_000) });
      const question = { ...CHAT, messages: [{ role: "user", content: "all of it" }] };
      const bought = await (await proxy.post(CHAT_PATH, question)).bytes();
      const reader = (await proxy.post(CHAT_PATH, question)).body!.getReader();
      const { value } = await reader.read();
      let length = value!.length;
      const stopped = proxy.server.stop();
      for (let next = await reader.read(); !next.done; next = await reader.read()) length += next.value.length;
      assert.equal(length, bought.length);
      await stopped;
    } finally {
      await proxy[Symbol.asyncDispose]();
    }
  });

  it("a long stored answer, asked for as a stream, brings the same to all", async () => {
    await using proxy = await startProxy();
    const content = "a word or two, ".repeat(20_000);
    proxy.upstream.mock.onMessage("all of it", { content });
    const question = { ...CHAT, messages: [{ role: "user", content: "all of it" }] };
    await (await proxy.post(CHAT_PATH, question)).bytes();
    const texts = await Promise.all(Array.from({ length: 3 }, async () => {
      const hit = await proxy.post(CHAT_PATH, { ...question, stream: true });
      assert.match(cacheStatusOf(hit)!, /; hit\b/);
      return await hit.text();
    }));
    assert.equal(new Set(texts).size, 1);
    const lines = texts[0]!.split("\n").filter((line) => line.startsWith("data: {")).map((line) => line.slice(6));
    const said = lines.map((line) => (JSON.parse(line) as Chunk).choices[0]?.delta.content ?? "").join("");
    assert.equal(said, content);
    assert.ok(texts[0]!.endsWith("data: [DONE]\n\n"));
  });
});

interface Chunk {
  readonly choices: readonly { readonly delta: { readonly content?: string | null } }[];
}
