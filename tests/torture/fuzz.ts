/**
 * Malformed requests by the ten thousand, against a server in a process of its own: only designed statuses, a server as
 * well as before, and no growth. What is measured is that process: its memory, its open files and sockets, and what it
 * still counts as under way.
 *
 * Run: `deno run -A tests/torture/fuzz.ts --requests 20000 --seed 1`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { assertWell, fuzz, type FuzzTarget, startStandIn } from "../server/fuzz/fuzz.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** What grows by design is bounded: an index of what was asked, compiled code, the store's page cache. */
const MOST_GROWTH = 96 * 1024 * 1024;
/** Connections that a pool keeps. */
const MOST_MORE_SOCKETS = 32;

const { values } = parseArgs({
  options: {
    requests: { type: "string", default: "20000" },
    seed: { type: "string", default: "1" },
    connections: { type: "string", default: "16" },
  },
});
const [requests, seed, connections] = [Number(values.requests), Number(values.seed), Number(values.connections)];
const KEY = "fuzz-key";

/** What a process takes. */
interface Usage {
  readonly bytes: number;
  readonly sockets: number;
}

const upstream = await startStandIn();
const { child, target } = await startServer(upstream.url);
try {
  await assertWell(target);
  // Until what is loaded, compiled and kept once is there.
  const warmUp = await fuzz(target, { seed: seed + 1_000_000, requests: Math.ceil(requests / 10), connections });
  const before = await settled(child, target);
  console.log(`after a tenth as many others: ${inWords(before)}`);
  const started = performance.now();
  const { statuses, faults } = await fuzz(target, {
    seed,
    requests,
    connections,
    onProgress: (sent) => {
      if (sent % 2500 === 0) console.log(`${sent} sent: ${inWords(usageOf(child))}`);
    },
  });
  const seconds = (performance.now() - started) / 1000;
  const after = await settled(child, target);
  await assertWell(target);
  console.log(`after ${requests} in ${seconds.toFixed(0)} s: ${inWords(after)}`);
  console.log(
    `statuses (0: no answer): ${[...statuses].sort(([a], [b]) => a - b).map((each) => each.join(" × ")).join(", ")}`,
  );
  const wrong = [...warmUp.faults, ...faults];
  if (after.bytes - before.bytes > MOST_GROWTH) wrong.push(`it grew from ${inWords(before)} to ${inWords(after)}`);
  if (after.sockets - before.sockets > MOST_MORE_SOCKETS) wrong.push(`sockets stay open: ${inWords(after)}`);
  if (child.exitCode !== null) wrong.push(`the server has ended: ${child.exitCode}`);
  for (const each of wrong) console.log(`WRONG: ${each}`);
  console.log(wrong.length === 0 ? "all as designed" : `${wrong.length} faults`);
  process.exitCode = wrong.length === 0 ? 0 : 1;
} finally {
  child.kill();
  await upstream.close();
}
process.exit();

async function startServer(upstream: string): Promise<{ readonly child: ChildProcess; readonly target: FuzzTarget }> {
  const options = {
    port: 0,
    models: fileURLToPath(new URL("../../models", import.meta.url)),
    hub: false,
    cache: await temporaryFolder(),
    apiKey: `fuzz=${KEY}`,
    upstreams: { openai: { url: upstream }, anthropic: { url: upstream }, google: { url: upstream } },
  };
  const program = `
    import { startServer } from ${JSON.stringify(new URL("../../server.ts", import.meta.url).href)};
    const log = (level, line) => { if (level === "error") console.log("ERROR " + line); };
    console.log((await startServer({ ...${JSON.stringify(options)}, log })).url);`;
  const child = spawn("deno", ["eval", program], { stdio: ["ignore", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout });
  const url = await new Promise<string>((resolve) => {
    lines.on("line", (line) => {
      if (line.startsWith("http")) resolve(line);
      else console.log(line);
    });
  });
  return { child, target: { url, key: KEY, model: "kjv-tiny" } };
}

/** When what was sent last is over. */
async function settled(child: ChildProcess, { url, key }: FuzzTarget): Promise<Usage> {
  for (let tries = 0; tries < 20; tries++) {
    const response = await fetch(`${url}/health`, { headers: { "X-Warmcache-Key": key } });
    const text = await response.text();
    if (!/"leases":\s*[1-9]/.test(text)) break;
    await sleep(500);
  }
  await sleep(2000);
  return usageOf(child);
}

function usageOf({ pid }: ChildProcess): Usage {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  // Not its files: the store keeps a database open for each model, so many and no more.
  const sockets = readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`));
  return { bytes: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024, sockets: sockets.length };
}

/** What is closed while it is looked at was none that stays. */
function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith("socket:");
  } catch {
    return false;
  }
}

function inWords({ bytes, sockets }: Usage): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB, ${sockets} sockets`;
}
