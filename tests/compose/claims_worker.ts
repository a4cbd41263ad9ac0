/**
 * A process that shares a cache with others: asks for many answers at once when it is told to, from a provider on this
 * machine, and says for which it has to wait and what it got.
 */

import process from "node:process";
import { createInterface } from "node:readline";
import { openCache } from "../../mod.ts";
import { CacheError } from "../../src/store/error.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { openSqliteStore } from "../../src/store/sqlite/sqlite_store.ts";
import { contentsOf, requestFor } from "./shared_requests.ts";

const [directory, provider, topics, claimDuration] = process.argv.slice(2) as [string, string, string, string];
const tell = (line: object): void => console.log(JSON.stringify(line));

const runtime = await loadRuntime();
const store = await openSqliteStore({ runtime, directory, locking: "shared", lockTimeout: 60_000 });
const claims = store.claims!;
const claim = claims.claim.bind(claims);
let waiting = 0;
/** Requests that somebody else has claimed, by their keys. */
const refused = new Set<string>();
claims.claim = async (model, key, holder, duration) => {
  const reply = await claim(model, key, holder, duration);
  if (!reply.granted && !refused.has(key.join())) {
    refused.add(key.join());
    tell({ waiting: ++waiting });
  }
  return reply;
};
const cache = await openCache({ backend: store, claimDuration: Number(claimDuration) });

async function ask(topic: number): Promise<void> {
  try {
    const answer = await cache.wrap(requestFor(topic, 1), async (body) => {
      const response = await fetch(provider, { method: "POST", body: JSON.stringify({ topic, body }) });
      if (!response.ok) throw Object.assign(new Error(await response.text()), { status: response.status });
      return await response.json();
    });
    tell({ topic, content: contentsOf(answer)[0] });
  } catch (error) {
    const { code, cause } = error as CacheError;
    const { status } = (error instanceof CacheError ? cause : error) as { status?: number };
    tell({ topic, error: code ?? (error as Error).name, status });
  }
}

tell({ ready: true });
await new Promise<void>((resolve) => createInterface({ input: process.stdin }).once("line", () => resolve()));
await Promise.all(Array.from({ length: Number(topics) }, (_, topic) => ask(topic)));
const { failedLookups, failedWrites, corrupt, unclaimed, lastError } = await cache.stats();
await cache.close();
tell({ done: true, faults: failedLookups + failedWrites + corrupt + unclaimed, lastError });
process.exit(0);
