/**
 * 5,000 clients that do not read what they asked for, on the real server: what the server's memory does, and how others
 * are answered meanwhile. A quarter each:
 *
 * - follow one stream of a provider's that is being bought, together;
 * - have a stream of their own that is being bought, of 64 KiB;
 * - have a stream that never ends, past the cache;
 * - ask for a stored answer of 256 KiB.
 *
 * Streams come in events of 16 KiB, 5 a second: few and long ones, so that what is measured is what is held, and not
 * how fast streams are sent.
 *
 * First none reads anything, for longer than the server waits before it reads on for those who do not; then each reads
 * a kilobyte a second; then all leave, and as many come again. Clients and provider are processes of their own, and the
 * clients' sockets take in as little as Linux allows (`slow_clients_sockets.ts`). The memory is the server's resident
 * set; that of the kernel's sockets is not in it.
 *
 * Run: `deno run -A bench/slow_clients.ts`; `CLIENTS` says how many. It needs Linux, and `ulimit -Hn` of twice as many.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const CLIENTS = Number(process.env.CLIENTS ?? 5000);
const QUARTER = Math.floor(CLIENTS / 4);
/** Seconds. */
const [QUIET, FILLING, STALLED, SLOW, GONE] = [5, 20, 20, 20, 15];
const OWN_BYTES = 64 * 1024;
const SHARED_BYTES = 1024 * 1024;
const LARGE_BYTES = 256 * 1024;

const JSON_TYPE = { "Content-Type": "application/json" };
const SMALL = body("small");

if (process.argv[2] === "provider") await serveProvider();
else await measure();

async function measure(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slow-clients-"));
  const provider = start(process.execPath, ["run", "-A", fileURLToPath(import.meta.url), "provider"]);
  const upstream = await provider.line();
  const limits = { maxStreams: CLIENTS };
  const options = {
    port: 0,
    models: folder,
    hub: false,
    cache: folder,
    limits,
    upstreams: { openai: { url: upstream } },
  };
  const server = start(process.execPath, [
    "eval",
    `import { startServer } from ${JSON.stringify(new URL("../server.ts", import.meta.url).href)};
    console.log((await startServer(${JSON.stringify(options)})).url);`,
  ]);
  const url = await server.line();
  const clients = start(process.execPath, [
    "run",
    "-A",
    fileURLToPath(new URL("./slow_clients_sockets.ts", import.meta.url)),
  ]);
  const tell = async (line: string): Promise<string> => {
    clients.child.stdin!.write(`${line}\n`);
    return await clients.line();
  };
  try {
    const ask = async (): Promise<void> => {
      const response = await fetch(`${url}/openai/v1/chat/completions`, {
        method: "POST",
        headers: JSON_TYPE,
        body: SMALL,
      });
      const text = await response.text();
      if (response.status !== 200 || !text.includes(" whole ")) throw new Error(`${response.status}: ${text}`);
    };
    await ask();
    await (await fetch(`${url}/openai/v1/chat/completions`, {
      method: "POST",
      headers: JSON_TYPE,
      body: body("large"),
    }))
      .text();
    const phase = async (name: string, seconds: number, each: () => Promise<unknown>): Promise<void> => {
      const [began, busy] = [performance.now(), processorTimeOf(server.child)];
      const times: number[] = [];
      const curve: number[] = [];
      for (let second = 0; second < seconds; second++) {
        await each();
        for (const until = performance.now() + 1000; performance.now() < until; await sleep(10)) {
          const began = performance.now();
          await ask();
          times.push(performance.now() - began);
        }
        curve.push(memoryOf(server.child));
      }
      times.sort((one, other) => one - other);
      const at = (share: number): string => times[Math.floor(share * (times.length - 1))]!.toFixed(1);
      const share = ((processorTimeOf(server.child) - busy) / (performance.now() - began)).toFixed(2);
      const told = curve.filter((_, second) => second % 5 === 0 || second === curve.length - 1);
      console.log(
        `${name}: ${told.map((bytes) => (bytes / 2 ** 20).toFixed(0)).join(", ")} MiB every 5 s, ` +
          `${socketsOf(server.child)} files and sockets, ${share} of a processor; others' hits: p50 ${
            at(0.5)
          } ms, p99 ${at(0.99)} ms, ` +
          `longest ${at(1)} ms of ${times.length}`,
      );
    };
    const { port } = new URL(url);
    const open = async (): Promise<void> => {
      const opened = performance.now();
      for (
        const asked of [
          request(body("shared", true)),
          request(body("own 00000000", true)),
          request(body("endless", true), "off"),
          request(body("large")),
        ]
      ) {
        console.log(await tell(`open ${port} ${QUARTER} ${asked}`));
      }
      console.log(`opened in ${((performance.now() - opened) / 1000).toFixed(1)} s`);
    };
    const nothing = (): Promise<void> => Promise.resolve();
    await phase("nobody", QUIET, nothing);
    await open();
    await phase(`${QUARTER * 4} that read nothing, while what they asked for comes`, FILLING, nothing);
    await phase("the same, later", STALLED, nothing);
    let heard = "";
    await phase("a kilobyte a second each", SLOW, async () => heard = await tell("read 1024"));
    console.log(`the last time, bytes and on how many sockets: ${heard}`);
    console.log(await tell("close"));
    await phase("all have left", GONE, nothing);
    // What they took is taken again, and not more.
    await open();
    await phase("as many again", FILLING, nothing);
    console.log(await tell("close"));
    await phase("all have left again", GONE, nothing);
  } finally {
    for (const { child } of [clients, server, provider]) child.kill("SIGKILL");
    await rm(folder, { recursive: true, force: true });
  }
  process.exit();
}

function body(content: string, stream = false): string {
  return JSON.stringify({ model: "gpt-4o-mini", messages: [{ role: "user", content }], stream });
}

function request(body: string, mode = "read-write"): string {
  const lines = ["POST /openai/v1/chat/completions HTTP/1.1", "Host: localhost", "Content-Type: application/json"];
  const more = [`X-Warmcache-Mode: ${mode}`, `Content-Length: ${body.length}`, "", body];
  return new TextEncoder().encode([...lines, ...more].join("\r\n")).toBase64();
}

/** A process, with as many open files as it may have, whose lines are read one by one. */
function start(command: string, args: readonly string[]): { readonly child: ChildProcess; line(): Promise<string> } {
  const child = spawn("sh", ["-c", 'ulimit -n "$(ulimit -Hn)"; exec "$@"', "sh", command, ...args], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines: Interface = createInterface({ input: child.stdout! });
  const iterator = lines[Symbol.asyncIterator]();
  return { child, line: async () => (await iterator.next()).value ?? "it has ended" };
}

function memoryOf({ pid }: ChildProcess): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) * 1024;
}

/** Of all its threads, in milliseconds; the system counts in hundredths of a second. */
function processorTimeOf({ pid }: ChildProcess): number {
  const [user, system] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ").slice(11, 13);
  return (Number(user) + Number(system)) * 10;
}

function socketsOf({ pid }: ChildProcess): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** Streams and whole answers of the lengths that are asked for. */
async function serveProvider(): Promise<void> {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { messages: [{ content }], stream } = await request.json();
    const long = { shared: SHARED_BYTES, endless: Infinity, large: LARGE_BYTES, small: 200 }[String(content)] ??
      OWN_BYTES;
    if (!stream) {
      const message = { role: "assistant", content: ` whole ${"a".repeat(long)}` };
      return Response.json({
        id: "1",
        object: "chat.completion",
        choices: [{ index: 0, message, finish_reason: "stop" }],
      });
    }
    let sent = 0;
    const text = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await sleep(200);
        const text = event({ content: "word ".repeat(3000) });
        sent += text.length;
        const isOver = sent >= long;
        controller.enqueue(new TextEncoder().encode(text + (isOver ? `${event({}, "stop")}data: [DONE]\n\n` : "")));
        if (isOver) controller.close();
      },
    }, { highWaterMark: 0 });
    return new Response(text, { headers: { "Content-Type": "text/event-stream" } });
  });
  console.log(`http://127.0.0.1:${server.addr.port}`);
  await server.finished;
}

function event(delta: object, finish_reason: string | null = null): string {
  const chunk = {
    id: "1",
    object: "chat.completion.chunk",
    model: "gpt-4o-mini",
    choices: [{ index: 0, delta, finish_reason }],
  };
  return `data: ${JSON.stringify(chunk)}\n\n`;
}
