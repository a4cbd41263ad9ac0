/**
 * What a cluster consists of, each started on this machine: servers, the Redis Cluster that they share, and HAProxy with
 * `haproxy.cfg` in front of them.
 *
 * @module
 */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { answers, type Program, type ProgramOptions, startProgram, untilThere } from "./process.ts";

const CONFIGURATION = fileURLToPath(new URL("haproxy.cfg", import.meta.url));
const SERVER = fileURLToPath(new URL("../../server.ts", import.meta.url));

/** What runs a program on the runtime that runs this one. */
const RUN = "Deno" in globalThis ? [process.execPath, "run", "-A"] : [process.execPath];

/** A server as the proxy knows it. */
export interface Member {
  readonly name: string;
  readonly port: number;
}

/** How to start a server. */
export interface ServerProgramOptions extends ProgramOptions, Member {
  readonly models: string;
  /** Its own, for digests and for answers that Redis does not keep. */
  readonly folder: string;
  /** Nodes of the Cluster; without any, answers are kept in the folder. */
  readonly redis?: readonly string[];
  /** Further words for its command line. */
  readonly flags?: readonly string[];
}

/** Starts a server and waits until it is ready. */
export async function startServer(
  { name, port, models, folder, redis = [], flags = [], environment, hear }: ServerProgramOptions,
): Promise<Program> {
  await refuseTaken(port);
  const shared = redis.length === 0 ? {} : { WARMCACHE_BACKEND: "redis", WARMCACHE_REDIS_URL: redis.join(",") };
  const program = startProgram(
    name,
    [...RUN, SERVER, "--server-name", name, "--port", `${port}`, "--models", models, "--cache", folder, ...flags],
    { ...hear && { hear }, environment: { ...shared, ...environment } },
  );
  return await untilThere(program, () => answers(`http://127.0.0.1:${port}/readyz`));
}

/** Else another server's readiness would be taken for ours. */
async function refuseTaken(port: number): Promise<void> {
  if (await answers(`http://127.0.0.1:${port}/readyz`)) {
    throw new Error(`Cannot start anything on port ${port}: it is taken`);
  }
}

/** What of `haproxy.cfg` is said anew. */
export interface ProxyOptions {
  readonly port: number;
  readonly statusPort: number;
  readonly members: readonly Member[];
}

/** `haproxy.cfg` with other addresses. */
export function proxyConfiguration({ port, statusPort, members }: ProxyOptions): string {
  const ports = [port, statusPort];
  return readFileSync(CONFIGURATION, "utf8").split("\n").flatMap((line) => {
    if (/^ +bind /.test(line)) return [`  bind 127.0.0.1:${ports.shift()}`];
    if (!/^ +server /.test(line)) return [line];
    // The first line of a list stands for all of it.
    if (!line.includes(" id 1 ")) return [];
    const isChecked = line.endsWith(" check");
    return members.map(({ name, port }, index) => {
      return `  server ${name} 127.0.0.1:${port} id ${index + 1} ${isChecked ? "check" : `track models/${name}`}`;
    });
  }).join("\n");
}

/** Starts HAProxy and waits until it has found a server. */
export async function startProxy(
  folder: string,
  options: ProxyOptions,
  { hear, edit = (text) => text }: ProgramOptions & { readonly edit?: (configuration: string) => string } = {},
): Promise<Program> {
  await refuseTaken(options.port);
  const path = join(folder, "haproxy.cfg");
  writeFileSync(path, edit(proxyConfiguration(options)));
  const program = startProgram("haproxy", ["haproxy", "-db", "-f", path], { ...hear && { hear } });
  return await untilThere(program, () => answers(`http://127.0.0.1:${options.port}/readyz`));
}

/**
 * Starts three Redis servers (7 or newer) on six ports that keep what they have in `folder`, and makes them a Cluster
 * if they are none yet.
 */
export async function startRedisCluster(
  folder: string,
  firstPort: number,
  options: ProgramOptions = {},
): Promise<{ readonly urls: readonly string[]; readonly programs: readonly Program[] }> {
  const ports = [0, 1, 2].map((offset) => firstPort + offset);
  const started = await Promise.allSettled(ports.map(async (port) => {
    const directory = join(folder, `redis-${port}`);
    mkdirSync(directory, { recursive: true });
    const program = startProgram(`redis-${port}`, [
      ...["redis-server", "--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory, "--save", ""],
      ...["--appendonly", "yes", "--cluster-enabled", "yes", "--cluster-node-timeout", "2000"],
      // Among themselves; else it would be 10,000 higher, where systems take ports that they give away.
      ...["--cluster-port", `${port + ports.length}`],
      // One node's death is a miss for its models, and not for all of them.
      ...["--cluster-require-full-coverage", "no", "--maxmemory", "512mb", "--maxmemory-policy", "allkeys-lru"],
    ], options);
    return await untilThere(program, () => {
      // Another one may have had this port before.
      return redis(port, "INFO", "server").includes(`process_id:${program.pid}\r`) && redis(port, "PING") === "PONG";
    });
  }));
  const programs = started.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
  try {
    for (const each of started) if (each.status === "rejected") throw each.reason;
    await makeCluster(programs, ports);
  } catch (error) {
    await Promise.all(programs.map((program) => program.stop("SIGKILL")));
    throw error;
  }
  return { urls: ports.map((port) => `redis://127.0.0.1:${port}`), programs };
}

/** Makes servers a Cluster, if they are none yet, and waits until they agree. */
async function makeCluster(programs: readonly Program[], ports: readonly number[]): Promise<void> {
  if (redis(ports[0]!, "CLUSTER", "INFO").includes("cluster_slots_assigned:0")) {
    const nodes = ports.map((port) => `127.0.0.1:${port}`);
    execFileSync("redis-cli", ["--cluster", "create", ...nodes, "--cluster-yes"], { stdio: "ignore" });
  }
  for (const [index, port] of ports.entries()) {
    await untilThere(programs[index]!, () => redis(port, "CLUSTER", "INFO").includes("cluster_state:ok"));
  }
}

function redis(port: number, ...words: string[]): string {
  try {
    return execFileSync("redis-cli", ["-p", `${port}`, ...words], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "";
  }
}
