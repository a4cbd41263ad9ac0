/** A process that opens a cache at the word, together with others, and asks what all ask and what nobody else does. */

import { createInterface } from "node:readline";
import process from "node:process";
import { openCache } from "../../mod.ts";

const [directory, name] = process.argv.slice(2) as [string, string];
const ask = (topic: string) => ({ model: "example", messages: [{ role: "user", content: topic }] });
const answer = (content: string) =>
  Promise.resolve({ choices: [{ message: { content, role: "assistant" }, finish_reason: "stop" }] });
console.log("ready");
const lines = createInterface({ input: process.stdin });
lines.once("line", async () => {
  lines.close();
  process.stdin.unref?.();
  const cache = await openCache({ directory, lockTimeout: 60_000 });
  const all = await cache.wrap(ask("all"), () => answer(name));
  await cache.wrap(ask(name), () => answer(name));
  const { failedWrites, failedLookups, unclaimed, lastError } = await cache.stats();
  await cache.close();
  console.log(
    JSON.stringify({ said: all.choices[0]!.message.content, failedWrites, failedLookups, unclaimed, lastError }),
  );
  process.exit(0);
});
