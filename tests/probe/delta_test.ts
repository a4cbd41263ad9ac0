import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Backend, ResolvedAdapter } from "../../src/model/backend.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { nextTokenDelta } from "../../src/probe/delta.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";

describe("nextTokenDelta", () => {
  let backend: Backend;
  let adapter: ResolvedAdapter;

  before(async () => {
    adapter = await resolveAdapter();
    backend = await loadOnnxBackend(await loadRuntime(), await resolveBase());
  });
  after(() => backend.close());

  it("measures what the reference implementation measures", async () => {
    for (const { prompt, base, fortunes, ...expected } of await referenceCases()) {
      const delta = await nextTokenDelta(backend, adapter, { text: prompt });
      assert.ok(Math.abs(delta.kl - expected.next_token_kl_base_adapter) < 1e-3, `${prompt}: KL ${delta.kl}`);
      assert.ok(Math.abs(delta.js - expected.next_token_js) < 1e-3, `${prompt}: JS ${delta.js}`);
      assert.deepEqual(delta.base.map(({ id }) => id), base.next_top10_ids);
      assert.deepEqual(delta.adapter.map(({ id }) => id), fortunes.next_top10_ids);
      for (const [index, { logprob }] of delta.base.entries()) {
        assert.ok(Math.abs(logprob - base.next_top10_logprobs[index]!) < 1e-3);
      }
    }
  });

  it("finds no difference at scale 0, and reports as many tokens as asked for", async () => {
    const delta = await nextTokenDelta(backend, adapter, { text: "Thou shalt not" }, { scale: 0, top: 2 });
    assert.ok(delta.kl < 1e-6 && delta.js < 1e-6, `KL ${delta.kl}, JS ${delta.js}`);
    assert.deepEqual(delta.base.map(({ id }) => id), delta.adapter.map(({ id }) => id));
    assert.equal(delta.base.length, 2);
  });

  it("refuses misuse and passes on what the model refuses", async () => {
    const prompt = { text: "And" };
    for (const top of [-1, 0.5, NaN]) {
      await assert.rejects(nextTokenDelta(backend, adapter, prompt, { top }), { name: "RangeError" });
    }
    await assert.rejects(nextTokenDelta(backend, adapter, prompt, { topK: 1 } as object), { message: /topK/ });
    const long = { ids: Array.from({ length: 1000 }, () => 1) };
    await assert.rejects(nextTokenDelta(backend, adapter, long), { code: "prompt_too_long" });
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await assert.rejects(nextTokenDelta(backend, adapter, prompt, { signal }), reason);
  });

  it("refuses weights that are not those it was promised", async () => {
    const { config, weights } = adapter.files;
    const other = { ...adapter, identity: "other", files: { config, weights: { ...weights, sha256: "0".repeat(64) } } };
    await assert.rejects(nextTokenDelta(backend, other, { text: "And" }), { code: "identity_changed" });
  });
});
