/** What the cache has nothing to do with passes through the proxy as it is, both ways. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createServer, request as httpRequest, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import {
  brotliCompressSync,
  brotliDecompressSync,
  deflateSync,
  gunzipSync,
  gzipSync,
  inflateSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { gate } from "../support/gate.ts";
import { cacheStatusOf, CHAT, type ProxyUnderTest, startProxy } from "./support.ts";

describe("a request that the cache has nothing to do with", () => {
  let proxy: ProxyUnderTest;
  let raw: Server;
  /** What the last request to `raw` was, and what is answered to it. */
  let seen: { method: string; url: string; headers: Record<string, unknown>; body: Uint8Array<ArrayBuffer> };
  let reply: { status: number; headers: Record<string, string | string[]>; body: Uint8Array | string };
  before(async () => {
    raw = createServer(async (request, response) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of request) pieces.push(piece);
      const body = new Uint8Array(await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer());
      seen = { method: request.method!, url: request.url!, headers: request.headers, body };
      response.writeHead(reply.status, reply.headers);
      response.end(request.method === "HEAD" ? undefined : reply.body);
    });
    await new Promise<void>((resolve) => raw.listen(0, "127.0.0.1", resolve));
    const { port } = raw.address() as AddressInfo;
    proxy = await startProxy({ upstreams: { raw: { url: `http://127.0.0.1:${port}/base/` } } });
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    raw.closeAllConnections();
    raw.close();
  });
  beforeEach(() => {
    reply = { status: 200, headers: { "Content-Type": "application/json" }, body: "{}" };
  });

  it("goes to the base URL's path, its own behind it, as it was written", async () => {
    for (const path of ["/v1/models", "/v1/models/a%2Fb:c+d?x=%20&y", "//double//slash", "", "/"]) {
      await (await fetch(`${proxy.url("raw")}${path}`)).text();
      assert.equal(seen.url, `/base${path}`);
    }
  });

  it("keeps its method, and says in Cache-Status that the cache was not asked", async () => {
    for (const method of ["GET", "DELETE", "PUT", "PATCH", "OPTIONS", "POST"]) {
      const response = await fetch(`${proxy.url("raw")}/v1/files`, { method });
      assert.equal(seen.method, method);
      if (method === "DELETE") assert.equal(seen.headers["transfer-encoding"], undefined, "it has no body");
      const why = method === "POST" ? "bypass" : "method";
      assert.equal(cacheStatusOf(response), `warmcache; fwd=${why}; fwd-status=200`);
      await response.text();
    }
    assert.equal((await fetch(`${proxy.url("raw")}/v1/files`, { method: "HEAD" })).status, 200);
    assert.equal(seen.method, "HEAD");
  });

  it("passes headers on, less those of the hop, the proxy's own, and what fetch has decoded", async () => {
    reply.headers = {
      "Content-Type": "text/plain",
      "X-Ratelimit-Remaining": "7",
      "X-Hop": "1",
      Connection: "close, X-Hop",
    };
    const response = await fetch(`${proxy.url("raw")}/v1/models`, {
      headers: { "OpenAI-Organization": "org", "X-Warmcache-Tags": "a", TE: "trailers" },
    });
    assert.equal(seen.headers["openai-organization"], "org");
    assert.equal(seen.headers["x-warmcache-tags"], undefined);
    assert.equal(seen.headers.te, undefined);
    assert.match(String(seen.headers.host), /^127\.0\.0\.1:/);
    assert.equal(response.headers.get("X-Ratelimit-Remaining"), "7");
    assert.equal(response.headers.get("X-Hop"), null);
    await response.text();
  });

  it("passes bytes on as they are: uploads, audio, and answers that came compressed", async () => {
    const bytes = new Uint8Array(300_000).map((_, index) => (index * 7919) >> 3);
    reply = { status: 200, headers: { "Content-Type": "audio/mpeg" }, body: bytes };
    const response = await fetch(`${proxy.url("raw")}/v1/audio/speech`, { method: "POST", body: bytes });
    assert.deepEqual(seen.body, bytes);
    assert.equal(seen.headers["content-length"], "300000");
    assert.deepEqual(new Uint8Array(await response.arrayBuffer()), bytes);
    for (const [name, compress] of [["gzip", gzipSync], ["br", brotliCompressSync]] as const) {
      reply = { status: 200, headers: { "Content-Encoding": name }, body: compress(bytes) };
      const answer = await fetch(`${proxy.url("raw")}/v1/files/1/content`, { headers: { "Accept-Encoding": name } });
      assert.deepEqual(new Uint8Array(await answer.arrayBuffer()), bytes);
    }
  });

  it("says of an answer how it is coded, and codings that were not asked for as well", async () => {
    const text = '{"choices":[]}';
    const codings = {
      deflate: [deflateSync, inflateSync],
      zstd: [zstdCompressSync, zstdDecompressSync],
      "x-gzip": [gzipSync, gunzipSync],
      "gzip, br": [(data: Uint8Array) => brotliCompressSync(gzipSync(data)), undefined],
    } as const;
    for (const [name, [compress, decompress]] of Object.entries(codings)) {
      const headers = { "Content-Type": "application/json", "Content-Encoding": name };
      reply = { status: 200, headers, body: new Uint8Array(compress(new TextEncoder().encode(text))) };
      for (const path of ["/v1/files", "/v1/chat/completions"]) {
        const [coding, bytes] = await new Promise<[string | undefined, Uint8Array]>((resolve, reject) => {
          const init = { method: "POST", headers: { "Content-Type": "application/json" } };
          const asked = httpRequest(`${proxy.url("raw")}${path}`, init, async (response) => {
            const pieces: Uint8Array[] = [];
            for await (const piece of response) pieces.push(piece);
            resolve([response.headers["content-encoding"], Buffer.concat(pieces)]);
          });
          asked.on("error", reject);
          asked.end(JSON.stringify(CHAT));
        });
        const undone = decompress ?? ((data: Uint8Array) => gunzipSync(brotliDecompressSync(data)));
        assert.equal(String(coding === undefined ? Buffer.from(bytes) : undone(bytes)), text, `${name} ${path}`);
      }
    }
  });

  it("passes on what a DELETE has for a body", async () => {
    for (const body of ["one piece", new Blob(["in ", "pieces"]).stream()]) {
      const init = { method: "DELETE", body, duplex: "half" };
      await (await fetch(`${proxy.url("raw")}/v1/things`, init as RequestInit)).text();
      assert.match(new TextDecoder().decode(seen.body), /^(?:one piece|in pieces)$/);
    }
  });

  it("passes forms on", async () => {
    const form = new FormData();
    form.append("purpose", "batch");
    form.append("file", new Blob(["one line\n"]), "lines.jsonl");
    await (await fetch(`${proxy.url("raw")}/v1/files`, { method: "POST", body: form })).text();
    assert.match(String(seen.headers["content-type"]), /^multipart\/form-data; boundary=/);
    assert.match(new TextDecoder().decode(seen.body), /one line\n/);
  });

  it("streams both ways, without waiting for an end", async () => {
    const { upstream } = proxy;
    const door = gate();
    upstream.answer = () =>
      new Response(
        new ReadableStream({
          async pull(controller) {
            controller.enqueue(new TextEncoder().encode("first "));
            await door.pass();
            controller.enqueue(new TextEncoder().encode("last"));
            controller.close();
          },
        }, { highWaterMark: 0 }),
      );
    const response = await fetch(`${proxy.url("openai")}/v1/unknown`);
    const reader = response.body!.getReader();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "first ");
    door.open();
    assert.equal(new TextDecoder().decode((await reader.read()).value), "last");
    await reader.cancel();
    upstream.reset();
  });

  it("follows no redirection, and passes on every status with its body", async () => {
    reply = { status: 307, headers: { Location: "https://elsewhere.example/" }, body: "" };
    const moved = await fetch(`${proxy.url("raw")}/v1/files`, { redirect: "manual" });
    assert.equal(moved.status, 307);
    assert.equal(moved.headers.get("Location"), "https://elsewhere.example/");
    await moved.body?.cancel();
    for (const status of [204, 304, 404, 418, 500]) {
      reply = { status, headers: { "Content-Type": "text/plain" }, body: status === 204 || status === 304 ? "" : "no" };
      const response = await fetch(`${proxy.url("raw")}/v1/files`);
      assert.equal(response.status, status);
      assert.equal(await response.text(), String(reply.body));
    }
  });

  it("is a question no more when its body or its query is not understood", async () => {
    for (
      const [path, body] of [
        ["/v1/chat/completions", "no JSON"],
        ["/v1/chat/completions", { ...CHAT, n: "two" }],
        ["/v1/chat/completions?unheard=of", CHAT],
        ["/v1/moderations", { input: "a" }],
      ] as const
    ) {
      const response = await proxy.post(`raw${path}`, body);
      assert.equal(cacheStatusOf(response), "warmcache; fwd=bypass; fwd-status=200");
      await response.text();
      assert.equal(seen.url, `/base${path}`);
      assert.equal(new TextDecoder().decode(seen.body), typeof body === "string" ? body : JSON.stringify(body));
    }
  });

  it("is refused as a WebSocket, in words", async () => {
    const { hostname, port } = new URL(proxy.server.url);
    const socket = connect(Number(port), hostname);
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA";
    socket.write(`GET /openai/v1/realtime HTTP/1.1\r\nHost: ${hostname}\r\n${upgrade}\r\n\r\n`);
    let text = "";
    for await (const piece of socket) {
      text += piece;
      if (text.includes("websocket_not_supported")) break;
    }
    assert.match(text, /^HTTP\/1\.1 501 /);
  });

  it("is refused where only the cache was to be asked", async () => {
    const response = await fetch(`${proxy.url("raw")}/v1/models`, { headers: { "Cache-Control": "only-if-cached" } });
    assert.equal(response.status, 504);
    assert.equal((await response.json()).error.code, "not_cached");
  });
});

describe("a path that begins with no upstream's name", () => {
  it("is the server's own, or nobody's", async () => {
    await using proxy = await startProxy();
    for (const path of ["/openaix/v1/models", "/OpenAI/v1/models", "/v2/models"]) {
      const response = await fetch(`${proxy.server.url}${path}`);
      assert.equal((await response.json()).error.code, "unknown_url");
    }
    const up = await fetch(`${proxy.server.url}/openai/../health`);
    assert.equal((await up.json()).status, "ok");
    assert.equal(proxy.upstream.asked.length, 0);
  });
});
