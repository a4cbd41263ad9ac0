/**
 * An evaluation that is paid for once: run it twice.
 *
 *     OPENAI_API_KEY=… deno run -A examples/evaluation.ts
 *
 * `OPENAI_BASE_URL` and `MODEL` name another server and model; answers are kept in `.warmcache`.
 */

import { openCache } from "@warmcache/warmcache";
import OpenAI from "openai";
import { evaluate } from "./quiz.ts";

const started = performance.now();
await using cache = await openCache();
const { right, asked, verdict, votes, samples } = await evaluate(cache, new OpenAI());

console.log(`score   ${right} of ${asked} right; ${votes} of ${samples} say that the ball costs ${verdict}`);
console.log(`cache   ${(await cache.stats()).summary()}`);
console.log(`time    ${((performance.now() - started) / 1000).toFixed(2)} s`);
