/** A process that claims requests for a minute, says which it was granted, and waits to be ended. */

import process from "node:process";
import { keyOf, MODEL, openStore } from "./fixture.ts";

const [directory, holder, count] = process.argv.slice(2);
const store = await openStore(directory!, { locking: "shared", lockTimeout: 60_000 });
for (let index = 0; index < Number(count); index++) {
  const { granted } = await store.claims!.claim(MODEL, keyOf(`${index}`), holder!, 60_000);
  if (granted) console.log(`${index}`);
}
console.log("done");
setInterval(() => {}, 60_000);
