/** `examples/node_openai.ts`, run as a program on Node: bought once, then from the cache, then without a provider. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { refusal, startUpstream, type Upstream } from "../support/upstream/upstream.ts";
import { type Ended, runExample } from "./provider.ts";

const PROGRAM = "node_openai.ts";

/** A provider with as many choices as it is asked for. */
async function startProvider(): Promise<Upstream> {
  const upstream = await startUpstream();
  upstream.mock.onMessage("sky", { content: "Blue scatters." });
  upstream.answer = ({ body: { n = 1, stream, model } }) => {
    if (stream) return undefined;
    const choices = Array.from({ length: Number(n) }, (_, index) => ({
      index,
      message: { role: "assistant", content: "Air scatters blue." },
      finish_reason: "stop",
    }));
    const usage = { prompt_tokens: 1000, completion_tokens: 1000 * Number(n), total_tokens: 1000 * (Number(n) + 1) };
    return Response.json({ id: "chatcmpl-1", object: "chat.completion", created: 1, model, choices, usage });
  };
  return upstream;
}

/** What it said, line by line, less the time it took. */
function linesOf({ code, output, errors }: Ended): string[] {
  assert.equal(code, 0, errors);
  return output.trimEnd().split("\n").map((line) => line.replace(/ \([\d.]+ s\)$/, ""));
}

function saidBy(outcome: "hit " | "miss"): string[] {
  return [
    `answer   ${outcome}  1 × Air scatters blue.`,
    `samples  ${outcome}  2 × Air scatters blue.`,
    `samples  ${outcome}  5 × Air scatters blue.`,
    `stream   ${outcome}  Blue scatters.`,
  ];
}

describe("examples/node_openai.ts", () => {
  it("buys the gap of samples only, nothing when it is run again, and needs nobody to replay", async (context) => {
    const command = requireRuntime(context, "node");
    if (!command) return;
    const upstream = await startProvider();
    try {
      const directory = await temporaryFolder();
      const first = linesOf(await runExample(command, PROGRAM, { directory, upstream }));
      assert.deepEqual(first.slice(0, 4), saidBy("miss"));
      assert.match(
        first[4]!,
        /^cache +0 hits of 4 lookups \(0\.0 %\), 4 writes; saved \$0\.0000, .* spent \$0\.00\d+$/,
      );
      assert.deepEqual(upstream.asked.map(({ body: { n = 1, stream = false } }) => [n, stream]), [
        [1, false],
        [1, false],
        [3, false],
        [1, true],
      ]);

      const second = linesOf(await runExample(command, PROGRAM, { directory, upstream }));
      assert.deepEqual(second.slice(0, 4), saidBy("hit "));
      assert.match(
        second[4]!,
        /^cache +4 hits of 4 lookups \(100\.0 %\), 0 writes; saved \$0\.00\d+, .* spent \$0\.0000$/,
      );

      upstream.answer = () => refusal(503, "Away.");
      const replayed = linesOf(await runExample(command, PROGRAM, { directory, upstream, flags: ["--replay"] }));
      assert.deepEqual(replayed.slice(0, 4), saidBy("hit "));
      assert.equal(upstream.asked.length, 4);
    } finally {
      await upstream.close();
    }
  });

  it("says what is not there when it replays another question, and asks nobody", async (context) => {
    const command = requireRuntime(context, "node");
    if (!command) return;
    const upstream = await startProvider();
    try {
      const directory = await temporaryFolder();
      linesOf(await runExample(command, PROGRAM, { directory, upstream, flags: ["Why is the sky blue?"] }));
      const asked = upstream.asked.length;
      const flags = ["--replay", "Why is the sky grey?"];
      const { code, output, errors } = await runExample(command, PROGRAM, { directory, upstream, flags });
      assert.equal(code, 1);
      assert.equal(output, "");
      assert.match(errors, /^Cannot replay an answer that is not there \(miss\): model gpt-4o-mini\./);
      assert.match(errors, /sky blue\?", now .*sky grey\?"/);
      assert.equal(upstream.asked.length, asked);
    } finally {
      await upstream.close();
    }
  });

  it("fails with what the provider says", async (context) => {
    const command = requireRuntime(context, "node");
    if (!command) return;
    const upstream = await startProvider();
    upstream.answer = () => refusal(401, "No such key.");
    try {
      const { code, errors } = await runExample(command, PROGRAM, { directory: await temporaryFolder(), upstream });
      assert.equal(code, 1);
      assert.match(errors, /401 No such key\./);
    } finally {
      await upstream.close();
    }
  });
});
