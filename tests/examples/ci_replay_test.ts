/** `examples/ci_replay.ts`, run as a program: from the answers in git, and what it says of one that is not there. */

import assert from "node:assert/strict";
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { runExample, startKnowingProvider } from "./provider.ts";

const EXAMPLES = fileURLToPath(new URL("../../examples/", import.meta.url));
const WITH_OUR_NAMES = ["-A", "--config", fileURLToPath(new URL("../../deno.json", import.meta.url))];

/** A copy, whose questions and answers a test may change. */
async function copiedExamples(): Promise<string> {
  const directory = await temporaryFolder();
  await cp(EXAMPLES, directory, { recursive: true });
  return directory;
}

async function replaceIn(file: string, from: string, to: string): Promise<void> {
  const text = await readFile(file, "utf8");
  assert.ok(text.includes(from), `${file} has ${from}`);
  await writeFile(file, text.replace(from, to));
}

describe("examples/ci_replay.ts", () => {
  it("passes from the answers that are in git, without a key", async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command) return;
    const { code, output, errors } = await runExample(command, "ci_replay.ts", { directory: await temporaryFolder() });
    assert.equal(code, 0, errors);
    assert.equal(output, "7 of 7 right\n");
  });

  it("fails on a question that was changed, and says what differs", async (context) => {
    const command = requireRuntime(context, "deno", WITH_OUR_NAMES);
    if (!command) return;
    const directory = await copiedExamples();
    await replaceIn(join(directory, "quiz.ts"), "without a full stop", "with a full stop");
    const { code, output, errors } = await runExample(command, join(directory, "ci_replay.ts"), { directory });
    assert.equal(code, 1);
    assert.equal(output, "");
    assert.match(errors, /^Cannot replay an answer that is not there/);
    assert.match(errors, /with(out)? a full stop/);
    assert.match(errors, /--record and commit them/);
  });

  it("fails when a stored answer is wrong", async (context) => {
    const command = requireRuntime(context, "deno", WITH_OUR_NAMES);
    if (!command) return;
    const directory = await copiedExamples();
    await replaceIn(join(directory, "quiz.ts"), '"Canberra"', '"Sydney"');
    const { code, output } = await runExample(command, join(directory, "ci_replay.ts"), { directory });
    assert.equal(code, 1);
    assert.equal(output, "6 of 7 right\n");
  });

  it("records what replays", async (context) => {
    const command = requireRuntime(context, "deno", WITH_OUR_NAMES);
    if (!command) return;
    const directory = await copiedExamples();
    await rm(join(directory, "answers"), { recursive: true });
    const upstream = await startKnowingProvider();
    try {
      const program = join(directory, "ci_replay.ts");
      const recorded = await runExample(command, program, { directory, upstream, flags: ["--record"] });
      assert.equal(recorded.code, 0, recorded.errors);
      assert.equal(upstream.asked.length, 12);
      const replayed = await runExample(command, program, { directory });
      assert.deepEqual(replayed, { code: 0, output: "7 of 7 right\n", errors: "" });
    } finally {
      await upstream.close();
    }
  });
});
