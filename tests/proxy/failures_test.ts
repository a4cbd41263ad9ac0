/** What the proxy says for itself when a provider does not answer, in the provider's words. */

import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { describe, it } from "node:test";
import { ManualClock } from "../../src/testing/manual_clock.ts";
import { chatChunks, chatText } from "../cache/streams.ts";
import { gate } from "../support/gate.ts";
import { CLIENTS } from "../support/upstream/clients.ts";
import { streaming } from "../support/upstream/upstream.ts";
import { CHAT, CHAT_PATH, startProxy } from "./support.ts";

const MESSAGES_PATH = "anthropic/v1/messages";
const MESSAGE = { model: "claude-haiku-4-5", max_tokens: 9, messages: CHAT.messages };
const CONTENT_PATH = "google/v1beta/models/gemini-2.5-flash:generateContent";
const CONTENT = { contents: [{ role: "user", parts: [{ text: "rain" }] }] };

/** A port at which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

describe("a provider that cannot be reached", () => {
  it("is a 502 in its own words, which may be tried again", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    await using proxy = await startProxy({ upstreams: { openai: { url }, anthropic: { url }, google: { url } } });
    const told = async (path: string, body: object): Promise<unknown> => {
      const response = await proxy.post(path, body);
      assert.equal(response.status, 502);
      assert.equal(response.headers.get("X-Should-Retry"), "true");
      assert.equal(response.headers.get("Cache-Status"), 'warmcache; detail="upstream_unreachable"');
      return JSON.parse((await response.text()).replace(/: the connection failed[^"]*/, ""));
    };
    const message = (name: string): string => `Cannot reach the upstream ${name} at ${url}`;
    for (const path of [CHAT_PATH, "openai/v1/files"]) {
      assert.deepEqual(await told(path, CHAT), {
        error: { message: message("openai"), type: "server_error", param: null, code: "upstream_unreachable" },
      });
    }
    assert.deepEqual(await told(MESSAGES_PATH, MESSAGE), {
      type: "error",
      error: { type: "api_error", message: message("anthropic") },
      request_id: null,
    });
    assert.deepEqual(await told(CONTENT_PATH, CONTENT), {
      error: { code: 502, message: message("google"), status: "UNAVAILABLE" },
    });
  });

  it("is what every client throws its own error for", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    await using proxy = await startProxy({ upstreams: { openai: { url }, anthropic: { url }, google: { url } } });
    for (const { provider, clientOf } of Object.values(CLIENTS)) {
      for (const ask of ["whole", "stream"] as const) {
        const asked = clientOf({ url: proxy.url(provider) })[ask]("rain");
        await assert.rejects(asked, (error: { status?: unknown; message: string }) => {
          assert.equal(error.status, 502);
          assert.match(error.message, new RegExp(`Cannot reach the upstream ${provider}`));
          return true;
        });
      }
    }
  });

  it("is not said of one whose answer broke off: that may have been billed", async () => {
    const server = createServer((socket) => {
      const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
      socket.on("error", () => {});
      socket.once("data", () => socket.end(`${head}{"choices":[`));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await using proxy = await startProxy({ upstreams: { openai: { url } } });
    const response = await proxy.post(CHAT_PATH, CHAT);
    assert.equal(response.status, 502);
    const { error } = await response.json();
    assert.equal(error.code, "upstream_broke_off");
    assert.match(error.message, /^The answer of the upstream openai broke off/);
    server.close();
  });

  it("does not keep the cache from answering", async () => {
    await using proxy = await startProxy();
    const first = await (await proxy.post(CHAT_PATH, CHAT)).text();
    proxy.upstream.answer = () => Promise.reject(new Error("down"));
    assert.equal(await (await proxy.post(CHAT_PATH, CHAT)).text(), first);
  });
});

describe("a provider that is silent", () => {
  /** Moves the clock on until something has come of it. */
  async function passTime<T>(clock: ManualClock, step: number, until: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => void (isOver = true);
    until.then(over, over);
    while (!isOver) {
      clock.advance(step);
      await new Promise<void>((resolve) => setTimeout(resolve, 1));
    }
    return await until;
  }

  it("is given up when it does not begin to answer: a 504 that is not to be tried again", async () => {
    const clock = new ManualClock();
    await using proxy = await startProxy({}, { clock });
    for (
      const [path, body, type] of [
        [CHAT_PATH, CHAT, "server_error"],
        [MESSAGES_PATH, MESSAGE, "timeout_error"],
        [CONTENT_PATH, CONTENT, undefined],
        ["openai/v1/files", {}, "server_error"],
      ] as const
    ) {
      const left = gate();
      proxy.upstream.answer = async ({ signal }) => {
        signal.addEventListener("abort", left.open);
        await left.pass();
        return Response.json({});
      };
      const response = await passTime(clock, 60_000, proxy.post(path, body));
      assert.equal(response.status, 504);
      assert.equal(response.headers.get("X-Should-Retry"), "false");
      const { error } = await response.json();
      assert.match(error.message, /^The upstream \w+ has not begun to answer for 600 s$/);
      assert.equal(error.type, type);
      if (type === undefined) assert.equal(error.status, "DEADLINE_EXCEEDED");
      await left.pass();
    }
  });

  it("is given up when it stops in the middle, and nothing is kept of that", async () => {
    const clock = new ManualClock();
    const text = chatText(chatChunks(["It", " will", " rain."]));
    await using proxy = await startProxy({}, { clock });
    proxy.upstream.answer = () => streaming(text, { size: 100, stop: 3 });
    const response = await proxy.post(CHAT_PATH, { ...CHAT, stream: true });
    assert.equal(response.status, 200);
    await assert.rejects(passTime(clock, 300_000, response.text()));
    proxy.upstream.answer = () => streaming(text);
    assert.equal(await (await proxy.post(CHAT_PATH, { ...CHAT, stream: true })).text(), text);
    assert.equal(proxy.upstream.asked.length, 2);
  });
});

describe("a body that is too long to read", () => {
  it("is a 413 in the provider's words, at once where its length is told", async () => {
    await using proxy = await startProxy();
    const piece = new Uint8Array(8 * 1024 * 1024).fill(0x20);
    let sent = 0;
    const body = (): ReadableStream<Uint8Array> =>
      new ReadableStream({
        pull(controller) {
          if (sent++ > 9) return controller.close();
          controller.enqueue(piece);
        },
      });
    for (const [path, type] of [[CHAT_PATH, "invalid_request_error"], [MESSAGES_PATH, "request_too_large"]] as const) {
      sent = 0;
      const init = { method: "POST", headers: { "Content-Type": "application/json" }, body: body(), duplex: "half" };
      const response = await fetch(`${proxy.server.url}/${path}`, init as RequestInit);
      assert.equal(response.status, 413);
      const { error } = await response.json();
      assert.equal(error.type, type);
      assert.match(error.message, /67108864 bytes at most/);
    }
    assert.equal(proxy.upstream.asked.length, 0);
  });
});
