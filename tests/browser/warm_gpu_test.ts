/**
 * Models in a page on WebGPU. Machines that run tests have no GPU, so Chromium is told to have its CPU play one
 * (SwiftShader), which is named `webgpu:software` and never chosen by itself. The Worker that a model lives in asks for
 * the GPU itself: no process of its own, no thread beside, no cross-origin isolation.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { skipForWant } from "../support/parts.ts";
import { referenceCases } from "../support/models.ts";
import { warmPages } from "./warm_pages.ts";

/** Largest difference from PyTorch's numbers. */
const TOLERANCE = 2e-3;
const SWIFTSHADER = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"];

describe("models on a GPU that the CPU plays, in chromium", () => {
  const inPage = warmPages("chromium", { flags: SWIFTSHADER });

  it("say what PyTorch says, base and adapter", (context) =>
    inPage(async ({ tab, directory, models }) => {
      if (await tab.call("gpu") !== "software") return skipForWant(context, "Chromium has no SwiftShader");
      await tab.call("open", { "kjv-tiny": models.folder }, { directory });
      const cases = (await referenceCases()).slice(0, 1);
      const questions = cases.map(({ prompt, completion }) => ({ prompt, completion }));
      for (const view of ["base", "fortunes"] as const) {
        const model = {
          base: "kjv-tiny",
          device: "webgpu:software",
          ...view === "fortunes" && { adapter: view },
        } as const;
        for (const [at, said] of (await tab.call("say", model, 1, questions)).entries()) {
          const expected = cases[at]![view];
          assert.equal(said.greedy_text, expected.greedy_text);
          assert.deepEqual(said.greedy_ids, expected.greedy_ids);
          assertClose(said.token_logprobs, expected.token_logprobs);
          assertClose(said.next_top10_logprobs, expected.next_top10_logprobs);
        }
      }
      assert.deepEqual((await tab.call("seen")).events, ["loading", "loaded"]);
    })(context));

  it(
    "are others than on the CPU, and never chosen for somebody who named none",
    inPage(async ({ tab, directory, models }) => {
      await tab.call("open", { "kjv-tiny": models.folder }, { directory });
      const automatic = await tab.call("identify", "kjv-tiny");
      const software = await tab.call("identify", { base: "kjv-tiny", device: "webgpu:software" });
      assert.equal(automatic.device, "wasm");
      assert.equal(software.device, "webgpu:software");
      assert.notEqual(automatic.base, software.base);
      await assert.rejects(() => tab.call("say", { base: "kjv-tiny", device: "webgpu" }, 1, []), {
        code: "model_load_failed",
        message: /this machine has no hardware WebGPU adapter.*; use another device$/,
      });
    }),
  );
});

describe("models on a GPU, in firefox without one", () => {
  const inPage = warmPages("firefox");

  it(
    "are refused by the device's name",
    inPage(async ({ tab, directory, models }) => {
      await tab.call("open", { "kjv-tiny": models.folder }, { directory });
      await assert.rejects(() => tab.call("say", { base: "kjv-tiny", device: "webgpu" }, 1, []), {
        code: "model_load_failed",
        message: /this machine has no hardware WebGPU adapter/,
      });
    }),
  );
});

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [at, number] of actual.entries()) {
    assert.ok(Math.abs(number - expected[at]!) < TOLERANCE, `${number} is not ${expected[at]} at ${at}`);
  }
}
