/** Models that hang or eat all memory, for real: what their requests hear, and that the Worker is gone afterwards. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import type { OnnxBase } from "../../src/model/backend.ts";
import { ModelError, type ModelErrorCode } from "../../src/model/error.ts";
import { loadOnnxBackend, type LoadOptions } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Clock } from "../../src/runtime/runtime.ts";
import { contentFile, resolveBase } from "../support/models.ts";
import { bool, int64s, node, subgraph, withNodes } from "../support/onnx_graph.ts";
import { temporaryFolder } from "../support/temporary.ts";

const runtime = await loadRuntime();
const [INT64, FLOAT, BOOL] = [7, 1, 9];
/** The prompt whose tokens' numbers add up to what the graph waits for. */
const FATAL = { ids: [2000, 2001] };
const FINE = { ids: [20, 21] };

/** 1 where the tokens' numbers add up to those of the fatal prompt, else 0. */
const TRIGGER = [
  node("ReduceSum", ["input_ids"], ["fault_sum"], [{ name: "keepdims", int: 0 }]),
  int64s("fault_at", [4001n], []),
  node("Equal", ["fault_sum", "fault_at"], ["fault_hit"]),
  node("Cast", ["fault_hit"], ["fault_one"], [{ name: "to", int: INT64 }]),
];

/** Adds nothing to the logits, after going round 2^50 times when it is triggered. */
const HANG = [
  ...TRIGGER,
  int64s("fault_many", [2n ** 50n], []),
  node("Mul", ["fault_one", "fault_many"], ["fault_trips"]),
  bool("fault_true", true),
  node("Cast", ["fault_sum"], ["fault_float"], [{ name: "to", int: FLOAT }]),
  node("Sub", ["fault_float", "fault_float"], ["fault_start"]),
  node("Loop", ["fault_trips", "fault_true", "fault_start"], ["fault_end"], [{
    name: "body",
    graph: subgraph(
      [node("Identity", ["more"], ["go_on"]), node("Mul", ["value", "value"], ["squared"])],
      [["turn", INT64], ["more", BOOL], ["value", FLOAT]],
      [["go_on", BOOL], ["squared", FLOAT]],
    ),
  }]),
  node("Add", ["fault_logits", "fault_end"], ["logits"]),
];

/** Adds nothing to the logits, after taking almost 4 GiB when it is triggered: WASM can address no more, all in all. */
const DEVOUR = [
  ...TRIGGER,
  int64s("fault_much", [2n ** 30n - 64n], [1]),
  node("Mul", ["fault_one", "fault_much"], ["fault_shape"]),
  node("ConstantOfShape", ["fault_shape"], ["fault_zeros"]),
  node("ReduceSum", ["fault_zeros"], ["fault_zero"], [{ name: "keepdims", int: 0 }]),
  node("Add", ["fault_logits", "fault_zero"], ["logits"]),
];

let folder: string;
before(async () => void (folder = await temporaryFolder()));

async function faultyBase(name: string, nodes: typeof HANG): Promise<OnnxBase> {
  const base = await resolveBase();
  const path = `${folder}/${name}.onnx`;
  await writeFile(path, withNodes(await readFile(base.files.graph.path), nodes, "logits", "fault_logits"));
  return { ...base, name, files: { ...base.files, graph: await contentFile(path) } };
}

/** Asks the fatal question with another one behind it; what both hear, and that the Worker is gone. */
async function askFatally(
  base: OnnxBase,
  options: LoadOptions,
  code: ModelErrorCode,
  words: RegExp,
): Promise<void> {
  // However slow this machine is now: only what comes after all was well is measured.
  const allIsWell = Promise.withResolvers<void>();
  const sleep: Clock["sleep"] = async (...args) => {
    await allIsWell.promise;
    await runtime.clock.sleep(...args);
  };
  const backend = await loadOnnxBackend({ ...runtime, clock: { ...runtime.clock, sleep } }, base, options);
  const view = backend.baseView();
  assert.equal((await view.nextToken(FINE, { topK: 1 })).ids.length, 1);
  allIsWell.resolve();
  const told = (error: unknown): boolean => error instanceof ModelError && error.code === code;
  const behind = view.nextToken(FATAL, { topK: 1 });
  const refused = assert.rejects(behind, told);
  await assert.rejects(
    view.nextToken(FATAL, { topK: 1 }),
    (error) => told(error) && words.test((error as Error).message),
  );
  await refused;
  assert.match(String(await backend.closed), words);
  assert.deepEqual(backend.memory, { wasm: 0, gpu: 0 });
  await assert.rejects(view.nextToken(FINE, { topK: 1 }), told);
}

describe("a run that hangs", () => {
  it("is ended when the Worker gets no further for too long; all its requests hear why", async () => {
    await askFatally(
      await faultyBase("hanging", HANG),
      { runTimeout: 1500 },
      "run_timeout",
      /got no further for 1\.5 s/,
    );
  });

  it("while it is loaded fails the load", async () => {
    const base = await faultyBase("hanging at once", [
      ...HANG.filter((part) => part !== TRIGGER[1]),
      // The first token is tried out with every load.
      int64s("fault_at", [0n], []),
    ]);
    const loading = loadOnnxBackend(runtime, base, { runTimeout: 1500 });
    await assert.rejects(loading, (error) => {
      return error instanceof ModelError && error.code === "model_load_failed" && !error.permanent &&
        /Cannot load hanging at once: .*got no further/.test(error.message);
    });
  });
});

describe("weights that change between the moment they are checked and the moment onnxruntime takes them", () => {
  it("are refused", async () => {
    const module = new URL("./changing_file_worker.ts", import.meta.url);
    const spawnWorker = (_: URL, name: string) => runtime.spawnWorker(module, name);
    await assert.rejects(loadOnnxBackend({ ...runtime, spawnWorker }, await resolveBase()), {
      name: "ModelError",
      code: "identity_changed",
      message: /model\.onnx changed while it was read: at byte \d+/,
    });
  });
});

describe("a Worker that listens and never loads", () => {
  it("is ended after a time that grows with the file, whatever it says to pings", async () => {
    const base = await resolveBase();
    const deadline = Promise.withResolvers<void>();
    const spawnWorker = (_: URL, name: string) =>
      runtime.spawnWorker(new URL("./idle_worker.ts", import.meta.url), name);
    const sleep: Clock["sleep"] = (duration) => {
      return duration === 5000 + base.files.graph.size / 1000 ? deadline.promise : new Promise(() => {});
    };
    const slow = { ...runtime, spawnWorker, clock: { ...runtime.clock, sleep } };
    const loading = loadOnnxBackend(slow, base, { runTimeout: 5000 });
    deadline.resolve();
    await assert.rejects(loading, (error) => {
      return error instanceof ModelError && error.code === "model_load_failed" && !error.permanent &&
        /Cannot load kjv-tiny: .*not loaded after 12\.\d+ s/.test(error.message);
    });
  });
});

describe("a run that needs more memory than there is", () => {
  it("fails with out_of_memory, and its Worker, whose memory would stay that large, is ended", async () => {
    await askFatally(await faultyBase("devouring", DEVOUR), {}, "out_of_memory", /out of memory/);
  });

  it("while it is loaded fails the load with out_of_memory, which another day may not", async () => {
    const base = await faultyBase("devouring at once", [
      ...DEVOUR.filter((part) => part !== TRIGGER[1]),
      int64s("fault_at", [0n], []),
    ]);
    await assert.rejects(loadOnnxBackend(runtime, base), (error) => {
      return error instanceof ModelError && error.code === "out_of_memory" && !error.permanent &&
        /Cannot load devouring at once: there is not enough memory/.test(error.message);
    });
    const again = await loadOnnxBackend(runtime, await resolveBase());
    assert.equal((await again.baseView().nextToken(FINE, { topK: 1 })).ids.length, 1);
    await again.close();
  });
});
