/** BackendCache over real models: files on disk, digests, Workers. */

import assert from "node:assert/strict";
import { copyFile, truncate } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import type { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { BackendCache, type LoadBackend } from "../../src/warm/backend_cache.ts";
import { Identifier } from "../../src/warm/identity.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { divergence } from "../../src/probe/divergence.ts";
import { copyModel, copyModelWithOtherWeights, MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { catalogueOver } from "./models_folder.ts";

const one = parseModelName("one");
const other = parseModelName("other");

describe("BackendCache with real models", () => {
  let folder: string;
  let backends: BackendCache;
  let beforeLoad: () => Promise<void> = () => Promise.resolve();

  before(async () => {
    folder = await temporaryFolder();
    await copyModel(folder, "one");
    await copyModelWithOtherWeights(folder, "other");
    const runtime = await loadRuntime();
    const identifier = new Identifier({
      runtime,
      catalogue: await catalogueOver(folder),
      memoPath: `${folder}/digests.json`,
    });
    const load: LoadBackend = async (base, signal) => {
      await beforeLoad();
      return await loadOnnxBackend(runtime, base, { signal });
    };
    backends = new BackendCache({
      maxLoaded: 1,
      clock: runtime.clock,
      identify: (spec, options) => identifier.identify(spec, options),
      load,
    });
  });
  after(() => backends.evictAll());

  it("serves base and adapter from one set of weights", async () => {
    await using base = await backends.lease(one);
    await using adapted = await backends.lease(parseModelName("one+fortunes"));
    assert.equal(base.backend, adapted.backend);
    const [ofBase, ofAdapter] = await Promise.all(
      [base, adapted].map(({ view }) => view.nextToken({ text: "And" }, { topK: 100 })),
    );
    assert.ok(divergence(ofBase!, ofAdapter!).kl > 0.1);
    assert.partialDeepStrictEqual(backends.loaded(), [{ base: "one", adapter: "fortunes", state: "warm", leases: 2 }]);
  });

  it("ends the Worker of the model that makes room", async () => {
    const first = await backends.lease(one);
    const { backend } = first;
    await first[Symbol.asyncDispose]();
    await using second = await backends.lease(other);
    assert.equal(await backend.closed, undefined);
    await assert.rejects(backend.baseView().nextToken({ text: "And" }, { topK: 1 }), { code: "worker_failed" });
    assert.notEqual(second.base.identity, first.base.identity);
    assert.deepEqual(backends.loaded().map(({ base }) => base), ["other"]);
  });

  it("rests after a corrupt file and loads a mended one at once", async () => {
    const graph = `${folder}/one/onnx/model.onnx`;
    await truncate(graph, 100_000);
    await assert.rejects(backends.lease(one), (error: ModelError) => {
      return error.code === "model_load_failed" && error.permanent && error.retryAfter === undefined;
    });
    await assert.rejects(backends.lease(one), { code: "model_load_failed" });
    assert.deepEqual(backends.loaded().map(({ base, state }) => [base, state]), [["one", "cooldown"]]);
    await copyFile(`${MODELS}/kjv-tiny/onnx/model.onnx`, graph);
    await using lease = await backends.lease(one);
    assert.equal((await lease.view.nextToken({ text: "And" }, { topK: 1 })).ids.length, 1);
  });

  it("serves what it really loaded when a file changes between identification and load", async () => {
    const before = await backends.identify(other);
    beforeLoad = async () => {
      beforeLoad = () => Promise.resolve();
      await copyFile(`${MODELS}/kjv-tiny/onnx/model.onnx`, `${folder}/other/onnx/model.onnx`);
    };
    await using lease = await backends.lease(other);
    assert.notEqual(lease.identity, before.identity);
    assert.equal(lease.identity, (await backends.identify(one)).identity);
  });
});
