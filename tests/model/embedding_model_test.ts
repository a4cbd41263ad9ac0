/** Encoders against what PyTorch, or the same model in float64, computes. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type {
  Backend,
  Embedding,
  EmbedInput,
  EmbedOptions,
  OnnxBase,
  ResolvedAdapter,
  View,
} from "../../src/model/backend.ts";
import { ModelError } from "../../src/model/error.ts";
import { loadOnnxBackend } from "../../src/model/onnx_backend.ts";
import { loadRuntime } from "../../src/runtime/load.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { type Bert, bertRows, direction, mean } from "../support/bert_reference.ts";
import { contentFile, KJV_TINY, type ReferenceCase, referenceCases, resolveBase } from "../support/models.ts";
import { seededRandom } from "../support/random.ts";
import { temporaryFolder } from "../support/temporary.ts";
import {
  bertConfig,
  type BertExport,
  type BertFiles,
  bertGraph,
  modulesJson,
  tinyBert,
  TOKENIZER,
  WORDS,
  writeBert,
} from "../support/tiny_bert.ts";
import { greedy } from "./requests.ts";
import { safetensors } from "./safetensors.ts";
import { writeFile } from "node:fs/promises";

/** Of vectors of length 1: float32 in two layers against float64. Seen: 6e-8. */
const TOLERANCE = 1e-6;

let running = 0;
const machine = await loadRuntime();
/** The machine, with an eye on how many Workers are alive. */
const runtime: Runtime = {
  ...machine,
  spawnWorker(url, name) {
    const worker = machine.spawnWorker(url, name);
    running++;
    return { ...worker, terminate: () => (running--, worker.terminate()) };
  },
};

const BERT = tinyBert("bert");
const ROBERTA = tinyBert("roberta", 2);
const TEXTS = ["The light.", "unseen darkness: the heavens", "God said", "day night water earth good", "zebra"];

/** The tokens of a text in lower case, whose words are in the vocabulary or two pieces that are. */
function idsOf(text: string): number[] {
  const words = text.toLowerCase().match(/[a-z]+|[:.]/g)!.flatMap((word) => {
    if (WORDS.includes(word)) return [word];
    const head = WORDS.find((other) => word.startsWith(other) && WORDS.includes(`##${word.slice(other.length)}`));
    return head === undefined ? ["[UNK]"] : [head, `##${word.slice(head.length)}`];
  });
  return ["[CLS]", ...words, "[SEP]"].map((word) => WORDS.indexOf(word));
}

/** Loads a tiny model, asks it, and ends it. */
async function withModel(
  bert: Bert,
  how: BertExport,
  files: BertFiles,
  ask: (view: View, backend: Backend) => Promise<void>,
): Promise<void> {
  const backend = await loadOnnxBackend(runtime, await writeBert(await temporaryFolder(), bert, how, files));
  try {
    await ask(backend.baseView(), backend);
  } finally {
    await backend.close();
  }
}

function embed(view: View, inputs: readonly EmbedInput[], options?: EmbedOptions): Promise<Embedding[]> {
  return Array.fromAsync(view.embed(inputs, options));
}

async function vectorOf(view: View, input: EmbedInput): Promise<number[]> {
  return [...(await embed(view, [input]))[0]!.vector];
}

function assertClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = TOLERANCE): void {
  assert.equal(actual.length, expected.length);
  for (let at = 0; at < actual.length; at++) {
    assert.ok(Math.abs(actual[at]! - expected[at]!) < tolerance, `${actual[at]} is not ${expected[at]} at ${at}`);
  }
}

const refused = (code: string, parameter: string | undefined, message: RegExp) => (error: unknown): boolean => {
  assert.ok(error instanceof ModelError, String(error));
  assert.deepEqual([error.code, error.parameter], [code, parameter]);
  assert.match(error.message, message);
  return true;
};

describe("the encoder of kjv-tiny", () => {
  let backend: Backend;
  before(async () => {
    const base = await resolveBase();
    const graph = await contentFile(`${KJV_TINY}/onnx/encoder.onnx`);
    const encoder: OnnxBase = { ...base, files: { ...base.files, graph } };
    backend = await loadOnnxBackend(runtime, encoder);
  });
  after(() => backend.close());

  it("gives PyTorch's embeddings in every case, from text and from ids", async () => {
    const cases = await referenceCases() as (ReferenceCase & { mean_pooled_embedding_normalised: number[] })[];
    const fromText = await embed(backend.baseView(), cases.map(({ prompt }) => prompt));
    const fromIds = await embed(backend.baseView(), cases.map(({ prompt_ids: ids }) => ids));
    assert.deepEqual(fromIds, fromText);
    fromText.forEach(({ vector, tokens }, index) => {
      assertClose(vector, cases[index]!.mean_pooled_embedding_normalised, 1e-4);
      assert.equal(tokens, cases[index]!.prompt_ids.length);
    });
  });

  it("can embed and nothing else", async () => {
    assert.deepEqual(backend.abilities, new Set(["embed"]));
    const generated = Array.fromAsync(backend.baseView().generate(greedy({})));
    await assert.rejects(generated, refused("invalid_request", "model", /cannot generate/));
    const scored = backend.baseView().rollingLogprobs("In the beginning");
    await assert.rejects(scored, refused("invalid_request", "model", /cannot score/));
  });
});

describe("an encoder", () => {
  for (const [name, bert] of [["BERT", BERT], ["RoBERTa", ROBERTA]] as const) {
    it(`like ${name} gives the mean of its rows, of length 1, when nothing else is said`, async () => {
      await withModel(bert, {}, {}, async (view) => {
        const answers = await embed(view, TEXTS);
        answers.forEach(({ vector, tokens }, index) => {
          const ids = idsOf(TEXTS[index]!);
          assertClose(vector, direction(mean(bertRows(bert, ids))));
          assert.equal(tokens, ids.length);
        });
      });
    });
  }

  for (
    const [what, how] of [
      ["rows called token_embeddings", { output: "token_embeddings" }],
      ["a mean inside the graph", { output: "sentence_embedding" }],
      ["inputs of 32 bits", { integers: "int32" }],
      ["an input for positions", { positionIds: true }],
      ["inputs for a decoder's cache", { cacheInputs: true }],
    ] as const
  ) {
    it(`is understood with ${what}`, async () => {
      await withModel(ROBERTA, how, {}, async (view) => {
        assertClose(await vectorOf(view, TEXTS[1]!), direction(mean(bertRows(ROBERTA, idsOf(TEXTS[1]!)))));
      });
    });
  }

  it("may compute in float16", async () => {
    await withModel(BERT, { type: "float16", cacheInputs: true }, {}, async (view) => {
      // A float16 has 11 bits. Seen: 8e-5 where they are widened, 6e-4 on a GPU.
      assertClose(await vectorOf(view, TEXTS[0]!), direction(mean(bertRows(BERT, idsOf(TEXTS[0]!)))), 2e-3);
    });
  });

  it("pools and normalises as its files say", async () => {
    const rows = bertRows(BERT, idsOf(TEXTS[0]!));
    const pooling = { word_embedding_dimension: 16, pooling_mode_cls_token: true, pooling_mode_mean_tokens: true };
    const modules = modulesJson("Transformer", "Pooling");
    await withModel(BERT, {}, { modules, pooling }, async (view) => {
      assertClose(await vectorOf(view, TEXTS[0]!), [...rows[0]!, ...mean(rows)], 1e-5);
    });
    const normalised = modulesJson("Transformer", "Pooling", "Normalize");
    const last = { pooling_mode_lasttoken: true, pooling_mode_mean_tokens: false };
    await withModel(BERT, {}, { modules: normalised, pooling: last }, async (view) => {
      assertClose(await vectorOf(view, TEXTS[0]!), direction(rows.at(-1)!));
    });
  });

  it("leaves a Dense module to a graph that has it inside", async () => {
    const modules = modulesJson("Transformer", "Pooling", "Dense");
    await withModel(BERT, { output: "sentence_embedding" }, { modules }, async (view) => {
      assertClose(await vectorOf(view, TEXTS[0]!), mean(bertRows(BERT, idsOf(TEXTS[0]!))), 1e-5);
    });
  });

  it("reads its default prompt before every text, and leaves it out of the mean when told", async () => {
    const promptsConfig = { prompts: { query: "query: ", none: "" }, default_prompt_name: "query" };
    const ids = idsOf("query: the light");
    const rows = bertRows(BERT, ids);
    await withModel(BERT, {}, { promptsConfig }, async (view) => {
      const [{ vector, tokens }] = await embed(view, ["the light"]) as [Embedding];
      assertClose(vector, direction(mean(rows)));
      assert.equal(tokens, ids.length);
      assert.deepEqual(await vectorOf(view, ids), [...vector], "ids are taken as they are");
    });
    await withModel(BERT, {}, { promptsConfig, pooling: { include_prompt: false } }, async (view) => {
      // [CLS] query : and then the text.
      assertClose(await vectorOf(view, "the light"), direction(mean(rows.slice(3))));
      assertClose(await vectorOf(view, ids), direction(mean(rows)));
    });
  });

  it("puts texts into lower case when told, for a tokenizer that does not", async () => {
    const tokenizer = { ...TOKENIZER, normalizer: null };
    await withModel(BERT, {}, { tokenizer, sentenceConfig: { do_lower_case: true } }, async (view) => {
      assert.deepEqual(await vectorOf(view, "THE Light"), await vectorOf(view, idsOf("the light")));
    });
    await withModel(BERT, {}, { tokenizer, sentenceConfig: { do_lower_case: false } }, async (view) => {
      assert.deepEqual(await vectorOf(view, "THE light"), await vectorOf(view, idsOf("zebra light")));
    });
  });

  it("gives fewer numbers when it was trained to", async () => {
    const whole = mean(bertRows(BERT, idsOf(TEXTS[0]!)));
    await withModel(BERT, {}, { config: { ...bertConfig(BERT), matryoshka_dimensions: [16, 4] } }, async (view) => {
      const [{ vector }] = await embed(view, [TEXTS[0]!], { dimensions: 4 }) as [Embedding];
      assertClose(vector, direction(whole.slice(0, 4)));
      assertClose((await embed(view, [TEXTS[0]!], { dimensions: 16 }))[0]!.vector, direction(whole));
      const message = /vectors have 16 dimensions, or 16, 4: 5/;
      await assert.rejects(embed(view, TEXTS, { dimensions: 5 }), refused("invalid_request", "dimensions", message));
    });
    await withModel(BERT, {}, { config: { ...bertConfig(BERT), is_matryoshka: true } }, async (view) => {
      assertClose((await embed(view, [TEXTS[0]!], { dimensions: 5 }))[0]!.vector, direction(whole.slice(0, 5)));
      await assert.rejects(embed(view, TEXTS, { dimensions: 17 }), refused("invalid_request", "dimensions", /: 17/));
    });
  });

  it("refuses what it cannot embed, and goes on", async () => {
    // 24 places, of which a RoBERTa's texts have 22.
    await withModel(ROBERTA, {}, {}, async (view, { contextLength }) => {
      assert.equal(contextLength, 22);
      assert.equal((await embed(view, ["god ".repeat(20)]))[0]!.tokens, 22);
      const tooLong = refused("prompt_too_long", "input", /context holds 22 tokens: 23 in input/);
      await assert.rejects(embed(view, ["god ".repeat(21)]), tooLong);
      await assert.rejects(embed(view, [new Array(23).fill(4)]), tooLong);
      await assert.rejects(embed(view, ["x".repeat(10_000)]), refused("prompt_too_long", "input", /10000 characters/));
      await assert.rejects(embed(view, [""]), refused("invalid_request", "input", /No text in input: it is empty/));
      await assert.rejects(embed(view, [[]]), refused("invalid_request", "input", /No tokens in input/));
      for (const id of [WORDS.length, -1, 0.5]) {
        await assert.rejects(embed(view, [[0, id]]), refused("invalid_request", "input", /not one of the model's 26/));
      }
      await assert.rejects(
        embed(view, TEXTS, { dimensions: 8 }),
        refused("invalid_request", "dimensions", /have 16 dimensions: 8/),
      );
      const [good] = await embed(view, ["god"]);
      assert.equal(good!.tokens, 3);
    });
  });

  it("gives what came before the text that it refuses", async () => {
    await withModel(BERT, {}, {}, async (view) => {
      const answers = view.embed(["god", "", "earth"])[Symbol.asyncIterator]();
      assert.equal((await answers.next()).value!.tokens, 3);
      await assert.rejects(Promise.resolve(answers.next()), refused("invalid_request", "input", /empty/));
    });
  });

  it("stops when nobody wants the rest", async () => {
    await withModel(BERT, {}, {}, async (view) => {
      const aborter = new AbortController();
      const many = new Array<string>(1000).fill(TEXTS[0]!);
      let count = 0;
      await assert.rejects(async () => {
        for await (const _ of view.embed(many, {}, aborter.signal)) if (++count === 3) aborter.abort();
      }, { name: "AbortError" });
      assert.equal(count, 3);
      for await (const _ of view.embed(many)) break;
      assert.equal((await embed(view, ["god"])).length, 1);
    });
  });
});

describe("an encoder's adapter", () => {
  const MODULES = ["attention.self.query", "attention.self.value", "output.dense"] as const;
  const RANK = 3;
  const ALPHA = 6;
  let backend: Backend;
  let adapter: ResolvedAdapter;
  /** The weights with the adapter times λ in them. */
  let merged: (scale: number) => Bert;
  before(async () => {
    const folder = await temporaryFolder();
    backend = await loadOnnxBackend(runtime, await writeBert(folder, BERT));
    const random = seededRandom(7);
    const chance = (count: number): Float32Array<ArrayBuffer> =>
      Float32Array.from({ length: count }, () => random() - 0.5);
    const matrices = new Map<string, { a: Float32Array<ArrayBuffer>; b: Float32Array<ArrayBuffer> }>(
      BERT.layers.flatMap(({ linears }, layer) => {
        return MODULES.map((module) => {
          const { rows, columns } = linears[module].matrix;
          return [`encoder.layer.${layer}.${module}`, { a: chance(RANK * rows), b: chance(columns * RANK) }] as const;
        });
      }),
    );
    const tensors = Object.fromEntries(
      [...matrices].flatMap(([module, { a, b }]) => [
        [`base_model.model.${module}.lora_A.weight`, { dtype: "F32", shape: [RANK, a.length / RANK], bytes: a }],
        [`base_model.model.${module}.lora_B.weight`, { dtype: "F32", shape: [b.length / RANK, RANK], bytes: b }],
      ]),
    );
    const [config, weights] = [`${folder}/adapter_config.json`, `${folder}/adapter_model.safetensors`];
    await writeFile(
      config,
      JSON.stringify({ peft_type: "LORA", r: RANK, lora_alpha: ALPHA, target_modules: ["query", "value", "dense"] }),
    );
    await writeFile(weights, safetensors(tensors));
    const files = { config: await contentFile(config), weights: await contentFile(weights) };
    adapter = { name: "chance", identity: files.weights.sha256, files };
    merged = (scale) => ({
      ...BERT,
      layers: BERT.layers.map((layer, index) => ({
        ...layer,
        linears: Object.fromEntries(
          Object.entries(layer.linears).map(([module, { matrix, bias }]) => {
            const own = matrices.get(`encoder.layer.${index}.${module}`);
            if (own === undefined) return [module, { matrix, bias }];
            const { rows, columns } = matrix;
            const values = matrix.values.map((value, at) => {
              const [row, column] = [Math.floor(at / columns), at % columns];
              let product = 0;
              for (let r = 0; r < RANK; r++) product += own.b[column * RANK + r]! * own.a[r * rows + row]!;
              return value + scale * ALPHA / RANK * product;
            });
            return [module, { matrix: { rows, columns, values }, bias }];
          }),
        ) as typeof layer.linears,
      })),
    });
  });
  after(() => backend.close());

  it("moves its vectors as weights with the adapter in them would, at every scale", async () => {
    for (const scale of [1, 0.5, 2]) {
      const answers = await embed(backend.adapterView(adapter, { scale }), TEXTS);
      answers.forEach(({ vector }, index) => {
        assertClose(vector, direction(mean(bertRows(merged(scale), idsOf(TEXTS[index]!)))));
      });
    }
  });

  it("does nothing when it is scaled by 0", async () => {
    const off = backend.adapterView(adapter, { scale: 0 });
    assert.deepEqual(await embed(off, TEXTS), await embed(backend.baseView(), TEXTS));
  });

  it("leaves every bit as it is, whatever else is asked beside and at the same time", async () => {
    const views = [backend.baseView(), backend.adapterView(adapter), backend.adapterView(adapter, { scale: 0.5 })];
    const alone: Embedding[][] = [];
    for (const view of views) {
      const answers: Embedding[] = [];
      for (const text of TEXTS) answers.push(...await embed(view, [text]));
      alone.push(answers);
    }
    const together = await Promise.all(views.map((view) => embed(view, [...TEXTS, ...TEXTS.toReversed()])));
    assert.deepEqual(together, alone.map((answers) => [...answers, ...answers.toReversed()]));
  });
});

describe("loadOnnxBackend of an encoder", () => {
  const cases: readonly (readonly [what: string, how: BertExport, files: BertFiles, message: RegExp])[] = [
    [
      "a module that is not supported",
      {},
      { modules: modulesJson("Transformer", "Pooling", "Dense") },
      /supported: Dense/,
    ],
    [
      "a Pooling that is missing",
      {},
      { modules: modulesJson("Transformer", "Pooling") },
      /Pooling whose config\.json is missing/,
    ],
    ["a pooling that is not supported", {}, { pooling: { pooling_mode: "magic" } }, /not supported: "magic"/],
    [
      "a pooling of another width",
      {},
      { pooling: { word_embedding_dimension: 384 } },
      /takes 384 numbers for each token: the graph gives 16/,
    ],
    ["a pooling that is not JSON", {}, { pooling: "{" }, /1_Pooling\/config\.json is not JSON/],
    ["a prompt that a graph cannot leave out", { output: "sentence_embedding" }, {
      pooling: { include_prompt: false },
      promptsConfig: { prompts: { query: "query: " }, default_prompt_name: "query" },
    }, /include_prompt is false/],
    [
      "a default prompt that is not there",
      {},
      { promptsConfig: { prompts: { a: "b" }, default_prompt_name: "query" } },
      /not one of a: "query"/,
    ],
    ["an input that nobody knows", { strangeInput: "task_id" }, {}, /an input that is not known: task_id/],
    ["weights that are not numbers", {}, {
      graph: bertGraph({ ...BERT, norm: { gain: new Array(16).fill(NaN), bias: new Array(16).fill(0) } }),
    }, /weights give what is not a number/],
    ["a tokenizer that is none", {}, { tokenizer: {} }, /Cannot load tiny-bert/],
    ["no vocabulary size", {}, { config: { model_type: "bert", max_position_embeddings: 8 } }, /no vocab_size/],
  ];
  for (const [what, how, files, message] of cases) {
    it(`refuses ${what}, and leaves no Worker behind`, async () => {
      const before = running;
      const base: OnnxBase = await writeBert(await temporaryFolder(), BERT, how, files);
      await assert.rejects(loadOnnxBackend(runtime, base), (error) => {
        assert.ok(error instanceof ModelError && error.permanent, String(error));
        return refused("model_load_failed", undefined, message)(error);
      });
      assert.equal(running, before);
    });
  }
});
