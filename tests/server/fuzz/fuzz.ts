/** Sends malformed requests to a server, and looks at every answer, and at how it answers good ones in between. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect } from "node:net";
import { loadRuntime } from "../../../src/runtime/load.ts";
import { type Malformed, MalformedRequests, type Target } from "./malformed.ts";

/** The statuses that an answer of this server may have, of those of 400 and more; every one below is meant as well. */
const DESIGNED: ReadonlySet<number> = new Set([
  ...[400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 417, 421, 422, 426, 429, 431, 499],
  ...[501, 502, 503, 504, 505],
]);

/** For so long a connection may say nothing before it is given up: much of what is sent is not a whole request. */
const SILENCE = 150;
/** The same once something has come. */
const PAUSE = 15;

/** Where to send. */
export interface FuzzTarget extends Target {
  readonly url: string;
}

/** How to fuzz. */
export interface FuzzOptions {
  readonly seed: number;
  readonly requests: number;
  /** Connections at a time. */
  readonly connections?: number;
  /** Called now and then with how many were sent. */
  readonly onProgress?: (sent: number) => void;
}

/** What came of it. */
export interface FuzzReport {
  /** How often each status was answered; 0 stands for connections without an answer. */
  readonly statuses: ReadonlyMap<number, number>;
  /** Answers that should not be. */
  readonly faults: readonly string[];
}

/** Sends them all. A good request is sent after each hundred, and has to be answered as ever. */
export async function fuzz(target: FuzzTarget, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, requests, connections = 16, onProgress = () => {} } = options;
  const generator = new MalformedRequests(seed, target);
  const statuses = new Map<number, number>();
  const faults: string[] = [];
  const { hostname, port } = new URL(target.url);
  let sent = 0;
  const work = async (): Promise<void> => {
    while (sent < requests) {
      const number = ++sent;
      const malformed = generator.next();
      const answers = statusesIn(await exchange(malformed, Number(port), hostname));
      for (const status of answers.length === 0 ? [0] : answers) {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status >= 400 && !DESIGNED.has(status)) faults.push(`${number}: ${status}: ${malformed.what.join("; ")}`);
      }
      if (number % 100 === 0) {
        onProgress(number);
        await assertWell(target).catch((error) =>
          faults.push(`${number}: not well after: ${malformed.what.join("; ")}: ${error}`)
        );
      }
    }
  };
  await Promise.all(Array.from({ length: connections }, work));
  return { statuses, faults };
}

/** The server still does what it is there for: a model answers, and the proxy passes on. */
export async function assertWell({ url, key, model }: FuzzTarget): Promise<void> {
  const post = async (path: string, body: object): Promise<{ choices: unknown[] }> => {
    const headers = { "Content-Type": "application/json", "X-Warmcache-Key": key };
    const response = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    assert.equal(response.status, 200, path);
    return await response.json();
  };
  const messages = [{ role: "user", content: "Are you well?" }];
  const local = await post("/v1/completions", { model, prompt: "In the beginning", max_tokens: 2, temperature: 0 });
  assert.equal(local.choices.length, 1);
  const passed = await post("/openai/v1/chat/completions", { model: "gpt-4o-mini", messages });
  assert.deepEqual(passed.choices, [CHOICE]);
}

/** What a connection brings, as text, until it is silent or closed. */
function exchange({ bytes, cuts, leaves }: Malformed, port: number, host: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    const heard: Uint8Array[] = [];
    const done = (): void => {
      clearTimeout(silence);
      socket.destroy();
      resolve(Buffer.concat(heard).toString("latin1"));
    };
    let silence = setTimeout(done, 10_000);
    const wait = (time: number): void => {
      clearTimeout(silence);
      silence = setTimeout(done, time);
    };
    // How a server ends a connection that it wants nothing more from differs.
    socket.on("error", done).on("close", done);
    socket.on("data", (data: Uint8Array) => {
      heard.push(data);
      wait(PAUSE);
    });
    socket.on("connect", () => {
      for (const [index, cut] of [...cuts, bytes.length].entries()) {
        const part = bytes.subarray(cuts[index - 1] ?? 0, cut);
        setTimeout(() => {
          if (socket.destroyed) return;
          const isLast = index === cuts.length;
          socket.write(part, () => isLast && (leaves ? done() : wait(SILENCE)));
        }, index);
      }
    });
  });
}

function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status));
}

const CHOICE = { index: 0, message: { role: "assistant", content: "As ever." }, finish_reason: "stop" };

/** A provider that answers whatever it can read. */
export async function startStandIn(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const runtime = await loadRuntime();
  const { port, shutdown } = await runtime.serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(request) {
      const text = await request.text().catch(() => "");
      if (!new URL(request.url).pathname.endsWith("/chat/completions")) return Response.json({ data: [] });
      let asked;
      try {
        asked = JSON.parse(text) as { stream?: unknown } | null;
      } catch {
        return Response.json({ error: { message: "That is no JSON" } }, { status: 400 });
      }
      const answer = {
        id: "chatcmpl-1",
        object: "chat.completion",
        created: 1,
        model: "gpt-4o-mini",
        choices: [CHOICE],
      };
      if (!asked?.stream) return Response.json(answer);
      const { message, ...choice } = CHOICE;
      const chunk = { ...answer, object: "chat.completion.chunk", choices: [{ ...choice, delta: message }] };
      const headers = { "Content-Type": "text/event-stream" };
      return new Response(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`, { headers });
    },
  });
  return {
    url: `http://127.0.0.1:${port}`,
    // Deno now and then waits for ever for a connection that its own client keeps open for the next request.
    close: () => Promise.race([shutdown(), runtime.clock.sleep(2000, { background: true })]),
  };
}
