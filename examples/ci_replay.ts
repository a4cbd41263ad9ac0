/**
 * The same evaluation as a check on CI, which has neither a key nor money: every answer comes from `examples/answers`,
 * which is in git. One that is not there is an error that says what differs.
 *
 *     deno run -A examples/ci_replay.ts
 *     OPENAI_API_KEY=… deno run -A examples/ci_replay.ts --record
 */

import { CacheError, openCache } from "@warmcache/warmcache";
import OpenAI from "openai";
import process from "node:process";
import { evaluate } from "./quiz.ts";

const isRecording = process.argv.includes("--record");
await using cache = await openCache({
  backend: "file",
  directory: `${import.meta.dirname}/answers`,
  mode: isRecording ? "read-write" : "replay",
});
const client = new OpenAI(isRecording ? {} : { apiKey: "none is needed" });

try {
  const { right, asked } = await evaluate(cache, client);
  console.log(`${right} of ${asked} right`);
  if (right < asked) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof CacheError && error.code === "replay_miss")) throw error;
  console.error(error.message);
  console.error("If this is meant, record the new answers with --record and commit them.");
  process.exitCode = 1;
}
