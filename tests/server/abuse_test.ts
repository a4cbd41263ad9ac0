/**
 * Clients that ask for everything and stay for nothing: they leave before, in the middle and at the end of answers that
 * fail, hang, break off or never end. Whatever they took they have given back when they are gone.
 */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type RunningServer, startServerOn } from "../../src/compose/server.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { CHAT, CHAT_PATH } from "../proxy/support.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startUpstream, type Upstream } from "../support/upstream/upstream.ts";

const MOST_STREAMS = 12;

/** Where in its life a connection is broken off. */
const LEAVES = ["half the request", "at once", "soon", "at the first byte", "at the end"] as const;

function question(user: string, stream: boolean): object {
  return { ...CHAT, user, stream };
}

const EVENT = `data: ${
  JSON.stringify({ id: "1", choices: [{ index: 0, delta: { content: "word ".repeat(100) } }] })
}\n\n`;

/** A provider with every fault. */
async function answerBadly({ body, signal }: { readonly body: object; readonly signal: AbortSignal }): Promise<
  Response | undefined
> {
  const { user, stream } = body as { user?: string; stream?: boolean };
  const events = (pull: (controller: ReadableStreamDefaultController<Uint8Array>) => Promise<void> | void): Response =>
    new Response(new ReadableStream({ pull }, { highWaterMark: 0 }), {
      headers: { "Content-Type": "text/event-stream" },
    });
  if (user === "silent") {
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    return new Response();
  }
  if (user === "fails") return Response.json({ error: { message: "no", type: "server_error" } }, { status: 500 });
  if (user === "refuses") return Response.json({ error: { message: "no", type: "requests" } }, { status: 429 });
  if (user === "breaks" && stream) {
    let pieces = 0;
    return events((controller) => {
      if (++pieces > 3) controller.error(new Error("broken off"));
      else controller.enqueue(new TextEncoder().encode(EVENT));
    });
  }
  if (user === "endless" && stream) {
    return events(async (controller) => {
      await sleep(5);
      controller.enqueue(new TextEncoder().encode(EVENT));
    });
  }
  return undefined;
}

function message(method: string, path: string, body: object | undefined, more: readonly string[] = []): string {
  const text = body === undefined ? "" : JSON.stringify(body);
  const length = body === undefined ? [] : ["Content-Type: application/json", `Content-Length: ${text.length}`];
  return [`${method} ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...length, ...more, "", text].join(
    "\r\n",
  );
}

const QUESTIONS = ["answered", "silent", "fails", "refuses", "breaks", "endless"].flatMap((user) =>
  [false, true].flatMap((stream) =>
    ["read-write", "off", "refresh"].map((mode) => ({
      user,
      stream,
      mode,
      text: message("POST", `/${CHAT_PATH}`, question(user, stream), [`X-Warmcache-Mode: ${mode}`]),
    }))
  )
);

const LOCAL = [false, true].flatMap((stream) =>
  [0, 1].map((seed) => message("POST", "/v1/completions", { model: "kjv-tiny", prompt: "In", seed, stream }))
);

const OTHERS = [
  message("GET", "/dashboard/events", undefined),
  message("HEAD", "/dashboard/events", undefined),
  message("HEAD", "/", undefined),
  message("GET", "/", undefined),
  message("GET", "/metrics", undefined),
  message("GET", "/admin/events", undefined),
  message("POST", "/run", { spec: "none" }),
  message("POST", "/cache/explain", { request: {} }),
  message("OPTIONS", "/v1/completions", undefined, ["Origin: http://evil.example"]),
  message("GET", "/nothing", undefined),
  message("POST", `/${CHAT_PATH}`, { ...CHAT, model: 7 }),
];

/** Sends something, and leaves when it is time; resolves when the connection is over. */
async function abuse({ url }: RunningServer, text: string, leave: typeof LEAVES[number], soon: number): Promise<void> {
  const socket: Socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  const closed = once(socket, "close");
  await once(socket, "connect").catch(() => {});
  socket.write(leave === "half the request" ? text.slice(0, text.length - 3) : text);
  // Some never end by themselves.
  const patience = setTimeout(() => socket.destroy(), 400);
  socket.on("data", () => {
    if (leave === "at the first byte") socket.destroy();
  });
  if (leave === "at once") socket.destroy();
  if (leave === "soon" || leave === "half the request") setTimeout(() => socket.destroy(), soon);
  await closed;
  clearTimeout(patience);
}

/** What the server says of itself, summed over labels. */
async function gauges({ url }: RunningServer): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const sums: Record<string, number> = {};
  for (const [, name = "", value] of text.matchAll(/^(warmcache_[a-z_]+)(?:\{[^}]*\})? (\S+)$/gm)) {
    sums[name] = (sums[name] ?? 0) + Number(value);
  }
  return sums;
}

describe("a server that is abused", () => {
  let server: RunningServer;
  let upstream: Upstream;
  before(async () => {
    upstream = await startUpstream();
    upstream.mock.onMessage("rain", { content: "It will rain tomorrow, and then it will not." });
    upstream.answer = answerBadly;
    let loads = 0;
    server = await startServerOn(await loadRuntime(), {
      port: 0,
      models: MODELS,
      hub: false,
      cache: await temporaryFolder(),
      loadTimeout: 300,
      limits: { maxStreams: MOST_STREAMS, maxQueue: 5, maxQueuePerModel: 3 },
      upstreams: { openai: { url: upstream.url, answerTimeout: 2000, idleTimeout: 2000 } },
    }, async (base, signal) => {
      loads++;
      // Every other load takes for as long as anybody waits.
      if (loads % 2 === 0) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      signal.throwIfAborted();
      throw new ModelError("model_load_failed", `Cannot load ${base.name}: it is broken`);
    });
  });
  after(async () => {
    await server.stop();
    await upstream.close();
  });

  it("has nothing under way when all have gone, and as many places as before", async () => {
    const texts = [...QUESTIONS.map(({ text }) => text), ...LOCAL, ...OTHERS];
    const statuses = texts.flatMap((text, at) =>
      LEAVES.map((leave, when) => ({ text, leave, soon: (at * 7 + when * 3) % 25 }))
    );
    // In an order that mixes them, the same each time.
    const mixed = statuses.map((each, at) => ({ each, at: (at * 7919) % 1009 })).sort((one, other) =>
      one.at - other.at
    );
    for (let first = 0; first < mixed.length; first += 30) {
      const together = mixed.slice(first, first + 30).map(({ each: { text, leave, soon } }) =>
        abuse(server, text, leave, soon)
      );
      await Promise.all(together);
    }
    const left = async (): Promise<(number | undefined)[]> => {
      const { warmcache_inflight, warmcache_inflight_streams, warmcache_waiting_requests } = await gauges(server);
      // This one is under way.
      return [warmcache_inflight! - 1, warmcache_inflight_streams, warmcache_waiting_requests];
    };
    // What is bought is read to its end, or given up when its provider is silent for too long.
    let seen = await left();
    for (let tries = 0; tries < 150 && seen.some((count) => count !== 0); tries++) {
      await sleep(100);
      seen = await left();
    }
    assert.deepEqual(seen, [0, 0, 0]);
    await (await ask(question("answered", true))).text();
    const open = await Promise.all(Array.from({ length: MOST_STREAMS }, () => ask(question("endless", true), "off")));
    assert.deepEqual(open.map(({ status }) => status), open.map(() => 200));
    const refused = await ask(question("endless", true), "off");
    assert.equal(refused.status, 503);
    await refused.text();
    for (const { body } of open) await body!.cancel();
  });

  function ask(body: object, mode = "read-write"): Promise<Response> {
    return fetch(`${server.url}/${CHAT_PATH}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Warmcache-Mode": mode },
      body: JSON.stringify(body),
    });
  }
});
