/**
 * A whole cluster on one machine, to try it out: `deno run -A deploy/cluster/up.ts --servers 2`. Ctrl-C takes it down
 * again, servers first, so that no answer is lost; what Redis holds is there at the next start.
 *
 * @module
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Member, startProxy, startRedisCluster, startServer } from "./parts.ts";
import type { Program, ProgramOptions } from "./process.ts";

const HELP = `Usage: up.ts [options] [-- flags of server.ts]

  --servers NUMBER      how many servers (2)
  --models FOLDER       their models (models)
  --port NUMBER         where the proxy listens (8787)
  --ports NUMBER        what else listens has ports from this one on (8800): servers 1 to 64 after it, Redis 91 to 96, the
                        proxy's status page 99
  --redis URL,URL,…     a Redis or Valkey Cluster that is there; else three nodes are started
  --folder FOLDER       what they keep (.warmcache/cluster)
  --help                this`;

const { values, positionals } = readFlags();
const [count, port, ports] = [Number(values.servers), Number(values.port), Number(values.ports)];
if (values.help) end(HELP, 0);
if (!(Number.isInteger(count) && count >= 1 && count <= 64)) end(`--servers has to be 1 to 64: ${values.servers}`, 2);
for (const [name, value, most] of [["port", port, 65535], ["ports", ports, 65436]] as const) {
  if (!(Number.isInteger(value) && value > 0 && value <= most)) {
    end(`--${name} has to be 1 to ${most}: ${values[name]}`, 2);
  }
}

/** The proxy sees within two seconds that a server is not ready any more. */
const DRAIN_DELAY = "4";
const asked = Promise.withResolvers<void>();
const members: Member[] = Array.from({ length: count }, (_, at) => ({ name: `s${at + 1}`, port: ports + 1 + at }));
/** What runs, in the order in which it is to go: servers first, for the proxy has to see them leave, and Redis last. */
const groups: { servers: Program[]; proxy: Program[]; redis: Program[] } = { servers: [], proxy: [], redis: [] };
let isStopping = false;

async function takeDown(): Promise<void> {
  for (const group of Object.values(groups)) await Promise.allSettled(group.map((program) => program.stop()));
}

/** Adds what came up to its group; throws why something else did not. */
function keep(group: Program[], started: readonly PromiseSettledResult<Program>[]): void {
  for (const each of started) {
    if (each.status === "rejected") continue;
    const { name, ended } = each.value;
    group.push(each.value);
    ended.then((status) => isStopping || console.error(`${name} ended by itself: ${status ?? "by a signal"}`));
  }
  for (const each of started) if (each.status === "rejected") throw each.reason;
}

const say = (name: string): ProgramOptions => ({ hear: (line) => console.error(`${name.padEnd(8)} ${line}`) });

/** Starts all, one group after the other, unless it is to stop by then. */
async function bringUp(): Promise<void> {
  mkdirSync(values.folder, { recursive: true });
  let redis = values.redis?.split(",");
  if (redis === undefined) {
    const cluster = await startRedisCluster(values.folder, ports + 91);
    keep(groups.redis, cluster.programs.map((value) => ({ status: "fulfilled", value })));
    redis = [...cluster.urls];
  }
  if (isStopping) return;
  const starting = members.map(({ name, port }) => {
    const folder = join(values.folder, name);
    const flags = ["--drain-delay", DRAIN_DELAY, ...positionals];
    return startServer({ name, port, models: values.models, folder, redis, flags, ...say(name) });
  });
  keep(groups.servers, await Promise.allSettled(starting));
  if (isStopping) return;
  const proxy = startProxy(values.folder, { port, statusPort: ports + 99, members }, say("haproxy"));
  keep(groups.proxy, await Promise.allSettled([proxy]));
  if (!isStopping) console.log(`listens on http://127.0.0.1:${port}, status on http://127.0.0.1:${ports + 99}`);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait for running requests.
    if (isStopping) { for (const program of Object.values(groups).flat()) void program.stop("SIGKILL"); }
    else console.log("stopping; once more to stop at once");
    isStopping = true;
    asked.resolve();
  });
}
try {
  await bringUp();
  await asked.promise;
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
isStopping = true;
await takeDown();
console.log("stopped");
process.exit();

function readFlags() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        servers: { type: "string", default: "2" },
        models: { type: "string", default: "models" },
        port: { type: "string", default: "8787" },
        ports: { type: "string", default: "8800" },
        redis: { type: "string" },
        folder: { type: "string", default: ".warmcache/cluster" },
        help: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return end((error as Error).message, 2);
  }
}

function end(message: string, status: number): never {
  console[status === 0 ? "log" : "error"](message);
  process.exit(status);
}
