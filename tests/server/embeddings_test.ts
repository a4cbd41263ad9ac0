/** `/v1/embeddings` of a warm model, text by text through the response cache, as the official client asks for it. */

import assert from "node:assert/strict";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { RunningServer } from "../../src/compose/server.ts";
import { copyModel, KJV_TINY, type ReferenceCase, referenceCases } from "../support/models.ts";
import { bertRows } from "../support/bert_reference.ts";
import { temporaryFolder } from "../support/temporary.ts";
import { bertConfig, modulesJson, tinyBert, writeBert } from "../support/tiny_bert.ts";
import { getJson, openai, post, testServer } from "./support.ts";

type Case = ReferenceCase & { readonly mean_pooled_embedding_normalised: readonly number[] };

const PATH = "/v1/embeddings";

let models: string;
let cases: readonly Case[];
before(async () => {
  models = await temporaryFolder();
  await copyModel(models, "kjv-tiny");
  const encoder = await copyModel(models, "kjv-encoder");
  await copyFile(join(KJV_TINY, "onnx/encoder.onnx"), join(encoder, "onnx/model.onnx"));
  const bert = tinyBert("bert");
  await mkdir(join(models, "tiny-bert"));
  const config = { ...bertConfig(bert), matryoshka_dimensions: [4, 8] };
  await writeBert(join(models, "tiny-bert"), bert, {}, { config });
  await mkdir(join(models, "cls-bert"));
  const pooling = { pooling_mode_cls_token: true, pooling_mode_mean_tokens: false };
  await writeBert(join(models, "cls-bert"), bert, {}, { modules: modulesJson("Transformer", "Pooling"), pooling });
  cases = await referenceCases() as Case[];
});

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, at) => assert.ok(Math.abs(value - expected[at]!) < 1e-4, `${value} at ${at}`));
}

describe("the openai client", () => {
  let server: RunningServer;
  before(async () => void (server = await testServer({ cache: await temporaryFolder(), models })));
  after(() => server.stop());

  it("gets PyTorch's embeddings, for texts and for token ids, whether it asks for base64 or floats", async () => {
    const client = openai(server);
    const input = cases.map(({ prompt }) => prompt);
    // It asks for base64 when nothing is said.
    const { data, usage, model, object } = await client.embeddings.create({ model: "kjv-encoder", input });
    assert.deepEqual([object, model], ["list", "kjv-encoder"]);
    data.forEach(({ index, embedding, object }, at) => {
      assert.deepEqual([index, object], [at, "embedding"]);
      assertClose(embedding, cases[at]!.mean_pooled_embedding_normalised);
    });
    const tokens = cases.reduce((sum, { prompt_ids: ids }) => sum + ids.length, 0);
    assert.deepEqual(usage, { prompt_tokens: tokens, total_tokens: tokens });

    const ids = cases.map(({ prompt_ids }) => [...prompt_ids]);
    const asked = { model: "kjv-encoder", input: ids, encoding_format: "float" } as const;
    assert.deepEqual((await client.embeddings.create(asked)).data, data);
    const one = { model: "kjv-encoder", input: cases[0]!.prompt };
    assert.deepEqual((await client.embeddings.create(one)).data, [data[0]]);
    const oneOfIds = { model: "kjv-encoder", input: [...cases[1]!.prompt_ids] };
    assert.deepEqual((await client.embeddings.create(oneOfIds)).data[0]!.embedding, data[1]!.embedding);
  });

  it("gets what the files beside a model make of its rows", async () => {
    const input = [0, 8, 12, 2];
    const { data } = await openai(server).embeddings.create({ model: "cls-bert", input });
    const [first] = bertRows(tinyBert("bert"), input);
    assertClose(data[0]!.embedding, first!);
  });

  it("gets fewer dimensions from a model that was trained to give them", async () => {
    const client = openai(server);
    const { data } = await client.embeddings.create({ model: "tiny-bert", input: "The light", dimensions: 4 });
    assert.equal(data[0]!.embedding.length, 4);
    const whole = (await client.embeddings.create({ model: "tiny-bert", input: "The light" })).data[0]!.embedding;
    const length = Math.hypot(...whole.slice(0, 4));
    assertClose(data[0]!.embedding, whole.slice(0, 4).map((number) => number / length));
  });

  it("is told in the body what was wrong", async () => {
    const client = openai(server);
    await assert.rejects(client.embeddings.create({ model: "kjv-encoder", input: "the ".repeat(300) }), {
      status: 400,
      code: "context_length_exceeded",
      param: "input",
      message: /context holds 256 tokens: 3\d\d in input/,
    });
  });
});

describe("a request for embeddings", () => {
  let server: RunningServer;
  before(async () => void (server = await testServer({ cache: await temporaryFolder(), models })));
  after(() => server.stop());

  it("asks the model for texts that were never asked for, and for no others", async () => {
    const ask = async (input: unknown, format = "float"): Promise<[status: string | null, answer: unknown]> => {
      const response = await post(server, PATH, { model: "kjv-encoder", input, encoding_format: format });
      return [response.headers.get("Cache-Status"), await response.json()];
    };
    const runs = async (): Promise<number> => (await getJson(server, "/stats")).run_count;
    const [status, first] = await ask(["one", "two"]);
    assert.equal(status, "warmcache; fwd=miss; stored");
    assert.equal(await runs(), 1);
    const [again, second] = await ask(["one", "two"]);
    assert.equal(again, "warmcache; hit");
    assert.deepEqual(second, first);
    assert.equal((await ask("two", "base64"))[0], "warmcache; hit");
    assert.equal(await runs(), 1);

    const before = (await getJson(server, "/stats")).cache;
    assert.equal((await ask(["two", "three", "one"]))[0], "warmcache; fwd=miss; stored");
    const { hits, misses, writes } = (await getJson(server, "/stats")).cache;
    assert.deepEqual([hits - before.hits, misses - before.misses, writes - before.writes], [2, 1, 1]);
    assert.equal(await runs(), 2);
  });

  it("goes round the cache when its JSON cannot be keyed safely", async () => {
    const ambiguous = `{"model":"kjv-encoder","input":"twice","input":"twice"}`;
    for (let round = 0; round < 2; round++) {
      const response = await post(server, PATH, ambiguous);
      assert.equal(response.status, 200);
      assert.match(response.headers.get("Cache-Status")!, /^warmcache; fwd=bypass; detail=/);
      assert.equal((await response.json()).data[0].embedding.length, 160);
    }
  });

  it("makes callers who ask at the same time share one run", async () => {
    const before = (await getJson(server, "/stats")).run_count;
    const request = { model: "kjv-encoder", input: ["shared", "among all"] };
    const answers = await Promise.all(
      Array.from({ length: 6 }, async () => (await post(server, PATH, request)).text()),
    );
    assert.equal(new Set(answers).size, 1);
    assert.equal((await getJson(server, "/stats")).run_count, before + 1);
  });

  it("does not keep what failed", async () => {
    const input = ["fine", "the ".repeat(300)];
    for (let round = 0; round < 2; round++) {
      assert.equal((await post(server, PATH, { model: "kjv-encoder", input })).status, 400);
    }
    assert.equal((await post(server, PATH, { model: "kjv-encoder", input: "fine" })).status, 200);
  });

  for (
    const [what, body, status, param, code, message] of [
      ["no input", {}, 400, "input", null, /Missing required parameter: 'input'/],
      ["an empty text", { input: "" }, 400, "input", null, /'input': it is empty/],
      ["an empty text among others", { input: ["a", ""] }, 400, "input[1]", null, /'input\[1\]': it is empty/],
      ["no texts", { input: [] }, 400, "input", null, /it is empty/],
      ["too many texts", { input: new Array(2049).fill("a") }, 400, "input", null, /more than 2048 texts: 2049/],
      ["texts and ids mixed", { input: ["a", [1]] }, 400, "input[1]", null, /it is no text: received \[1\]/],
      ["a fraction of a token", { input: [1, 0.5] }, 400, "input[1]", null, /it is no token id: received 0\.5/],
      ["a token that is not the model's", { input: [[1, 9999]] }, 400, "input", null, /one of the model's 2048: 9999/],
      ["dimensions that it cannot have", { input: "a", dimensions: 64 }, 400, "dimensions", null, /have 160 dim.*: 64/],
      ["an unknown encoding", { input: "a", encoding_format: "hex" }, 400, "encoding_format", null, /hex/],
      ["truncation", { input: "a", truncate: true }, 400, "truncate", "unsupported_parameter", /'truncate': true/],
      ["other numbers", { input: "a", output_dtype: "int8" }, 400, "output_dtype", "unsupported_parameter", /int8/],
      ["a model that goes on", { model: "kjv-tiny", input: "a" }, 400, "model", null, /cannot embed/],
      ["an unknown model", { model: "none", input: "a" }, 404, "model", "model_not_found", /none/],
    ] as const
  ) {
    it(`is refused with ${what}`, async () => {
      const response = await post(server, PATH, { model: "kjv-encoder", ...body });
      const { error } = await response.json();
      assert.deepEqual([response.status, error.param, error.code], [status, param, code]);
      assert.match(error.message, message);
      assert.equal(error.type, "invalid_request_error");
    });
  }

  it("is refused in any other way than by POST", async () => {
    const response = await fetch(`${server.url}${PATH}`);
    assert.deepEqual([response.status, response.headers.get("Allow")], [405, "POST"]);
    await response.body!.cancel();
  });

  it("cannot be made of a model that embeds by asking it to go on", async () => {
    const response = await post(server, "/v1/completions", { model: "kjv-encoder", prompt: "a" });
    assert.equal(response.status, 400);
    assert.match((await response.json()).error.message, /cannot generate/);
  });

  it("ends when its client goes away, and leaves the model to others", async () => {
    const aborter = new AbortController();
    const input = Array.from({ length: 2000 }, (_, at) => `${at} and it came to pass in the course of time`);
    const gone = post(server, PATH, { model: "kjv-encoder", input }, aborter.signal);
    const rejected = assert.rejects(gone);
    await post(server, PATH, { model: "kjv-encoder", input: "meanwhile" });
    aborter.abort();
    await rejected;
    for (let left = 1; left > 0;) {
      [{ leases: left }] = (await getJson(server, "/health")).loaded_models.filter(
        ({ base }: { base: string }) => base === "kjv-encoder",
      );
    }
  });
});
