/** Building dictionaries: what is repeated gets in, what would not gain is refused, and others have their turn meanwhile. */

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { buildDictionary, type BuildOptions, type BuiltDictionary } from "../../src/codec/build_dictionary.ts";
import type { Codec } from "../../src/codec/codec.ts";
import { CodecError } from "../../src/codec/error.ts";
import type { Sha256 } from "../../src/codec/dictionary.ts";
import { selectSegments } from "../../src/codec/select_segments.ts";
import { loadZstd } from "../../src/codec/zstd.ts";
import { loadRuntime } from "../../src/runtime/load.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Answers that have their frame in common, and words of their own in between. */
function answers(count: number, frame = "chat.completion"): Uint8Array[] {
  return Array.from({ length: count }, (_, index) =>
    encoder.encode(JSON.stringify({
      id: `${frame}-${words(index, 3)}`,
      object: frame,
      choices: [{ index: 0, message: { role: "assistant", content: words(index, 40), refusal: null }, logprobs: null }],
      usage: { prompt_tokens: index, completion_tokens: 7 * index, total_tokens: 8 * index },
      system_fingerprint: `fp_of_${frame}`,
    })));
}

function words(seed: number, count: number): string {
  return Array.from({ length: count }, (_, index) => ((seed + 1) * 7_919 * (index + 1) % 0xfffff).toString(36)).join(
    " ",
  );
}

function noise(count: number, bytes: number): Uint8Array[] {
  let state = 1;
  return Array.from(
    { length: count },
    () => Uint8Array.from({ length: bytes }, () => (state = (state * 48_271) % 0x7fffffff) & 0xff),
  );
}

function finish<T>(steps: Generator<undefined, T>): { value: T; steps: number } {
  for (let taken = 1;; taken++) {
    const step = steps.next();
    if (step.done) return { value: step.value, steps: taken };
  }
}

describe("buildDictionary", () => {
  let codec: Codec;
  let sha256: Sha256;
  before(async () => {
    const runtime = await loadRuntime();
    sha256 = (bytes) => runtime.sha256(bytes);
    codec = await loadZstd();
  });
  const build = (samples: readonly Uint8Array[], options?: Partial<BuildOptions>): BuiltDictionary | undefined =>
    finish(buildDictionary(samples, { codec, sha256, ...options })).value;

  it("shortens answers that it was not built from", () => {
    const all = answers(200);
    const { dictionary, saved } = build(all.slice(0, 100))!;
    const others = all.slice(100);
    const size = (frames: Uint8Array[]): number => frames.reduce((sum, frame) => sum + frame.byteLength, 0);
    const plain = size(others.map((answer) => codec.compress(answer)));
    const shorter = size(others.map((answer) => codec.compress(answer, { dictionary })));
    assert.ok(shorter < 0.8 * plain, `${shorter} of ${plain}`);
    assert.ok(saved > 0.2 && saved < 1, String(saved));
    for (const answer of others) {
      assert.deepEqual(codec.decompress(codec.compress(answer, { dictionary }), answer.byteLength, dictionary), answer);
    }
  });

  it("builds the same of the same", () => {
    assert.equal(build(answers(100))!.dictionary.id, build(answers(100))!.dictionary.id);
  });

  it("is as large as was asked for at most, and no larger than what is repeated", () => {
    const all = answers(300);
    assert.equal(build(all, { bytes: 1024 })!.dictionary.content.byteLength, 1024);
    const frame = build(Array.from({ length: 32 }, () => all[0]!))!.dictionary.content;
    assert.ok(frame.byteLength <= 2 * all[0]!.byteLength, String(frame.byteLength));
  });

  it("refuses where there is nothing to gain: too few samples, empty ones, ones that have nothing in common", () => {
    assert.equal(build([]), undefined);
    assert.equal(build(answers(15)), undefined);
    assert.equal(build(Array.from({ length: 100 }, () => new Uint8Array(0))), undefined);
    assert.equal(build(noise(100, 1_000)), undefined);
    assert.equal(build(noise(100, 5)), undefined);
  });

  it("is measured against the dictionary in use, and gives way to it unless it is a tenth better", () => {
    const samples = answers(100);
    const current = build(samples)!.dictionary;
    assert.equal(build(samples, { current }), undefined, "the same");
    assert.equal(build(answers(120), { current }), undefined, "hardly better");
    const renewed = build(answers(100, "text_completion_of_another_kind"), { current });
    assert.ok(renewed!.saved > 0.1);
    assert.notEqual(renewed!.dictionary.id, current.id);
  });

  it("takes many small steps, however large the samples are", () => {
    const samples = answers(64).map((answer) => {
      const large = new Uint8Array(200_000);
      for (let at = 0; at + answer.byteLength <= large.byteLength; at += answer.byteLength) large.set(answer, at);
      return large;
    });
    const few = finish(buildDictionary(samples.slice(0, 16), { codec, sha256 })).steps;
    const many = finish(buildDictionary(samples, { codec, sha256 })).steps;
    assert.ok(many > 100, String(many));
    assert.ok(many > 2 * few, `${many}, ${few}`);
    const mebibyte = finish(buildDictionary([...samples, ...samples], { codec, sha256 })).steps;
    assert.equal(mebibyte, many, "no more than a mebibyte is looked at");
  });

  it("can be given up at any step", () => {
    for (const after of [1, 5, 20]) {
      const steps = buildDictionary(answers(100), { codec, sha256 });
      for (let step = 0; step < after; step++) assert.equal(steps.next().done, false);
      steps.return(undefined);
    }
    assert.ok(build(answers(100)));
  });

  it("refuses sizes that no dictionary may have", () => {
    for (const bytes of [0, -1, NaN, 255, 128 * 1024 + 1]) {
      assert.throws(() => build(answers(100), { bytes }), {
        name: "RangeError",
        message: `Cannot build a dictionary of ${bytes} bytes: it needs between 256 and 131072`,
      });
    }
  });

  it("passes on that the codec failed", () => {
    const failing: Codec = {
      ...codec,
      name: "failing",
      compress: () => {
        throw new CodecError("Cannot compress 1 bytes: no memory");
      },
    };
    assert.throws(() => build(answers(100), { codec: failing }), CodecError);
  });
});

describe("selectSegments", () => {
  const select = (texts: readonly string[], bytes: number): string =>
    decoder.decode(finish(selectSegments(texts.map((text) => encoder.encode(text)), bytes)).value);

  it("takes what is in several samples, once, and nothing that is in one alone", () => {
    const shared = "what they all have in common";
    const selected = select(["first ", "second ", "third "].map((own) => own.repeat(60) + shared), 4096);
    assert.equal(selected.split(shared).length, 2, selected);
    assert.ok(!select(["aaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbb"], 4096).includes("aaaaaaaa"));
  });

  it("puts what most have in common last", () => {
    const [few, many] = ["few of them say this", "and all of them say that"];
    const samples = Array.from({ length: 30 }, (_, index) => {
      const own = String.fromCharCode(0x4e00 + index).repeat(200);
      return `${own}${many}${own}${index < 3 ? few : ""}`;
    });
    const selected = select(samples, 4096);
    assert.ok(selected.includes(few) && selected.includes(many), selected);
    assert.ok(selected.indexOf(few) < selected.indexOf(many), selected);
  });

  it("is empty where there is nothing to take", () => {
    assert.equal(select([], 4096), "");
    assert.equal(select(["", "short", "short"], 4096), "");
    assert.equal(select(["said by nobody else"], 4096), "");
  });
});
