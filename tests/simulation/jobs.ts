/**
 * Runs seeds in processes of their own, each bound to one processor core: the instances of a simulation take turns, and
 * handing the turn to a thread on the same core costs a tenth of handing it to another core (3 µs, not 23).
 */

import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Runs `run.ts` with these options; resolves with its exit code. */
export async function runJob(options: readonly string[], job: number, tell: (line: string) => void): Promise<number> {
  const cores = usableCores();
  const binding = cores.length > 0 ? ["taskset", "-c", String(cores[job % cores.length])] : [];
  const program = fileURLToPath(new URL("./run.ts", import.meta.url));
  const [command = "", ...rest] = [...binding, process.execPath, "run", "-A", program, "--inside", ...options];
  const child = spawn(command, rest, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<number>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve(code ?? 1));
  });
  for await (const line of createInterface({ input: child.stdout })) tell(line);
  return await ended;
}

/** The cores that this process may use; none where processes cannot be bound to one. */
function usableCores(): number[] {
  if (spawnSync("taskset", ["--version"]).status !== 0) return [];
  const status = readFileSync("/proc/self/status", "utf8");
  const list = /^Cpus_allowed_list:\s*(.*)$/m.exec(status)?.[1] ?? "";
  return list.split(",").filter((range) => range !== "").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}
