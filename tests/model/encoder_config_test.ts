/** How long a text may be, and what else an encoder's configuration says. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type EncoderConfigFiles, readEncoderConfig } from "../../src/model/embedding/encoder_config.ts";

const BERT = { model_type: "bert", vocab_size: 30_522, max_position_embeddings: 512 };

function read(config: object, files: Partial<EncoderConfigFiles> = {}): ReturnType<typeof readEncoderConfig> {
  return readEncoderConfig({ config: { ...BERT, ...config }, tokenizerConfig: {}, sentenceConfig: {}, ...files });
}

describe("readEncoderConfig", () => {
  it("reads a BERT's", () => {
    const facts = { contextLength: 512, vocabularySize: 30_522, firstPosition: 0, cuts: undefined };
    assert.deepEqual(read({}), facts);
  });

  it("counts a RoBERTa's places from its padding, so that 514 are 512", () => {
    for (const model_type of ["roberta", "xlm-roberta", "camembert", "mpnet"]) {
      const { contextLength, firstPosition } = read({ model_type, max_position_embeddings: 514, pad_token_id: 1 });
      assert.deepEqual([contextLength, firstPosition], [512, 2], model_type);
    }
    assert.equal(read({ model_type: "longformer", max_position_embeddings: 4098 }).contextLength, 4096);
  });

  it("takes the lowest limit there is", () => {
    assert.equal(read({}, { sentenceConfig: { max_seq_length: 256 } }).contextLength, 256);
    assert.equal(read({}, { sentenceConfig: { max_seq_length: 8192 } }).contextLength, 512);
    assert.equal(read({}, { tokenizerConfig: { model_max_length: 128 } }).contextLength, 128);
  });

  it("passes over limits that are none", () => {
    assert.equal(read({}, { tokenizerConfig: { model_max_length: 1e30 } }).contextLength, 512);
    assert.equal(read({}, { sentenceConfig: { max_seq_length: null } }).contextLength, 512);
  });

  it("knows a limit under its other names, and in a part of the configuration for text", () => {
    assert.equal(read({ max_position_embeddings: undefined, n_positions: 2048 }).contextLength, 2048);
    const { contextLength, vocabularySize } = read({ text_config: { max_position_embeddings: 77, vocab_size: 9 } });
    assert.deepEqual([contextLength, vocabularySize], [77, 9]);
  });

  it("reads to how many numbers vectors may be cut", () => {
    assert.deepEqual(read({ matryoshka_dimensions: [256, 128] }).cuts, [256, 128]);
    assert.equal(read({ is_matryoshka: true }).cuts, "any");
  });

  for (
    const [what, config, message] of [
      [
        "no limit",
        { max_position_embeddings: undefined },
        /config\.json has none of max_position_embeddings, n_positions/,
      ],
      ["a limit of 0", { max_position_embeddings: 0 }, /no positive max_position_embeddings: 0/],
      [
        "a RoBERTa of no places",
        { model_type: "roberta", max_position_embeddings: 2 },
        /less those of padding of 1 or more: 0/,
      ],
      ["a padding that is no token", { model_type: "roberta", pad_token_id: -1 }, /no pad_token_id of 0 or more: -1/],
      ["a vocabulary of no size", { vocab_size: "many" }, /no vocab_size of 1 or more: "many"/],
      ["cuts that are no list", { matryoshka_dimensions: 64 }, /no list of matryoshka_dimensions: 64/],
      ["a cut that is no number", { matryoshka_dimensions: [64, 0.5] }, /no matryoshka_dimensions of 1 or more: 0\.5/],
    ] as const
  ) it(`refuses ${what}`, () => assert.throws(() => read(config), message));

  it("refuses a longest text of no tokens", () => {
    assert.throws(() => read({}, { sentenceConfig: { max_seq_length: 0 } }), /no max_seq_length of 1 or more: 0/);
  });
});
