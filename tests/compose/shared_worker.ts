/** A process that shares a cache: asks for the same few requests as others do, checks what it gets, says what is kept. */

import process from "node:process";
import { type CacheStatus, openCache } from "../../mod.ts";
import { contentsOf, requestFor } from "./shared_requests.ts";

const [directory, count, requests] = process.argv.slice(2) as [string, string, string];
const cache = await openCache({ directory, locking: "shared", lockTimeout: 60_000 });
let said = 0;

async function ask(): Promise<void> {
  const topic = Math.floor(Math.random() * Number(requests));
  const n = 1 + Math.floor(Math.random() * 5);
  const status: CacheStatus = {};
  const mine: string[] = [];
  const answer = await cache.wrap(requestFor(topic, n), (body) => {
    const choices = Array.from({ length: body.n ?? 1 }, (_, index) => {
      const content = `topic ${topic}, said ${++said} by ${process.pid} ${"so ".repeat(Math.random() * 200)}`;
      mine.push(content);
      return { index, message: { role: "assistant", content }, finish_reason: "stop" };
    });
    return Promise.resolve({ object: "chat.completion", model: body.model, choices });
  }, { status });
  const contents = contentsOf(answer);
  if (contents.length !== n || !contents.every((content) => content.startsWith(`topic ${topic}, `))) {
    throw new Error(`Asked about ${topic} for ${n}: ${JSON.stringify(contents)}`);
  }
  const kept = status.stored === true && status.shared === false;
  console.log(JSON.stringify({ topic, kept: kept ? mine : [], seen: contents }));
}

for (let asked = 0; asked < Number(count); asked += 4) await Promise.all([ask(), ask(), ask(), ask()]);
const { failedLookups, failedWrites, corrupt, lastError } = await cache.stats();
await cache.close();
console.log(JSON.stringify({ failures: failedLookups + failedWrites + corrupt, lastError }));
