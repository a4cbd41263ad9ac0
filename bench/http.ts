/**
 * Cached answers over HTTP: our proxy's hits beside those of Portkey's gateway with its cache on, and beside Hono with
 * nothing but a `Map`. Answers of 2 KB to requests of 2 KB, with the headers that OpenAI's client sends; answers a
 * second, and how long one takes, at 1, 32 and 256 connections.
 *
 * Every side gets a provider, which is this process, and is asked everything once; then everything again, and the provider
 * must not have heard of it. The load comes from a process of its own (`http_load.ts`), which compares every byte. Server
 * and load share two cores here; what is least disturbed by others is the processor time that the server takes for an
 * answer, all its threads included, which is told as well.
 *
 * What the sides do for a hit is not the same. Ours parses the request, makes a key of its content, finds the row, verifies
 * it and decompresses it (from SQLite; memory in front keeps it decompressed, and asks SQLite whether another process has
 * changed anything). Portkey's parses the request, transforms it, hashes its text and has the answer as text in memory; its
 * key knows neither caller nor provider, its entries end with its process. The `Map` has the answers by the request's text.
 * All are asked the same 2,000 questions again and again, so that ours knows their texts (`answered_questions.ts`).
 *
 * The package that Portkey publishes is built without its cache, which `conf.json` turns on when it is built:
 *
 * ```sh
 * git clone --branch v1.15.2 https://github.com/Portkey-AI/gateway /tmp/portkey && cd /tmp/portkey
 * sed -i 's/"cache": false/"cache": true/' conf.json && npm install && npm run build
 * ```
 *
 * Run: `npm --prefix bench/peers install --no-package-lock && PORTKEY=/tmp/portkey deno run -A bench/http.ts`.
 * `SIDES`, a regular expression, and `ROUNDS` say what of it to run.
 */

import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { corpus } from "./corpus.ts";
import { compare, type SideReport } from "./harness.ts";
import type { Exchange, Job, Load } from "./http_load.ts";

const ENTRIES = 2_000;
const BYTES = 2_048;
const ROUNDS = Number(process.env.ROUNDS ?? 5);
const CONNECTIONS = [1, 32, 256];
/** Before anything is measured, all in ms: engines compile what runs often, and a store tidies up after many puts. */
const RUN_IN = 5_000;
const LONGEST_SETTLING = 20_000;
/** For each number of connections. */
const WARM_UP = 500;
const DURATION = 2_500;

/** What OpenAI's client 7.57.0 sends on Node 24. */
const CLIENT_HEADERS = {
  Connection: "keep-alive",
  Accept: "application/json",
  "User-Agent": "OpenAI/JS 7.57.0",
  "X-Stainless-Retry-Count": "0",
  "X-Stainless-Lang": "js",
  "X-Stainless-Package-Version": "7.57.0",
  "X-Stainless-OS": "Linux",
  "X-Stainless-Arch": "x64",
  "X-Stainless-Runtime": "node",
  "X-Stainless-Runtime-Version": "v24.21.0",
  Authorization: `Bearer sk-${"0".repeat(48)}`,
  "Content-Type": "application/json",
  "Accept-Language": "*",
  "Sec-Fetch-Mode": "cors",
  "Accept-Encoding": "gzip, deflate",
};

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const DENO = [process.execPath, "run", "-A"];
const NODE = [here("./peers/node_modules/.bin/node"), "--no-warnings"];
const program = here("./http.ts");

/** Where a server finds what it needs. */
interface Setting {
  /** Empty. */
  readonly folder: string;
  readonly exchanges: string;
  /** The provider's address, less the version of its interface. */
  readonly provider: string;
  /** One that is free. */
  readonly port: number;
}

/** A server that can be started. */
interface Contestant {
  /** The command that starts it. It prints its address when it listens. */
  command(setting: Setting): readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly path: string;
  /** Headers besides the client's. */
  headers?(setting: Setting): Readonly<Record<string, string>>;
  /** Whether an answer is from the cache, as it says itself. */
  isHit(headers: Headers): boolean;
  versions(): Readonly<Record<string, string>>;
}

const OPENAI_PATH = "/openai/v1/chat/completions";

function warmcache(runtime: readonly string[], backend: string): Contestant {
  return {
    command: ({ folder, provider }) => [
      ...[...runtime, here("../server.ts"), "--port", "0", "--cache", join(folder, "cache")],
      ...["--models", join(folder, "models"), "--upstream", `openai=${provider}`, "--log-level", "error"],
    ],
    environment: { WARMCACHE_BACKEND: backend },
    path: OPENAI_PATH,
    isHit: (headers) => /^warmcache; hit/.test(headers.get("Cache-Status") ?? ""),
    versions: () => ({}),
  };
}

function plain(runtime: readonly string[], ...rest: string[]): Contestant {
  return {
    command: ({ exchanges }) => [...runtime, here("./http_plain.ts"), exchanges, ...rest],
    path: OPENAI_PATH,
    isHit: () => true,
    versions: () => ({ hono: versionIn(here("../node_modules/hono")) }),
  };
}

const portkey: Contestant = {
  command: ({ port }) => [...NODE, join(portkeyFolder(), "build/start-server.js"), `--port=${port}`, "--headless"],
  path: "/v1/chat/completions",
  headers: ({ provider }) => ({
    "x-portkey-provider": "openai",
    "x-portkey-custom-host": `${provider}/v1`,
    "x-portkey-config": JSON.stringify({ cache: { mode: "simple" } }),
  }),
  isHit: (headers) => headers.get("x-portkey-cache-status") === "HIT",
  versions: () => ({ "@portkey-ai/gateway": versionIn(portkeyFolder()) }),
};

const contestants: Readonly<Record<string, Contestant>> = {
  "warmcache, sqlite, Deno": warmcache(DENO, "sqlite"),
  "warmcache, memory and sqlite, Deno": warmcache(DENO, "memory,sqlite"),
  "warmcache, sqlite, Node 24": warmcache(NODE, "sqlite"),
  "warmcache, memory and sqlite, Node 24": warmcache(NODE, "memory,sqlite"),
  "Portkey, Node 24": portkey,
  "Hono and a Map, Node 24": plain(NODE),
  "Hono and a Map, Deno": plain(DENO),
  "Deno.serve, a Map and our headers": plain(DENO, "headers"),
};

await compare(program, {
  title: `Cached answers over HTTP: ${ENTRIES} answers of ${BYTES} bytes`,
  unit: "answers a second, and microseconds",
  ours: 4,
  rounds: ROUNDS,
  sides: Object.entries(contestants)
    .filter(([name]) => new RegExp(process.env.SIDES ?? "").test(name))
    .map(([name, contestant]) => ({ name, run: () => measure(contestant) })),
});

async function measure(contestant: Contestant): Promise<SideReport> {
  const folder = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
  const exchanges = conversation();
  const provider = startProvider(exchanges);
  let server: Server | undefined;
  try {
    const setting = {
      folder,
      exchanges: join(folder, "exchanges.json"),
      provider: provider.url,
      port: await freePort(),
    };
    await mkdir(join(folder, "models"));
    await writeFile(setting.exchanges, JSON.stringify(exchanges));
    server = await startServer(contestant, setting);
    const headers = { ...CLIENT_HEADERS, ...contestant.headers?.(setting) };
    const url = `http://127.0.0.1:${server.port}${contestant.path}`;
    for (const { request } of exchanges) await ask(url, headers, request);
    const { asked } = provider;
    const answers = createHash("sha256");
    for (const { request } of exchanges) {
      const { body, headers: said } = await ask(url, headers, request);
      if (!contestant.isHit(said)) throw new Error(`An error: not a hit: ${JSON.stringify([...said])}`);
      answers.update(body);
    }
    const figures: Record<string, number> = {};
    const job = { port: server.port, path: contestant.path, headers, exchanges: setting.exchanges };
    await runLoad({ ...job, connections: 32, warmUp: 0, duration: RUN_IN }, server.pid);
    await settle(server.pid);
    for (const connections of CONNECTIONS) {
      const load = { ...job, connections, warmUp: WARM_UP, duration: DURATION };
      const { perSecond, p50, p99, cpu } = await runLoad(load, server.pid);
      Object.assign(figures, {
        [`${connections}: answers a second`]: perSecond,
        [`${connections}: p50, µs`]: p50,
        [`${connections}: p99, µs`]: p99,
        [`${connections}: processor time an answer, µs`]: cpu,
      });
    }
    if (provider.asked !== asked) {
      throw new Error(`An error: the provider was asked ${provider.asked - asked} times more`);
    }
    return {
      answers: answers.digest("hex").slice(0, 16),
      figures,
      versions: { ...runtimes(), ...contestant.versions() },
    };
  } finally {
    await server?.stop();
    await provider.close();
    await rm(folder, { recursive: true });
  }
}

/** Requests that share a system prompt, as those of one program do. */
function conversation(): Exchange[] {
  const decoder = new TextDecoder();
  const samples = corpus(ENTRIES + 1, BYTES).map(({ request, entry }) => ({
    request: JSON.parse(decoder.decode(request.body)) as { model: string; messages: { content: string }[] },
    answer: decoder.decode(entry.body),
  }));
  const system = JSON.parse(samples.pop()!.answer).choices[0].message.content as string;
  return samples.map(({ request: { model, messages }, answer }) => ({
    request: JSON.stringify({ model, messages: [{ role: "system", content: system }, ...messages], temperature: 0 }),
    answer,
  }));
}

/** The provider: gives every request its answer, and counts. */
function startProvider(exchanges: readonly Exchange[]): { url: string; asked: number; close(): Promise<void> } {
  const answers = new Map(exchanges.map(({ request, answer }) => [questionIn(request), answer]));
  const listener = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    provider.asked++;
    const answer = answers.get(questionIn(await request.text()));
    return new Response(answer ?? "", {
      status: answer === undefined ? 404 : 200,
      headers: { "Content-Type": "application/json" },
    });
  });
  const provider = {
    url: `http://127.0.0.1:${listener.addr.port}`,
    asked: 0,
    // Not `shutdown`: it waits for connections that a server of before keeps open.
    close: () => Promise.resolve(listener.unref()),
  };
  return provider;
}

function questionIn(request: string): string {
  return (JSON.parse(request) as { messages: { content: string }[] }).messages.at(-1)!.content;
}

async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<{ readonly body: string; readonly headers: Headers }> {
  const response = await fetch(url, { method: "POST", headers, body });
  const answer = await response.text();
  if (!response.ok) throw new Error(`An error: ${response.status} ${answer.slice(0, 200)}`);
  return { body: answer, headers: response.headers };
}

async function runLoad(
  job: Job,
  server: number,
): Promise<Load & { readonly cpu: number }> {
  const generator = spawn(NODE[0]!, [...NODE.slice(1), here("./http_load.ts")], { stdio: ["pipe", "pipe", "inherit"] });
  generator.stdin.end(JSON.stringify(job));
  const before = processorTime(server);
  const output = text(generator.stdout);
  const status = await new Promise((resolve) => generator.on("close", resolve));
  if (status !== 0) throw new Error(`An error: the load ended with ${status}`);
  const load = JSON.parse(await output) as Load;
  return { ...load, cpu: (processorTime(server) - before) * 1_000 / load.answers };
}

/** Waits until a process does next to nothing for two seconds. */
async function settle(pid: number): Promise<void> {
  const patience = performance.now() + LONGEST_SETTLING;
  for (let quiet = 0; quiet < 4 && performance.now() < patience;) {
    const before = processorTime(pid);
    await new Promise((resolve) => setTimeout(resolve, 500));
    quiet = processorTime(pid) - before <= 10 ? quiet + 1 : 0;
  }
}

/** What a process has used of the processors, in milliseconds. */
function processorTime(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
  // proc_pid_stat(5): fields 14 and 15, user and system, in hundredths of a second.
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** A server that runs. */
interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

async function startServer({ command, environment }: Contestant, setting: Setting): Promise<Server> {
  const [executable, ...args] = command(setting);
  const child = spawn(executable!, args, {
    cwd: setting.folder,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const port = await listening(child);
  return {
    port,
    pid: child.pid!,
    stop: () => {
      child.kill("SIGKILL");
      return ended;
    },
  };
}

/** The port in the first address that a server prints. */
async function listening(child: ChildProcessByStdio<null, Readable, Readable>): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let said = "";
  const hear = (piece: Buffer): void => {
    said += piece;
    const address = /https?:\/\/[\w.]+:(\d+)/.exec(said);
    if (address !== null) resolve(Number(address[1]));
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.on("error", reject);
  child.on("close", () => reject(new Error(`An error: the server ended: ${said.slice(-400)}`)));
  return await promise;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function portkeyFolder(): string {
  const folder = process.env.PORTKEY;
  if (folder !== undefined) return folder;
  throw new Error("An error: PORTKEY does not say where Portkey's gateway was built");
}

function versionIn(folder: string): string {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

function runtimes(): Record<string, string> {
  return { deno: Deno.version.deno, node: versionIn(here("./peers/node_modules/node")) };
}
