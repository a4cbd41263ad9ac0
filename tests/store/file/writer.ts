/** A process that puts answers to its own requests and to one that all share, and says so after each, until it is ended. */

import process from "node:process";
import { entryOf, machine, MODEL, openFiles, requestOf } from "./fixture.ts";

const [directory, name, count, locks] = process.argv.slice(2);
const runtime = locks === "whole" ? { ...machine, rangeLocks: undefined } : machine;
const store = await openFiles(directory!, { runtime, lockTimeout: 60_000 });
for (let index = 0; index < Number(count); index++) {
  await store.put(MODEL, requestOf(`${name} ${index}`), [entryOf(`answer ${index} `.repeat(50))], "append");
  await store.put(MODEL, requestOf("shared"), [entryOf(`${name} ${index}`)], "append");
  console.log(`stored ${index}`);
  // Lets the event loop turn, so that what was printed leaves the process.
  if (index % 16 === 0) await new Promise((resolve) => setTimeout(resolve));
}
setInterval(() => {}, 60_000);
