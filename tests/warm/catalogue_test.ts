import assert from "node:assert/strict";
import { mkdir, rename, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, it } from "node:test";
import type { ModelDevice } from "../../src/model/backend.ts";
import { FileError } from "../../src/runtime/runtime.ts";
import { Catalogue } from "../../src/warm/catalogue.ts";
import { hubCacheFolder } from "../../src/warm/hub/hub_cache.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { ADAPTER_FILES, BASE_FILES, catalogueOver, watchedRuntime, writeFiles, writeTexts } from "./models_folder.ts";

describe("Catalogue.list", () => {
  it("finds the example model and its adapter", async () => {
    const listings = await (await catalogueOver(MODELS)).list();
    assert.deepEqual(listings.map(({ id, kind, parent, problem }) => ({ id, kind, parent, problem })), [
      { id: "kjv-tiny", kind: "onnx", parent: undefined, problem: undefined },
      { id: "kjv-tiny+fortunes", kind: "adapter", parent: "kjv-tiny", problem: undefined },
    ]);
  });

  it("says when the newest file was written, in seconds", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES, 1_500_000_000);
    await writeFiles(`${folder}/a`, ["tokenizer_config.json"], 1_600_000_000);
    await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES, 1_700_000_000);
    assert.deepEqual(await (await catalogueOver(folder)).list(), [
      { id: "a", kind: "onnx", dtypes: ["fp32"], created: 1_600_000_000 },
      { id: "a+x", kind: "adapter", parent: "a", created: 1_700_000_000 },
    ]);
  });

  it("looks one level down for organisations, and past what is no model", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/org/b`, BASE_FILES);
    await writeFiles(`${folder}/.cache/c`, BASE_FILES);
    await writeFiles(`${folder}/one/two/d`, BASE_FILES);
    await writeFiles(folder, ["README.md", "notes/today.txt"]);
    assert.deepEqual((await (await catalogueOver(folder)).list()).map(({ id }) => id), ["org/b"]);
  });

  it("reports what looks like a model but cannot be used", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/half`, ["config.json"]);
    await writeFiles(`${folder}/half/adapters/x`, ADAPTER_FILES);
    await writeFiles(`${folder}/my model`, BASE_FILES);
    await writeFiles(`${folder}/whole`, BASE_FILES);
    await writeFiles(`${folder}/whole/adapters/half`, ["adapter_config.json"]);
    const listings = await (await catalogueOver(folder)).list();
    assert.deepEqual(listings.map(({ id, problem }) => [id, problem]), [
      ["half", "it lacks onnx/model.onnx and it lacks tokenizer.json"],
      ["half+x", "its base cannot be used"],
      ["my model", "its name has characters that no request can ask for, or is too long"],
      ["whole", undefined],
      ["whole+half", "it lacks adapter_model.safetensors"],
    ]);
  });

  it("tells of a folder that cannot be read, and shows the others", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    await writeFiles(`${folder}/lost`, BASE_FILES);
    const runtime = await watchedRuntime();
    const stat: typeof runtime.files.stat = (path) =>
      path.startsWith(`${folder}/lost`)
        ? Promise.reject(new FileError("not for you", "EACCES"))
        : runtime.files.stat(path);
    const catalogue = new Catalogue({ runtime: { ...runtime, files: { ...runtime.files, stat } }, directory: folder });
    assert.deepEqual((await catalogue.list()).map(({ id, problem }) => [id, problem]), [
      ["a", undefined],
      ["lost", "it cannot be read, not for you"],
    ]);
    await assert.rejects(catalogue.locate({ base: "b" }), { message: 'Cannot find model (there are: a): "b"' });
  });

  it("looks at each adapter once, however many bases there are", async () => {
    const folder = await temporaryFolder();
    for (const name of ["a", "b", "c", "d", "e", "f"]) {
      await writeFiles(`${folder}/org/${name}`, BASE_FILES);
      await writeTexts(`${folder}/for-${name}`, {
        "adapter_config.json": JSON.stringify({ base_model_name_or_path: `other/${name}` }),
        "adapter_model.safetensors": "weights",
      });
    }
    const runtime = await watchedRuntime();
    const seen: string[] = [];
    const stat: typeof runtime.files.stat = (path) => {
      if (path.endsWith("/adapter_config.json")) seen.push(path);
      return runtime.files.stat(path);
    };
    const catalogue = new Catalogue({ runtime: { ...runtime, files: { ...runtime.files, stat } }, directory: folder });
    assert.equal((await catalogue.list()).filter(({ parent }) => parent !== undefined).length, 6);
    assert.ok(seen.length <= 2 * 6, `looked at ${seen.length} times`);
  });

  it("takes a missing directory for an empty one", async () => {
    assert.deepEqual(await (await catalogueOver(`${await temporaryFolder()}/none`)).list(), []);
  });
});

describe("Catalogue.locate", () => {
  it("names the files of a base and of an adapter", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/org/a`, [...BASE_FILES, "generation_config.json"]);
    await writeFiles(`${folder}/org/a/adapters/x`, ADAPTER_FILES);
    await writeFiles(`${folder}/org/a/adapters/broken`, ["adapter_config.json"]);
    const located = await (await catalogueOver(folder)).locate(parseModelName("org/a+x"));
    assert.deepEqual(paths(located.base), {
      graph: `${folder}/org/a/onnx/model.onnx`,
      config: `${folder}/org/a/config.json`,
      tokenizer: `${folder}/org/a/tokenizer.json`,
      generationConfig: `${folder}/org/a/generation_config.json`,
    });
    assert.deepEqual(paths(located.adapter!), {
      config: `${folder}/org/a/adapters/x/adapter_config.json`,
      weights: `${folder}/org/a/adapters/x/adapter_model.safetensors`,
    });
    assert.equal(located.base.config.stat.size, "config.json".length, "they come with the state they are in");
  });

  it("says what is there when the model is not, or why it cannot be used", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES);
    await writeFiles(`${folder}/half`, ["config.json"]);
    const catalogue = await catalogueOver(folder);
    const cases = {
      "b": 'Cannot find model (there are: a, a+x): "b"',
      "a+y": 'Cannot find model (there are: a, a+x): "a+y"',
      "half": 'Cannot use model, it lacks onnx/model.onnx and it lacks tokenizer.json: "half"',
    };
    for (const [name, message] of Object.entries(cases)) {
      await assert.rejects(catalogue.locate(parseModelName(name)), { code: "model_not_found", message });
    }
    for (let number = 0; number < 30; number++) await writeFiles(`${folder}/many/m${number}`, BASE_FILES);
    const many = await catalogueOver(`${folder}/many`);
    await assert.rejects(many.locate({ base: "x" }), {
      message: /^Cannot find model \(there are: .*, and 10 more\): "x"$/,
    });
    const empty = await catalogueOver(`${folder}/none`);
    await assert.rejects(empty.locate({ base: "a" }), { message: 'Cannot find model (there are: none): "a"' });
  });

  it("sees adapters come and go", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    const catalogue = await catalogueOver(folder);
    await assert.rejects(catalogue.locate({ base: "a", adapter: "x" }), { code: "model_not_found" });
    await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES);
    assert.ok((await catalogue.locate({ base: "a", adapter: "x" })).adapter);
    await rm(`${folder}/a/adapters/x`, { recursive: true });
    await assert.rejects(catalogue.locate({ base: "a", adapter: "x" }), { code: "model_not_found" });
  });

  it("refuses names that did not go through the parser", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/outside`, BASE_FILES);
    await mkdir(`${folder}/models`);
    const catalogue = await catalogueOver(`${folder}/models`);
    await assert.rejects(catalogue.locate({ base: "../outside" }), { code: "model_not_found" });
  });

  it("follows symbolic links inside the directory and refuses those that lead out of it", async () => {
    const folder = await temporaryFolder();
    const models = `${folder}/models`;
    await writeFiles(`${folder}/outside`, BASE_FILES);
    await writeFiles(`${folder}/outside/adapters/x`, ADAPTER_FILES);
    await writeFiles(`${models}/a`, BASE_FILES);
    await writeFiles(`${models}/b`, ["config.json", "tokenizer.json", "onnx/other.onnx"]);
    await symlink(`${models}/a`, `${models}/alias`);
    await symlink(`${folder}/outside`, `${models}/escaped`);
    await symlink(`${folder}/outside/onnx/model.onnx`, `${models}/b/onnx/model.onnx`);
    await symlink(`${folder}/outside/adapters`, `${models}/a/adapters`);
    const catalogue = await catalogueOver(models);
    assert.equal((await catalogue.locate({ base: "alias" })).base.graph.path, `${models}/alias/onnx/model.onnx`);
    for (const name of [{ base: "escaped" }, { base: "b" }, { base: "a", adapter: "x" }]) {
      await assert.rejects(catalogue.locate(name), { code: "model_not_found" });
    }
    const problems = (await catalogue.list()).map(({ id, problem }) => `${id}: ${problem}`);
    assert.ok(problems.includes("b: its onnx/model.onnx lies outside the models directory"));
  });

  it("follows a link anew when it leads somewhere else", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/outside`, BASE_FILES);
    await writeFiles(`${folder}/models/a`, BASE_FILES);
    const graph = `${folder}/models/a/onnx/model.onnx`;
    await rename(graph, `${folder}/models/graph`);
    await symlink(`${folder}/models/graph`, graph);
    const catalogue = await catalogueOver(`${folder}/models`);
    await catalogue.locate({ base: "a" });
    await rm(graph);
    await symlink(`${folder}/outside/onnx/model.onnx`, graph);
    await assert.rejects(catalogue.locate({ base: "a" }), { code: "model_not_found", message: /lies outside/ });
  });

  it("refuses an option it does not know", () => {
    assert.throws(() => new Catalogue({ path: "models" } as never), { name: "TypeError", message: /path/ });
  });
});

describe("an export", () => {
  const others = ["config.json", "tokenizer.json"];
  const dtypesOf = async (folder: string): Promise<readonly string[] | undefined> =>
    (await (await catalogueOver(folder)).list())[0]!.dtypes;

  it("is told from the others by its suffix, in onnx/ or at the top", async () => {
    const folder = await temporaryFolder();
    const suffixes = ["", "_fp16", "_quantized", "_int8", "_uint8", "_q4", "_q4f16", "_bnb4"];
    await writeFiles(`${folder}/a`, [...others, ...suffixes.map((suffix) => `onnx/model${suffix}.onnx`)]);
    assert.deepEqual(await dtypesOf(folder), ["fp32", "fp16", "q8", "int8", "uint8", "q4", "q4f16", "bnb4"]);
    await rm(`${folder}/a/onnx`, { recursive: true });
    await writeFiles(`${folder}/a`, ["model.onnx", "decoder_model_merged_quantized.onnx", "model_o4.onnx"]);
    assert.deepEqual(await dtypesOf(folder), ["fp32", "q8"]);
  });

  it("is one graph and the weights beside it", async () => {
    const folder = await temporaryFolder();
    const graphs = ["onnx/decoder_model.onnx", "onnx/decoder_model_merged.onnx", "onnx/decoder_model_merged_q4.onnx"];
    const data = ["_data", "_data_1", ".data", ".old", "_data_x"].map((end) => `onnx/decoder_model_merged.onnx${end}`);
    await writeFiles(`${folder}/a`, [...others, ...graphs, ...data, "onnx/decoder_model_merged_q4.onnx_data"]);
    const catalogue = await catalogueOver(folder);
    const { base, dtype } = await catalogue.locate({ base: "a" });
    assert.equal(dtype, "fp32");
    assert.equal(base.graph.path, `${folder}/a/onnx/decoder_model_merged.onnx`);
    assert.deepEqual(base.externalData!.map(({ path }) => path.split("/").at(-1)), [
      "decoder_model_merged.onnx.data",
      "decoder_model_merged.onnx_data",
      "decoder_model_merged.onnx_data_1",
    ]);
    const q4 = await catalogue.locate(parseModelName("a:q4"));
    assert.equal(q4.base.externalData!.length, 1);
  });

  it("of onnxruntime-genai is what genai_config.json names", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, [...others, "phi-cpu-int4-block-32.onnx", "phi-cpu-int4-block-32.onnx.data"]);
    const name = (filename: unknown) =>
      writeTexts(`${folder}/a`, { "genai_config.json": { model: { decoder: { filename } } } });
    await name("phi-cpu-int4-block-32.onnx");
    const { base, dtype } = await (await catalogueOver(folder)).locate({ base: "a" });
    assert.equal(dtype, "q4");
    assert.equal(base.graph.path, `${folder}/a/phi-cpu-int4-block-32.onnx`);
    assert.equal(base.genaiConfig!.path, `${folder}/a/genai_config.json`);
    assert.equal(base.externalData!.length, 1);
    for (const wrong of ["../phi.onnx", "/phi.onnx", 7, "missing.onnx", "config.json"]) {
      await name(wrong);
      await assert.rejects((await catalogueOver(folder)).locate({ base: "a" }), /it lacks onnx\/model\.onnx/);
    }
  });

  it("comes with what embedding models say of pooling, where modules.json says it is", async () => {
    const folder = await temporaryFolder();
    const more = ["sentence_bert_config.json", "config_sentence_transformers.json"];
    await writeFiles(`${folder}/a`, [...BASE_FILES, ...more, "1_Pooling/config.json", "2_Pooling/config.json"]);
    const located = async () => paths((await (await catalogueOver(folder)).locate({ base: "a" })).base);
    assert.equal((await located()).pooling, `${folder}/a/1_Pooling/config.json`);
    await writeTexts(`${folder}/a`, {
      "modules.json": [null, { type: "sentence_transformers.models.Pooling", path: "2_Pooling" }],
    });
    const { pooling, modules, sentenceConfig, promptsConfig } = await located();
    assert.equal(pooling, `${folder}/a/2_Pooling/config.json`);
    assert.ok(modules && sentenceConfig && promptsConfig);
    for (const path of ["../b", "missing", 3]) {
      await writeTexts(`${folder}/a`, { "modules.json": [{ type: "a.Pooling", path }] });
      assert.notEqual((await located()).pooling, `${folder}/a/2_Pooling/config.json`);
    }
  });

  it("that serves the device is taken, or the one that is asked for, or none", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, [...others, "model_fp16.onnx", "model_q4.onnx", "model_q4f16.onnx"]);
    const catalogue = await catalogueOver(folder);
    const dtypeOn = async (device: ModelDevice, float16: boolean, name = "a") =>
      (await catalogue.locate(parseModelName(name), { device, float16 })).dtype;
    assert.equal(await dtypeOn("wasm", false), "fp16");
    assert.equal(await dtypeOn("webgpu", true), "fp16");
    assert.equal(await dtypeOn("webgpu", false), "q4");
    assert.equal(await dtypeOn("webgpu", false, "a:q4f16"), "q4f16");
    await assert.rejects(dtypeOn("wasm", false, "a:q8"), {
      code: "model_not_found",
      message: 'Cannot find dtype q8 of the model (there are: fp16, q4, q4f16): "a:q8"',
    });
    await rm(`${folder}/a/model_q4.onnx`);
    await assert.rejects(dtypeOn("webgpu", false), {
      code: "model_not_found",
      message: 'Cannot find an export that runs on webgpu without float16 (there are: fp16, q4f16): "a"',
    });
  });
});

describe("an adapter that lies elsewhere", () => {
  const trainedFor = (base: unknown) => ({ base_model_name_or_path: base });
  const adapter = (base: unknown) => ({
    "adapter_config.json": trainedFor(base),
    "adapter_model.safetensors": "weights",
    // Trainers save these beside it.
    "tokenizer.json": {},
  });

  it("is one of the base that it says it was trained for", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/org/Base-ONNX`, BASE_FILES);
    await writeFiles(`${folder}/b`, ["tokenizer.json", "onnx/model.onnx"]);
    await writeTexts(`${folder}/b`, { "config.json": { _name_or_path: "maker/big-b" } });
    await writeTexts(`${folder}/me/x`, adapter("meta/base"));
    await writeTexts(`${folder}/y`, adapter("/home/me/big-b/"));
    const catalogue = await catalogueOver(folder);
    assert.deepEqual((await catalogue.list()).map(({ id, parent, problem }) => [id, parent, problem]), [
      ["b", undefined, undefined],
      ["b+y", "b", undefined],
      ["org/Base-ONNX", undefined, undefined],
      ["org/Base-ONNX+me/x", "org/Base-ONNX", undefined],
    ]);
    const { adapter: found } = await catalogue.locate(parseModelName("org/Base-ONNX+me/x"));
    assert.equal(found!.weights.path, `${folder}/me/x/adapter_model.safetensors`);
    assert.deepEqual(await catalogue.adapterWeights("b"), [`${folder}/y/adapter_model.safetensors`]);
  });

  it("is of no base where both say only that they were somewhere", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    await writeTexts(`${folder}/a`, { "config.json": { _name_or_path: "./" } });
    for (const [name, origin] of [["x", "./"], ["y", "/"], ["z", "out/.."]] as const) {
      await writeTexts(`${folder}/${name}`, adapter(origin));
    }
    const catalogue = await catalogueOver(folder);
    for (const name of ["a+x", "a+y", "a+z"]) {
      await assert.rejects(catalogue.locate(parseModelName(name)), { code: "model_not_found" });
    }
    assert.deepEqual((await catalogue.list()).filter(({ parent }) => parent === "a"), []);
  });

  it("is refused for another base, and one beside the base goes first", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    await writeTexts(`${folder}/x`, adapter("other/base"));
    await writeTexts(`${folder}/y`, adapter(null));
    const catalogue = await catalogueOver(folder);
    await assert.rejects(catalogue.locate(parseModelName("a+x")), {
      code: "model_not_found",
      message: 'Cannot use model, it was trained for another base, other/base: "a+x"',
    });
    await assert.rejects(catalogue.locate(parseModelName("a+y")), /does not say for which base it is/);
    const orphans = (await catalogue.list()).filter(({ kind }) => kind === "adapter");
    assert.deepEqual(orphans.map(({ id, problem }) => [id, problem]), [
      ["x", "its base is not here, other/base"],
      ["y", "its adapter_config.json does not say for which base it is"],
    ]);
    await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES);
    const { adapter: found } = await catalogue.locate(parseModelName("a+x"));
    assert.equal(found!.weights.path, `${folder}/a/adapters/x/adapter_model.safetensors`);
  });

  it("is looked at anew when it is replaced", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    await writeTexts(`${folder}/x`, adapter("a"));
    const catalogue = await catalogueOver(folder);
    assert.ok((await catalogue.locate(parseModelName("a+x"))).adapter);
    await writeTexts(`${folder}/x`, adapter("b"));
    await assert.rejects(catalogue.locate(parseModelName("a+x")), /trained for another base, b/);
  });
});

describe("the hub's cache", () => {
  const COMMITS = ["a".repeat(40), "b".repeat(40)] as const;

  /** Writes a repository as huggingface_hub does: the files by content, and links to them by name. */
  async function writeRepository(hub: string, id: string, commit: string, files: readonly string[], ref = "main") {
    const folder = `${hub}/models--${id.replaceAll("/", "--")}`;
    await writeTexts(folder, { [`refs/${ref}`]: commit });
    for (const file of files) {
      const blob = `${commit}${file.replaceAll("/", "")}`;
      const text = file === "adapter_config.json" ? { base_model_name_or_path: "org/a" } : file;
      await writeTexts(`${folder}/blobs`, { [blob]: text });
      const link = `${folder}/snapshots/${commit}/${file}`;
      await mkdir(dirname(link), { recursive: true });
      await symlink(`${"../".repeat(file.split("/").length + 1)}blobs/${blob}`, link);
    }
    return folder;
  }

  async function world() {
    const folder = await temporaryFolder();
    const [models, hub] = [`${folder}/models`, `${folder}/hub`];
    return { models, hub, catalogue: await catalogueOver(models, hub) };
  }

  it("has the models with a graph, by the commit that main points to, and other branches by name", async () => {
    const { hub, catalogue } = await world();
    assert.deepEqual(await catalogue.list(), []);
    const folder = await writeRepository(hub, "org/a", COMMITS[0], BASE_FILES);
    await writeRepository(hub, "org/a", COMMITS[1], BASE_FILES, "v2");
    await writeRepository(hub, "plain", COMMITS[0], BASE_FILES);
    await writeRepository(hub, "org/torch", COMMITS[0], ["config.json", "tokenizer.json", "model.safetensors"]);
    await writeTexts(hub, { "datasets--org--d/refs/main": COMMITS[0], "models--a--b--c/refs/main": COMMITS[0] });
    assert.deepEqual((await catalogue.list()).map(({ id }) => id), ["org/a", "org/a@v2", "plain"]);
    const at = async (name: string) => (await catalogue.locate(parseModelName(name))).base.graph.path;
    assert.equal(await at("org/a"), `${folder}/snapshots/${COMMITS[0]}/onnx/model.onnx`);
    assert.equal(await at("org/a@v2"), `${folder}/snapshots/${COMMITS[1]}/onnx/model.onnx`);
    assert.equal(await at(`org/a@${COMMITS[1]}`), `${folder}/snapshots/${COMMITS[1]}/onnx/model.onnx`);
    for (const name of ["org/torch", "org/a@v3", `org/a@${"c".repeat(40)}`, "org/b"]) {
      await assert.rejects(at(name), { code: "model_not_found" });
    }
  });

  it("has another model once main points to another commit", async () => {
    const { hub, catalogue } = await world();
    await writeRepository(hub, "org/a", COMMITS[0], BASE_FILES);
    await catalogue.locate({ base: "org/a" });
    const folder = await writeRepository(hub, "org/a", COMMITS[1], BASE_FILES);
    const { base } = await catalogue.locate({ base: "org/a" });
    assert.equal(base.graph.path, `${folder}/snapshots/${COMMITS[1]}/onnx/model.onnx`);
  });

  it("stands behind the models directory, and has adapters for its models", async () => {
    const { models, hub, catalogue } = await world();
    await writeRepository(hub, "org/a", COMMITS[0], BASE_FILES);
    await writeRepository(hub, "me/x", COMMITS[0], ADAPTER_FILES);
    await writeFiles(`${models}/org/a`, BASE_FILES);
    assert.deepEqual((await catalogue.list()).map(({ id }) => id), ["org/a", "org/a+me/x"]);
    const { base, adapter } = await catalogue.locate(parseModelName("org/a+me/x"));
    assert.equal(base.graph.path, `${models}/org/a/onnx/model.onnx`);
    assert.ok(adapter!.weights.path.startsWith(`${hub}/models--me--x/`));
  });

  it("may not lead out of itself, by a link or by what a branch says", async () => {
    const { hub, models, catalogue } = await world();
    const folder = await writeRepository(hub, "org/a", COMMITS[0], BASE_FILES);
    await writeFiles(models, ["outside"]);
    await rm(`${folder}/snapshots/${COMMITS[0]}/config.json`);
    await symlink(`${models}/outside`, `${folder}/snapshots/${COMMITS[0]}/config.json`);
    await assert.rejects(catalogue.locate({ base: "org/a" }), /its config\.json lies outside the hub's cache/);
    await writeTexts(folder, { "refs/main": "../../../models" });
    await assert.rejects(catalogue.locate({ base: "org/a" }), /Cannot find model/);
  });

  it("has nothing where it may not be read", async () => {
    const { models, hub } = await world();
    await writeRepository(hub, "org/a", COMMITS[0], BASE_FILES);
    await writeFiles(`${models}/b`, BASE_FILES);
    const runtime = await watchedRuntime();
    const stat: typeof runtime.files.stat = (path) =>
      path.startsWith(hub) ? Promise.reject(new FileError("not for you", "EACCES")) : runtime.files.stat(path);
    const files = { ...runtime.files, stat };
    const catalogue = new Catalogue({ runtime: { ...runtime, files }, directory: models, hub });
    assert.deepEqual((await catalogue.list()).map(({ id }) => id), ["b"]);
    await assert.rejects(catalogue.locate({ base: "org/a" }), { code: "model_not_found" });
  });

  it("is where huggingface_hub has it", () => {
    const at = (variables: Record<string, string>) => hubCacheFolder({ environment: (name) => variables[name] });
    assert.equal(at({ HOME: "/home/me" }), "/home/me/.cache/huggingface/hub");
    assert.equal(at({ HOME: "/home/me", XDG_CACHE_HOME: "/cache" }), "/cache/huggingface/hub");
    assert.equal(at({ HOME: "/home/me", XDG_CACHE_HOME: "/cache", HF_HOME: "~/hf" }), "/home/me/hf/hub");
    assert.equal(at({ HOME: "/home/me", HF_HOME: "/hf", HF_HUB_CACHE: "/hub/" }), "/hub");
    assert.equal(at({ HF_HUB_CACHE: "" }), undefined);
  });
});

describe("Catalogue", () => {
  it("lists a folder again only when it has changed", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    const runtime = await watchedRuntime();
    let lists = 0;
    const list = (path: string) => {
      lists++;
      return runtime.files.list(path);
    };
    const catalogue = new Catalogue({ runtime: { ...runtime, files: { ...runtime.files, list } }, directory: folder });
    await catalogue.locate({ base: "a" });
    const before = lists;
    await catalogue.locate({ base: "a" });
    assert.equal(lists, before);
    await writeFiles(`${folder}/a`, ["chat_template.jinja"]);
    assert.ok((await catalogue.locate({ base: "a" })).base.chatTemplate);
    assert.equal(lists, before + 1);
  });
});

describe("Catalogue.adapterWeights", () => {
  it("names the weights of the adapters that can be used", async () => {
    const folder = await temporaryFolder();
    await writeFiles(`${folder}/a`, BASE_FILES);
    const catalogue = await catalogueOver(folder);
    assert.deepEqual(await catalogue.adapterWeights("a"), []);
    await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES);
    await writeFiles(`${folder}/a/adapters/broken`, ["adapter_config.json"]);
    assert.deepEqual(await catalogue.adapterWeights("a"), [`${folder}/a/adapters/x/adapter_model.safetensors`]);
  });
});

function paths(files: object): Record<string, string> {
  return Object.fromEntries(Object.entries(files).map(([role, { path }]) => [role, path]));
}
