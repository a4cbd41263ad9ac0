import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import {
  type EmbeddingsAnswer,
  type EmbeddingsRequest,
  FLOAT32_VECTOR,
  FLOAT64_VECTOR,
  joinEmbeddings,
  readEmbeddings,
  splitEmbeddings,
} from "../../src/cache/batch/embeddings.ts";
import type { Sample } from "../../src/cache/answer/entry.ts";
import { ignoredFields } from "../../src/cache/request/ignore_list.ts";
import type { InputFault } from "../../src/cache/batch/inputs.ts";
import type { JsonObject } from "../../src/cache/json.ts";
import { requestKey } from "../../src/cache/request/key.ts";

const MODEL = "text-embedding-3-small";
/** 0.1 and the like do not survive binary32, halves and quarters do. */
const EXACT = [0.5, -0.25, 1];
const INEXACT = [0.1, -0.2, 0.3];

describe("splitEmbeddings", () => {
  it("makes a request of every text, whose key is that of a request for it alone", () => {
    const { items, places } = split(["a", "b"], { dimensions: 3 });
    assert.deepEqual(items, [
      { model: MODEL, input: "a", dimensions: 3 },
      { model: MODEL, input: "b", dimensions: 3 },
    ]);
    assert.deepEqual(places, [0, 1]);
    assert.equal(keyOf(items[0]!), keyOf(split("a", { dimensions: 3, encoding_format: "base64" }).items[0]!));
  });

  it("takes a list of tokens for one text, and lists of tokens for several", () => {
    assert.deepEqual(inputsOf([1, 2]), [[1, 2]]);
    assert.deepEqual(inputsOf([[1, 2], [3]]), [[1, 2], [3]]);
    assert.equal(keyOf(split([[1, 2]]).items[0]!), keyOf(split([1, 2]).items[0]!));
  });

  it("asks for a text that appears twice once", () => {
    const { items, places } = split(["a", "b", "a"]);
    assert.equal(items.length, 2);
    assert.deepEqual(places, [0, 1, 0]);
  });

  it("gathers what is missing in the shape that was asked for", () => {
    assert.deepEqual(split(["a", "b", "c"]).gather([2, 1]).input, ["c", "b"]);
    assert.deepEqual(split(["a"]).gather([0]).input, ["a"]);
    assert.equal(split("a").gather([0]).input, "a");
    assert.deepEqual(split([1, 2]).gather([0]).input, [1, 2]);
    assert.deepEqual(split([[1], [2]]).gather([1]).input, [[2]]);
    assert.equal(split(["a", "b"], { encoding_format: "base64" }).gather([1]).encoding_format, "base64");
  });

  it("does not divide what it does not understand", () => {
    const inputs: unknown[] = [undefined, null, 1, {}, [], ["a", 1], ["a", [1]], [[]], [[1], []], [1, -1], [1.5]];
    inputs.push([{ type: "text", text: "a" }], [[["a"]]]);
    for (const input of inputs) {
      assert.equal(splitEmbeddings({ model: MODEL, input }), undefined, JSON.stringify(input));
    }
  });

  it("does not divide requests for other values than floats, which their key or their base64 would hide", () => {
    const forms = [
      { encoding_format: "int8" },
      { encoding_format: "binary" },
      { output_dtype: "int8" },
      { embedding_type: "binary" },
      { embedding_type: ["float"] },
    ];
    for (const form of forms) assert.equal(splitEmbeddings({ model: MODEL, input: "a", ...form }), undefined);
    for (const form of [{ encoding_format: null }, { output_dtype: "float" }]) {
      assert.notEqual(splitEmbeddings({ model: MODEL, input: "a", ...form }), undefined);
    }
  });
});

describe("readEmbeddings", () => {
  it("keeps vectors in binary32 where nothing is lost, else in binary64", () => {
    const { vectors } = read([datum(0, EXACT), datum(1, INEXACT)], ["a", "b"]);
    assert.deepEqual(vectors.map(({ mediaType }) => mediaType), [FLOAT32_VECTOR, FLOAT64_VECTOR]);
    assert.deepEqual([...vectors[0]!.bytes], [0, 0, 0, 0x3f, 0, 0, 0x80, 0xbe, 0, 0, 0x80, 0x3f]);
    assert.deepEqual([...new Float64Array(vectors[1]!.bytes.slice().buffer)], INEXACT);
  });

  it("reads base64 of binary32", () => {
    const { vectors } = read([datum(0, "AAAAPwAAgL4AAIA/")], ["a"]);
    assert.deepEqual(vectors, read([datum(0, EXACT)], ["a"]).vectors);
  });

  it("reads every finite value in base64, the largest and the smallest included", () => {
    const values = [3.4028234663852886e38, -3.4028234663852886e38, 2 ** -149, -0, 1.5, 2 ** -126];
    const base64 = btoa(String.fromCharCode(...new Uint8Array(new Float32Array(values).buffer)));
    assert.deepEqual(read([datum(0, base64)], ["a"]).vectors, read([datum(0, values)], ["a"]).vectors);
  });

  it("puts vectors under their texts by index, in whatever order they come", () => {
    const answer = read([datum(2, [3]), datum(0, [1]), datum(1, [2])], ["a", "b", "c"]);
    assert.deepEqual(answer.vectors.map(({ bytes }) => new Float32Array(bytes.slice().buffer)[0]), [1, 2, 3]);
  });

  it("divides the tokens in proportion to the texts' lengths, and they add up", () => {
    const texts = ["x".repeat(10), "y", "z".repeat(9)];
    const data = texts.map((_, index) => datum(index, [1]));
    const parts = (usage: unknown): readonly (number | null)[] => read(data, texts, { usage }).promptTokens;
    assert.deepEqual(parts({ prompt_tokens: 21, total_tokens: 21 }), [11, 1, 9]);
    assert.deepEqual(parts({ total_tokens: 20 }), [10, 1, 9]);
    assert.deepEqual(parts({ prompt_tokens: 1, total_tokens: 1 }), [1, 0, 0]);
    assert.deepEqual(parts(undefined), [null, null, null]);
    assert.deepEqual(parts({ prompt_tokens: -1 }), [null, null, null]);
  });

  it("says which model answered", () => {
    assert.equal(read([datum(0, [1])], ["a"], { model: "m-1" }).model, "m-1");
    assert.equal(read([datum(0, [1])], ["a"], { model: undefined }).model, null);
  });

  describe("finds a fault in", () => {
    const texts = ["a", "b"];
    const good = [datum(0, [1, 2]), datum(1, [3, 4])];
    const cases: [what: string, answer: unknown, fault: RegExp][] = [
      ["what is no answer", "text", /no list of embeddings/],
      ["an error", { error: { message: "no" } }, /no list of embeddings/],
      ["too few vectors", { data: good.slice(1) }, /1 embeddings for 2 texts/],
      ["too many vectors", { data: [...good, datum(2, [5, 6])] }, /3 embeddings for 2 texts/],
      ["an index twice", { data: [datum(1, [1, 2]), datum(1, [3, 4])] }, /two embeddings have the index 1/],
      ["an index beyond the texts", { data: [datum(0, [1, 2]), datum(2, [3, 4])] }, /no place among 2: index 2/],
      ["a negative index", { data: [datum(0, [1, 2]), datum(-1, [3, 4])] }, /index -1/],
      ["no index", { data: [{ embedding: [1, 2] }, datum(1, [3, 4])] }, /index undefined/],
      ["an index that is a text", { data: [{ index: "0", embedding: [1] }, datum(1, [3])] }, /index 0/],
      ["different lengths", { data: [datum(0, [1]), datum(1, [3, 4])] }, /different lengths: 1, 2/],
      ["an empty vector", { data: [datum(0, []), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["NaN", { data: [datum(0, [1, NaN]), datum(1, [3, 4])] }, /embedding 0 is neither/],
      // deno-lint-ignore no-sparse-arrays
      ["a gap", { data: [datum(0, [1, , 2]), datum(1, [3, 4, 5])] }, /embedding 0 is neither/],
      ["null", { data: [datum(0, [1, null]), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["a text among numbers", { data: [datum(0, [1, "2"]), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["what binary32 cannot hold", { data: [datum(0, [1, 1e39]), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["no base64", { data: [datum(0, "AAAA*"), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["base64 of odd bytes", { data: [datum(0, "AAAAPwAA"), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["base64 of NaN", { data: [datum(0, "AADAfw=="), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["base64 of an infinity", { data: [datum(0, "AACAfwAAgD8="), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["base64 of minus infinity", { data: [datum(0, "AACA/w=="), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["empty base64", { data: [datum(0, ""), datum(1, [3, 4])] }, /embedding 0 is neither/],
      ["what is no object", { data: [null, datum(1, [3, 4])] }, /index undefined/],
    ];
    for (const [what, answer, fault] of cases) {
      it(what, () => assert.match((readEmbeddings(answer, split(texts).items) as InputFault).fault, fault));
    }

    it("other dimensions than were asked for", () => {
      const { items } = split("a", { dimensions: 3 });
      const { fault } = readEmbeddings({ data: [datum(0, [1, 2])] }, items) as InputFault;
      assert.match(fault, /2 dimensions, not 3/);
    });
  });
});

describe("joinEmbeddings", () => {
  it("answers in OpenAI's shape, at every place of the request", () => {
    const request = split(["a", "b", "a"]);
    assert.deepEqual(joinEmbeddings(request, [sample(EXACT, 4), sample(INEXACT, 5)]), {
      object: "list",
      data: [datum(0, EXACT), datum(1, INEXACT), datum(2, EXACT)],
      model: MODEL,
      usage: { prompt_tokens: 9, total_tokens: 9 },
    });
  });

  it("gives back the answer that was stored, to the last bit", () => {
    const texts = ["one", "two", "three"];
    const vectors = [[0.1, -0, 1e-300], [1 / 3, 2 ** -149, 3.4028234663852886e38], [1, 2, 3]];
    const answer = {
      object: "list",
      data: vectors.map((vector, index) => datum(index, vector)),
      model: MODEL,
      usage: { prompt_tokens: 17, total_tokens: 17 },
    };
    const request = split(texts);
    const stored = readEmbeddings(answer, request.items) as EmbeddingsAnswer;
    const joined = joinEmbeddings(request, samplesOf(stored));
    assert.deepEqual(joined, answer);
  });

  it("serves base64 to whoever asks, from either form", () => {
    const request = split(["a", "b"], { encoding_format: "base64" });
    const { data } = joinEmbeddings(request, [sample(EXACT), sample(INEXACT)]) as { data: { embedding: string }[] };
    assert.equal(data[0]!.embedding, "AAAAPwAAgL4AAIA/");
    assert.deepEqual([...new Float32Array(bytesOf(data[1]!.embedding).buffer)], INEXACT.map(Math.fround));
  });

  it("encodes long vectors", () => {
    const vector = Array.from({ length: 5000 }, (_, index) => index / 4);
    const request = split("a", { encoding_format: "base64" });
    const { data } = joinEmbeddings(request, [sample(vector)]) as { data: { embedding: string }[] };
    assert.deepEqual(read([datum(0, data[0]!.embedding)], ["a"]).vectors, read([datum(0, vector)], ["a"]).vectors);
  });

  it("names the model asked for where nobody said which answered", () => {
    const nameless = { ...sample(EXACT), modelAnswered: null };
    assert.equal(joinEmbeddings(split("a"), [nameless])!.model, "asked");
  });

  it("says nothing of tokens when one part is unknown", () => {
    const joined = joinEmbeddings(split(["a", "b"]), [sample(EXACT, 4), sample(EXACT, null)]);
    assert.equal(Object.hasOwn(joined!, "usage"), false);
  });

  it("does not put vectors of different models together", () => {
    const other = { ...sample(EXACT), modelAnswered: "another" };
    assert.equal(joinEmbeddings(split(["a", "b"]), [sample(EXACT), other]), undefined);
    assert.equal(joinEmbeddings(split(["a", "b"]), [sample([1]), sample([1, 2])]), undefined);
  });

  it("puts nothing together with what is no vector", () => {
    const broken: Partial<Sample>[] = [
      { mediaType: "application/json" },
      { bytes: () => new Uint8Array(6) },
      { bytes: () => new Uint8Array(0) },
    ];
    for (const part of broken) assert.equal(joinEmbeddings(split("a"), [{ ...sample(EXACT), ...part }]), undefined);
  });
});

function split(input: unknown, rest: JsonObject = {}): EmbeddingsRequest {
  return splitEmbeddings({ model: MODEL, input, ...rest })!;
}

function inputsOf(input: unknown): unknown[] {
  return split(input).items.map((item) => item.input);
}

function datum(index: number, embedding: unknown): JsonObject {
  return { object: "embedding", index, embedding };
}

function read(data: unknown[], texts: string[], rest: JsonObject = {}): EmbeddingsAnswer {
  const answer = readEmbeddings({ object: "list", data, model: MODEL, ...rest }, split(texts).items);
  assert.equal("fault" in answer, false, JSON.stringify(answer));
  return answer as EmbeddingsAnswer;
}

function sample(vector: number[], promptTokens: number | null = 1): Sample {
  const answer = { data: [datum(0, vector)], model: MODEL };
  const { vectors } = readEmbeddings(answer, split("a").items) as EmbeddingsAnswer;
  return {
    mediaType: vectors[0]!.mediaType,
    outcome: "stop",
    modelAsked: "asked",
    modelAnswered: MODEL,
    fingerprint: null,
    promptTokens,
    completionTokens: null,
    costMicrodollars: null,
    latency: null,
    created: 0,
    expires: null,
    bytes: () => vectors[0]!.bytes,
  };
}

function samplesOf({ vectors, promptTokens }: EmbeddingsAnswer): Sample[] {
  return vectors.map(({ bytes, mediaType }, index) => ({
    ...sample([1]),
    mediaType,
    promptTokens: promptTokens[index]!,
    bytes: () => bytes,
  }));
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function keyOf(body: JsonObject): string {
  const endpoint = "/v1/embeddings";
  const request = { namespace: "", provider: "openai", endpoint, identity: null, body };
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();
  return requestKey(request, ignoredFields(endpoint), sha256).key.join();
}
