/** One lookup with the library in a new process; see `startup.ts`. */

import process from "node:process";

const started = performance.now();
const { openCache } = await import("../mod.ts");
const [directory, request] = process.argv.slice(2);
const cache = await openCache({ directory: directory! });
const entry = await cache.get(JSON.parse(request!));
const milliseconds = performance.now() - started;
console.log(JSON.stringify({ milliseconds, answer: entry!.text() }));
await cache.close();
