/**
 * Three processes that run the same evaluation at the same time and pay for it once: what one of them asks, the others
 * wait for. They may as well be on three machines.
 *
 *     docker run --rm -p 6379:6379 valkey/valkey
 *     OPENAI_API_KEY=… deno run -A examples/shared_redis.ts
 *
 * `WARMCACHE_REDIS_URL` names another server: `rediss://user@host:6379/0`, and its password is in
 * `WARMCACHE_REDIS_PASSWORD`.
 */

import { openCache } from "@warmcache/warmcache";
import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { evaluate } from "./quiz.ts";

const [name] = process.argv.slice(2);
if (name === undefined) {
  const names = ["one", "two", "three"];
  const workers = names.map((name) => once(fork(fileURLToPath(import.meta.url), [name]), "exit"));
  const codes = (await Promise.all(workers)).map(([code]) => code);
  process.exitCode = codes.every((code) => code === 0) ? 0 : 1;
} else {
  await using cache = await openCache({ backend: "redis" });
  const { right, asked } = await evaluate(cache, new OpenAI());
  const stats = await cache.stats();
  console.log(`${name.padEnd(6)} ${right} of ${asked} right; ${stats.summary()}`);
  // An evaluation does not end because Redis is away: it costs more, and nobody would know why.
  if (stats.lastError) console.error(`${name.padEnd(6)} did not share: ${stats.lastError.message}`);
}
