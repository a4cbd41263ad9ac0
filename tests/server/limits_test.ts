/** A server that is asked for more than it takes on: what it refuses, how it says so, and how the rest goes on. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, describe, it } from "node:test";
import OpenAI from "openai";
import { startServer } from "../../src/compose/server.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { CHAT, CHAT_PATH, startProxy } from "../proxy/support.ts";
import { gate } from "../support/gate.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { streaming } from "../support/upstream/upstream.ts";
import { openai, post, testServer } from "./support.ts";

const COMPLETION = { model: "kjv-tiny", prompt: "In the beginning", max_tokens: 2, temperature: 0 };
const STREAM = { ...CHAT, stream: true };
const ANOTHER = { ...CHAT, messages: [{ role: "user", content: "Will it rain again?" }] };

describe("maxBodyBytes", () => {
  it("is one bound for models, providers and stores, whether a body says its length or not", async () => {
    await using proxy = await startProxy({ limits: { maxBodyBytes: 1000 } });
    const text = JSON.stringify({ ...CHAT, user: "u".repeat(1000) });
    const inPieces = (): ReadableStream =>
      new ReadableStream({
        start(controller) {
          for (const half of [text.slice(0, 500), text.slice(500)]) controller.enqueue(new TextEncoder().encode(half));
          controller.close();
        },
      });
    const message = { "Content-Type": "application/vnd.warmcache.store" };
    for (
      const [path, headers] of [["v1/completions", {}], ["run", {}], [CHAT_PATH, {}], [
        "cache/v1/calls",
        message,
      ]] as const
    ) {
      for (const body of [text, inPieces()]) {
        const init = {
          method: "POST",
          headers: { "Content-Type": "application/json", ...headers },
          body,
          duplex: "half",
        };
        const response = await fetch(`${proxy.server.url}/${path}`, init as RequestInit);
        assert.equal(response.status, 413, path);
        const { error } = await response.json();
        assert.equal(error.code, "request_too_large");
        assert.match(error.message, /1000 bytes at most/);
      }
    }
    assert.equal((await proxy.post(CHAT_PATH, CHAT)).status, 200);
    assert.equal(proxy.upstream.asked.length, 1);
  });
});

describe("maxQueuePerModel", () => {
  it("refuses with 429 what would wait too long, says when to come again, and never what the cache can answer", async () => {
    const runtime = await loadRuntime();
    const held = gate();
    let isHeld = false;
    const server = await testServer(
      { cache: await temporaryFolder(), hub: false, limits: { maxQueuePerModel: 1 } },
      async (base, signal) => {
        if (isHeld) await held.pass();
        return await loadOnnxBackend(runtime, base, { signal });
      },
    );
    try {
      // It goes at once, and has to be loaded for the next.
      assert.equal((await post(server, "/v1/completions", { ...COMPLETION, keep_alive: 0 })).status, 200);
      isHeld = true;
      const waiting = post(server, "/v1/completions", { ...COMPLETION, prompt: "first" });
      await Promise.race([held.reached, waiting]);
      const refused = openai(server).completions.create({ ...COMPLETION, prompt: "second" });
      await assert.rejects(refused, (error) => {
        assert.ok(error instanceof OpenAI.RateLimitError, String(error));
        assert.deepEqual([error.code, error.type], ["rate_limit_exceeded", "requests"]);
        assert.equal(error.headers.get("Retry-After"), "10");
        assert.equal(error.headers.get("retry-after-ms"), "10000");
        return true;
      });
      const hit = await post(server, "/v1/completions", COMPLETION);
      assert.match(hit.headers.get("Cache-Status") ?? "", /hit/);
      held.open();
      assert.equal((await waiting).status, 200);
    } finally {
      held.open();
      await server.stop();
    }
  });
});

describe("requestsPerMinute", () => {
  it("is counted for each key, told with each answer, and refused with 429 in everybody's words", async () => {
    const clock = { monotonic: () => 0 };
    const apiKey = ["alice=one", { id: "bob", key: "two", requestsPerMinute: 1 }];
    const runtime = await loadRuntime();
    await using proxy = await startProxy({ apiKey, limits: { requestsPerMinute: 2 } }, {
      clock: { ...runtime.clock, ...clock },
    });
    const as = (key: string) => ({ "X-Warmcache-Key": key });
    const bought = await proxy.post(CHAT_PATH, CHAT, as("one"));
    assert.deepEqual([bought.status, bought.headers.get("x-ratelimit-remaining-requests")], [200, "1"]);
    // Whoever asks after models, and not them, is not counted.
    for (const path of ["health", "stats"]) {
      assert.equal((await fetch(`${proxy.server.url}/${path}`, { headers: as("one") })).status, 200);
    }
    const listed = await fetch(`${proxy.server.url}/v1/models`, { headers: as("one") });
    assert.deepEqual([listed.status, listed.headers.get("x-ratelimit-remaining-requests")], [200, "0"]);
    const refused = await proxy.post("anthropic/v1/messages", { ...CHAT, max_tokens: 1 }, {
      ...as("one"),
      "anthropic-version": "2023-06-01",
    });
    assert.deepEqual([refused.status, refused.headers.get("Retry-After")], [429, "30"]);
    assert.equal((await refused.json()).error.type, "rate_limit_error");
    const other = await proxy.post(CHAT_PATH, CHAT, as("two"));
    assert.deepEqual([other.status, other.headers.get("x-ratelimit-limit-requests")], [200, "1"]);
    const { status, headers } = await proxy.post(CHAT_PATH, CHAT, as("two"));
    assert.deepEqual([status, headers.get("retry-after-ms")], [429, "60000"]);
  });

  it("leaves what a provider tells of his own limits", async () => {
    await using proxy = await startProxy({ limits: { requestsPerMinute: 10 } });
    proxy.upstream.answer = () =>
      Response.json({ id: "1" }, {
        headers: { "x-ratelimit-remaining-requests": "4999", "x-ratelimit-limit-tokens": "1" },
      });
    const { headers } = await proxy.post("openai/v1/files", {});
    assert.equal(headers.get("x-ratelimit-remaining-requests"), "4999");
    assert.equal(headers.get("x-ratelimit-limit-requests"), "10");
  });
});

describe("maxStreams", () => {
  it("refuses one more with 503 before anything is bought, until one is over or its reader has left", async () => {
    await using proxy = await startProxy({ limits: { maxStreams: 1 } });
    const door = gate();
    const chunk = { id: "1", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: "It" } }] };
    const events = `data: ${JSON.stringify(chunk)}\n\n`.repeat(3);
    proxy.upstream.answer = () => streaming(events, { size: 50, stop: 2, door });
    const leaving = new AbortController();
    const open = await proxy.post(CHAT_PATH, STREAM, {}, leaving.signal);
    assert.equal(open.status, 200);
    for (
      const [path, body] of [[CHAT_PATH, { ...ANOTHER, stream: true }], ["v1/completions", {
        ...COMPLETION,
        stream: true,
      }]] as const
    ) {
      const refused = await proxy.post(path, body);
      assert.deepEqual([refused.status, refused.headers.get("Retry-After")], [503, "1"], path);
      assert.equal((await refused.json()).error.code, "too_many_streams");
    }
    assert.equal(proxy.upstream.asked.length, 1);
    assert.deepEqual(proxy.log.filter((line) => line.includes("    at ")), [], "it is no fault of the server's");
    proxy.upstream.answer = () => undefined;
    assert.equal((await proxy.post(CHAT_PATH, ANOTHER)).status, 200, "what is no stream passes");
    leaving.abort();
    await open.body!.cancel().catch(() => {});
    const ask = async (): Promise<string> => await (await proxy.post(CHAT_PATH, { ...ANOTHER, stream: true })).text();
    let next = await ask();
    while (next.includes("too_many_streams")) next = await ask();
    assert.match(next, /tomorrow/);
    door.open();
  });
});

describe("headerTimeout", () => {
  it("refuses what is no time", async () => {
    for (const headerTimeout of [0, -1, NaN, Infinity]) {
      await assert.rejects(startServer({ headerTimeout }), { name: "RangeError", message: /headerTimeout/ });
    }
  });

  it("ends connections whose headers do not come, or says that this runtime cannot", async () => {
    const log: string[] = [];
    const { name } = await loadRuntime();
    const options = { cache: await temporaryFolder(), hub: false, headerTimeout: 200 } as const;
    const server = await testServer({ ...options, log: (_, line) => log.push(line) });
    try {
      const warned = log.some((line) => line.includes("headers of a request"));
      assert.equal(warned, name !== "node");
      if (warned) return;
      const socket = await dial(server);
      socket.write("GET /health HTTP/1.1\r\nHost: localhost\r\n");
      let heard = "";
      socket.on("data", (bytes) => heard += bytes);
      await once(socket, "close");
      assert.match(heard, /^HTTP\/1\.1 408 /);
    } finally {
      await server.stop();
    }
  });
});

describe("200 clients that do not read", () => {
  /** What a connection and what is around it take in before anybody reads, on loopback, many times over. */
  const MOST_BYTES = 64 * 1024 * 1024;
  const sockets: Socket[] = [];
  after(() => sockets.forEach((socket) => socket.destroy()));

  it("have the provider's streams stand still, while others are answered; none is left when they have gone", async () => {
    await using proxy = await startProxy();
    const event = new TextEncoder().encode(
      `data: ${JSON.stringify({ id: "1", choices: [{ index: 0, delta: { content: "word ".repeat(3000) } }] })}\n\n`,
    );
    let [sent, open] = [0, 0];
    proxy.upstream.answer = ({ body }) => {
      if (body.user !== "endless") return undefined;
      open++;
      const endless = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          sent += event.length;
          controller.enqueue(event);
        },
        cancel: () => void open--,
      }, { highWaterMark: 0 });
      return new Response(endless, { headers: { "Content-Type": "text/event-stream" } });
    };
    const request = (body: object, mode: string): string => {
      const text = JSON.stringify(body);
      return `POST /${CHAT_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
        `X-Warmcache-Mode: ${mode}\r\nContent-Length: ${text.length}\r\n\r\n${text}`;
    };
    // Some have a stream of their own that never ends; the others share one that is bought.
    for (let number = 0; number < 200; number++) {
      const socket = await dial(proxy.server);
      sockets.push(socket);
      socket.pause();
      socket.write(number % 20 === 0 ? request({ ...STREAM, user: "endless" }, "off") : request(STREAM, "read-write"));
    }
    // Until nothing is sent any more, which would never be if the server took it all in.
    for (let seen = -1, still = 0; still < 10;) {
      still = seen === sent && open === 10 ? still + 1 : 0;
      seen = sent;
      assert.ok(sent < MOST_BYTES * 10, `${sent} bytes were sent to clients that do not read`);
      const response = await proxy.post(CHAT_PATH, CHAT);
      assert.equal(response.status, 200);
      await response.body!.cancel();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const socket of sockets.splice(0)) socket.destroy();
    while (open > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await proxy.post(CHAT_PATH, CHAT)).status, 200);
  });
});

async function dial({ url }: { readonly url: string }): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  // How a server ends a connection that nobody uses any more differs.
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}
