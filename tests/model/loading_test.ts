/** What happens when files are missing, broken or not the promised ones. */

import assert from "node:assert/strict";
import fs from "node:fs/promises";
import os from "node:os";
import { after, afterEach, before, describe, it } from "node:test";
import type { Backend, OnnxBase, OnnxFiles } from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { contentFile, KJV_TINY, referenceCases, resolveAdapter, resolveBase } from "../support/models.ts";
import { GraphBuilder } from "../support/onnx_builder.ts";
import { greedy } from "./requests.ts";
import { safetensors } from "./safetensors.ts";

let directory: string;
let base: OnnxBase;
let running = 0;
/** The machine, with an eye on how many Workers are alive. */
const machine = await loadRuntime();
const runtime: Runtime = {
  ...machine,
  spawnWorker(url, name) {
    const worker = machine.spawnWorker(url, name);
    running++;
    return { ...worker, terminate: () => (running--, worker.terminate()) };
  },
};

before(async () => {
  directory = await fs.mkdtemp(`${os.tmpdir()}/loading-`);
  base = await resolveBase();
});
after(() => fs.rm(directory, { recursive: true }));

const refused = (code: string, message: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof ModelError, String(error));
  assert.equal(error.code, code);
  assert.match(error.message, message);
  return true;
};

/** The base with one file replaced. */
async function withFile(
  role: Exclude<keyof OnnxFiles, "externalData">,
  content: string | Uint8Array,
): Promise<OnnxBase> {
  const path = `${directory}/${role}`;
  await fs.writeFile(path, content);
  return { ...base, files: { ...base.files, [role]: await contentFile(path) } };
}

async function edited(
  role: Exclude<keyof OnnxFiles, "externalData">,
  changes: Readonly<Record<string, unknown>>,
): Promise<OnnxBase> {
  const json = JSON.parse(await fs.readFile(base.files[role]!.path, "utf8"));
  return await withFile(role, JSON.stringify({ ...json, ...changes }));
}

/** A graph that says what a text is, and nothing that it could go on with or be compared by. */
function classifier(): Uint8Array {
  const graph = new GraphBuilder();
  const ids = graph.input("input_ids", "int64", ["batch", "length"]);
  graph.node("Cast", [ids], {
    outputs: [graph.output("scores", "float32", ["batch", "length"])],
    attributes: { to: 1 },
  });
  return graph.finish().graph;
}

describe("loadOnnxBackend", () => {
  afterEach(() => assert.equal(running, 0));

  const model = () => fs.readFile(`${KJV_TINY}/onnx/model.onnx`);
  for (
    const [what, broken, message] of [
      [
        "a truncated graph",
        async () => withFile("graph", (await model()).subarray(0, 1_000_000)),
        /kjv-tiny: .*graph: protobuf is cut short/,
      ],
      ["a graph of garbage", () => withFile("graph", "garbage, not a model"), /kjv-tiny: .*graph: protobuf/],
      ["an empty graph", () => withFile("graph", ""), /has no graph: 0 bytes/],
      [
        "a graph that is no language model",
        () => withFile("graph", classifier()),
        /neither logits nor one of .*last_hidden_state.*: its outputs are scores/,
      ],
      [
        "a graph that WebAssembly cannot address",
        () => Promise.resolve({ ...base, files: { ...base.files, graph: { ...base.files.graph, size: 2 ** 32 + 1 } } }),
        /model\.onnx has 4294967297 bytes: onnxruntime can address 4294967296/,
      ],
      ["a configuration that is not JSON", () => withFile("config", "{"), /config is not JSON/],
      [
        "a configuration without a context length",
        () => edited("config", { max_position_embeddings: undefined }),
        /config\.json has none of max_position_embeddings, n_positions/,
      ],
      [
        "a configuration with a context length that is none",
        () => edited("config", { max_position_embeddings: -1 }),
        /config\.json has no positive max_position_embeddings: -1/,
      ],
      [
        "an end of text that is no token",
        () => edited("generationConfig", { eos_token_id: "</s>" }),
        /eos_token_id is not a token id: "<\/s>"/,
      ],
      ["a tokenizer that is none", () => withFile("tokenizer", "{}"), /tokenizer's decoder is not supported/],
      [
        "a chat template that is none",
        () => edited("tokenizerConfig", { chat_template: "{% if %}" }),
        /Cannot load kjv-tiny/,
      ],
      [
        "a device without an entry point",
        () => Promise.resolve({ ...base, device: "tpu" }),
        /kjv-tiny: device is not one of wasm, webgpu, webgpu:software: "tpu"/,
      ],
    ] as const
  ) {
    it(`fails on ${what}, with the reason, and leaves no Worker`, async () => {
      const isRefused = refused("model_load_failed", message);
      await assert.rejects(loadOnnxBackend(runtime, await broken()), (error: ModelError) => {
        // Another machine may have the device; whatever else it is lies in the files.
        assert.equal(error.permanent, !what.startsWith("a device"));
        return isRefused(error);
      });
    });
  }

  it("fails on a missing file, naming it", async () => {
    const config = { ...base.files.config, path: `${directory}/missing.json` };
    const missing = { ...base, files: { ...base.files, config } };
    const isRefused = refused("model_load_failed", /missing\.json/);
    await assert.rejects(
      loadOnnxBackend(runtime, missing),
      (error: ModelError) => isRefused(error) && !error.permanent,
    );
  });

  it("refuses a file that is not the one that was hashed", async () => {
    for (const role of ["graph", "tokenizer", "config"] as const) {
      const file = { ...base.files[role], sha256: "0".repeat(64) };
      const changed = { ...base, files: { ...base.files, [role]: file } };
      await assert.rejects(
        loadOnnxBackend(runtime, changed),
        refused("identity_changed", /changed since it was hashed/),
      );
    }
  });

  it("ends the Worker when loading is aborted", async () => {
    const controller = new AbortController();
    const loading = loadOnnxBackend(runtime, base, { signal: controller.signal });
    assert.equal(running, 1);
    controller.abort(new Error("no longer wanted"));
    await assert.rejects(loading, /no longer wanted/);
  });

  it("starts no Worker when it was aborted before", async () => {
    await assert.rejects(
      loadOnnxBackend(runtime, base, { signal: AbortSignal.abort(new Error("too late")) }),
      /too late/,
    );
  });

  it("does without generation and tokenizer configuration, and then without chat", async () => {
    const { generationConfig: _, tokenizerConfig: __, ...files } = base.files;
    const backend = await loadOnnxBackend(runtime, { ...base, files } as OnnxBase);
    try {
      const prompt = { messages: [{ role: "user", content: "Hail" }] };
      await assert.rejects(backend.baseView().nextToken(prompt, { topK: 1 }), {
        code: "invalid_request",
        parameter: "messages",
      });
      assert.equal((await backend.baseView().nextToken({ text: "Hail" }, { topK: 1 })).ids.length, 1);
    } finally {
      await backend.close();
    }
  });

  it("takes the chat template from its own file where there is one", async () => {
    const backend = await loadOnnxBackend(runtime, await withFile("chatTemplate", "In the beginning God"));
    try {
      const prompt = { messages: [{ role: "user", content: "anything" }] };
      const view = backend.baseView();
      const expected = await view.nextToken({ text: "In the beginning God" }, { topK: 3 });
      assert.deepEqual(await view.nextToken(prompt, { topK: 3 }), expected);
    } finally {
      await backend.close();
    }
  });

  it("is not disturbed by a broken adapter beside the base", async () => {
    await fs.writeFile(`${directory}/broken.safetensors`, "broken");
    const knownAdapterWeights = [`${directory}/broken.safetensors`, `${directory}/missing.safetensors`];
    const backend = await loadOnnxBackend(runtime, base, { knownAdapterWeights });
    assert.ok(backend.memory.wasm > 7_000_000);
    await backend.close();
    assert.equal(backend.memory.wasm, 0);
  });
});

describe("adapterView", () => {
  let backend: Backend;
  before(async () => {
    backend = await loadOnnxBackend(runtime, base);
  });
  after(() => backend.close());

  const CONFIG = { peft_type: "LORA", r: 1, lora_alpha: 1, bias: "none" };
  const query = "base_model.model.model.layers.0.self_attn.q_proj";
  let written = 0;

  async function writeAdapter(config: unknown, weights: Uint8Array): Promise<ReturnType<typeof resolveAdapter>> {
    const path = `${directory}/adapter-${written++}`;
    await fs.mkdir(path);
    await fs.writeFile(`${path}/adapter_config.json`, JSON.stringify(config));
    await fs.writeFile(`${path}/adapter_model.safetensors`, weights);
    return await resolveAdapter(path);
  }

  function lora(module: string, inputs: number, outputs: number): Uint8Array {
    return safetensors({
      [`${module}.lora_A.weight`]: { dtype: "F32", shape: [1, inputs], bytes: new Float32Array(inputs) },
      [`${module}.lora_B.weight`]: { dtype: "F32", shape: [outputs, 1], bytes: new Float32Array(outputs) },
    });
  }

  it("takes an adapter that was not known when the base was loaded, beside running generations", async () => {
    const adapter = await resolveAdapter();
    const [reference] = await referenceCases();
    const running = Array.fromAsync(backend.baseView().generate(greedy({})));
    const known = await loadOnnxBackend(runtime, base, { knownAdapterWeights: [adapter.files.weights.path] });
    try {
      const text = "And Moses said unto the people";
      const late = await backend.adapterView(adapter).rollingLogprobs(text);
      assert.deepEqual(late, await known.adapterView(adapter).rollingLogprobs(text));
      const ids = (await running).flatMap((event) => event.type === "token" ? [event.token.id] : []);
      assert.deepEqual(ids, reference!.base.greedy_ids);
    } finally {
      await known.close();
    }
  });

  for (
    const [what, adapter, message] of [
      [
        "another base's module",
        () => writeAdapter(CONFIG, lora("base_model.model.model.layers.7.mlp.up_proj", 160, 432)),
        /adapter fortunes: the base has no linear layer model\.layers\.7\.mlp\.up_proj/,
      ],
      [
        "another base's shape",
        () => writeAdapter(CONFIG, lora(query, 64, 160)),
        /goes from 160 to 160: the adapter's from 64 to 160/,
      ],
      ["DoRA", () => writeAdapter({ ...CONFIG, use_dora: true }, lora(query, 160, 160)), /use_dora is not supported/],
      [
        "weights cut short",
        () => writeAdapter(CONFIG, lora(query, 160, 160).subarray(0, -9)),
        /safetensors file is cut short/,
      ],
    ] as const
  ) {
    it(`refuses ${what} when it is used, each time, and the base goes on`, async () => {
      const view = backend.adapterView(await adapter());
      for (let time = 0; time < 2; time++) {
        await assert.rejects(view.nextToken({ text: "God" }, { topK: 1 }), refused("model_load_failed", message));
      }
      assert.equal((await backend.baseView().nextToken({ text: "God" }, { topK: 1 })).ids.length, 1);
    });
  }

  it("refuses weights that are not the ones that were hashed", async () => {
    const adapter = await writeAdapter(CONFIG, lora(query, 160, 160));
    await fs.writeFile(adapter.files.weights.path, lora(query, 160, 160).fill(1, 400));
    const view = backend.adapterView(adapter);
    await assert.rejects(view.rollingLogprobs("God said"), refused("identity_changed", /adapter_model\.safetensors/));
  });

  it("tells a retrained adapter at the same path from the old one", async () => {
    const path = `${directory}/retrained`;
    await fs.cp(`${KJV_TINY}/adapters/fortunes`, path, { recursive: true });
    const trained = await backend.adapterView(await resolveAdapter(path)).rollingLogprobs("God said");
    await fs.writeFile(`${path}/adapter_config.json`, JSON.stringify(CONFIG));
    await fs.writeFile(`${path}/adapter_model.safetensors`, lora(query, 160, 160));
    const retrained = await backend.adapterView(await resolveAdapter(path)).rollingLogprobs("God said");
    assert.notDeepEqual(retrained, trained);
    assert.deepEqual(retrained, await backend.baseView().rollingLogprobs("God said"));
  });

  it("is told of and let go of: the next request reads it again", async () => {
    const path = `${directory}/dropped`;
    await fs.cp(`${KJV_TINY}/adapters/fortunes`, path, { recursive: true });
    await fs.writeFile(`${path}/adapter_config.json`, JSON.stringify({ ...CONFIG, r: 8, lora_alpha: 3 }));
    const adapter = await resolveAdapter(path);
    assert.deepEqual(backend.adapters.filter(({ identity }) => identity === adapter.identity), []);
    const before = await backend.adapterView(adapter).rollingLogprobs("God said");
    const [resident] = backend.adapters.filter(({ identity }) => identity === adapter.identity);
    assert.equal(resident?.name, adapter.name);
    assert.ok(resident.bytes > 1000);
    await backend.dropAdapter(adapter.identity);
    assert.deepEqual(backend.adapters.filter(({ identity }) => identity === adapter.identity), []);
    assert.deepEqual(await backend.adapterView(adapter).rollingLogprobs("God said"), before);
    await backend.dropAdapter("never seen");
  });
});
