/**
 * Models on a GPU, which a CPU plays here (lavapipe: Debian's `mesa-vulkan-drivers`), against what PyTorch computed; and
 * what is heard of a GPU that fails.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Backend, OnnxBase, ResolvedAdapter, View } from "../../src/model/backend.ts";
import { automaticDevice, deviceFacts } from "../../src/model/device.ts";
import { ModelError, type ModelErrorCode } from "../../src/model/error.ts";
import { loadOnnxBackend, type LoadOptions } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import { type Clock, FileError, type WorkerHandle } from "../../src/runtime/runtime.ts";
import { REFERENCE_MAX_TOKENS, referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";
import { HERE } from "../support/runtimes.ts";
import { greedy } from "./requests.ts";
import { skipWithoutGpu } from "./software_gpu.ts";

const runtime = await loadRuntime();
const cases = await referenceCases();
const TOLERANCE = 1e-4;
const PROMPT = { text: "In the beginning God" };

const skip = skipWithoutGpu;
const hasHardware = (await deviceFacts(runtime, "webgpu")).reason === undefined;

async function baseOn(device: string) {
  return { ...await resolveBase(), device };
}

async function greedyIds(view: View, prompt: string): Promise<number[]> {
  const request = greedy({ prompt: { text: prompt }, maxTokens: REFERENCE_MAX_TOKENS });
  const events = await Array.fromAsync(view.generate(request));
  return events.flatMap((event) => event.type === "token" ? [event.token.id] : []);
}

const failed = (code: ModelErrorCode, words: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof ModelError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, words);
  return true;
};

describe("a model on webgpu:software", { skip }, () => {
  let backend: Backend;
  let adapter: ResolvedAdapter;
  before(async () => {
    adapter = await resolveAdapter();
    const knownAdapterWeights = [adapter.files.weights.path];
    backend = await loadOnnxBackend(runtime, await baseOn("webgpu:software"), { knownAdapterWeights });
  });
  after(() => backend?.close());

  /** Every view that the reference has, by the reference's name for it. */
  const views = () =>
    [
      ["base", backend.baseView()],
      ["fortunes", backend.adapterView(adapter)],
      ["fortunes_scaled_0.5", backend.adapterView(adapter, { scale: 0.5 })],
      ["fortunes_scaled_2", backend.adapterView(adapter, { scale: 2 })],
    ] as const;

  it("scores as the reference does, every view", async () => {
    for (const [name, view] of views()) {
      for (const { prompt, completion, [name]: expected } of cases) {
        const { logprobs } = await view.rollingLogprobs(prompt + completion);
        assert.equal(logprobs.length, expected.token_logprobs.length);
        logprobs.forEach((logprob, index) => {
          assert.ok(Math.abs(logprob - expected.token_logprobs[index]!) < TOLERANCE, `${name}: ${logprob} at ${index}`);
        });
      }
    }
  });

  it("says what may follow as the reference does, every view at once", async () => {
    await Promise.all(
      views().flatMap(([name, view]) =>
        cases.map(async ({ prompt, [name]: expected }) => {
          const { ids, logprobs } = await view.nextToken({ text: prompt }, { topK: 10 });
          assert.deepEqual(ids, expected.next_top10_ids);
          logprobs.forEach((logprob, index) => {
            const wanted = expected.next_top10_logprobs[index]!;
            assert.ok(Math.abs(logprob - wanted) < TOLERANCE, `${name}: ${logprob} at ${index}, not ${wanted}`);
          });
        })
      ),
    );
  });

  it("generates the reference's tokens, one request alone", async () => {
    const [{ prompt, base }] = cases as [(typeof cases)[number]];
    assert.deepEqual(await greedyIds(backend.baseView(), prompt), base.greedy_ids);
  });

  it("generates the reference's tokens, every view and several prompts at once", async () => {
    await Promise.all(
      views().flatMap(([name, view]) =>
        cases.slice(0, 2).map(async ({ prompt, [name]: expected }) => {
          assert.deepEqual(await greedyIds(view, prompt), expected.greedy_ids, name);
        })
      ),
    );
  });

  it("answers with the same bits whatever runs beside it", async () => {
    const ask = (): Promise<unknown> => backend.baseView().rollingLogprobs(PROMPT.text);
    const alone = await ask();
    const beside = backend.adapterView(adapter).nextToken(PROMPT, { topK: 5 });
    assert.deepEqual(await Promise.all([ask(), ask()]), [alone, alone]);
    await beside;
  });

  it("says what it holds on the GPU: the weights at least; keys and values are let go of", async () => {
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
    const { gpu, wasm } = backend.memory;
    assert.ok(gpu > (backend.base as OnnxBase).files.graph.size / 2, String(gpu));
    assert.ok(wasm > 0);
    for (let round = 0; round < 5; round++) {
      for await (const event of backend.baseView().generate(greedy({ maxTokens: 8 }))) {
        if (event.type === "token") break;
      }
    }
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
    assert.ok(backend.memory.gpu < gpu + 1_000_000, `${backend.memory.gpu} after ${gpu}`);
  });

  it("stops when it is aborted", async () => {
    const controller = new AbortController();
    const reader = backend.baseView().generate(greedy({ maxTokens: 200 }), controller.signal)[Symbol.asyncIterator]();
    await reader.next();
    controller.abort(new Error("client went away"));
    await assert.rejects(reader.next(), /client went away/);
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
  });
});

describe("a GPU that fails", { skip }, () => {
  /** Loads a model whose GPU can be made to fail, asks it something, and lets its GPU fail. */
  async function failing(how: "lose" | "hang" | "panic", options?: LoadOptions): Promise<Backend> {
    let handle: WorkerHandle | undefined;
    const spawnProcess = (_: URL, name: string): WorkerHandle =>
      handle = runtime.spawnProcess!(new URL("./faulty_gpu_worker.ts", import.meta.url), name);
    // However slow this machine is now: only what comes after all was well is measured.
    const allIsWell = Promise.withResolvers<void>();
    const sleep: Clock["sleep"] = async (...parameters) => {
      await allIsWell.promise;
      await runtime.clock.sleep(...parameters);
    };
    const faulty = { ...runtime, spawnProcess, clock: { ...runtime.clock, sleep } };
    const backend = await loadOnnxBackend(faulty, await baseOn("webgpu:software"), options);
    await backend.baseView().nextToken(PROMPT, { topK: 1 });
    allIsWell.resolve();
    handle!.post({ type: how });
    return backend;
  }

  /** What its requests hear, and that nothing is left of it. */
  async function assertGone(backend: Backend, code: ModelErrorCode, words: RegExp): Promise<void> {
    const requests = [1, 2].map(() => backend.baseView().nextToken(PROMPT, { topK: 1 }));
    await Promise.all(requests.map((request) => assert.rejects(request, failed(code, words))));
    assert.match((await backend.closed)!.message, words);
    assert.deepEqual(backend.memory, { wasm: 0, gpu: 0 });
    await assert.rejects(backend.baseView().nextToken(PROMPT, { topK: 1 }), failed(code, words));
  }

  it("by going away ends its Worker with device_lost", async () => {
    await assertGone(await failing("lose"), "device_lost", /The GPU went away: destroyed/);
  });

  it("by never answering ends its Worker with run_timeout, though the Worker still listens", async () => {
    await assertGone(await failing("hang", { runTimeout: 1000 }), "run_timeout", /got no further for 1 s/);
  });

  it("by a panic takes its own process with it, not this one nor the models beside it", async () => {
    const beside = await loadOnnxBackend(runtime, await resolveBase());
    await assertGone(
      await failing("panic"),
      "worker_failed",
      /process ended with exit code \d+: .*unwrap.* at ext\/webgpu/,
    );
    assert.equal((await beside.baseView().nextToken(PROMPT, { topK: 1 })).ids.length, 1);
    await beside.close();
  });
});

describe("the device webgpu", () => {
  it("is a real GPU and never one that a CPU plays", {
    skip: skip || (hasHardware && "there is one"),
  }, async () => {
    const loading = loadOnnxBackend(runtime, await baseOn("webgpu"));
    await assert.rejects(
      loading,
      failed("model_load_failed", /no hardware WebGPU adapter, only .+; use another device/),
    );
  });

  it("needs the permission to start a process", async () => {
    const spawnProcess = (): WorkerHandle => {
      throw new FileError("Cannot start process: allow it with --allow-run", "EACCES");
    };
    await assert.rejects(loadOnnxBackend({ ...runtime, spawnProcess }, await baseOn("webgpu")), (error) => {
      return failed("model_load_failed", /Cannot load kjv-tiny: .*--allow-run/)(error) &&
        !(error as ModelError).permanent;
    });
  });

  it("needs Deno", async () => {
    const { spawnProcess: _, ...without } = runtime;
    await assert.rejects(loadOnnxBackend(without, await baseOn("webgpu")), (error) => {
      return failed("model_load_failed", /WebGPU needs Deno/)(error) && (error as ModelError).permanent;
    });
  });
});

describe("automaticDevice", () => {
  it("is webgpu where there is a real GPU, else wasm, with what there is in its place", async () => {
    const facts = await automaticDevice(runtime);
    assert.equal(facts.device, hasHardware ? "webgpu" : "wasm");
    if (hasHardware) return assert.equal(facts.reason, undefined);
    assert.equal(facts.float16, false);
    assert.match(facts.reason!, HERE === "deno" ? /no hardware WebGPU adapter/ : /WebGPU needs Deno, and this is/);
  });

  it("is wasm where no process can be started to look", async () => {
    const spawnProcess = (): WorkerHandle => {
      throw new FileError("Cannot start process: allow it with --allow-run", "EACCES");
    };
    const { device, reason } = await automaticDevice({ ...runtime, spawnProcess });
    assert.equal(device, "wasm");
    assert.match(reason!, /the search for a GPU failed: .*--allow-run/);
  });

  it("is wasm where looking ends the process", async () => {
    const spawnProcess = (_: URL, name: string): WorkerHandle =>
      runtime.spawnWorker(new URL("./no_such_worker.ts", import.meta.url), name);
    const { device, reason } = await automaticDevice({ ...runtime, spawnProcess });
    assert.equal(device, "wasm");
    assert.match(reason!, /the search for a GPU failed: /);
  });

  it("is wasm where the drivers never answer", async () => {
    const spawnProcess = (): WorkerHandle => ({ post() {}, onMessage() {}, onFailure() {}, terminate() {} });
    const sleep: Clock["sleep"] = () => Promise.resolve();
    const { device, reason } = await automaticDevice({ ...runtime, spawnProcess, clock: { ...runtime.clock, sleep } });
    assert.equal(device, "wasm");
    assert.match(reason!, /the search for a GPU failed: it has got no further for 10 s/);
  });
});

describe("deviceFacts", () => {
  it("of wasm: computes in float32 alone", async () => {
    assert.deepEqual(await deviceFacts(runtime, "wasm"), { device: "wasm", float16: false });
  });

  it("of webgpu:software: whether it computes in float16", { skip }, async () => {
    const { device, float16, reason } = await deviceFacts(runtime, "webgpu:software");
    assert.equal(device, "webgpu:software");
    assert.equal(float16, true, "lavapipe does, from Mesa 22 on");
    assert.equal(reason, undefined);
  });
});
