/** The contract of stores and of caches, kept inside workerd: the suites of `src/testing/`, each test by its own name. */

import assert from "node:assert/strict";
import { after, describe, it, type TestContext } from "node:test";
import { bundleForEdge } from "../../examples/edge/bundle.ts";
import { type ServerControl, startServerControl } from "../browser/conformance/servers.ts";
import { HERE } from "../support/runtimes.ts";
import { suitesOver } from "./conformance/suites.ts";
import { type RunningWorkerd, startWorkerd } from "./support/workerd.ts";

describe("in workerd", { skip: HERE !== "deno" && "workerd is the same, whoever starts it" }, () => {
  let opened: Promise<{ worker: RunningWorkerd; control: ServerControl } | undefined> | undefined;

  async function open(context: TestContext): Promise<{ worker: RunningWorkerd; control: ServerControl } | undefined> {
    const bundle = await bundleForEdge("tests/edge/conformance/worker.ts");
    assert.deepEqual(bundle.imports, [], "what the bundle imports besides its .wasm");
    const control = await startServerControl("http://edge.test");
    const worker = await startWorkerd(context, {
      bundle,
      objects: { Bench: "Bench" },
      bindings: { CONTROL: control.url },
    });
    if (worker !== undefined) return { worker, control };
    await control.close();
    return undefined;
  }

  after(async () => {
    const used = await opened;
    await used?.worker.kill();
    await used?.control.close();
  });

  for (const [suite, tests] of suitesOver()) {
    describe(suite, () => {
      for (const test of tests.keys()) {
        it(test, async (context) => {
          const used = await (opened ??= open(context));
          const body = JSON.stringify({ suite, test });
          const response = await used?.worker.fetch(`/${encodeURIComponent(`${suite} ${test}`)}`, {
            method: "POST",
            body,
          });
          if (response === undefined) return;
          const { message, stack } = await response.json();
          if (message !== undefined) throw Object.assign(new Error(message), { stack });
        });
      }
    });
  }
});
