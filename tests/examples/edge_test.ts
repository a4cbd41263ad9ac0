/** `examples/edge/dev.ts`, run as a program: the Worker in workerd, asked twice, and again after a restart. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { startUpstream } from "../support/upstream/upstream.ts";
import { runExample } from "./provider.ts";

/** Bundling and starting workerd takes longer than Bun gives a test. */
const PATIENT = { timeout: 120_000 };

describe("examples/edge/dev.ts", () => {
  it("asks once, answers again from the Durable Object, and after a restart too", PATIENT, async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command) return;
    const upstream = await startUpstream();
    upstream.mock.onMessage("edge", { content: "Hello, caller." });
    try {
      const directory = await temporaryFolder();
      const flags = ["--once", "--directory", directory, "--upstream", upstream.url];
      const answers = async (): Promise<string[]> => {
        const { code, output, errors } = await runExample(command, "edge/dev.ts", { directory, flags });
        assert.equal(code, 0, errors);
        return output.split("\n").filter((line) => /^(hit|miss)/.test(line)).map((line) => line.replace(/ \(.*/, ""));
      };
      assert.deepEqual(await answers(), ["miss  Hello, caller.", "hit   Hello, caller."]);
      assert.deepEqual(await answers(), ["hit   Hello, caller.", "hit   Hello, caller."]);
      assert.equal(upstream.asked.length, 1);
    } finally {
      await upstream.close();
    }
  });

  it("finds its answers after a restart with the provider that is none, too", PATIENT, async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command) return;
    const directory = await temporaryFolder();
    const outcomes: string[] = [];
    for (let time = 0; time < 2; time++) {
      const flags = ["--once", "--directory", directory];
      const { code, output, errors } = await runExample(command, "edge/dev.ts", { directory, flags });
      assert.equal(code, 0, errors);
      outcomes.push(...[...output.matchAll(/^(hit|miss) /gm)].map(([, outcome]) => outcome!));
    }
    assert.deepEqual(outcomes, ["miss", "hit", "hit", "hit"]);
  });
});
