import assert from "node:assert/strict";
import { appendFile, mkdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { OnnxBase } from "../../src/model/backend.ts";
import type { DigestingRuntime } from "../../src/warm/file_digests.ts";
import {
  ENGINES,
  GRAPH_REWRITE_VERSION,
  Identifier,
  type IdentifierOptions,
  viewIdentity,
} from "../../src/warm/identity.ts";
import { modelSpec, parseModelName } from "../../src/warm/spec.ts";
import { copyModel } from "../support/models.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { ADAPTER_FILES, BASE_FILES, catalogueOver, watchedRuntime, writeFiles } from "./models_folder.ts";

const base = parseModelName("a");
const adapted = parseModelName("a+x");

/** A models folder with the base `a` and its adapter `x`, and an identifier over it. */
async function world(options: Partial<IdentifierOptions> & { ahead?: number } = {}) {
  const { ahead, ...rest } = options;
  const folder = await temporaryFolder();
  await writeFiles(`${folder}/a`, BASE_FILES);
  await writeFiles(`${folder}/a/adapters/x`, ADAPTER_FILES);
  const runtime = await watchedRuntime(ahead);
  const catalogue = await catalogueOver(folder);
  const memoPath = `${folder}/cache/digests.json`;
  const identifier = (more: Partial<IdentifierOptions> = {}): Identifier =>
    new Identifier({ runtime, catalogue, memoPath, ...rest, ...more });
  return { folder, runtime, memoPath, identifier };
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("identify", () => {
  it("resolves the example model to files with their digests", async () => {
    const folder = await temporaryFolder();
    const copy = await copyModel(folder, "kjv-copy");
    const identifier = new Identifier({
      runtime: await watchedRuntime(),
      catalogue: await catalogueOver(folder),
      memoPath: `${folder}/digests.json`,
    });
    const { spec, base, adapter, scale } = await identifier.identify(parseModelName("kjv-copy+fortunes"));
    assert.equal(spec.base, "kjv-copy");
    assert.partialDeepStrictEqual(base, { kind: "onnx", name: "kjv-copy", dtype: "fp32", device: "wasm" });
    assert.deepEqual((base as OnnxBase).files.graph, {
      path: `${copy}/onnx/model.onnx`,
      sha256: createHash("sha256").update(await readFile(`${copy}/onnx/model.onnx`)).digest("hex"),
      size: (await readFile(`${copy}/onnx/model.onnx`)).length,
    });
    assert.deepEqual(Object.keys((base as OnnxBase).files).sort(), [
      "config",
      "generationConfig",
      "graph",
      "tokenizer",
      "tokenizerConfig",
    ]);
    assert.deepEqual([adapter!.name, scale], ["fortunes", 1]);
  });

  it("hashes exactly the text that its documentation says", async () => {
    const { identifier } = await world();
    const model = await identifier().identify(adapted);
    const [graph, config, tokenizer] = ["onnx/model.onnx", "config.json", "tokenizer.json"].map(sha256);
    const baseIdentity = sha256(
      `["warmcache base",2,["kind","onnx"],["graph","${graph}"],["external_data"],["config","${config}"],` +
        `["tokenizer","${tokenizer}"],["tokenizer_config",null],["generation_config",null],["chat_template",null],` +
        `["genai_config",null],["modules",null],["pooling",null],["sentence_config",null],["prompts_config",null],` +
        `["dtype","fp32"],["device","wasm"],["graph_rewrite",${GRAPH_REWRITE_VERSION}],` +
        `["onnxruntime","${ENGINES.onnxruntime}"],["tokenizers","${ENGINES.tokenizers}"],["jinja","${ENGINES.jinja}"]]`,
    );
    const [adapterConfig, weights] = ["adapter_config.json", "adapter_model.safetensors"].map(sha256);
    const adapter = sha256(`["warmcache adapter",1,["config","${adapterConfig}"],["weights","${weights}"]]`);
    const view = (of: string, scale: number): string =>
      sha256(`["warmcache view",2,["base","${baseIdentity}"],["adapter",${of}],["scale",${scale}]]`);
    assert.deepEqual(
      [model.base.identity, model.adapter!.identity, model.identity],
      [baseIdentity, adapter, view(`"${adapter}"`, 1)],
    );
    assert.equal((await identifier().identify(base)).identity, view("null", 0));
  });

  it("gives two names of one content one identity, and auto that of the device it means", async () => {
    const { folder, identifier } = await world();
    const before = await identifier().identify(adapted);
    const onWasm = await identifier().identify(modelSpec({ base: "a", adapter: "x", device: "wasm" }));
    await rename(`${folder}/a`, `${folder}/b`);
    await rename(`${folder}/b/adapters/x`, `${folder}/b/adapters/y`);
    const after = await identifier().identify(parseModelName("b+y"));
    assert.equal(after.base.name, "b");
    for (const { base, identity } of [onWasm, after]) {
      assert.deepEqual([base.identity, identity], [before.base.identity, before.identity]);
    }
  });

  it("changes with every byte of every file of the base", async () => {
    const { folder, identifier } = await world();
    const seen = new Set([(await identifier().identify(base)).base.identity]);
    const more = ["tokenizer_config.json", "generation_config.json", "chat_template.jinja", "modules.json"];
    const embedding = ["1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"];
    const data = ["onnx/model.onnx_data", "onnx/model.onnx_data_1", "onnx/model.onnx.data"];
    await mkdir(`${folder}/a/1_Pooling`);
    const files = [...BASE_FILES, ...more, ...embedding, ...data];
    for (const file of files) {
      await appendFile(`${folder}/a/${file}`, "!");
      seen.add((await identifier().identify(base)).base.identity);
    }
    assert.equal(seen.size, files.length + 1);
  });

  it("gives an adapter that was trained again at the same path another view of the same base", async () => {
    const { folder, identifier } = await world();
    const kept = identifier();
    const before = await kept.identify(adapted);
    const unadapted = await kept.identify(base);
    await appendFile(`${folder}/a/adapters/x/adapter_model.safetensors`, "!");
    const after = await kept.identify(adapted);
    assert.equal(after.base.identity, before.base.identity);
    assert.notEqual(after.identity, before.identity);
    await appendFile(`${folder}/a/adapters/x/adapter_config.json`, "!");
    assert.notEqual((await kept.identify(adapted)).identity, after.identity);
    assert.equal((await kept.identify(base)).identity, unadapted.identity);
  });

  it("is that of the export that is used, by its dtype and the name of its external data", async () => {
    const { folder, identifier } = await world();
    await writeFiles(`${folder}/a`, ["onnx/model_q4.onnx", "onnx/model_q4.onnx_data"]);
    const [asFound, plain, q4] = await Promise.all([
      identifier().identify(base),
      identifier().identify(modelSpec({ base: "a", dtype: "fp32" })),
      identifier().identify(modelSpec({ base: "a", dtype: "q4" })),
    ]);
    assert.equal(asFound.identity, plain.identity);
    assert.notEqual(q4.identity, plain.identity);
    assert.equal(q4.base.dtype, "q4");
    const { graph, externalData } = (q4.base as OnnxBase).files;
    assert.deepEqual([graph, ...externalData!].map(({ path }) => path), [
      `${folder}/a/onnx/model_q4.onnx`,
      `${folder}/a/onnx/model_q4.onnx_data`,
    ]);
    await rename(`${folder}/a/onnx/model_q4.onnx_data`, `${folder}/a/onnx/model_q4.onnx.data`);
    assert.notEqual((await identifier().identify(modelSpec({ base: "a", dtype: "q4" }))).identity, q4.identity);
  });

  it("takes the dtype that serves the device, which is asked about once", async () => {
    const { folder, identifier } = await world();
    await writeFiles(`${folder}/a`, ["onnx/model_fp16.onnx"]);
    const asked: string[] = [];
    const one = identifier({
      deviceFacts: (device) => {
        asked.push(device);
        return Promise.resolve({ device: device === "auto" ? "webgpu" : device, float16: device === "auto" });
      },
    });
    for (let repeat = 0; repeat < 2; repeat++) {
      const { base: found } = await one.identify(base);
      assert.deepEqual([found.dtype, found.device], ["fp16", "webgpu"]);
    }
    assert.equal((await one.identify(modelSpec({ base: "a", device: "webgpu:software" }))).base.dtype, "fp32");
    assert.deepEqual(asked, ["auto", "webgpu:software"]);
  });

  it("says that there is no such model, or that a file cannot be read", async () => {
    const { identifier, runtime } = await world();
    await assert.rejects(identifier().identify(parseModelName("b")), { code: "model_not_found" });
    const blind: DigestingRuntime = { ...runtime, digestFile: () => Promise.reject(new Error("EACCES")) };
    await assert.rejects(identifier({ runtime: { ...runtime, ...blind } }).identify(base), {
      code: "model_load_failed",
      message: /Cannot identify .*\/a\/.*: EACCES/,
    });
  });

  it("refuses an option it does not know", async () => {
    const { identifier } = await world();
    await assert.rejects(identifier().identify(base, { refresh: true } as object), { name: "TypeError" });
    assert.throws(() => identifier({ memo: "x" } as object), { name: "TypeError", message: /memo/ });
  });
});

describe("digests", () => {
  it("are computed once per file, also by many at the same time", async () => {
    const { identifier, runtime } = await world();
    const kept = identifier();
    await Promise.all([kept.identify(adapted), kept.identify(base), kept.identify(adapted)]);
    await kept.identify(adapted);
    assert.equal(runtime.hashed.length, 5);
    assert.equal(new Set(runtime.hashed).size, 5);
  });

  it("survive a restart, in a file that only its owner can read", async () => {
    const { identifier, memoPath, runtime } = await world();
    const before = await identifier().identify(adapted);
    assert.equal((await stat(memoPath)).mode & 0o777, 0o600);
    assert.deepEqual(await identifier().identify(adapted), before);
    assert.equal(runtime.hashed.length, 5);
  });

  it("are computed anew when a file's size, time or inode changed", async () => {
    const { folder, identifier, runtime } = await world();
    const config = `${folder}/a/config.json`;
    const changes = [
      () => appendFile(config, " "),
      () => utimes(config, 1_200_000_000, 1_200_000_000),
      async () => {
        await writeFile(`${config}.new`, await readFile(config));
        await utimes(`${config}.new`, 1_200_000_000, 1_200_000_000);
        await rename(`${config}.new`, config);
      },
    ];
    await identifier().identify(base);
    for (const change of changes) {
      runtime.hashed.length = 0;
      await change();
      await identifier().identify(base);
      assert.deepEqual(runtime.hashed, [config]);
    }
  });

  it("notice a change that kept size and modification time", async () => {
    const { folder, identifier } = await world();
    const kept = identifier();
    const graph = `${folder}/a/onnx/model.onnx`;
    const before = await kept.identify(base);
    const { atime, mtime } = await stat(graph);
    // Deno tells the time of the last change, which nobody can set, in whole seconds.
    await sleep(1100);
    await writeFile(graph, (await readFile(graph, "utf8")).toUpperCase());
    await utimes(graph, atime, mtime);
    assert.notEqual((await kept.identify(base)).base.identity, before.base.identity);
  });

  it("are computed anew when somebody found other bytes", async () => {
    const { identifier, runtime } = await world();
    const kept = identifier();
    await kept.identify(base);
    runtime.hashed.length = 0;
    await kept.identify(base, { fresh: true });
    assert.equal(runtime.hashed.length, 3);
  });

  it("are not remembered of files younger than two seconds", async () => {
    const { identifier, memoPath, runtime } = await world({ ahead: 0 });
    const kept = identifier();
    await kept.identify(base);
    await kept.identify(base);
    assert.equal(runtime.hashed.length, 6, "both times all three were hashed: they were changed just now");
    await assert.rejects(stat(memoPath), { code: "ENOENT" });
  });

  it("take no part of a file that is written meanwhile", async () => {
    const { folder, identifier, runtime } = await world();
    const graph = `${folder}/a/onnx/model.onnx`;
    let writes = 1;
    const disturbed = {
      ...runtime,
      digestFile: async (path: string) => {
        if (path === graph && writes-- > 0) await appendFile(graph, "!");
        return await runtime.digestFile(path);
      },
    };
    const model = await identifier({ runtime: disturbed }).identify(base);
    assert.equal((model.base as OnnxBase).files.graph.sha256, sha256("onnx/model.onnx!"));
    writes = Infinity;
    await assert.rejects(identifier({ runtime: disturbed }).identify(base, { fresh: true }), {
      code: "model_load_failed",
      message: /keeps changing/,
    });
  });

  it("are computed again when what was remembered is broken, cut off or of another version", async () => {
    const { identifier, memoPath, runtime } = await world();
    const { identity } = await identifier().identify(base);
    const written = await readFile(memoPath, "utf8");
    const broken = ["", "{", "null", '{"version":1}', '{"version":1,"files":[1]}', written.slice(0, -9)];
    const foreign = [
      "[]",
      "{}",
      written.replace('"version":1', '"version":2'),
      written.replaceAll(/[0-9a-f]{64}/g, "x"),
    ];
    for (const text of [...broken, ...foreign]) {
      await writeFile(memoPath, text);
      runtime.hashed.length = 0;
      const logged: string[] = [];
      assert.equal((await identifier({ log: (line) => logged.push(line) }).identify(base)).identity, identity);
      assert.equal(runtime.hashed.length, 3, text);
      if (broken.includes(text)) assert.match(logged.join(), /Cannot read the remembered digests/);
    }
  });

  it("need no place to be remembered: that it cannot be written is logged and nothing else", async () => {
    const logged: string[] = [];
    const { folder, identifier, runtime } = await world({ log: (message) => logged.push(message) });
    const unwritable = identifier({ memoPath: `${folder}/a/config.json/digests.json` });
    await unwritable.identify(base);
    await unwritable.identify(base);
    assert.equal(runtime.hashed.length, 3, "they are still remembered in memory");
    assert.equal(logged.length, 1);
    assert.match(
      logged[0]!,
      /Cannot remember digests, files are hashed again after a restart: Cannot create directory/,
    );
  });

  it("of a file that vanished end with an error", async () => {
    const { folder, identifier, runtime } = await world();
    const catalogue = await catalogueOver(folder);
    const vanishing = {
      locate: async (name: { base: string }) => {
        const located = await catalogue.locate(name);
        await rm(located.base.config.path);
        return located;
      },
    };
    await assert.rejects(identifier({ runtime, catalogue: vanishing }).identify(base), {
      code: "model_load_failed",
      message: /config\.json: no such file/,
    });
  });
});

describe("viewIdentity", () => {
  const adapter = { identity: "a".repeat(64) };
  const of = { identity: "b".repeat(64) };

  it("differs by base, adapter, scale and noise, and by nothing else", async () => {
    const runtime = await watchedRuntime();
    const views = [
      viewIdentity(runtime, of, undefined, { scale: 0 }),
      viewIdentity(runtime, { identity: "c".repeat(64) }, undefined, { scale: 0 }),
      ...[0, 0.5, 1, -1].map((scale) => viewIdentity(runtime, of, adapter, { scale })),
      viewIdentity(runtime, of, { identity: "d".repeat(64) }, { scale: 1 }),
      viewIdentity(runtime, of, adapter, { noise: { seed: 0 } }),
      viewIdentity(runtime, of, adapter, { noise: { seed: 1 } }),
      viewIdentity(runtime, of, adapter, { noise: { seed: 1, initScale: 0.1 } }),
      viewIdentity(runtime, of, adapter, { noise: { seed: 1, rankScale: 2 } }),
    ];
    assert.equal(new Set(views).size, views.length);
    assert.equal(viewIdentity(runtime, of, undefined, { scale: 1 }), views[0], "nothing to scale");
    assert.equal(viewIdentity(runtime, of, adapter, { scale: -0 }), viewIdentity(runtime, of, adapter, { scale: 0 }));
    const spelled = viewIdentity(runtime, of, adapter, { noise: { seed: 0, initScale: 0.02, rankScale: 1 } });
    assert.equal(
      spelled,
      viewIdentity(runtime, of, adapter, { noise: { seed: 0 } }),
      "defaults are what they stand for",
    );
  });

  it("hashes exactly the text that its documentation says", async () => {
    const text = `["warmcache view",2,["base","${of.identity}"],["adapter","${adapter.identity}"],["noise",7,0.02,1]]`;
    assert.equal(viewIdentity(await watchedRuntime(), of, adapter, { noise: { seed: 7 } }), sha256(text));
  });

  it("refuses what JSON cannot tell apart, and noise of no shape", async () => {
    const runtime = await watchedRuntime();
    for (const as of [{ scale: NaN }, { scale: Infinity }, { noise: { seed: 1, initScale: NaN } }]) {
      assert.throws(() => viewIdentity(runtime, of, adapter, as), { name: "RangeError", message: /not finite/ });
    }
    assert.throws(() => viewIdentity(runtime, of, undefined, { noise: { seed: 1 } }), { name: "TypeError" });
  });
});

describe("ENGINES", () => {
  it("are the versions that this module is built with", async () => {
    const { imports } = JSON.parse(await readFile(new URL("../../deno.json", import.meta.url), "utf8"));
    const pinned = {
      onnxruntime: "onnxruntime-web",
      tokenizers: "@huggingface/tokenizers",
      jinja: "@huggingface/jinja",
    };
    for (const [engine, name] of Object.entries(pinned)) {
      assert.equal(imports[name], `npm:${name}@${ENGINES[engine as keyof typeof ENGINES]}`);
    }
  });
});
