/**
 * From nothing to the first lookup: a new process imports the library, opens a cache that is on disk, and asks for one
 * answer. Per runtime, beside better-sqlite3 with zstd-napi and the runtime's own SQLite with its zstd, which do no more
 * than that. Milliseconds from the start of the process, as the process itself sees it, and as its parent does.
 *
 * Run: `npm --prefix bench/peers install && deno run -A bench/startup.ts`
 */

import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { openCache } from "../mod.ts";
import { median } from "./harness.ts";

const ROUNDS = 11;
const REQUEST = { model: "m", messages: [{ role: "user", content: "hi" }] };
const ANSWER = { choices: [{ message: { content: "word ".repeat(400) }, finish_reason: "stop" }] };

const OURS = fileURLToPath(new URL("./startup_ours.ts", import.meta.url));
const NATIVE = fileURLToPath(new URL("./startup_native.mjs", import.meta.url));
const NODE = fileURLToPath(new URL("./peers/node_modules/.bin/node", import.meta.url));

const CASES: [name: string, command: string[]][] = [
  ["warmcache on Deno", [process.execPath, "run", "-A", OURS]],
  ["warmcache on Node 24", [NODE, OURS]],
  ["warmcache on Bun", ["bun", OURS]],
  ["better-sqlite3 on Deno", [process.execPath, "run", "-A", NATIVE, "better-sqlite3"]],
  ["better-sqlite3 on Node 24", [NODE, NATIVE, "better-sqlite3"]],
  ["node:sqlite on Deno", [process.execPath, "run", "-A", NATIVE, "node:sqlite"]],
  ["node:sqlite on Node 24", [NODE, NATIVE, "node:sqlite"]],
];

const directory = await mkdtemp(join(tmpdir(), "warmcache-bench-"));
const times = new Map(CASES.map(([name]) => [name, { inside: [] as number[], outside: [] as number[] }]));
try {
  const cache = await openCache({ directory });
  await cache.put(REQUEST, ANSWER);
  await cache.close();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, [executable, ...args]] of round % 2 === 0 ? CASES : [...CASES].reverse()) {
      const started = performance.now();
      const { stdout } = await promisify(execFile)(executable!, [...args, directory, JSON.stringify(REQUEST)]);
      times.get(name)!.outside.push(performance.now() - started);
      const { milliseconds, answer } = JSON.parse(stdout.trim().split("\n").at(-1)!);
      if (answer !== JSON.stringify(ANSWER)) throw new Error(`${name} gave another answer`);
      times.get(name)!.inside.push(milliseconds);
    }
  }
} finally {
  await rm(directory, { recursive: true });
}

console.log(
  `First lookup in a new process, ms, median of ${ROUNDS} (least to most); ${
    cpus()[0]?.model
  }, ${cpus().length} cores\n`,
);
console.log(`${"".padEnd(28)}${"import to answer".padStart(26)}${"whole process".padStart(26)}`);
for (const [name, { inside, outside }] of times) {
  console.log(`${name.padEnd(28)}${spread(inside).padStart(26)}${spread(outside).padStart(26)}`);
}

function spread(values: readonly number[]): string {
  return `${median(values).toFixed(0)} (${Math.min(...values).toFixed(0)} to ${Math.max(...values).toFixed(0)})`;
}
