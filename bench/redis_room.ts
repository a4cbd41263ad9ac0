/**
 * What an answer costs a Redis that keeps it for several servers: bytes of its memory, and its processor's time for a
 * put, a hit and a miss, as Redis itself tells them (`INFO memory`, `INFO cpu`). From these come the figures of
 * `docs/scale.md`: answers in a gigabyte, and how many servers a node can serve. Every answer is read back and compared.
 *
 * Run: `deno run -A bench/redis_room.ts [--entries 20000]`; it takes a redis-server.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { openRedisStore } from "../src/compose/stores/redis.ts";
import { RedisServer } from "../tests/support/redis_server.ts";
import { corpus, keyOf } from "./corpus.ts";

const MODEL = "gpt-4o-mini";
const SIZES = [512, 2_048, 8_192];
/** So many at once, as with a busy server: they share packets. */
const AT_ONCE = 32;

const { values: flags } = parseArgs({ options: { entries: { type: "string", default: "20000" } } });
const entries = Number(flags.entries);

console.log(`${cpus()[0]?.model}, ${cpus().length} cores; ${entries} answers of each size, ${AT_ONCE} at once\n`);
console.log("| answer, bytes | memory, bytes | answers a GB | put, µs | hit, µs | miss, µs | hit alone, µs |");
console.log("| ------------: | ------------: | -----------: | ------: | ------: | -------: | ------------: |");
for (const bytes of SIZES) console.log(await measure(bytes));

async function measure(bytes: number): Promise<string> {
  const server = await RedisServer.start();
  try {
    const store = await openRedisStore({ url: server.url });
    const samples = corpus(entries, bytes);
    const indexes = samples.map((_, index) => index);
    const decoder = new TextDecoder();
    const empty = figure(server, "used_memory");
    const put = await timed(server, indexes, async (index) => {
      const { request, entry } = samples[index]!;
      await store.put(MODEL, request, [entry], "append");
    });
    const memory = (figure(server, "used_memory") - empty) / entries;
    const find = async (index: number): Promise<string | undefined> => {
      const [found] = await store.lookup(MODEL, [{ key: keyOf(index), samples: 1 }]);
      return found!.entries[0]?.read((body) => decoder.decode(body));
    };
    const check = async (index: number): Promise<void> => {
      const found = await find(index);
      if (found !== decoder.decode(samples[index]!.entry.body)) throw new Error(`Another answer was found: ${found}`);
    };
    const hit = await timed(server, indexes, check);
    const miss = await timed(server, indexes, async (index) => {
      if (await find(index + entries) !== undefined) throw new Error("An answer was found that nobody has put");
    });
    const alone = await timed(server, indexes, check, 1);
    await store.close();
    const length = samples.reduce((sum, { entry }) => sum + entry.body.length, 0) / entries;
    const times = [put, hit, miss, alone].map((time) => time.toFixed(1)).join(" | ");
    return `| ${length.toFixed(0)} | ${memory.toFixed(0)} | ${Math.round(1e9 / memory)} | ${times} |`;
  } finally {
    await server.stop();
  }
}

/** Does something with each index, and says what it cost Redis: microseconds of its processor's time. */
async function timed(
  server: RedisServer,
  indexes: readonly number[],
  work: (index: number) => Promise<void>,
  atOnce: number = AT_ONCE,
): Promise<number> {
  const before = processorTime(server);
  for (let at = 0; at < indexes.length; at += atOnce) await Promise.all(indexes.slice(at, at + atOnce).map(work));
  return (processorTime(server) - before) * 1e6 / indexes.length;
}

/** In seconds. */
function processorTime(server: RedisServer): number {
  return figure(server, "used_cpu_user") + figure(server, "used_cpu_sys");
}

function figure(server: RedisServer, name: string): number {
  return Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(server.command("INFO"))![1]);
}
