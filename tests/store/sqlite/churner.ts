/** A process that puts answers of random bytes into a store with a limit, for ever, and says what it has put. */

import { randomBytes } from "node:crypto";
import process from "node:process";
import type { Locking } from "../../../src/sqlite/open.ts";
import { entryOf, keyOf, MODEL, openStore, requestOf } from "./fixture.ts";

const [directory, locking, maxBytes, bytes, task, name] = process.argv.slice(2);
const limit = maxBytes === "0" ? {} : { maxBytes: Number(maxBytes) };
const store = await openStore(directory!, { locking: locking as Locking, lockTimeout: 60_000, ...limit });
for (let index = 0;; index++) {
  const word = `${name} ${index}`;
  const entry = entryOf(new Uint8Array(randomBytes(Number(bytes))), { created: Date.now() });
  await store.put(MODEL, requestOf(word), [entry], "append", { tags: ["churn"] });
  if (task === "remove" && index % 50 === 49) await store.remove({ tag: "churn" });
  if (task === "remove-keys") await store.remove({ keys: [keyOf(`${name} ${index - 20}`)] });
  console.log(`put ${index}`);
  if (index % 16 === 0) await new Promise((resolve) => setTimeout(resolve));
}
