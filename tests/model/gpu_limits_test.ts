/** A GPU that is lost or full, and one that two models share: never a wrong answer, and nothing left behind. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import type { Backend, OnnxBase } from "../../src/model/backend.ts";
import { ModelError, type ModelErrorCode } from "../../src/model/error.ts";
import { predictMemory } from "../../src/model/memory.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { WorkerHandle } from "../../src/runtime/runtime.ts";
import { BackendCache } from "../../src/warm/backend_cache.ts";
import { type ModelSpec, parseModelName } from "../../src/warm/spec.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { randomLlama, SMALL, writeLlama } from "../support/tiny_llama.ts";
import { greedy } from "./requests.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();
const PROMPT = { ids: [5, 300, 17, 1999, 42] };

async function llamaOn(device: string, seed = 1): Promise<OnnxBase> {
  const folder = await temporaryFolder();
  const base = await writeLlama(folder, randomLlama(SMALL, seed), { layout: "genai", dtype: "fp16" });
  return { ...base, device };
}

/** Loads a model into a Worker that can be made to fail. */
async function loadInto(module: string, base: OnnxBase): Promise<{ backend: Backend; handle: WorkerHandle }> {
  let handle: WorkerHandle | undefined;
  const spawnProcess = (_: URL, name: string): WorkerHandle =>
    handle = runtime.spawnProcess!(new URL(module, import.meta.url), name);
  const backend = await loadOnnxBackend({ ...runtime, spawnProcess }, base);
  return { backend, handle: handle! };
}

const failed = (codes: readonly ModelErrorCode[], words: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof ModelError, String(error));
  assert.ok(codes.includes(error.code), `${error.code}: ${error.message}`);
  assert.match(error.message, words);
  return true;
};

describe("a GPU that is lost", { skip: skipWithoutGpu }, () => {
  it("in the middle of an answer ends it with device_lost; the model answers alike when it is loaded anew", async () => {
    const base = await llamaOn("webgpu:software");
    const { backend, handle } = await loadInto("./faulty_gpu_worker.ts", base);
    const expected = await backend.baseView().nextToken(PROMPT, { topK: 5 });
    const events = backend.baseView().generate(greedy({ prompt: PROMPT, maxTokens: 200, minTokens: 200 }));
    let tokens = 0;
    const reading = (async () => {
      for await (const event of events) {
        if (event.type === "token" && ++tokens === 3) handle.post({ type: "lose" });
      }
    })();
    await assert.rejects(reading, failed(["device_lost"], /The GPU went away/));
    assert.ok(tokens >= 3 && tokens < 200, `${tokens} tokens`);
    assert.deepEqual(backend.memory, { wasm: 0, gpu: 0 });
    const again = await loadOnnxBackend(runtime, base);
    assert.deepEqual(await again.baseView().nextToken(PROMPT, { topK: 5 }), expected);
    await again.close();
  });
});

describe("a GPU that is full", { skip: skipWithoutGpu }, () => {
  it("is one that a model cannot be loaded on, now", async () => {
    const base = await llamaOn("webgpu:software");
    await assert.rejects(loadInto("./full_gpu_worker.ts", base), (error) => {
      return failed(["out_of_memory"], /Cannot load llama-genai/)(error) && !(error as ModelError).permanent;
    });
  });

  it("is another thing than one whose buffers are too small for the model, which says so", async () => {
    const base = await llamaOn("webgpu:software");
    await assert.rejects(
      loadInto("./small_gpu_worker.ts", base),
      failed(["model_load_failed"], /the GPU says: Buffer size \d+ is greater than the maximum buffer size/),
    );
  });

  it("fails a text that there is no room for, and gives no answer made of nothing", async () => {
    const { backend, handle } = await loadInto("./faulty_gpu_worker.ts", await llamaOn("webgpu:software"));
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
    handle.post({ type: "full" });
    const ids = Array.from({ length: 200 }, (_, index) => index + 10);
    const asking = backend.baseView().nextToken({ ids }, { topK: 1 });
    await assert.rejects(asking, failed(["worker_failed"], /The model's Worker failed: /));
    assert.notEqual(await backend.closed, undefined);
  });

  it("fails the next run when it has refused what nobody looks after", async () => {
    const { backend, handle } = await loadInto("./faulty_gpu_worker.ts", await llamaOn("webgpu:software"));
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
    handle.post({ type: "refuse" });
    const asking = backend.baseView().nextToken(PROMPT, { topK: 1 });
    await assert.rejects(asking, failed(["worker_failed"], /the GPU has refused what a run needs: Buffer size/));
  });
});

describe("a GPU that two models share", { skip: skipWithoutGpu }, () => {
  let bases: ReadonlyMap<string, OnnxBase>;
  before(async () => {
    const made = [["one", 1], ["two", 2]] as const;
    bases = new Map(
      await Promise.all(made.map(async ([name, seed]) => {
        const base = await llamaOn("webgpu:software", seed);
        return [name, { ...base, name, identity: base.files.graph.sha256 }] as const;
      })),
    );
  });

  function cacheOf(maxGpuBytes: number): BackendCache {
    const identify = (spec: ModelSpec) => {
      const base = bases.get(spec.base)!;
      return Promise.resolve({ spec, base, scale: 0, identity: base.identity });
    };
    return new BackendCache({
      maxLoaded: 2,
      maxGpuBytes,
      minimumStay: 0,
      clock: runtime.clock,
      identify,
      load: (base, signal) => loadOnnxBackend(runtime, base, { signal }),
      predict: predictMemory,
    });
  }

  async function ask(cache: BackendCache, name: string): Promise<readonly number[]> {
    await using lease = await cache.lease(parseModelName(name));
    return (await lease.view.nextToken(PROMPT, { topK: 3 })).logprobs;
  }

  const held = (cache: BackendCache) => cache.loaded().map(({ base, gpu_bytes }) => [base, gpu_bytes > 0]);

  it("holds both where there is room, each with its own answers", async () => {
    const cache = cacheOf(64 * 2 ** 20);
    try {
      const [one, two] = await Promise.all(["one", "two"].map((name) => ask(cache, name)));
      assert.notDeepEqual(one, two);
      assert.deepEqual([await ask(cache, "two"), await ask(cache, "one")], [two, one]);
      assert.deepEqual(held(cache).toSorted(), [["one", true], ["two", true]]);
    } finally {
      await cache.evictAll();
    }
  });

  it("holds one at a time where there is room for one, and gives back what the other took", async () => {
    const { gpu } = predictMemory(bases.get("one")!);
    const cache = cacheOf(Math.ceil(1.6 * gpu));
    try {
      const first = await ask(cache, "one");
      assert.deepEqual(held(cache), [["one", true]]);
      await ask(cache, "two");
      assert.deepEqual(held(cache), [["two", true]]);
      assert.deepEqual(await ask(cache, "one"), first);
      assert.deepEqual(held(cache), [["one", true]]);
    } finally {
      await cache.evictAll();
    }
    assert.deepEqual(cache.loaded(), []);
  });
});
