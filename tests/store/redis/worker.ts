/**
 * A process that shares a store: appends answers, says so after each is acknowledged, or claims requests. What it is to
 * do is its command line: `write URL NAME COUNT`, `claim URL NAME COUNT`, or `end URL`.
 */

import process from "node:process";
import { keyOf, MODEL, openStore, put } from "./fixture.ts";

const [what, url, name, count] = process.argv.slice(2);
const { store } = await openStore({ url: url!, flushTimeout: what === "end" ? 100 : 5000 });
if (what === "write") {
  for (let index = 0; index < Number(count); index++) {
    await put(store, index % 5, `${name} ${index} ${"and so on ".repeat(50)}`);
    console.log(`stored ${name} ${index}`);
  }
} else if (what === "claim") {
  for (let index = 0; index < Number(count); index++) {
    const { granted } = await store.claims!.claim(MODEL, keyOf(index), name!, 60_000);
    if (granted) console.log(`granted ${index}`);
  }
} else {
  await put(store, 1, "a").catch(() => {});
}
await store.close();
console.log("closed");
