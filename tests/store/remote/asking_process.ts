/** A process that asks for one request through a remote cache, says whether it had to call, and what it got. */

import process from "node:process";
import { openCache } from "../../../mod.ts";

const [url, topic] = process.argv.slice(2) as [string, string];
const cache = await openCache({ backend: "remote", remote: { url, timeout: 60_000 } });
let calls = 0;
const body = { model: "gpt-4o-mini", messages: [{ role: "user", content: topic }] };
const answer = await cache.wrap(body, async () => {
  calls++;
  await new Promise((resolve) => setTimeout(resolve, 300));
  return { choices: [{ message: { role: "assistant", content: `by ${process.pid}` }, finish_reason: "stop" }] };
});
await cache.close();
console.log(JSON.stringify({ calls, answer }));
