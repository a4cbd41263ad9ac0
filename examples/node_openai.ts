/**
 * OpenAI's own client on Node, with the cache in its `fetch`: an answer, several samples and a stream. Run it twice, and
 * then once more without a network.
 *
 *     OPENAI_API_KEY=… node examples/node_openai.ts
 *     node examples/node_openai.ts --replay
 *
 * `OPENAI_BASE_URL` and `MODEL` name another server and model; a question of your own goes behind the rest.
 */

import process from "node:process";
import { parseArgs } from "node:util";
import OpenAI from "openai";
// In a project of your own: "@warmcache/warmcache" and "@warmcache/warmcache/fetch".
import { openCache } from "../mod.ts";
import { cachedFetch } from "../src/interop/fetch.ts";

const { values: { replay: isReplay }, positionals: [question = "Why is the sky blue? Answer in one sentence."] } =
  parseArgs({ options: { replay: { type: "boolean", default: false } }, allowPositionals: true });

const cache = await openCache({ mode: isReplay ? "replay" : "read-write" });
const client = new OpenAI({
  fetch: cachedFetch(cache),
  // What is not in the cache stays away however often it is asked for.
  ...isReplay && { apiKey: "none is needed", maxRetries: 0 },
});
const request = {
  model: process.env.MODEL ?? "gpt-4o-mini",
  messages: [{ role: "user", content: question }],
} satisfies OpenAI.ChatCompletionCreateParams;

try {
  await say("answer", client.chat.completions.create(request).withResponse());

  // Two samples are there when five are wanted: three are bought. The first answer is one of them.
  await say("samples", client.chat.completions.create({ ...request, n: 2 }).withResponse());
  await say("samples", client.chat.completions.create({ ...request, n: 5 }).withResponse());

  // A stream is stored when it has ended; from the cache it comes at once.
  const started = performance.now();
  const { data: stream, response } = await client.chat.completions.create({
    ...request,
    messages: [{ role: "system", content: "Answer as a poet." }, ...request.messages],
    stream: true,
    stream_options: { include_usage: true },
  }).withResponse();
  process.stdout.write(`stream   ${found(response)} `);
  for await (const { choices: [choice] } of stream) process.stdout.write(choice?.delta.content ?? "");
  console.log(` (${seconds(started)})`);

  console.log(`cache    ${(await cache.stats()).summary()}`);
} catch (error) {
  // The client's own error has the cache's behind it.
  if (!isReplay || !(error instanceof OpenAI.APIConnectionError)) throw error;
  console.error(error.cause instanceof Error ? error.cause.message : error.message);
  process.exitCode = 1;
} finally {
  await cache.close();
}

async function say(name: string, asked: Promise<{ data: OpenAI.ChatCompletion; response: Response }>): Promise<void> {
  const started = performance.now();
  const { data: { choices }, response } = await asked;
  const texts = choices.map(({ message }) => message.content?.trim());
  console.log(`${name.padEnd(8)} ${found(response)} ${choices.length} × ${texts[0]} (${seconds(started)})`);
}

/** What the cache says of itself: `hit`, `miss` or what else. */
function found(response: Response): string {
  return (response.headers.get("X-Warmcache") ?? "").padEnd(5);
}

function seconds(started: number): string {
  return `${((performance.now() - started) / 1000).toFixed(2)} s`;
}
