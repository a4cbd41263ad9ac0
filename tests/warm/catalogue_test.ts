import assert from "node:assert/strict";
import { mkdir, rename, rm, symlink } from "node:fs/promises";
import { describe, it } from "node:test";
import { Catalogue } from "../../src/warm/catalogue.ts";
import { parseModelName } from "../../src/warm/spec.ts";
import { MODELS } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { ADAPTER_FILES, BASE_FILES, catalogueOver, writeFiles } from "./models_folder.ts";

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
      { id: "a", kind: "onnx", created: 1_600_000_000 },
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
