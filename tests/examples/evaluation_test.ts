/** `examples/evaluation.ts`, run as a program: the second time it is free. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { requireRuntime } from "../support/runtimes.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { runExample, startKnowingProvider } from "./provider.ts";

describe("examples/evaluation.ts", () => {
  it("asks everything once, and nothing when it is run again", async (context) => {
    const command = requireRuntime(context, "deno");
    if (!command) return;
    const upstream = await startKnowingProvider();
    const directory = await temporaryFolder();
    try {
      const first = await runExample(command, "evaluation.ts", { directory, upstream });
      assert.equal(first.code, 0, first.errors);
      assert.match(first.output, /^score +7 of 7 right; 5 of 5 say that the ball costs 5$/m);
      assert.match(first.output, /^cache +0 hits of 8 lookups \(0\.0 %\), 8 writes; .*; spent \$0\.0\d*$/m);
      assert.equal(upstream.asked.length, 12);
      const second = await runExample(command, "evaluation.ts", { directory, upstream });
      assert.equal(second.code, 0, second.errors);
      assert.match(second.output, /^score +7 of 7 right; 5 of 5 say that the ball costs 5$/m);
      assert.match(second.output, /^cache +8 hits of 8 lookups \(100\.0 %\), 0 writes; .*; spent \$0\.0000$/m);
      assert.equal(upstream.asked.length, 12);
    } finally {
      await upstream.close();
    }
  });
});
